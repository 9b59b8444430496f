"""Fill the folder of an artifact."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from poisonbench.artifact import environment, steps, sums, texts
from poisonbench.artifact.claims import claims_of
from poisonbench.artifact.contents import EXPECTED, Experiment, add_experiment
from poisonbench.artifact.texts import About
from poisonbench.datasets.catalogue.entries import data_folder


def build(
    folder: Path,
    folders: Sequence[Path],
    into: Path,
    about: About,
    tolerances: Mapping[str, float],
    data_dir: Path | None = None,
) -> tuple[list[Experiment], pd.DataFrame, list[str]]:
    """Fill a folder with everything; return the experiments, the claims, and what is missing.

    Parameters
    ----------
    folder : Path
        The folder with the results, as the user named it.
    folders : sequence of Path
        The output folders in it, all finished.
    into : Path
        The folder to fill; it is empty.
    about : About
        What only the authors know.
    tolerances : mapping of str to float
        See :func:`~poisonbench.artifact.claims.claims_of`.
    data_dir : Path, optional
        The folder of the catalogue's files.

    Raises
    ------
    StoreError, ConfigError
        See :func:`~poisonbench.artifact.contents.add_experiment`.
    """
    experiments = [add_experiment(place, into, data_dir) for place in folders]
    claims = pd.concat(
        [
            claims_of(one.name, one.results.results, one.results.timings, tolerances)
            for one in experiments
        ],
        ignore_index=True,
    )
    claims.to_csv(into / "claims.csv", index=False, lineterminator="\n")
    entries = {entry.name: entry for one in experiments for entry in one.catalogued}
    if entries:
        data = data_folder(data_dir)
        (into / "datasets").mkdir()
        listed = sums.lines(data, sorted(data / str(entry.file) for entry in entries.values()))
        (into / "datasets" / sums.NAME).write_text(listed, encoding="utf-8")
    wheel = environment.write_wheel(into).name
    notes = environment.not_on_an_index()
    made = [
        step
        for one in experiments
        for step in steps.steps_of(one, into / EXPECTED / one.name, data_dir, notes)
    ]
    target = steps.RERUN if folders != [folder] else f"{steps.RERUN}/{experiments[0].name}"
    made += steps.comparison(folder, target, into / EXPECTED / "comparison.txt", notes)
    files = [path for place in folders for path in place.rglob("*") if path.is_file()]
    disk = sum(path.stat().st_size for path in files)
    for name, text in {
        "requirements.txt": environment.requirements(wheel),
        "README.md": texts.readme(about, made, claims, list(entries), disk, notes),
        "Dockerfile": texts.dockerfile(wheel, fetch=bool(entries)),
        ".dockerignore": texts.DOCKERIGNORE,
        ".zenodo.json": texts.zenodo(about),
        "CITATION.cff": texts.citation(about),
    }.items():
        (into / name).write_text(text, encoding="utf-8")
    files = sorted(path for path in into.rglob("*") if path.is_file())
    (into / sums.NAME).write_text(sums.lines(into, files), encoding="utf-8")
    return experiments, claims, notes
