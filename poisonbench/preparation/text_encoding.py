"""The encoding of a text file, found out from its bytes."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from poisonbench.data.base import DatasetError

BLOCK = 1 << 20

_BYTE_ORDER_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_NOT_TEXT = {
    b"PK\x03\x04": "a zip archive or an Excel workbook; unpack it, or save it as CSV",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook; save it as CSV",
    b"\x1f\x8b": "compressed; unpack it with gunzip",
    b"PAR1": "a Parquet file; write it as CSV",
}
_BAD = re.compile("[\udc80-\udcff]")
"""What the error handler ``surrogateescape`` makes of bytes that are not UTF-8."""
_GOOD = re.compile("[^\x00-\x7f\udc80-\udcff]")
_LINE_END = re.compile("\r\n|\r|\n")


PASTED = "poisonbench.windows-1252"
"""Error handler: a byte that is not UTF-8 came from a text in Windows-1252, or is unreadable."""


def _pasted(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    bad = error.object[error.start : error.end]
    return bad.decode("cp1252", "replace") if len(bad) == 1 else "\ufffd", error.end


codecs.register_error(PASTED, _pasted)


@dataclass(frozen=True)
class TextEncoding:
    """How the bytes of a file stand for text.

    Parameters
    ----------
    name : str
        The codec.
    errors : str
        What becomes of bytes that it does not know: ``"strict"``, an error, or :data:`PASTED`.
    remark : str
        What the user should check, if anything.
    """

    name: str
    errors: str = "strict"
    remark: str = ""

    def open(self, path: Path, newline: str | None = "") -> TextIO:
        """Open a file for reading, by default with its line ends as they are."""
        return path.open(encoding=self.name, errors=self.errors, newline=newline)


def detect(path: Path) -> TextEncoding:
    """Return the encoding of a file.

    It is UTF-16 or UTF-8 if that shows.  A file that is UTF-8 but for less bytes than it has
    characters beyond ASCII is damaged UTF-8; any other is taken for Windows-1252, of which Latin-1
    is a part.

    Raises
    ------
    DatasetError
        It is no text.
    """
    with path.open("rb") as file:
        start = file.read(1024)
    for mark, encoding in _BYTE_ORDER_MARKS.items():
        if start.startswith(mark):
            return _utf_8(path, encoding) if encoding == "utf-8-sig" else TextEncoding(encoding)
    for mark, what in _NOT_TEXT.items():
        if start.startswith(mark):
            raise DatasetError(f"{path}: {what}, expected a CSV file")
    if b"\0" in start:  # in UTF-16 half of an ASCII character, and CSV is never without those
        zeros = {"utf-16-be": start[::2].count(0), "utf-16-le": start[1::2].count(0)}
        encoding = max(zeros, key=zeros.__getitem__)
        if 10 * zeros[encoding] >= len(start):
            return TextEncoding(encoding)
        raise DatasetError(f"{path}: byte {start.index(0) + 1} is 0, as in a damaged file or "
                           "one that is no text, expected a CSV file; --encoding says otherwise"
                           )  # fmt: skip
    return _utf_8(path, "utf-8")


def _utf_8(path: Path, name: str) -> TextEncoding:
    """Return UTF-8 if a file is, or was before it was damaged; else Windows-1252."""
    n_bad = n_good = n_lines = line = 0
    first = ""
    for text in _blocks(path, name):
        bad = None if text.isascii() else _BAD.search(text)
        if bad and not first:
            first = f"{ord(bad[0]) - 0xDC00:#04x}"
            line = n_lines + len(_LINE_END.findall(text, 0, bad.start())) + 1
        if not first:
            n_lines += len(_LINE_END.findall(text))
        if not text.isascii():
            n_bad += len(_BAD.findall(text))
            n_good += len(_GOOD.findall(text))
    if not n_bad:
        return TextEncoding(name)
    if n_good > n_bad or name == "utf-8-sig":
        count = "one byte" if n_bad == 1 else f"{n_bad} bytes"
        return TextEncoding(
            name,
            PASTED,
            f"the file is UTF-8 but for {count}, the first is {first} in line {line}, read as "
            "Windows-1252; --encoding cp1252 reads the whole file so",
        )
    return TextEncoding(
        "cp1252",
        remark=f"the file is not UTF-8, for byte {first} in line {line}; it is read as "
        "Windows-1252, --encoding says otherwise",
    )


def _blocks(path: Path, name: str) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder(name)(errors="surrogateescape")
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            yield decoder.decode(block)
        yield decoder.decode(b"", final=True)
