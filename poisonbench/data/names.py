"""Names and texts as one sees them: two that look alike are the same."""

from __future__ import annotations

import unicodedata

_INVISIBLE = dict.fromkeys(
    [
        *range(0x09),  # control characters but for blanks and line ends
        *range(0x0E, 0x1C),
        0x7F,
        0xAD,  # soft hyphen
        0x180E,
        *range(0x200B, 0x2010),  # blanks of no width, joiners, marks of direction
        *range(0x202A, 0x202F),
        *range(0x2060, 0x2065),
        *range(0x2066, 0x206A),
        0xFEFF,  # byte order mark
    ]
)


def visible(text: str) -> str:
    """Return a text in Unicode's composed form (NFC), without what has no width.

    Every run of blanks and line ends becomes one blank; those at the ends go.

    Parameters
    ----------
    text : str
        A name or a cell.
    """
    if not (text.isascii() and text.isprintable()):
        text = unicodedata.normalize("NFC", text).translate(_INVISIBLE)
    return " ".join(text.split())
