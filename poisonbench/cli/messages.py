"""What the commands say, and how errors become messages and exit codes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from errno import EACCES, EISDIR, ENOTDIR, EPERM, EROFS
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from poisonbench.config import Config
    from poisonbench.plan.groups import Plan


@contextmanager
def user_errors() -> Iterator[None]:
    """Turn what is wrong with a config, folder or cluster into messages and exit code 2."""
    from poisonbench.config.strict_yaml import ConfigError
    from poisonbench.execution.dask_cluster import ClusterError
    from poisonbench.output.layout import StoreError

    try:
        yield
    except (ClusterError, ConfigError, StoreError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None


def say(text: str, *, nl: bool = True) -> None:
    """Print to standard output; what it refuses, such as a full disk, is not the folder's fault."""
    try:
        typer.echo(text, nl=nl)
    except BrokenPipeError:  # a reader that has had enough
        raise
    except OSError as error:
        typer.echo(f"standard output: {error.strerror or error}", err=True)
        raise typer.Exit(3) from None


def to_stderr(line: str) -> None:
    """Print a line to standard error."""
    typer.echo(line, err=True)


def say_notes(of: Config | Plan, *, quiet: bool) -> None:
    """Say what the user should know of how a config was read, or of its data."""
    for note in of.notes if not quiet else ():
        typer.echo(note, err=True)


def usage(message: str) -> typer.Exit:
    """Say what is wrong with the options, and return what to raise."""
    typer.echo(message, err=True)
    return typer.Exit(2)


_EXPECTED = {
    **dict.fromkeys((EACCES, EPERM, EROFS), "the right to use it"),
    EISDIR: "a file",
    ENOTDIR: "a folder",
}
"""What would have been right, for the errors that stay."""


@contextmanager
def using(out: Path) -> Iterator[None]:
    """Turn what the disk refuses into a message and an exit code.

    That is 2 where no rerun mends it: the user may not do it, or something is in the way.  It is 3
    otherwise: the disk is full, say, and what is missing can still be made.
    """
    try:
        yield
    except BrokenPipeError:  # a reader of our output that has had enough
        raise
    except OSError as error:
        what = f"{error.filename2 or error.filename or out}: {error.strerror or error}"
        if error.errno in _EXPECTED:
            typer.echo(
                f"{what}; expected {_EXPECTED[error.errno]}. What is done is kept.", err=True
            )
            raise typer.Exit(2) from None
        typer.echo(f"{what}. What is done is kept; the same command goes on.", err=True)
        raise typer.Exit(3) from None
