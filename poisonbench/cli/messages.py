"""Printing messages, and turning errors into messages and exit codes."""

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
    """Turn an error in a config, an output folder or a cluster into a message and exit code 2."""
    from poisonbench.config.strict_yaml import ConfigError
    from poisonbench.execution.dask_cluster import ClusterError
    from poisonbench.output.layout import StoreError

    try:
        yield
    except (ClusterError, ConfigError, StoreError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None


def say(text: str, *, nl: bool = True) -> None:
    """Print to standard output; exit with code 3 if that fails, as on a full disk."""
    try:
        typer.echo(text, nl=nl)
    except BrokenPipeError:  # such as head, which has read enough
        raise
    except OSError as error:
        typer.echo(f"standard output: {error.strerror or error}", err=True)
        raise typer.Exit(3) from None


def to_stderr(line: str) -> None:
    """Print a line to standard error."""
    typer.echo(line, err=True)


def say_notes(of: Config | Plan, *, quiet: bool) -> None:
    """Print the notes on how a config was read, or on its data."""
    for note in of.notes if not quiet else ():
        typer.echo(note, err=True)


def usage(message: str) -> typer.Exit:
    """Print what is wrong with the arguments, and return the exception that ends the command."""
    typer.echo(message, err=True)
    return typer.Exit(2)


_EXPECTED = {
    **dict.fromkeys((EACCES, EPERM, EROFS), "permission to use it"),
    EISDIR: "a file",
    ENOTDIR: "a folder",
}
"""What was expected, for the errors that would occur again if the command were repeated."""


@contextmanager
def using(out: Path) -> Iterator[None]:
    """Turn an error of the file system into a message and an exit code.

    The exit code is 2 if running the same command again would not help (no permission, or a file
    in place of a folder), and 3 otherwise (such as for a full disk).
    """
    try:
        yield
    except BrokenPipeError:  # such as head, which has read enough
        raise
    except OSError as error:
        what = f"{error.filename2 or error.filename or out}: {error.strerror or error}"
        if error.errno in _EXPECTED:
            typer.echo(
                f"{what}; expected {_EXPECTED[error.errno]}. Finished cells are kept.", err=True
            )
            raise typer.Exit(2) from None
        typer.echo(
            f"{what}. Finished cells are kept; run the same command again to resume.", err=True
        )
        raise typer.Exit(3) from None
