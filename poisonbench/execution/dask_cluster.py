"""Work on a Dask cluster, one item at a time in each of its worker processes.

The futures are Dask's own: joblib's backend for it waits for ever for a task that was given up
because its workers were killed, and loses data that it keeps on one worker when that is killed.
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

import poisonbench
from poisonbench.execution.signals import deaf_children

if TYPE_CHECKING:
    from distributed import Client

SECONDS_TO_CONNECT = 5

SECONDS_BETWEEN_LOOKS = 2
"""How long a worker that joins may have to wait for something to do."""

_one_at_a_time = threading.Lock()
"""Held while a worker computes: the limit of threads and the record of warnings are the process's
own, and a worker may have several threads."""


class ClusterError(Exception):
    """The cluster cannot be used; the message says what was expected."""


@contextmanager
def reached(address: str, jobs: int) -> Iterator[AbstractContextManager[Client]]:
    """Connect to a scheduler for the block, or prepare a cluster on this machine.

    Parameters
    ----------
    address : str
        The scheduler's, such as ``tcp://host:8786``, or ``local``.
    jobs : int
        Number of processes of a local cluster.

    Yields
    ------
    context manager of Client
        To be entered where there is work: a local cluster takes seconds to start.

    Raises
    ------
    ClusterError
        No scheduler answers, or a worker that is there now has another poisonbench.
    """
    if address == "local":
        yield _local(jobs)
    else:
        with _connected(address) as client:
            yield nullcontext(client)


@contextmanager
def _connected(address: str) -> Iterator[Client]:
    """Connect to a scheduler that runs somewhere."""
    from distributed import Client
    from distributed.comm import get_address_host_port

    try:
        # Dask itself goes on trying an address where nobody listens, and waits for ever for an
        # answer of what is no part of Dask.
        socket.create_connection(get_address_host_port(address), SECONDS_TO_CONNECT).close()
        asyncio.run(asyncio.wait_for(_check_scheduler(address), SECONDS_TO_CONNECT))
        client = Client(address, timeout=SECONDS_TO_CONNECT, set_as_default=False)
    except (MemoryError, OSError, ValueError) as error:
        unknown = isinstance(error, MemoryError | TimeoutError)  # its greeting read as a length
        reason = "nothing there speaks Dask's language" if unknown else error
        raise ClusterError(
            f"--dask {address}: no scheduler answers ({reason}); expected the address that "
            "dask scheduler prints, such as tcp://host:8786, or local"
        ) from error
    # Of a scheduler that is lost it says so in pages, after we have in a line.
    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)
    with client:
        try:
            versions = client.run(_version)
        except ImportError as error:
            raise ClusterError(
                f"a Dask worker lacks a module ({error}); expected poisonbench "
                f"{poisonbench.__version__} in its environment"
            ) from error
        for worker, version in versions.items():
            if version != poisonbench.__version__:
                raise ClusterError(f"the Dask worker {worker} has poisonbench {version}, expected "
                                   f"{poisonbench.__version__}")  # fmt: skip
        yield client


async def _check_scheduler(address: str) -> None:
    """Complain if another part of Dask listens at an address."""
    from distributed import rpc

    async with rpc(address) as remote:
        kind = (await remote.identity())["type"]
    if kind != "Scheduler":
        raise ValueError(f"a {kind} does")


@contextmanager
def _local(jobs: int) -> Iterator[Client]:
    """Run a cluster on this machine."""
    from distributed import Client, LocalCluster

    with deaf_children():  # started later, by the thread that starts here
        cluster = LocalCluster(
            n_workers=0, threads_per_worker=1, dashboard_address=None, silence_logs=logging.ERROR
        )
    with cluster, Client(cluster, set_as_default=False) as client:
        cluster.scale(jobs)
        try:
            yield client
        finally:
            # Asked to end, they would first finish what they are at; whatever is done is written.
            for nanny in cluster.workers.values():
                nanny.auto_restart = False
                if nanny.pid is not None:
                    with suppress(ProcessLookupError):
                        os.kill(nanny.pid, signal.SIGKILL)


def check_sight(client: Client, out: Path) -> None:
    """Check that the workers that are there now see the output folder, opened for a plan.

    Raises
    ------
    ClusterError
        One does not.
    """
    for worker, sees in client.run(_sees, out).items():
        if not sees:
            raise ClusterError(f"the Dask worker {worker} does not see {out}; expected a folder "
                               "that all machines share")  # fmt: skip


def _version() -> str:
    return poisonbench.__version__


def _sees(out: Path) -> bool:
    return (out / "plan.json").exists()


def results(
    client: Client, work: Callable[[Any], Any], items: Sequence[Any]
) -> Iterator[tuple[Any, Any]]:
    """Yield each item with ``work(item)``, or with None where its workers were killed.

    Dask itself tries again what was at work on a worker that was killed, and gives it up after a
    few times.  There are as many items under way as workers, so that hardly any waits beside
    another and is given up with it.

    Parameters
    ----------
    client : Client
        The connection.
    work : callable
        A function of a module.  What it raises is raised here.
    items : sequence
        Its arguments, one at a time.
    """
    from concurrent.futures import CancelledError

    from distributed import KilledWorker, wait
    from distributed.comm import CommClosedError

    left = iter(items)
    under_way: dict[Any, Any] = {}

    def submit() -> None:
        """Give every worker something to do, or the first one that joins."""
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
    """Do the work, on a worker."""
    with _one_at_a_time:
        return work(item)
