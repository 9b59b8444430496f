"""The commands ``artifact`` and ``verify``.

Slow modules are imported inside the functions that need them, so that ``--help`` answers at once.
"""

from __future__ import annotations

import os
import shlex
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from poisonbench.cli.datasets import DataDir
from poisonbench.cli.messages import say, to_stderr, usage, user_errors, using
from poisonbench.cli.options import Fetch, Jobs, Quiet, ResultFolder
from poisonbench.cli.run import beside, carry_out, fetch_data
from poisonbench.execution.options import RunOptions

if TYPE_CHECKING:
    import pandas as pd

    from poisonbench.artifact.contents import Experiment
    from poisonbench.artifact.texts import About

SHOWN = 10
"""How many problems of a folder are printed."""


def artifact(
    folder: ResultFolder,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="DIR",
            readable=False,
            help="The new folder.  [default: DIR-artifact]",
        ),
    ] = None,
    title: Annotated[
        str | None,
        typer.Option("--title", help="Title.  [default: Poisoning of linear regression: DIR]"),
    ] = None,
    author: Annotated[
        list[str] | None,
        typer.Option(
            "--author",
            metavar='"FAMILY, GIVEN"',
            help="An author; may be given several times.  [default: anonymous]",
        ),
    ] = None,
    license_: Annotated[
        str | None,
        typer.Option("--license", metavar="SPDX", help="The licence, such as CC-BY-4.0."),
    ] = None,
    tolerance: Annotated[
        list[str] | None,
        typer.Option(
            "--tolerance",
            metavar="[ATTACK=]R",
            help="Relative tolerance of all claims, or of those about one attack; may be given "
            "several times.  [default: 0.02 under attacks that search in rounds, 0.3 for defenses "
            "under these, 1e-6 for everything else]",
        ),
    ] = None,
    data_dir: DataDir = None,
    quiet: Quiet = False,
) -> None:
    """Make a folder from which others can repeat finished experiments and check the claims.

    It has the configs with the files that they name, the expected results, claims with tolerances,
    the locked versions of all packages, poisonbench itself as a wheel, a Dockerfile, checksums,
    metadata for archives, and a README with one command for each table and figure, its minutes and
    its memory.  Data sets of the catalogue are not copied; their checksums are kept.  The commands
    for tables and figures are run once, to measure them.

    DIR must be finished: if cells are missing, the exit code is 2.  Relative paths in a config are
    taken from the current folder.

    \b
    Examples:
      poisonbench artifact results/quickstart
      poisonbench artifact results/quickstart --output artifact --author "Doe, Jane" --license MIT
      poisonbench artifact results/quickstart --output loose --tolerance 0.01 --tolerance optp=0.2
    """  # noqa: D301
    out = output or beside(folder, "-artifact")
    authors = tuple(_author(text) for text in author or ())
    tolerances = _tolerances(tolerance or ())
    if out.is_file() or (out.is_dir() and any(out.iterdir())):
        raise usage(f"{out}: already exists; expected a new folder; give one with --output")
    with user_errors(), using(out):
        from poisonbench.artifact import contents
        from poisonbench.artifact.build import build
        from poisonbench.artifact.texts import About

        folders = contents.output_folders(folder)
        for place in folders:
            contents.check_finished(place)
        name = Path(os.path.abspath(folder)).name
        about = About(title or f"Poisoning of linear regression: {name}", authors, license_)
        out.parent.mkdir(parents=True, exist_ok=True)
        building = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
        try:
            experiments, claims, notes = build(
                folder, folders, building, about, tolerances, data_dir
            )
            building.chmod(0o755)
            building.replace(out)
        finally:
            shutil.rmtree(building, ignore_errors=True)
    if not quiet:
        plural = "s" * (len(experiments) > 1)
        say(f"Written: {out} ({len(experiments)} experiment{plural}, {len(claims)} claims)\n"
            f"  poisonbench verify {shlex.quote(str(out))}")  # fmt: skip
    for note in [*notes, *_notes(about, experiments, out)]:  # warnings, which --quiet keeps
        to_stderr(note)


