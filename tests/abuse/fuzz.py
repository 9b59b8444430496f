"""Feed damaged configs and data files to the readers: each is read, or refused with a message.

    python tests/abuse/fuzz.py --cases 100000 --seed 0
    python tests/abuse/fuzz.py csv --cases 1000 --seed 7 --keep found

A finding is anything other than a result or an error message for users: another exception, a
warning of a library, or more than five seconds.  A case depends only on its number and the seed,
so ``--first N --cases 1`` makes it again.  The slow tests run a sample.
"""

from __future__ import annotations

import argparse
import random
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from math import prod
from pathlib import Path

from poisonbench.config import ConfigError, load
from poisonbench.data.base import DatasetError
from poisonbench.data.csv import read_dataset
from poisonbench.plan.make import make_plan
from poisonbench.preparation import Choices, prepare

SECONDS = 5
"""Of processor time; a case that takes more is a finding."""

MOST_CELLS = 200
"""Cells of a config up to which its plan is made too."""

CONFIGS = (
    "dataset: diabetes\nmodel: ridge\nattack: optp\npoisoning_rate: 0.2\ndefense: [none, trim]\n",
    "dataset: {name: synthetic, n: 90, d: 3, groups: [3]}\nmodel: {name: lasso, lambda: 1e-3}\n"
    "attack:\n  - name: statp\n  - {name: bgd, iterations: 2}\npoisoning_rate: [0, 4%, 0.1]\n"
    "split: {train: 40, validation: 20, test: 20}\nseeds: [1, 2]\n",
    "dataset: {name: csv, path: data.csv, target: y}\nattack: {name: file, path: poison.npz}\n"
    "defense: {name: trim, n_poison: {rate: 0.1}}\nsplit: {indices: rows.npz}\n",
    "sweep: {model.alpha: [0.1, 1]}\ndataset: diabetes\nmodel: {name: elastic-net, alpha: 0.1}\n"
    "attack: {name: coordinate}\npoisoning_rate: 0.1\nexclude:\n- {defense: trim, seeds: 1}\n"
    "defense: [trim, {name: huber}, oracle]\nrate_of: total\nouter_objective: training\n",
)
CONFIG_PARTS = (
    "\t",
    "\n",
    "\n  ",
    ": ",
    "- ",
    "[",
    "]",
    "{",
    "}",
    ",",
    "&a ",
    "*a",
    "!!int ",
    "!x ",
    "|\n",
    ">-\n",
    "? ",
    "%YAML 1.1\n",
    "---\n",
    "...\n",
    "'",
    '"',
    '"\\UFFFFFFFF"',
    '"\\ud83d"',
    '"\\0"',
    "\\",
    "\x00",
    "\x85",
    "\u2028",
    "\ufeff",
    "\ud800",
    "é",
    "null",
    "~",
    "true",
    ".nan",
    ".inf",
    "-.inf",
    "1e999",
    "-0",
    "0x_1",
    "1" * 5000,
    "9" * 30,
    "1e-400",
    "0.1",
    "-1",
    "2",
    "1_000",
    "12:30",
    "2020-01-01",
    "<<: ",
    "[" * 300,
    "{a: " * 300,
    "&a [*a]",
    "name: ",
    "dataset: ",
    "seeds: ",
    "lambda: cv",
    "alpha: ",
    "n_poison: estimated",
    "path: /dev/zero",
    "path: .",
    "path: ''",
    "target: ''",
    "groups: [99]",
    "n: 3",
    "d: 0",
)

TABLES = (
    "a,b,c,y\n" + "".join(f"{i},{i / 7:.3f},{'xyz'[i % 3]},{i * i % 11}\n" for i in range(25)),
    "id;Größe;Datum;Preis;y\n"
    + "".join(f'{i};1.{i:03},5;{i % 28 + 1}.1.2020;"{i},50 €";{i % 5}\n' for i in range(25)),
    "g:1\tg:2\twhen\tok\ty\n"
    + "".join(
        f"{i % 2}\t{1 - i % 2}\t2020-01-{i % 28 + 1:02}T00:00Z\tyes\t{i % 7}\n" for i in range(25)
    ),
    "n|t|z|y\n" + "".join(f'{10**18 + i}|"a|b ""{i}"""|0{i}|{i % 3}\n' for i in range(25)),
)
TABLE_PARTS = (
    "",
    ",",
    ";",
    "\t",
    "|",
    "\n",
    "\r",
    "\r\n",
    '"',
    '""',
    "'",
    " ",
    "  ",
    "\xa0",
    "\u200b",
    "\ufeff",
    "\x00",
    "\x85",
    "\u2028",
    "\x1a",
    "é",
    "e\u0301",
    "−",
    "NA",
    "nan",
    "inf",
    "-inf",
    "1e309",
    "1e-400",
    "1e150",
    "9007199254740993",
    "9" * 25,
    "9" * 400,
    "0" * 30 + "1",
    "1,234",
    "1.234",
    "2,236,348",
    "2.236.348",
    "1,5",
    "0,123",
    "(5)",
    "5-",
    "1.5D+02",
    "$1",
    "1 €",
    "50%",
    "007",
    "1e5",
    "0x1F",
    "TRUE",
    "no",
    "2020-13-45",
    "1/2/2020",
    "12:30",
    "1 Jan 2020",
    "9999-12-31",
    "0001-01-01",
    "a" * 5000,
    "y",
    "a",
    "y,y",
    "g:",
    ":",
    "g:1:2",
    "=1+1",
    "#",
    "\\",
    "\\n",
    "\U0001f600",
    "<b>",
    "%s",
    "{}",
)


