"""The progress of a run: a bar on a terminal, lines with the time in a log.

The time left is computed from estimated work, not from the number of cells, because an attack may
take a second or an hour.  The estimated seconds of the groups that are finished show how fast this
run is, and those of the other groups how much work is left.  Cells that were done before this run
do not count.
"""

from __future__ import annotations

import logging
import os
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType

from tqdm import tqdm

from poisonbench.output.status import in_words

SECONDS_BETWEEN_LINES = 30

PRIOR = 0.05
"""Share of the work after which the observed speed has the same weight as the expected speed."""


class Progress:
    """Count cells, and show their number, rate, time left and failures on stderr.

    Parameters
    ----------
    total : int
        Number of all cells.
    done : int
        Number of cells that are already done.
    work : mapping of str to float
        Estimated seconds of each group to compute, by the group's identity.
    n_processes : int or None
        Number of processes that compute them; None if it is not known.
    shown : bool
        Whether to show anything.
    lines : bool
        Whether to write lines even on a terminal.
    """

    def __init__(
        self,
        total: int,
        done: int,
        work: Mapping[str, float],
        *,
        n_processes: int | None,
        shown: bool,
        lines: bool = False,
    ) -> None:
        self.total = total
        self.done = self.done_before = done
        self.failed = 0
        self.work = dict(work)  # of the groups that are not finished
        self.all_work = self.work_left = sum(work.values())
        self.n_processes = n_processes
        self.start = self.last = time.monotonic()
        on_terminal = sys.stderr.isatty() and not lines
        # The terminal of a recording or a container may report 0 columns or lines.  Then use the
        # size in the environment, or the usual 80 x 24.
        size = os.get_terminal_size(sys.stderr.fileno()) if on_terminal else None
        usual = shutil.get_terminal_size()
        self.bar = tqdm(
            total=total,
            initial=done,
            bar_format="{l_bar}{bar}| {n_fmt}/{total_fmt} cells [{elapsed}{postfix}]",
            disable=not (shown and on_terminal),
            file=sys.stderr,
            mininterval=0.2,
            ncols=None if size and size.columns else usual.columns,
            nrows=None if size and size.lines else usual.lines,
        )
        self.lines = shown and not on_terminal

    def __enter__(self) -> Progress:
        self._show_on_bar()
        self.bar.refresh()
        if self.lines:
            self._line()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.bar.close()
        if self.lines:
            self._line()

    def update(self, group: str, n_done: int, n_failed: int) -> None:
        """Count the cells of a group that is finished as done or failed."""
        self.done += n_done
        self.failed += n_failed
        self.work_left -= self.work.pop(group, 0.0)
        self._show_on_bar()
        self.bar.update(n_done)
        if self.lines and time.monotonic() >= self.last + SECONDS_BETWEEN_LINES:
            self._line()

    def _line(self) -> None:
        self.last = time.monotonic()
        parts = [f"{self.done} of {self.total} cells", f"{self.failed} failed"]
        if computed := self.done - self.done_before:
            parts.append(f"{computed / max(self.last - self.start, 1e-3):.3g} cells/s")
        parts += self._left()
        sys.stderr.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {', '.join(parts)}\n")
        sys.stderr.flush()

    def _show_on_bar(self) -> None:
        failed = [f"{self.failed} failed"] if self.failed else []
        self.bar.set_postfix_str(", ".join([*self._left(), *failed]), refresh=False)

    def _left(self) -> list[str]:
        left = self.seconds_left(time.monotonic() - self.start)
        return [] if left is None else [f"about {in_words(left)} left"]

    def seconds_left(self, elapsed: float) -> float | None:
        """Return the seconds that the other groups will take; None if there are none, or not known.

        Parameters
        ----------
        elapsed : float
            Seconds since the start.
        """
        ended, seconds = self.all_work - self.work_left, elapsed
        if self.n_processes is not None:
            # As if a share of the work had already been done, at the expected speed.
            ended += PRIOR * self.all_work
            seconds += PRIOR * self.all_work / max(self.n_processes, 1)
        return self.work_left * seconds / ended if self.work and ended > 0 else None


@contextmanager
def logged(name: str) -> Iterator[None]:
    """Write the package's log to stderr during the block, each line prefixed by `name`.

    A worker writes to the same terminal as the progress bar, so each line first erases the bar,
    which is drawn again at its next step.
    """
    wipe = "\r\x1b[K" if sys.stderr.isatty() else ""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter(f"{wipe}{name}: %(message)s"))
    logger = logging.getLogger("poisonbench")
    level, propagates = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False  # in the parent process, the line would appear twice
    try:
        yield
    finally:
        logger.propagate = propagates
        logger.setLevel(level)
        logger.removeHandler(handler)