def verify(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="ARTIFACT", readable=False, help="A folder that poisonbench artifact made."
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="DIR",
            readable=False,
            help="The folder of the new results, not in the artifact.  [default: ARTIFACT-rerun]",
        ),
    ] = None,
    jobs: Jobs = None,
    quiet: Quiet = False,
    data_dir: DataDir = None,
    fetch: Fetch = False,
) -> None:
    """Repeat the experiments of an artifact, and check its claims.

    First the checksums of all files are compared; files that are not listed and symbolic links are
    refused.  Then each experiment is computed again, beside the artifact; run the same command
    again to resume.  Last, each claim is printed with the stored and the new value, the tolerance
    and a verdict, and written to claims.csv in the folder of the new results; and how many cells
    were computed, and what was found finished.

    The exit code is 0 if all claims hold, 1 if not, or if a cell failed or an attack is above its
    proved ceiling, 2 if the folder is damaged or data are missing, and 3 if cells are missing, as
    on a full disk.

    Data sets of the catalogue are read from the folder datasets in the artifact, unless
    POISONBENCH_DATA or --data-dir names another.

    \b
    Examples:
      poisonbench verify results/quickstart-artifact
      poisonbench verify results/quickstart-artifact --output results/again --jobs 2
    """  # noqa: D301
    out = output or beside(folder, "-rerun")
    if out.resolve().is_relative_to(folder.resolve()):
        raise usage(f"{out}: in the artifact; expected another folder; give one with --output")
    with user_errors(), using(folder):
        import pandas as pd

        from poisonbench.artifact import claims, contents, environment, sums
        from poisonbench.config import load
        from poisonbench.datasets.catalogue.entries import DATA_VARIABLE, data_folder
        from poisonbench.output import store, tables
        from poisonbench.plan.make import make_plan

        _refuse(sums.problems(folder))
        stored = claims.read(folder / "claims.csv")
        lock = (folder / "requirements.txt").read_text(encoding="utf-8")
        for difference in environment.differing(lock):
            to_stderr(f"Not the locked version: {difference}")
        named = data_dir or os.environ.get(DATA_VARIABLE)
        data = data_folder(data_dir) if named else folder / "datasets"
        configs = {contents.checked_name(path.stem): load(path, sweep=True)
                   for path in sorted(folder.glob("*.yaml"))}  # fmt: skip
        if not configs:
            raise usage(f"{folder}: no config (*.yaml); expected those of the experiments")
        listed = sums.read(folder)
        for config in configs.values():
            _refuse(contents.unlisted(config, folder, listed))
            if fetch:
                fetch_data(config, data, progress=not quiet)
        if (folder / "datasets" / sums.NAME).exists():
            _refuse(sums.changed(folder / "datasets", data))
        plans = {name: make_plan(config, data, force=True) for name, config in configs.items()}
    code, n_found, n_made, n_done, repeated = 0, 0, 0, 0, []
    for name, plan in plans.items():
        kept = (folder / "expected" / name / "changes.csv").exists()
        n_found += store.n_done(out / name, plan)
        n_made += sum(store.has_poison(out / name, group) for group in plan.groups
                      if group.poison_file)  # fmt: skip
        try:
            carry_out(plan, out / name, RunOptions(jobs=jobs, quiet=quiet, predictions=kept))
        except typer.Exit as ended:
            code = ended.exit_code
            if code != 1:  # with 1, a cell failed or an attack is above its ceiling
                raise
        n_done += store.n_done(out / name, plan)
        found = tables.collect(plan.rows, out / name)
        repeated.append(claims.claims_of(name, found.results, found.timings))
    checked = claims.checked(stored, pd.concat(repeated))
    with using(out):
        text = checked.to_csv(index=False, lineterminator="\n")
        store.write(out / "claims.csv", text.encode())
    _conclude(checked, out, quiet=quiet)
    counts = (f"{n_done - n_found} cells were computed now; {n_found} cells and {n_made} poison "
              f"sets were found finished in {out}.")  # fmt: skip
    if not quiet:
        say(counts)
    elif n_found or n_made:
        to_stderr(counts)
    n_bad = (checked["verdict"] != "holds").sum()
    if n_bad:
        to_stderr(f"{n_bad} claims do not hold.")
    elif code:
        to_stderr("All claims hold, but the run had the errors above.")
    if n_bad or code:
        raise typer.Exit(1)


