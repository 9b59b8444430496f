"""Decorators for functions that Numba compiles; needs Numba, the extra ``fast``.

Division by zero gives infinity or NaN in all of them, as in NumPy.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, TypeVar

from numba import njit
from numba.extending import register_jitable

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """Compile a function when Python first calls it, and keep the machine code on disk.

    The machine code includes that of every :func:`part` that is called.  Numba compiles again when
    the function's own source file has changed, and looks at no other file: so a function and its
    parts belong in one file.
    """
    decorate: Any = njit(cache=True, error_model="numpy")
    made: Function = decorate(function)
    return made


def part(fastmath: Collection[str] = ()) -> Callable[[Function], Function]:
    """Return a decorator for functions that only compiled functions call.

    No machine code is made that Python could call, which takes a third off the time that compiling
    takes.  Called from Python, they run as Python.

    Parameters
    ----------
    fastmath : collection of str, default=()
        What LLVM may do to the function's arithmetic to make it faster, by LLVM's names.  With
        ``"reassoc"``, for example, it may add numbers in another order.
    """
    decorate: Any = register_jitable(
        error_model="numpy", fastmath=set(fastmath), no_cfunc_wrapper=True
    )

    def decorated(function: Function) -> Function:
        made: Function = decorate(function)
        return made

    return decorated
