"""The numeric keys of a config: poisoning rates, seeds, and the sizes of the split."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, Lt

from poisonbench.config import fields
from poisonbench.config.reader import Reader
from poisonbench.config.strict_yaml import KeyPath
from poisonbench.registry import Parameter

THIRD = 1 / 3

REQUIRED: Any = inspect.Parameter.empty

RATE_OF = Parameter(
    "rate_of",
    "rate_of",
    Literal["clean", "total"],
    "clean",
    "What the poisoning rate is a share of: the n clean training rows (p = rate n, the paper's "
    "alpha) or all n + p training rows (p = rate n / (1 - rate), as in the authors' code).",
)
RATE = Parameter(
    "rate",
    "rate",
    Annotated[float, Ge(0), Lt(1)],
    REQUIRED,
    "The number of poison rows, as a share of the training rows.",
)
SEED_COUNT = Parameter(
    "count",
    "count",
    Annotated[int, Ge(1), Le(100_000)],
    REQUIRED,
    "The number of seeds.",
)
SEED = Parameter("start", "start", Annotated[int, Ge(0)], 0, "The first seed.")
SPLIT_SIZES = tuple(
    Parameter(
        part,
        part,
        Annotated[int, Ge(least)] | Annotated[float, Gt(0), Lt(1)],
        REQUIRED,
        f"Number of {part} rows, or their share of all rows.",
    )
    for part, least in (("train", 2), ("validation", 0), ("test", 1))
)
CEILING = Parameter(
    "ceiling",
    "ceiling",
    Literal["on", "off"],
    "on",
    "Whether to compute, for every row of the results, upper bounds on the damage that any poison "
    "set of its size can do.  They are proved and do not depend on the attack.",
)
REPETITIONS = Parameter(
    "repetitions",
    "repetitions",
    Annotated[int, Ge(1), Le(1000)],
    1,
    "How often each defense that draws random numbers is fitted to the same rows, with independent "
    "random numbers.  A row of the results describes the fit with the median test error, and has "
    "the least and the largest test error beside it.",
)
SPLIT_FILE = Parameter(
    "indices",
    "indices",
    Path,
    REQUIRED,
    "An .npz file with the row indices, in arrays train, validation and test.",
)


@dataclass(frozen=True)
class Rate:
    """A poisoning rate.

    Parameters
    ----------
    value : float or None
        The rate; None if no attack takes one.
    of : str
        ``clean`` or ``total``: the rows that it is a share of.
    """

    value: float | None
    of: str


@dataclass(frozen=True)
class SplitChoice:
    """The sizes of the parts of a split, or the file that gives them.

    Parameters
    ----------
    train, validation, test : int or float
        Counts (int) or shares of all rows (float); ignored if `indices` is given.
    indices : Path or None
        The file with the row indices.
    written : str or None
        Its path relative to the config.
    where : tuple
        Its place in the config, for messages.
    """

    train: int | float = THIRD
    validation: int | float = THIRD
    test: int | float = THIRD
    indices: Path | None = None
    written: str | None = None
    where: KeyPath = field(default=("split",), compare=False)

    @property
    def label(self) -> str:
        """Its name in tables: ``thirds``, ``300/250/500``, or the file's name."""
        if self.indices is not None:
            return self.indices.name
        if self.train == self.validation == self.test == THIRD:
            return "thirds"
        return f"{self.train}/{self.validation}/{self.test}"

    def resolved(self) -> dict[str, Any] | str:
        """Return the long form; that of ``thirds`` is ``thirds`` itself."""
        if self.written is not None:
            return {"indices": self.written}
        if self.train == self.validation == self.test == THIRD:
            return "thirds"
        return {"train": self.train, "validation": self.validation, "test": self.test}