def _refuse(problems: Iterable[str]) -> None:
    """Exit with a message if there are problems."""
    found = list(problems)
    if found:
        more = [f"and {len(found) - SHOWN} more"] if len(found) > SHOWN else []
        raise usage("\n".join([*found[:SHOWN], *more, "Expected the files as poisonbench artifact "
                               "wrote them."]))  # fmt: skip


def _conclude(checked: pd.DataFrame, out: Path, *, quiet: bool) -> None:
    """Print the claims with their verdicts; if quiet, only those that do not hold."""
    from poisonbench.artifact.claims import shortened

    # The labels of all claims, without which one cannot tell which of them do not hold.
    common, shown = shortened(checked)
    bad = shown[shown["verdict"] != "holds"]
    shown = bad if quiet else shown
    if len(shown):
        table = shown.to_string(index=False, na_rep="", float_format=lambda x: f"{x:.6g}")
        say(f"{common}{table}")
    if not quiet:
        largest = checked["difference"].abs().max()
        say(f"\n{len(checked) - len(bad)} of {len(checked)} claims hold; the largest relative "
            f"difference is {largest:.2g}.\nWritten: {out / 'claims.csv'}")  # fmt: skip


def _notes(about: About, experiments: Sequence[Experiment], out: Path) -> Iterator[str]:
    """Yield what the authors should know before they publish the folder."""
    from poisonbench.execution import provenance

    if not about.authors:
        yield "No --author was given, so .zenodo.json and CITATION.cff say Anonymous."
    if about.license is None:
        yield "No --license was given, so .zenodo.json and CITATION.cff name none."
    inputs = sorted(path.name for path in (out / "inputs").rglob("*") if path.is_file())
    if inputs:
        yield f"Copied, so check that you may pass them on: {', '.join(inputs)}."
    facts = provenance.facts()
    here = {"python": facts["python"], "poisonbench": facts["poisonbench"], **facts["libraries"]}
    for experiment in experiments:
        for name, versions in experiment.versions().items():
            if versions != {here[name]}:
                yield (
                    f"{experiment.name} was computed with {name} {', '.join(sorted(versions))}, "
                    f"but {here[name]} is installed and therefore locked."
                )


def _author(text: str) -> tuple[str, str]:
    family, _, given = (part.strip() for part in text.partition(","))
    if not family:
        raise usage(f'--author {text!r}: no family name; expected "Family, Given"')
    return family, given


def _tolerances(words: Sequence[str]) -> dict[str, float]:
    """Return the tolerances by attack; the empty name stands for all other attacks."""
    from poisonbench.config import choices, fields

    known = choices.names("attack")
    found: dict[str, float] = {}
    for word in words:
        name, _, text = word.rpartition("=")
        if name and name not in known:
            raise usage(f"--tolerance {word}: there is no attack '{name}'"
                        f"{fields.hint(name, known)} expected {fields.one_of(known)}")  # fmt: skip
        try:
            value = float(text)
        except ValueError:
            value = -1.0
        if not 0 <= value < float("inf"):
            raise usage(f"--tolerance {word}: not a tolerance; expected a number that is at least "
                        "0, such as 0.01 or optp=0.1")  # fmt: skip
        found[name] = value
    return found
