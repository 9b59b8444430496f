"""Compute on a Dask cluster, one item at a time in each worker process.

This uses Dask's own futures.  joblib's Dask backend waits forever for a task that Dask has given up
because its workers were killed, and it loses the data that it keeps on a worker that is killed.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from poisonbench.execution.signals import ignoring_interrupts
from poisonbench.version import __version__

if TYPE_CHECKING:
    from distributed import Client

SECONDS_TO_CONNECT = 5

SECONDS_BETWEEN_LOOKS = 2
"""How long a worker that joins the cluster may be idle before it gets work."""

_one_at_a_time = threading.Lock()
"""Held while a worker computes.  A worker may have several threads, but the limit on BLAS threads
and the recording of warnings affect the whole process."""


class ClusterError(Exception):
    """The cluster cannot be used; the message says what was expected."""


@contextmanager
def reached(address: str, jobs: int) -> Iterator[AbstractContextManager[Client]]:
    """Connect to a scheduler for the block, or prepare a cluster on this machine.

    Parameters
    ----------
    address : str
        Address of the scheduler, such as ``tcp://host:8786``, or ``local``.
    jobs : int
        Number of processes of a local cluster.

    Yields
    ------
    context manager of Client
        Enter it only if there is work to do: a local cluster takes seconds to start.

    Raises
    ------
    ClusterError
        No scheduler answers, or a connected worker has another version of poisonbench.
    """
    if address == "local":
        yield _local(jobs)
    else:
        with _connected(address) as client:
            yield nullcontext(client)


@contextmanager
def _connected(address: str) -> Iterator[Client]:
    """Connect to a running scheduler."""
    from distributed import Client
    from distributed.comm import get_address_host_port

    try:
        # Dask itself keeps trying an address where nothing listens, and waits forever if another
        # program listens there.
        socket.create_connection(get_address_host_port(address), SECONDS_TO_CONNECT).close()
        asyncio.run(asyncio.wait_for(_check_scheduler(address), SECONDS_TO_CONNECT))
        client = Client(address, timeout=SECONDS_TO_CONNECT, set_as_default=False)
    except (MemoryError, OSError, ValueError) as error:
        # MemoryError: Dask reads the greeting of another program as the length of a message.
        unknown = isinstance(error, MemoryError | TimeoutError)
        reason = "the program that listens there is not a Dask scheduler" if unknown else error
        raise ClusterError(
            f"--dask {address}: no scheduler answers ({reason}); expected the address that the "
            "command dask scheduler prints, such as tcp://host:8786, or local"
        ) from error
    # If the scheduler is lost, our message is one line, to which Dask would add pages of log.
    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)
    with client:
        try:
            versions = client.run(_version)
        except ImportError as error:
            raise ClusterError(
                f"a Dask worker lacks a module ({error}); expected poisonbench "
                f"{__version__} in its environment"
            ) from error
        for worker, version in versions.items():
            if version != __version__:
                raise ClusterError(f"the Dask worker {worker} has poisonbench {version}, expected "
                                   f"{__version__}")  # fmt: skip
        yield client


async def _check_scheduler(address: str) -> None:
    """Raise ValueError if another part of Dask, such as a worker, listens at an address."""
    from distributed import rpc

    async with rpc(address) as remote:
        kind = (await remote.identity())["type"]
    if kind != "Scheduler":
        raise ValueError(f"a {kind} answers instead")


@contextmanager
def _local(jobs: int) -> Iterator[Client]:
    """Run a cluster on this machine for the block."""
    from distributed import Client, LocalCluster

    with ignoring_interrupts():  # the thread that starts here starts the workers later
        cluster = LocalCluster(
            n_workers=0, threads_per_worker=1, dashboard_address=None, silence_logs=logging.ERROR
        )
    with cluster, Client(cluster, set_as_default=False) as client:
        cluster.scale(jobs)
        try:
            yield client
        finally:
            # Kill the workers, because otherwise they would finish their items first.  Every
            # finished cell is already on the disk.
            for nanny in cluster.workers.values():
                nanny.auto_restart = False
                if nanny.pid is not None:
                    with suppress(ProcessLookupError):
                        os.kill(nanny.pid, signal.SIGKILL)


def check_sight(client: Client, out: Path) -> None:
    """Check that all connected workers see the output folder.

    Raises
    ------
    ClusterError
        A worker does not see it.
    """
    for worker, sees in client.run(_sees, out).items():
        if not sees:
            raise ClusterError(f"the Dask worker {worker} does not see {out}; expected a folder "
                               "that all machines share")  # fmt: skip


def _version() -> str:
    return __version__


def _sees(out: Path) -> bool:
    return (out / "plan.json").exists()


def results(
    client: Client, work: Callable[[Any], Any], items: Sequence[Any]
) -> Iterator[tuple[Any, Any]]:
    """Yield each item with ``work(item)``, or with None if its workers were killed every time.

    If a worker is killed, Dask repeats its items elsewhere, and gives an item up after a few
    attempts.  No more items are submitted than there are workers, so that an item seldom waits on a
    worker where another item kills the process, which would count against both.

    Parameters
    ----------
    client : Client
        The connection.
    work : callable
        A module-level function.  Its exceptions are raised here.
    items : sequence
        Its arguments, one at a time.
    """
    from concurrent.futures import CancelledError

    from distributed import KilledWorker, wait
    from distributed.comm import CommClosedError

    left = iter(items)
    under_way: dict[Any, Any] = {}

    def submit() -> None:
        """Give every worker an item; without workers, submit one for the first that joins."""
        while len(under_way) < max(1, len(client.nthreads())):
            item = next(left, None)
            if item is None:
                return
            under_way[client.submit(_alone, work, item, pure=False)] = item

    try:
        submit()
        while under_way:
            with client.as_current(), suppress(TimeoutError):
                wait(list(under_way), SECONDS_BETWEEN_LOOKS, return_when="FIRST_COMPLETED")
            for future in [future for future in under_way if future.done()]:
                item = under_way.pop(future)
                try:
                    result = future.result()
                except KilledWorker:
                    result = None
                yield item, result
            submit()
    except (CancelledError, CommClosedError) as error:
        raise OSError("the Dask scheduler was lost") from error
    finally:
        client.cancel(list(under_way))


def _alone(work: Callable[[Any], Any], item: Any) -> Any:
    """Do the work on a worker, one item at a time."""
    with _one_at_a_time:
        return work(item)
