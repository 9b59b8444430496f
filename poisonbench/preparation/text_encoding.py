"""Detect the character encoding of a text file from its bytes."""

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
    b"PK\x03\x04": "is a zip archive or an Excel workbook; unpack it, or save it as CSV",
    b"\xd0\xcf\x11\xe0": "is an old Excel workbook; save it as CSV",
    b"\x1f\x8b": "is compressed; unpack it with gunzip",
    b"PAR1": "is a Parquet file; save it as CSV",
}
_BAD = re.compile("[\udc80-\udcff]")
"""The characters that the error handler ``surrogateescape`` uses for bytes that are not UTF-8."""
_GOOD = re.compile("[^\x00-\x7f\udc80-\udcff]")
_LINE_END = re.compile("\r\n|\r|\n")


PASTED = "poisonbench.windows-1252"
"""The error handler that reads single bytes that are not UTF-8 as Windows-1252."""


def _pasted(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    bad = error.object[error.start : error.end]
    return bad.decode("cp1252", "replace") if len(bad) == 1 else "\ufffd", error.end


codecs.register_error(PASTED, _pasted)


@dataclass(frozen=True)
class TextEncoding:
    """The character encoding of a file.

    Parameters
    ----------
    name : str
        The codec.
    errors : str
        The handler of bytes that the codec does not know: ``"strict"`` for an error, or
        :data:`PASTED`.
    remark : str
        What the user should check, if anything.
    """

    name: str
    errors: str = "strict"
    remark: str = ""

    def open(self, path: Path, newline: str | None = "") -> TextIO:
        """Open a file for reading, by default without translating its line ends."""
        return path.open(encoding=self.name, errors=self.errors, newline=newline)


def detect(path: Path) -> TextEncoding:
    """Return the encoding of a file.

    UTF-16 and UTF-8 are recognised.  A file with invalid bytes is read as damaged UTF-8 if it has
    more valid characters beyond ASCII than invalid bytes; otherwise it is read as Windows-1252,
    which includes Latin-1.

    Raises
    ------
    DatasetError
        The file is not a text file.
    """
    with path.open("rb") as file:
        start = file.read(1024)
    for mark, encoding in _BYTE_ORDER_MARKS.items():
        if start.startswith(mark):
            return _utf_8(path, encoding) if encoding == "utf-8-sig" else TextEncoding(encoding)
    for mark, what in _NOT_TEXT.items():
        if start.startswith(mark):
            raise DatasetError(f"{path}: the file {what}; expected a CSV file")
    if b"\0" in start:  # half of an ASCII character in UTF-16, and every CSV file has some
        zeros = {"utf-16-be": start[::2].count(0), "utf-16-le": start[1::2].count(0)}
        encoding = max(zeros, key=zeros.__getitem__)
        if 10 * zeros[encoding] >= len(start):
            return TextEncoding(encoding)
        raise DatasetError(f"{path}: byte {start.index(0) + 1} is 0, so the file is damaged or not "
                           "text, expected a CSV file; if it is text, give its encoding with "
                           "--encoding")  # fmt: skip
    return _utf_8(path, "utf-8")


def _utf_8(path: Path, name: str) -> TextEncoding:
    """Return UTF-8 if the file is UTF-8 or damaged UTF-8; otherwise Windows-1252."""
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
        where = f"{first} in line {line}"
        bad_bytes = (
            f"one byte ({where}), which is"
            if n_bad == 1
            else f"{n_bad} bytes (the first is {where}), which are"
        )
        return TextEncoding(
            name,
            PASTED,
            f"the file is UTF-8 except for {bad_bytes} read as Windows-1252; use --encoding cp1252 "
            "to read the whole file as Windows-1252",
        )
    return TextEncoding(
        "cp1252",
        remark=f"the file is not UTF-8, because of byte {first} in line {line}; it is read as "
        "Windows-1252; use --encoding for another encoding",
    )


def _blocks(path: Path, name: str) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder(name)(errors="surrogateescape")
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            yield decoder.decode(block)
        yield decoder.decode(b"", final=True)
