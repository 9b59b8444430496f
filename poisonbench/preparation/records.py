"""Read the records of a CSV file one by one, and turn errors of reading into messages."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from poisonbench.data.base import DatasetError
from poisonbench.data.table import long_cells
from poisonbench.preparation.text_encoding import TextEncoding


def records(
    path: Path, encoding: TextEncoding, delimiter: str, *, strict: bool = False
) -> Iterator[tuple[int, list[str]]]:
    """Yield the cells of each record, and the line that it ends on.

    Parameters
    ----------
    path : Path
        The file.
    encoding : TextEncoding
        Its encoding.
    delimiter : str
        The character between its cells.
    strict : bool
        Whether faulty quotation marks are an error.
    """
    before = 0
    try:
        with long_cells(), encoding.open(path) as file:
            reader = csv.reader(
                file, delimiter=delimiter, strict=strict, skipinitialspace=skips_blanks(delimiter)
            )
            for cells in reader:
                yield reader.line_num, cells
                before = reader.line_num
    except csv.Error as error:
        raise csv.Error(f"the record that begins in line {before + 1}: {error}") from error


def skips_blanks(delimiter: str) -> bool:
    """Whether blanks before a cell are ignored, so that a quotation mark may follow them."""
    return delimiter != " "


@contextmanager
def errors_of_reading(path: Path, encoding: str | None) -> Iterator[None]:
    """Turn every error of reading a file into a DatasetError."""
    try:
        yield
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise DatasetError(f"{path}: cannot be read as {encoding}, because of the byte "
                           f"{byte:#04x}; give another encoding with --encoding"
                           ) from error  # fmt: skip
    except (UnicodeError, LookupError) as error:
        raise DatasetError(f"{path}: cannot be read as {encoding}: {error}") from error
    except OSError as error:
        raise DatasetError(f"{path}: {error.strerror or error}, expected a CSV file") from error
    except csv.Error as error:
        raise DatasetError(f"{path}: not a CSV file: {error} (a quotation mark that is never "
                           "closed?)") from error  # fmt: skip
