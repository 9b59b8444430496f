"""How a plan is to be carried out; nothing here changes a number."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class RunOptions:
    """What a user may ask of a run beside its config.

    Parameters
    ----------
    jobs : int, optional
        Number of processes; with 0 everything is done in this one, and dies with it.  As many as
        there are processors if not given.
    quiet : bool, default=False
        Whether to show no progress, table or remark.
    verbose : bool, default=False
        Whether to log what is done, and how the attacks progress.
    extend : bool, default=False
        Whether the output folder may belong to a smaller plan, which this one extends.
    shard : tuple of (int, int), optional
        Which part of the plan to do: part i of n, counted from 0.
    fail_fast : bool, default=False
        Whether to stop at the first cell that fails.
    retry_crashed : bool, default=False
        Whether to try cells again that killed their process.
    time_limit : float, optional
        Minutes after which to stop.
    dask : str, optional
        Address of the Dask scheduler that computes, or ``local``.
    predictions : bool, default=False
        Whether to keep the predictions on every test row too.
    tables_if_incomplete : bool, default=True
        Whether to write the tables even where cells are missing.
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