def read_rates(reader: Reader, data: Mapping[str, Any]) -> tuple[Rate, ...]:
    """Read ``poisoning_rate`` and ``rate_of``; empty if no rates are given."""
    shares = reader.values(("rate_of",), data["rate_of"], RATE_OF)
    if "poisoning_rate" not in data:
        return ()
    found: list[tuple[KeyPath, Rate]] = []
    own = True
    for path, entry in reader.entries(("poisoning_rate",), data["poisoning_rate"]):
        if isinstance(entry, dict):
            combinations = reader.mapping(path, entry, (RATE, RATE_OF))
        elif isinstance(entry, list):
            combinations = []
            reader.complain(path, f"{fields.show(entry)} is a list in a list; expected "
                            f"{fields.type_in_words(RATE)}")  # fmt: skip
        else:
            combinations = [{"rate": rate} for rate in reader.values(path, entry, RATE)]
        own = own and isinstance(entry, dict) and "rate_of" in entry
        found.extend(
            (path, Rate(values["rate"], of))
            for values in combinations
            if "rate" in values
            for of in ([values["rate_of"]] if "rate_of" in values else shares)
        )
    if own and "rate_of" in reader.source.data:
        reader.complain(
            ("rate_of",),
            "not used, because every poisoning_rate has a rate_of of its own; expected one of "
            "the two",
        )
    return tuple(reader.distinct(found, lambda rate: f"{rate.value} of {rate.of}"))


def read_seeds(reader: Reader, value: Any) -> tuple[int, ...]:
    """Read ``seeds``: a count, a list, or a range."""
    path: KeyPath = ("seeds",)
    if isinstance(value, list):
        reader.entries(path, value)  # reports an empty list
        return tuple(reader.values(path, value, SEED)) if value else ()
    if not isinstance(value, dict):
        return tuple(seed for count in reader.values(path, value, SEED_COUNT)
                     for seed in range(count))  # fmt: skip
    seeds = [
        seed
        for values in reader.mapping(path, value, (SEED, SEED_COUNT))
        for seed in range(values.get("start", 0), values.get("start", 0) + values.get("count", 0))
    ]
    if len(set(seeds)) < len(seeds):
        reader.complain(path, "the ranges overlap; expected distinct seeds")
    return tuple(seeds)


def read_ceiling(reader: Reader, value: Any) -> bool:
    """Read ``ceiling``."""
    return bool(_single(reader, value, CEILING) == "on")


def read_repetitions(reader: Reader, value: Any) -> int:
    """Read ``repetitions``."""
    return int(_single(reader, value, REPETITIONS))


def _single(reader: Reader, value: Any, parameter: Parameter) -> Any:
    """Return the one value that a key has for the whole experiment; its default if not valid."""
    path: KeyPath = (parameter.name,)
    if isinstance(value, list):
        reader.complain(path, f"{fields.show(value)} is a list; expected "
                        f"{fields.type_in_words(parameter)}")  # fmt: skip
        return parameter.default
    return next(iter(reader.values(path, value, parameter)), parameter.default)


def read_splits(reader: Reader, value: Any) -> tuple[SplitChoice, ...]:
    """Read ``split``: thirds, sizes, or a file."""
    found: list[SplitChoice] = []
    for path, entry in reader.entries(("split",), value):
        if entry == "thirds":
            found.append(SplitChoice(where=path))
        elif not isinstance(entry, dict):
            reader.complain(
                path,
                f"{fields.show(entry)} is not valid; expected thirds, {{train: ..., "
                "validation: ..., test: ...} or {indices: FILE}",
            )
        elif "indices" in entry:
            found.extend(
                SplitChoice(
                    indices=reader.file(values["indices"]), written=values["indices"], where=path
                )
                for values in reader.mapping(path, entry, (SPLIT_FILE,))
            )
        else:
            for values in reader.mapping(path, entry, SPLIT_SIZES):
                shares = sum(size for size in values.values() if isinstance(size, float))
                if shares > 1 + 1e-9:
                    reader.complain(path, f"the shares add up to {shares:.6g}; expected at most 1")
                if len(values) == len(SPLIT_SIZES):
                    found.append(SplitChoice(**values, where=path))
    return tuple(
        reader.distinct(
            [(split.where, split) for split in found], lambda split: fields.show(split.resolved())
        )
    )
