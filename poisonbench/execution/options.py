"""Options of a run, none of which changes a result."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class RunOptions:
    """The options of a run that are not part of its config.

    Parameters
    ----------
    jobs : int, optional
        Number of processes; with 0, this process computes everything.  If not given, one for each
        processor.
    quiet : bool, default=False
        Whether to print no progress, tables and notes.
    verbose : bool, default=False
        Whether to log each step, and the progress of the attacks.
    extend : bool, default=False
        Whether the output folder may belong to a smaller plan, which this one extends.
    shard : tuple of (int, int), optional
        The part of the plan to compute: part i of n, counted from 0.
    fail_fast : bool, default=False
        Whether to stop at the first cell that fails.
    retry_crashed : bool, default=False
        Whether to try again the cells that killed their process.
    time_limit : float, optional
        Seconds after which to stop.
    dask : str, optional
        Address of the Dask scheduler to compute on, or ``local``.
    predictions : bool, default=False
        Whether to also keep the prediction for every test row.
    tables_if_incomplete : bool, default=True
        Whether to write the tables even if cells are missing.
    """

    jobs: int | None = None
    quiet: bool = False
    verbose: bool = False
    extend: bool = False
    shard: tuple[int, int] | None = None
    fail_fast: bool = False
    retry_crashed: bool = False
    time_limit: float | None = None
    dask: str | None = None
    predictions: bool = False
    tables_if_incomplete: bool = True
