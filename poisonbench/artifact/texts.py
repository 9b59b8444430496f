"""The texts of an artifact: README, Dockerfile, and metadata for archives."""

from __future__ import annotations

import json
import platform
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
import yaml

from poisonbench.artifact import claims as claim
from poisonbench.artifact.steps import RERUN, Step
from poisonbench.artifact.sums import NOT_READ
from poisonbench.execution import provenance
from poisonbench.execution.estimate import in_bytes
from poisonbench.output.digits import significant

SHOWN = 60
"""How many claims the README shows; claims.csv has all."""

KEYWORDS = ("data poisoning", "linear regression", "adversarial machine learning",
            "robust regression", "reproducibility")  # fmt: skip


@dataclass(frozen=True)
class About:
    """What only the authors know.

    Parameters
    ----------
    title : str
        The title.
    authors : tuple of (str, str)
        Family and given name of each author; without authors, the artifact is anonymous.
    license : str or None
        The SPDX identifier of the licence, such as CC-BY-4.0.
    """

    title: str
    authors: tuple[tuple[str, str], ...] = ()
    license: str | None = None


VERSION = "1.0.0"
"""The version of an artifact in its metadata."""

DESCRIPTION = (
    "Experiments on data-poisoning attacks on linear regression and the defenses against them: "
    "configs, data, expected results, locked versions of the software, and one command that "
    "repeats everything and checks the claims."
)


def readme(
    about: About,
    steps: Sequence[Step],
    claims: pd.DataFrame,
    catalogued: Sequence[str],
    disk: int,
    notes: Sequence[str],
) -> str:
    """Return ``README.md``."""
    python = ".".join(platform.python_version_tuple()[:2])
    fetch = " --fetch" if catalogued else ""
    downloads = ' -v "$PWD/datasets:/artifact/datasets"' if catalogued else ""
    total = sum({step.command: step.seconds for step in steps}.values())
    space = "less than 1 MB" if disk < 1e6 else in_bytes(disk)
    most = max(step.memory for step in steps)
    rows = "\n".join(
        f"| {step.makes} | `{shlex.join(step.command)}` | {in_minutes(step.seconds)} | "
        f"{in_bytes(step.memory)} |"
        for step in steps
    )
    data = (
        f"Data sets of poisonbench's catalogue ({', '.join(catalogued)}) are not in this folder. "
        "`--fetch` downloads them into `datasets` and checks them; `datasets/SHA256SUMS` has the "
        "checksums of the files that were used."
        if catalogued
        else "All data are in this folder, or come with the locked packages."
    )
    return f"""# {about.title}

{DESCRIPTION}

What is claimed: {len(claims)} medians over seeds, {_parts(claims)}. They are in
`claims.csv`, each with a tolerance, and [below](#claims).

## Requirements

- Software: Python {python}, or Docker. `requirements.txt` locks the version of every package, and
  poisonbench itself is in this folder, as a wheel.
- Machine: any. The times below are those of {_machine()}.
- Time: {in_minutes(total)} minutes on one processor. With n processors, the experiments take about
  1/n of that.
- Memory: {in_bytes(most)} for each process.
- Disk: {space} for the results, and about 1 GB for the packages.
- No GPU. {data}

## Set-up and the whole check

    python{python} -m venv .venv && . .venv/bin/activate
    python -m pip install -r requirements.txt
    poisonbench verify . --output {RERUN}{fetch}

or, with Docker,

    docker build -t artifact .
    docker run --rm -v "$PWD/{RERUN}:/rerun"{downloads} artifact

The wheel of poisonbench is a file of the authors: to install and to run it is to run their code.

`poisonbench verify` checks that all files are here and as `SHA256SUMS` says, repeats every
experiment in `{RERUN}`, beside this folder, and prints each claim with the stored and the new value
and a verdict. Its exit code is 0 if all claims hold; 1 if not, or if a cell failed or an attack is
above its proved ceiling; 2 if the folder is damaged or data are missing; and 3 if cells are
missing, as on a full disk. If it is interrupted, the same command resumes it. At the end it says
how many cells it computed, and what it found finished.

## Each table and figure

Run these commands in this folder; they write beside it. The first command of an experiment computes
its results; the others need it.

| what | command | minutes | memory |
| --- | --- | --- | --- |
{rows}

The minutes of a `sweep` are computing time on one processor, added up from the times measured when
the results were computed. Its memory is an estimate for each process, that of `--dry-run`. Both
numbers of the other commands were measured when this folder was made, with the start of Python.

`expected/NAME/` has the results to compare with: `results.csv` (a row for each seed, attack, rate
and defense), `table.csv` (statistics over seeds), `convergence.csv`, `timings.csv`, and what the
commands above print and draw.

## Claims

A claim is the median over seeds of a column of `results.csv`: `test_mse`, the mean squared error on
test rows in units of the box [0, 1], and `ratio_to_clean`, this error divided by that of the same
learner without poison. A claim holds if all its seeds were computed and the new median differs from
the value by at most the tolerance, relative to the value.

On the same kind of processor, the results are equal to the last digit. On another kind, sums are
rounded differently. Results without a search hardly change then, nor does `oracle`, which ignores
the poison: their usual tolerance is {claim.EXACT:g}. An attack that searches in rounds may end with
other rows of almost the same strength. The usual tolerance is then {claim.SEARCH:g} without a
defense. With a defense it is {claim.DEFENDED:g}, because a defense keeps or drops whole rows. These
values were chosen from differences between several kernels on one machine. They are no proved
bounds, and the authors may have chosen others. The number of claims with each tolerance:

{_tolerances(claims)}

{_table(claims)}

## What is not included

- The poison sets and the numbers of single cells. The commands compute them again.
- Running times are not claimed, because they depend on the machine.{_not_claimed(claims)}
{"".join(f"- {' '.join(note.split())}{chr(10)}" for note in notes)}"""


