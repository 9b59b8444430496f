"""Normalise names and texts, so that two that look alike are equal."""

from __future__ import annotations

import unicodedata

_INVISIBLE = dict.fromkeys(
    [
        *range(0x09),  # control characters except blanks and line ends
        *range(0x0E, 0x1C),
        0x7F,
        0xAD,  # soft hyphen
        0x180E,
        *range(0x200B, 0x2010),  # zero-width blanks, joiners, direction marks
        *range(0x202A, 0x202F),
        *range(0x2060, 0x2065),
        *range(0x2066, 0x206A),
        0xFEFF,  # byte order mark
    ]
)


def visible(text: str) -> str:
    """Return a text in Unicode's composed form (NFC), without invisible characters.

    Every run of blanks and line ends becomes one blank; those at both ends are removed.

    Parameters
    ----------
    text : str
        A name or a cell.
    """
    if not (text.isascii() and text.isprintable()):
        text = unicodedata.normalize("NFC", text).translate(_INVISIBLE)
    return " ".join(text.split())
