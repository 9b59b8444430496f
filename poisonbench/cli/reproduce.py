"""The command ``reproduce``: run the experiments of a paper and compare them with its values.

Each experiment is a config that comes with the package, and has its own output folder.  A poison
set that one experiment has made is used by the others too.
"""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from poisonbench.cli.messages import say, to_stderr, usage, user_errors, using
from poisonbench.cli.results import frame_text, read_tables, report_results, write
from poisonbench.cli.run import carry_out, dry_run_of, fetch_data

if TYPE_CHECKING:
    from poisonbench.execution.options import RunOptions
    from poisonbench.plan.groups import Group, Plan

PAPERS = ("jagielski2018",)
"""The papers that can be reproduced.

Each is a folder in ``configs`` and a reference with published values.
"""

PARTS = {
    "attacks": ("attacks-ridge", "attacks-lasso", "attacks-others", "strategies"),
    "defenses": ("defenses-ridge", "defenses-lasso"),
    "transfer": ("transfer",),
    "times": ("attacks-ridge", "attacks-lasso", "defenses-ridge", "defenses-lasso"),
    "dose": ("dose",),
}
"""The configs of each part.  The running times are measured by the attack and defense configs."""


def reproduce_paper(
    paper: str,
    parts: Sequence[str],
    overrides: Sequence[str],
    output: Path | None,
    options: RunOptions,
    data_dir: Path | None,
    *,
    fetch: bool,
    dry_run: bool,
) -> None:
    """Run the experiments of a paper, then write the comparison with its values and a report."""
    with user_errors():
        from poisonbench import packaged_files
        from poisonbench.config import fields, load
        from poisonbench.plan.make import make_plan

    for given, known, what in (
        (paper, PAPERS, "paper"),
        *((part, PARTS, "part") for part in parts),
    ):
        if given not in known:
            names = list(known)
            raise usage(f"poisonbench reproduce: there is no {what} '{given}'"
                        f"{fields.hint(given, names)} "
                        f"expected {fields.one_of(names)}")  # fmt: skip
    out = output or Path("results") / paper
    names = list(dict.fromkeys(name for part in parts or PARTS for name in PARTS[part]))
    plans: dict[str, Plan] = {}
    with user_errors():
        for name in names:
            experiment = load(
                packaged_files.folder("configs") / paper / f"{name}.yaml", overrides, sweep=True
            )
            if fetch:
                fetch_data(experiment, data_dir, progress=not options.quiet)
            plans[name] = make_plan(experiment, data_dir)
    if dry_run:
        _dry_run(plans, out, options)
        return
    worst = 0
    for name, plan in plans.items():
        start = time.monotonic()
        share_poison(plan, out, name)
        try:
            carry_out(plan, out / name, replace(options, predictions=name == "dose"))
        except typer.Exit as ended:
            if ended.exit_code not in (1, 3):
                raise
            worst = max(worst, ended.exit_code)
        if not options.quiet:
            to_stderr(f"{name}: {time.monotonic() - start:.0f} s")
    _conclude(paper, out, quiet=options.quiet, data_dir=data_dir)
    if worst:
        raise typer.Exit(worst)


def _dry_run(plans: Mapping[str, Plan], out: Path, options: RunOptions) -> None:
    """Print what would run, and the time that all of it would take."""
    from poisonbench.execution import engine
    from poisonbench.output.status import in_words

    jobs = engine.default_jobs() if options.jobs is None else options.jobs
    made: set[str] = set()
    total = 0.0
    for name, plan in plans.items():
        say(f"== {name}")
        made |= {group.id for group in plan.groups if _made_elsewhere(group, out, name)}
        found = dry_run_of(plan, out / name, options, made)
        total += found.wall(jobs) if found.seconds else 0.0
        made |= {group.id for group in plan.groups}
    say(f"== total\ntime: about {in_words(total)}" if total else "== nothing is left to compute")


def _made_elsewhere(group: Group, out: Path, name: str) -> Path | None:
    """Return the poison file of a group in the folder of another experiment of the paper."""
    if group.poison_file is None or not out.is_dir():
        return None
    others = (place / group.poison_file for place in out.iterdir() if place.name != name)
    return next((path for path in others if path.is_file()), None)


def share_poison(plan: Plan, out: Path, name: str) -> None:
    """Link the poison sets that another experiment of the paper has already made.

    A poison file's name contains a hash of everything that the poison set depends on, so files of
    the same name are interchangeable.
    """
    with using(out):
        for group in plan.groups:
            if group.poison_file is None or (out / name / group.poison_file).exists():
                continue
            source = _made_elsewhere(group, out, name)
            if source is None:
                continue
            # The output folder must contain its plan before anything else.
            with user_errors():
                from poisonbench.output import store

                store.open_folder(out / name, plan)
            for path in (group.poison_file, f"meta/{group.id[:2]}/{group.id}.json"):
                target = out / name / path
                target.parent.mkdir(parents=True, exist_ok=True)
                if (source.parent.parent / path).exists() and not target.exists():
                    os.link(source.parent.parent / path, target)


def _conclude(paper: str, out: Path, *, quiet: bool, data_dir: Path | None) -> None:
    """Write the comparison with the published values and, if possible, the report."""
    from poisonbench.output import comparison, published

    tables = read_tables(out)
    found = comparison.with_published(tables.results, published.values(paper))
    for name, frame in (("comparison.csv", found.cells), ("checks.csv", found.checks)):
        write(out / name, frame.to_csv(index=False, lineterminator="\n"), quiet=quiet)
    if len(found.checks) and not quiet:
        say(f"\n{frame_text(found.checks)}\n")
    if find_spec("matplotlib") is None or find_spec("jinja2") is None:
        to_stderr("No report, because it needs the extra: python -m pip install "
                  "'poisonbench[plot]'; then run poisonbench report "
                  f"{shlex.quote(str(out))}")  # fmt: skip
        return
    report_results(out, paper, None, training_sets=True, data_dir=data_dir, quiet=quiet)
