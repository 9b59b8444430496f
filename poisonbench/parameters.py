"""Check parameters against their annotations, so that each bound is written only once.

The config's schema is made from the same annotations.  This check is for users who construct an
attack or a defense in Python; by scikit-learn's convention, ``__init__`` does not check its
arguments, and the first method that uses them does.
"""

from __future__ import annotations

import numbers
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from annotated_types import Ge, Gt, Le, Lt

KINDS: dict[Any, tuple[type, str]] = {
    int: (numbers.Integral, "an integer"),
    float: (numbers.Real, "a number"),
}


def check_parameters(estimator: Any) -> None:
    """Compare the parameters of `estimator` with the annotations of its ``__init__``.

    Only literals, numbers, bounds, None and unions of these are checked.

    Raises
    ------
    ValueError
        A parameter has a value that its annotation does not allow.
    """
    cls = type(estimator)
    hints = get_type_hints(cls.__init__, include_extras=True)
    for parameter, annotation in hints.items():
        if hasattr(estimator, parameter):
            value = getattr(estimator, parameter)
            if not _fits(value, annotation):
                raise ValueError(
                    f"{cls.__name__}: {parameter} is {value!r}, expected {_describe(annotation)}"
                )


def _fits(value: Any, annotation: Any) -> bool:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, UnionType):
        return any(_fits(value, argument) for argument in arguments)
    if origin is Literal:
        return any(type(value) is type(choice) and value == choice for choice in arguments)
    if origin is Annotated:
        return _fits(value, arguments[0]) and all(_within(value, b) for b in arguments[1:])
    if annotation in KINDS:
        return isinstance(value, KINDS[annotation][0]) and not isinstance(value, bool)
    if annotation is NoneType:
        return value is None
    return True


def _within(value: Any, bound: Any) -> bool:
    match bound:
        case Ge():
            return bool(value >= bound.ge)
        case Gt():
            return bool(value > bound.gt)
        case Le():
            return bool(value <= bound.le)
        case Lt():
            return bool(value < bound.lt)
    return True


def _describe(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, UnionType):
        return " or ".join(_describe(argument) for argument in arguments)
    if origin is Literal:
        return " or ".join(repr(choice) for choice in arguments)
    if origin is Annotated:
        signs = {Ge: (">=", "ge"), Gt: (">", "gt"), Le: ("<=", "le"), Lt: ("<", "lt")}
        bounds = [
            f"{signs[type(b)][0]} {getattr(b, signs[type(b)][1])}"
            for b in arguments[1:]
            if type(b) in signs
        ]
        return f"{_describe(arguments[0])} {' and '.join(bounds)}"
    if annotation in KINDS:
        return KINDS[annotation][1]
    return "None" if annotation is NoneType else str(annotation)
