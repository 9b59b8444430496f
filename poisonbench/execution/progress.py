"""The progress of a run: a bar on a terminal, or lines with the time in a log."""

from __future__ import annotations

import logging
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

from tqdm import tqdm

from poisonbench.output.status import in_words

SECONDS_BETWEEN_LINES = 30


class Progress:
    """Count cells, and show their number, rate, time left and failures on stderr.

    Parameters
    ----------
    total : int
        Number of all cells.
    done : int
        Number of cells that are already done.
    shown : bool
        Whether to show anything.
    lines : bool
        Whether to write lines even on a terminal.
    """

    def __init__(self, total: int, done: int, *, shown: bool, lines: bool = False) -> None:
        self.total = total
        self.done = self.done_before = done
        self.failed = 0
        self.start = self.last = time.monotonic()
        on_terminal = sys.stderr.isatty() and not lines
        # The terminal of a recording or a container may report 0 columns or lines.  Then use the
        # size in the environment, or the usual 80 x 24.
        size = os.get_terminal_size(sys.stderr.fileno()) if on_terminal else None
        usual = shutil.get_terminal_size()
        self.bar = tqdm(
            total=total,
            initial=done,
            unit="cell",
            disable=not (shown and on_terminal),
            file=sys.stderr,
            mininterval=0.2,
            ncols=None if size and size.columns else usual.columns,
            nrows=None if size and size.lines else usual.lines,
        )
        self.lines = shown and not on_terminal

    def __enter__(self) -> Progress:
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

    def update(self, n_done: int, n_failed: int) -> None:
        """Add to the numbers of finished and of failed cells."""
        self.done += n_done
        self.failed += n_failed
        self.bar.update(n_done)
        if n_failed:
            self.bar.set_postfix(failed=self.failed)
        if self.lines and time.monotonic() >= self.last + SECONDS_BETWEEN_LINES:
            self._line()

    def _line(self) -> None:
        self.last = time.monotonic()
        computed = self.done - self.done_before
        parts = [f"{self.done} of {self.total} cells", f"{self.failed} failed"]
        if computed:
            rate = computed / max(self.last - self.start, 1e-3)
            parts.append(f"{rate:.3g} cells/s")
            if left := self.total - self.done - self.failed:
                parts.append(f"about {in_words(left / rate)} left")
        sys.stderr.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {', '.join(parts)}\n")
        sys.stderr.flush()


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