class TooSlow(BaseException):
    """A case takes too long; no reader catches it."""


@dataclass(frozen=True)
class Finding:
    """A case that was neither read nor refused.

    Parameters
    ----------
    kind : str
        What was fed, ``config`` or ``csv``.
    number : int
        The number of the case.
    content : bytes
        The file.
    what : str
        What happened.
    """

    kind: str
    number: int
    content: bytes
    what: str


def mutated(text: str, parts: tuple[str, ...], rng: random.Random) -> bytes:
    """Return a text with some of it replaced, repeated, moved or cut, as bytes with a few wrong."""
    for _ in range(rng.choice([1, 1, 2, 3, 8])):
        a, b = sorted(rng.randrange(len(text) + 1) for _ in range(2))
        b = min(b, a + rng.choice([0, 0, 1, 5, 40]))
        match rng.randrange(7):
            case 0 | 1 | 2:
                text = text[:a] + rng.choice(parts) + text[b:]
            case 3:
                text = text[:b] + text[a:b] * rng.choice([1, 2, 100, 3000]) + text[b:]
            case 4:
                lines = text.splitlines(keepends=True)
                rng.shuffle(lines)
                text = "".join(lines)
            case 5:
                text = text[:a] + text[b:]
            case _:
                text = text.replace(text[a:b] or "\n", rng.choice(parts))[:50_000]
    encoding = rng.choice(["utf-8"] * 8 + ["utf-16", "cp1252", "latin-1"])
    wrong = "surrogatepass" if encoding.startswith("utf") else "replace"
    content = bytearray(text.encode(encoding, wrong))
    for _ in range(rng.choice([0] * 6 + [1, 2])):
        if content:
            content[rng.randrange(len(content))] = rng.randrange(256)
    return bytes(content)


def feed_config(content: bytes, folder: Path, rng: random.Random) -> None:
    """Read a config, and make its plan where that is small."""
    path = folder / "x.yaml"
    path.write_bytes(content)
    try:
        config = load(path, sweep=rng.choice([None, True]))
        axes = (config.datasets, config.splits, config.models, config.attacks, config.rates,
                config.seeds, config.defenses)  # fmt: skip
        if prod(map(len, axes)) <= MOST_CELLS:
            make_plan(config, folder)
    except ConfigError:
        pass


def feed_table(content: bytes, folder: Path, rng: random.Random) -> None:
    """Prepare a data file, and load what came out."""
    path, out = folder / "raw.csv", folder / "out.csv"
    path.write_bytes(content)
    choices = Choices(
        rng.choice(["y", "y", "y", "a", "Preis"]),
        rare=rng.choice([0, 0.01, 1]),
        missing=rng.choice(["fill", "drop"]),  # type: ignore[arg-type]
    )
    try:
        prepared = prepare(
            path, out, choices, header=rng.choice([None, None, True, False]),
            decimal=rng.choice([None, None, ".", ","]),
            delimiter=rng.choice([None, None, None, ",", ";", " "]),
        )  # fmt: skip
        read_dataset(out, prepared.target, "train")
    except DatasetError:
        pass


FEEDS: dict[
    str, tuple[Callable[[bytes, Path, random.Random], None], tuple[str, ...], tuple[str, ...]]
]
FEEDS = {
    "config": (feed_config, CONFIGS, CONFIG_PARTS),
    "csv": (feed_table, TABLES, TABLE_PARTS),
}  # fmt: skip


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Raise :class:`TooSlow` after so many seconds of processor time."""

    def stop(number: int, frame: object) -> None:
        raise TooSlow(f"more than {seconds:g} s")

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def findings(kind: str, seed: int, first: int, cases: int) -> Iterator[Finding]:
    """Yield what some cases find.

    Parameters
    ----------
    kind : {"config", "csv"}
        What is fed.
    seed, first, cases : int
        Seed, number of the first case, and how many.
    """
    feed, texts, parts = FEEDS[kind]
    with tempfile.TemporaryDirectory() as name, warnings.catch_warnings():
        warnings.simplefilter("error")
        folder = Path(name)
        for number in range(first, first + cases):
            rng = random.Random(f"{kind} {seed} {number}")
            content = mutated(rng.choice(texts), parts, rng)
            try:
                with limited(SECONDS):
                    feed(content, folder, rng)
            except (Exception, TooSlow) as error:
                last = traceback.extract_tb(error.__traceback__)[-1]
                at = f"{Path(last.filename).name}:{last.lineno}"
                yield Finding(kind, number, content, f"{type(error).__name__}: {error} ({at})")
            for left in folder.iterdir():
                left.unlink()


def main() -> int:
    """Run the cases asked for, and say what they found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kinds", nargs="*", choices=[[], *FEEDS], default=[])
    parser.add_argument("--cases", type=int, default=100_000, help="of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--keep", type=Path, help="folder for what was found")
    given = parser.parse_args()
    start, n_found = time.monotonic(), 0
    kinds = given.kinds or list(FEEDS)
    found = chain.from_iterable(findings(k, given.seed, given.first, given.cases) for k in kinds)
    for finding in found:
        n_found += 1
        print(f"{finding.kind} {finding.number}: {finding.what[:300]}", flush=True)
        if given.keep:
            given.keep.mkdir(parents=True, exist_ok=True)
            (given.keep / f"{finding.kind}-{finding.number}").write_bytes(finding.content)
    n_cases, seconds = given.cases * len(kinds), time.monotonic() - start
    print(f"{n_cases} cases, {n_found} findings, {seconds:.0f} s")
    return bool(n_found)


if __name__ == "__main__":
    sys.exit(main())
