"""What an audit runs: a normal config, made from the size of the data, and smaller versions of it.

The grid has the attacks and defenses that are worth their time.  If it does not fit into the time,
:func:`smaller` gives up, step by step, what changes the answer least.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from poisonbench import registry
from poisonbench.config import Rate
from poisonbench.data.split import SplitCounts
from poisonbench.plan.rates import n_poison

RATES = (0.01, 0.04, 0.08, 0.16)
"""The poisoning rates of an audit that names none."""

USUAL_RATE = 0.04
"""The rate that the answer is about, if it is among the rates."""

SPLITS = 5
"""Largest number of random splits."""

MINUTES = 3.0
"""Time in which an audit has to fit, if the user names none."""

MODELS = ("ols", "ridge", "lasso", "elastic-net")
"""The learners that an audit can attack."""

EXTRA_ATTACKS = ("subpopulation", "sever")
"""Two attacks that copy rows, against which trimming defenses fail."""

ATTACKS = ("coordinate", "statp", *EXTRA_ATTACKS)
"""The attacks: the strongest one, which knows training rows and learner; `statp`, which knows only
means and covariances; and the extra ones."""

DEFENSES = ("mm", "torrent", "huber", "trim", "lts", "ransac", "sparse-lts")
"""The defenses, the cheapest of the best ones first."""

YARDSTICKS = ("none", "oracle", "median")
"""The reference rows."""

MOST_TRAIN, MOST_OTHER = 4000, 4000
"""Largest numbers of training rows, and of validation and test rows."""

FEWEST_ROWS = 20
"""Smallest number of rows that can be split and attacked."""

LEAST_TRAIN, ROWS_PER_COLUMN = 250, 2
"""The number of training rows is not halved below these, in all and for each column, as long as
anything else can be given up: with hardly more rows than columns, the model is another one."""


@dataclass(frozen=True)
class Request:
    """What the user asks for.

    Parameters
    ----------
    rates : tuple of float
        Poisoning rates p/n, ascending and positive.
    model : str
        The learner.
    splits : int
        Largest number of random splits.
    budget : float
        Seconds that the audit may take, with everything.
    trusted : bool
        Whether the rows of the file are known to contain no poison.

    Raises
    ------
    ValueError
        A value is out of range; the message says which.
    """

    rates: tuple[float, ...] = RATES
    model: str = "ridge"
    splits: int = SPLITS
    budget: float = 60 * MINUTES
    trusted: bool = False

    def __post_init__(self) -> None:
        if not self.rates:
            raise ValueError("rate: none is given; expected numbers between 0 and 1, such as 0.04")
        for rate in self.rates:
            if not 0 < rate < 1:
                raise ValueError(f"rate: {rate:g} is not a share of the training rows; expected a "
                                 "number between 0 and 1, such as 0.04 for 4%")  # fmt: skip
        object.__setattr__(self, "rates", tuple(sorted(set(self.rates))))
        if self.model not in MODELS:
            near = registry.nearest(self.model, MODELS)
            hint = f"did you mean '{near}'?" if near else f"expected {', '.join(MODELS)}"
            raise ValueError(f"model: there is no learner '{self.model}'; {hint}")
        if self.splits < 1:
            raise ValueError(f"splits: {self.splits}, expected at least 1")
        if not 0 < self.budget < 1e8:
            raise ValueError(f"budget: {self.budget / 60:g} minutes; expected a number above 0 and "
                             "below a million, such as 10")  # fmt: skip


@dataclass(frozen=True)
class Grid:
    """What is run: the content of a config.

    Parameters
    ----------
    dataset : mapping
        The entry ``dataset`` of the config.
    model : str
        The learner.
    rates : tuple of float
        The poisoning rates, without 0.
    attacks, defenses : tuple of str
        Their names, without the reference rows.
    train, validation, test : int
        Numbers of rows of each split.
    seeds : int
        Number of splits.
    left_out : tuple of str
        Sentences on what was left out, and why.
    least_train : int
        The number of training rows is not halved below this, as long as there is another way.
    """

    dataset: Mapping[str, Any]
    model: str
    rates: tuple[float, ...]
    attacks: tuple[str, ...]
    defenses: tuple[str, ...]
    train: int
    validation: int
    test: int
    seeds: int = 1
    left_out: tuple[str, ...] = ()
    least_train: int = LEAST_TRAIN

    @property
    def rate(self) -> float:
        """The rate that the answer is about."""
        return USUAL_RATE if USUAL_RATE in self.rates else self.rates[0]

    @property
    def assumed_rate(self) -> float:
        """The rate that a defense assumes that has to be told the number of poison rows.

        In practice nobody knows this number, so it is the largest rate of the audit.
        """
        return self.rates[-1]

    def config(self) -> dict[str, Any]:
        """Return the config."""
        return {
            "dataset": dict(self.dataset),
            "model": self.model,
            "attack": list(self.attacks),
            "poisoning_rate": [0.0, *self.rates],
            "defense": [*YARDSTICKS, *map(self._defense, self.defenses)],
            "split": {"train": self.train, "validation": self.validation, "test": self.test},
            "seeds": self.seeds,
        }

    def _defense(self, name: str) -> Any:
        if not registry.accepts(registry.components("defense")[name], "n_poison"):
            return name
        return {"name": name, "n_poison": {"rate": self.assumed_rate}}

    def without(self, reason: str, *, attack: str = "", defense: str = "") -> Self:
        """Return the grid without an attack or a defense, with the reason."""
        return replace(
            self,
            attacks=tuple(name for name in self.attacks if name != attack),
            defenses=tuple(name for name in self.defenses if name != defense),
            left_out=(*self.left_out, reason),
        )

    def as_json(self) -> dict[str, Any]:
        """Return the grid as JSON values."""
        return {**asdict(self), "dataset": dict(self.dataset)}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Return the grid that :meth:`as_json` has described."""
        lists = ("rates", "attacks", "defenses", "left_out")
        return cls(**{**content, **{name: tuple(content[name]) for name in lists}})


