"""Work on a Dask cluster, one item at a time in each of its worker processes.

The futures are Dask's own: joblib's backend for it waits for ever for a task that was given up
because its workers were killed, and loses data that it keeps on one worker when that is killed.
"""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import poisonbench

if TYPE_CHECKING:
    from distributed import Client

SECONDS_TO_CONNECT = 10

_one_at_a_time = threading.Lock()
"""Held while a worker computes: the limit of threads and the record of warnings are the process's
own, and a worker may have several threads."""


class ClusterError(Exception):
    """The cluster cannot be used; the message says what was expected."""


@contextmanager
def connected(address: str, jobs: int, out: Path) -> Iterator[Client]:
    """Connect to a scheduler, or start a cluster on this machine for the block.

    Parameters
    ----------
    address : str
        The scheduler's, such as ``tcp://host:8786``, or ``local``.
    jobs : int
        Number of processes of a local cluster.
    out : Path
        The output folder, opened for a plan.

    Raises
    ------
    ClusterError
        No scheduler answers; or a worker that is there now has another poisonbench, or does not
        see the output folder.
    """
    from distributed import Client, LocalCluster

    if address != "local":
        try:
            client = Client(address, timeout=SECONDS_TO_CONNECT, set_as_default=False)
        except (OSError, ValueError) as error:
            raise ClusterError(
                f"--dask {address}: no scheduler answers ({error}); expected the address that "
                "dask scheduler prints, such as tcp://host:8786, or local"
            ) from error
        with client:
            _check_workers(client, out.absolute())
            yield client
        return
    # Ctrl-C on a terminal goes to all processes; those of the cluster inherit that they do not
    # hear it.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        cluster = LocalCluster(
            n_workers=jobs, threads_per_worker=1, dashboard_address=None, silence_logs=logging.ERROR
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    with cluster, Client(cluster, set_as_default=False) as client:
        yield client


def _check_workers(client: Client, out: Path) -> None:
    """Check that the workers have this poisonbench, and see the output folder."""
    try:
        found = client.run(_version_and_sight, out)
    except ImportError as error:
        raise ClusterError(
            f"a Dask worker lacks a module ({error}); expected poisonbench "
            f"{poisonbench.__version__} in its environment"
        ) from error
    for worker, (version, sees) in found.items():
        if version != poisonbench.__version__:
            raise ClusterError(f"the Dask worker {worker} has poisonbench {version}, expected "
                               f"{poisonbench.__version__}")  # fmt: skip
        if not sees:
            raise ClusterError(f"the Dask worker {worker} does not see {out}; expected a folder "
                               "that all machines share")  # fmt: skip


def _version_and_sight(out: Path) -> tuple[str, bool]:
    return poisonbench.__version__, (out / "plan.json").exists()


def results(
    client: Client, work: Callable[..., Any], items: Sequence[tuple[Any, ...]]
) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Yield each item with ``work(*item)``, or with None where its workers were killed.

    Dask itself tries again what was at work on a worker that was killed, and gives it up after a
    few times.  There are as many items under way as workers, so that hardly any waits beside
    another and is given up with it.

    Parameters
    ----------
    client : Client
        The connection.
    work : callable
        A function of a module.  What it raises is raised here.
    items : sequence of tuple
        Its arguments.
    """
    from concurrent.futures import CancelledError

    from distributed import KilledWorker, as_completed

    left = iter(items)
    under_way: dict[Any, tuple[Any, ...]] = {}
    ended = as_completed(loop=client.loop)

    def submit() -> None:
        """Give every worker something to do, or the first one that joins."""
        while len(under_way) < max(1, len(client.nthreads())):
            item = next(left, None)
            if item is None:
                return
            future = client.submit(_alone, work, item, pure=False)
            under_way[future] = item
            ended.add(future)

    try:
        submit()
        for future in ended:
            item = under_way.pop(future)
            try:
                result = future.result()
            except KilledWorker:
                result = None
            except CancelledError as error:
                raise OSError(f"the Dask scheduler was lost ({error})") from error
            yield item, result
            submit()
    finally:
        client.cancel(list(under_way))


def _alone(work: Callable[..., Any], item: tuple[Any, ...]) -> Any:
    """Do the work, on a worker."""
    with _one_at_a_time:
        return work(*item)