def _machine() -> str:
    """Return this machine in words."""
    facts = provenance.facts()
    kernels = {f"{pool['internal_api']} for {pool['architecture']}" for pool in facts["blas"]}
    library = ", ".join(sorted(kernels)) or "an unknown library"
    return f"{platform.system()} {platform.machine()}, with the linear algebra of {library}"


def in_minutes(seconds: float) -> str:
    """Return a time in minutes with two digits; less than 0.1 as such."""
    return "< 0.1" if seconds < 6 else significant(seconds / 60, 2)


def _parts(claims: pd.DataFrame) -> str:
    """Return how many data sets, learners and so on the claims are about."""
    counts = {
        "data set": ["dataset", "dataset_parameters"],
        "learner": ["model", "model_parameters"],
        "attack": ["attack", "attack_parameters", "variables", "initialization", "outer_objective"],
        "poisoning rate": ["poisoning_rate", "rate_of"],
        "defense": ["defense", "defense_parameters", "n_poison_source"],
    }
    numbers = {name: len(claims.drop_duplicates(columns)) for name, columns in counts.items()}
    return "for " + ", ".join(
        f"{number} {name}{'' if number == 1 else 's'}" for name, number in numbers.items()
    )


def _tolerances(claims: pd.DataFrame) -> str:
    counts = claims["tolerance"].value_counts().sort_index()
    return "\n".join(f"- {tolerance:g}: {count}" for tolerance, count in counts.items())


def _table(claims: pd.DataFrame) -> str:
    """Return what all claims have in common, and the rest of the first ones as a Markdown table."""
    common, shown = claim.shortened(claims)
    lines = [f"| {' | '.join(map(str, shown))} |", f"|{' --- |' * len(shown.columns)}"]
    for row in shown.head(SHOWN).to_dict("records"):
        row["value"] = f"{row['value']:.6g}"
        lines.append(f"| {' | '.join(map(str, row.values()))} |")
    text = common + "\n".join(lines)
    if len(shown) > SHOWN:
        text += f"\n\nThese are the first {SHOWN}; `claims.csv` has all {len(shown)}."
    return text


def _not_claimed(claims: pd.DataFrame) -> str:
    single = (claims["seeds"] == 1).sum()
    if not single:
        return ""
    return f"\n- {single} claims are about a single seed, so they say nothing about other splits."


def dockerfile(wheel: str, *, fetch: bool) -> str:
    """Return the ``Dockerfile``, whose default command repeats everything."""
    command = ["poisonbench", "verify", ".", "--output", RERUN, *(["--fetch"] if fetch else [])]
    # Without the suffix of a candidate or of a distribution, which no image has.
    python = ".".join(map(str, sys.version_info[:3]))
    return f"""FROM python:{python}-slim
WORKDIR /artifact
COPY requirements.txt {wheel} ./
RUN python -m pip install --no-cache-dir -r requirements.txt
COPY . .
CMD {json.dumps(command)}
"""


DOCKERIGNORE = "".join(f"{name}\n" for name in NOT_READ)
"""What an image does not need."""


def zenodo(about: About) -> str:
    """Return ``.zenodo.json``, which Zenodo reads when the folder is uploaded from GitHub."""
    names = [f"{family}, {given}" if given else family for family, given in about.authors]
    content = {
        "title": about.title,
        "description": DESCRIPTION,
        "upload_type": "software",
        "version": VERSION,
        "creators": [{"name": name} for name in names or ["Anonymous"]],
        "keywords": list(KEYWORDS),
        **({"license": about.license.lower()} if about.license else {}),
    }
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def citation(about: About) -> str:
    """Return ``CITATION.cff``."""
    authors: list[dict[str, str]] = [
        {"family-names": family, "given-names": given} if given else {"name": family}
        for family, given in about.authors
    ]
    content = {
        "cff-version": "1.2.0",
        "message": "If you use these experiments, please cite them.",
        "title": about.title,
        "type": "software",
        "abstract": DESCRIPTION,
        "version": VERSION,
        "keywords": list(KEYWORDS),
        "authors": authors or [{"name": "Anonymous"}],
        **({"license": about.license} if about.license else {}),
    }
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