def split_of(n_rows: int, most_train: int = MOST_TRAIN) -> SplitCounts:
    """Return the sizes of training, validation and test set for a file with `n_rows` rows.

    Half of the rows are for training, and a quarter each for the attacker's validation and the
    test, up to fixed numbers: more rows would take longer and change the answer little, because
    the effect of poison depends on its share.

    Raises
    ------
    ValueError
        There are too few rows.
    """
    if n_rows < FEWEST_ROWS:
        raise ValueError(f"{n_rows} rows are too few for an audit; expected at least {FEWEST_ROWS}")
    train = min(n_rows // 2, most_train)
    validation = min((n_rows - train) // 2, MOST_OTHER)
    return SplitCounts(train, validation, min(n_rows - train - validation, MOST_OTHER))


def grid_of(request: Request, dataset: Mapping[str, Any], n_rows: int, n_features: int = 1) -> Grid:
    """Return the largest grid for these data.

    Parameters
    ----------
    request : Request
        What the user asks for.
    dataset : mapping
        The entry ``dataset`` of the config.
    n_rows, n_features : int
        Numbers of rows and features of the data.

    Raises
    ------
    ValueError
        There are too few rows for an audit, or for every rate.
    """
    split = split_of(n_rows)
    poison = {rate: n_poison(Rate(rate, "clean"), split.train) for rate in request.rates}
    rates = tuple(rate for rate in request.rates if poison[rate])
    if not rates:
        raise ValueError(f"rate: {request.rates[-1]:g} of {split.train} training rows is less than "
                         f"one row; expected at least {0.5 / split.train:.2g}")  # fmt: skip
    left_out: list[str] = []
    for rate in set(request.rates) - set(rates):
        left_out.append(f"The rate {rate:.3g} was left out: of {split.train} training rows it is "
                        "less than one row.")  # fmt: skip
    grid = Grid(dict(dataset), request.model, rates, ATTACKS, DEFENSES, *split,
                left_out=tuple(left_out),
                least_train=max(LEAST_TRAIN, ROWS_PER_COLUMN * n_features))  # fmt: skip
    if sum(split) < n_rows:
        grid = replace(grid, left_out=(*left_out, f"Each split uses {sum(split):,} of the "
                       f"{n_rows:,} rows, drawn at random."))  # fmt: skip
    for name in DEFENSES:
        try:
            registry.components("defense")[name]().check_rows(split.train + poison[rates[0]])
        except ValueError as error:
            grid = grid.without(f"{name} was not tried: {error}.", defense=name)
    return grid


def smaller(grid: Grid, *, rows_first: bool = False) -> Grid | None:
    """Return a grid that takes less time, or None if there is none.

    Parameters
    ----------
    grid : Grid
        The grid that takes too long.
    rows_first : bool, default=False
        Whether to use fewer training rows before anything else is given up.
    """
    why = "to stay within the time"
    can_halve = grid.train // 2 >= grid.least_train
    if can_halve and (rows_first or grid.train > MOST_TRAIN // 2):
        return _fewer_rows(grid)
    for name in ("sparse-lts", "ransac"):
        if name in grid.defenses:
            return grid.without(f"{name} was not tried, {why}.", defense=name)
    if can_halve and grid.train > MOST_TRAIN // 4:
        return _fewer_rows(grid)
    for name in reversed(EXTRA_ATTACKS):
        if name in grid.attacks:
            return grid.without(f"The attack {name} was not tried, {why}.", attack=name)
    if len(grid.rates) > 2:
        kept = tuple(sorted({grid.rate, grid.rates[-1]}))
        lost = ", ".join(f"{rate:.3g}" for rate in grid.rates if rate not in kept)
        reason = f"The rates {lost} were not tried, {why}."
        return replace(grid, rates=kept, left_out=(*grid.left_out, reason))
    if can_halve:
        return _fewer_rows(grid)
    for name in ("lts", "trim", "huber"):
        if name in grid.defenses and len(grid.defenses) > 1:
            return grid.without(f"{name} was not tried, {why}.", defense=name)
    return _fewer_rows(grid) if grid.train > LEAST_TRAIN else None


def _fewer_rows(grid: Grid) -> Grid:
    """Return the grid with half of the training rows."""
    start = "Each split uses only "
    others = (line for line in grid.left_out if not line.startswith("Each split uses "))
    line = (
        f"{start}{grid.train // 2:,} training rows, drawn at random, to stay within the time. "
        "Trained on all rows, the model may have a smaller error."
    )
    return replace(grid, train=grid.train // 2, left_out=(*others, line))
