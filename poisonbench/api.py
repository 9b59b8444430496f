"""The public Python interface: run a config, and read the results of a run."""

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
    """Some cells of a run failed; the message says which ones and why.

    Parameters
    ----------
    message : str
        The message.
    results : Results
        The rows of the cells that did not fail.

    Examples
    --------
    >>> import poisonbench
    >>> config = {"dataset": "diabetes", "attack": "statp", "poisoning_rate": 0.1,
    ...           "defense": "none", "seeds": 1}
    >>> try:
    ...     found = poisonbench.run(config)
    ... except poisonbench.RunError as error:
    ...     found = error.results
    >>> len(found.results)
    1
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
    """Run the attacks and defenses of a config, like the command ``poisonbench run``.

    Parameters
    ----------
    config : str, Path or mapping
        A config file, or its content as a dict.  Paths in a dict are relative to the current
        folder.  A config with a ``sweep:`` block is run as a sweep.
    output : str or Path, optional
        Folder for the result files that the command line would write.  Cells that it already holds
        are not computed again.  If None, no files are kept.
    data_dir : str or Path, optional
        Folder of the catalogue's files.  If None, ``POISONBENCH_DATA``, or else ``datasets``.
    jobs : int, default=0
        Number of processes; with 0, this process computes everything.  If it is not 0, a script
        must protect the call by ``if __name__ == "__main__":``.
    progress : bool, default=False
        Whether to show a progress bar on stderr.

    Returns
    -------
    Results
        The data frames ``results``, ``timings`` and ``convergence``, as :func:`load_results`
        returns them, and ``table`` with the errors over seeds.  Printing it gives the table that
        ``poisonbench run`` prints.

    Raises
    ------
    ConfigError
        The config is wrong; nothing was computed.
    StoreError
        The output folder cannot be used; nothing was computed.
    RunError
        Some cells failed; the exception has the results of the others.

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
    """Read the results of a run.

    Parameters
    ----------
    output : str or Path
        The output folder of ``poisonbench run`` or :func:`run`, or of a sweep after ``merge``.

    Returns
    -------
    Results
        Data frames with the columns that ``results/README.md`` explains.  Labels such as
        ``attack`` and ``defense`` are categories in the order of the config, so that tables and
        plots keep this order.  An axis that an attack does not have is a missing value, so
        ``groupby`` needs ``dropna=False`` to keep its rows.

    Raises
    ------
    StoreError
        The folder does not contain such results, or they are of another version.
    """
    return tables.read_csvs(Path(output))
