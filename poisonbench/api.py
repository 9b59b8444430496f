"""The package as a library: run a config, and read what a run wrote."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from poisonbench.config import load
from poisonbench.execution import engine
from poisonbench.execution.options import RunOptions
from poisonbench.output import store, tables
from poisonbench.output.tables import Results
from poisonbench.plan.make import make_plan


class RunError(RuntimeError):
    """Some cells of a run failed; the message says which, and why.

    Parameters
    ----------
    message : str
        Which, and why.
    results : Results
        The rows of the cells that did not fail.
    """

    def __init__(self, message: str, results: Results) -> None:
        super().__init__(message)
        self.results = results


def run(
    config: str | Path | Mapping[str, Any],
    *,
    output: str | Path | None = None,
    data_dir: str | Path | None = None,
    jobs: int = 0,
    progress: bool = False,
) -> Results:
    """Run a config: attacks, defenses, errors; the numbers are those of ``poisonbench run``.

    Parameters
    ----------
    config : str, Path or mapping
        A config file, or what it would hold, as a dict; paths in a dict are relative to the
        current folder.  A config with a ``sweep:`` block is run as a sweep.
    output : str or Path, optional
        Folder for the result files, as the command line writes them: what it holds already is
        not computed again.  If None, nothing is kept but what is returned.
    data_dir : str or Path, optional
        Where the files of the catalogue lie; ``POISONBENCH_DATA`` or ``datasets`` if None.
    jobs : int, default=0
        Number of processes; with 0 everything is done in this one.  With processes, a script needs
        ``if __name__ == "__main__":`` around its call.
    progress : bool, default=False
        Whether to show a progress bar on stderr.

    Returns
    -------
    Results
        Data frames ``results``, ``timings`` and ``convergence``, as :func:`load_results` gives
        them, and ``table``, the errors over seeds; printed it is the table of ``poisonbench run``.

    Raises
    ------
    ConfigError
        The config is wrong; nothing was computed.
    StoreError
        The output folder cannot be used; nothing was computed.
    RunError
        Some cells failed; it has the results of the others.

    Examples
    --------
    >>> import poisonbench
    >>> done = poisonbench.run(
    ...     {
    ...         "dataset": {"name": "synthetic", "n": 90, "d": 6},
    ...         "attack": "statp",
    ...         "poisoning_rate": [0, 0.2],
    ...         "defense": ["none", "trim"],
    ...         "seeds": 2,
    ...     }
    ... )
    >>> done.results.groupby(["defense", "poisoning_rate"], observed=True)["n_poison"].max()
    defense  poisoning_rate
    none     0.0               0
             0.2               6
    trim     0.0               0
             0.2               6
    Name: n_poison, dtype: int64
    """
    experiment = load(Path(config) if isinstance(config, str) else config, sweep=None)
    for note in experiment.notes:
        warnings.warn(note, stacklevel=2)
    plan = make_plan(experiment, None if data_dir is None else Path(data_dir))
    with TemporaryDirectory() if output is None else nullcontext(output) as folder:
        out = Path(folder)
        store.open_folder(out, plan)
        outcome = engine.run(plan, out, RunOptions(jobs=jobs, quiet=not progress))
        tables.write_csvs(tables.collect(plan.rows, out), out)
        results = load_results(out)
    if outcome.failures:
        shown = "\n".join(f"  {failure}" for failure in outcome.failures)
        raise RunError(
            f"{len(outcome.failures)} of {outcome.n_cells} cells failed:\n{shown}", results
        )
    return results


def load_results(output: str | Path) -> Results:
    """Read what a run wrote.

    Parameters
    ----------
    output : str or Path
        The output folder of ``poisonbench run`` or :func:`run`, or of a sweep after ``merge``.

    Returns
    -------
    Results
        Data frames with the columns that ``results/README.md`` explains.  Labels such as
        ``attack`` and ``defense`` are ordered categories, in the order of the config, so that
        tables and plots keep it; an axis that an attack does not have is missing (in ``groupby``
        give ``dropna=False``).

    Raises
    ------
    StoreError
        The folder is none of these, or is of another version.
    """
    return tables.read_csvs(Path(output))
