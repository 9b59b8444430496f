"""The colour, marker and dashes of each method, the same in every figure.

The colours are those of Okabe and Ito, which colour-blind readers can distinguish.  Colour is never
the only difference: methods that share a colour differ in marker and dashes.
"""

from __future__ import annotations

from dataclasses import dataclass
from zlib import crc32

BLACK, ORANGE, SKY, GREEN, YELLOW, BLUE, VERMILION, PURPLE = (
    "#000000",
    "#E69F00",
    "#56B4E9",
    "#009E73",
    "#B8A800",
    "#0072B2",
    "#D55E00",
    "#CC79A7",
)
"""Okabe and Ito's colours, with a darker yellow that is visible on white."""

COLOURS = (ORANGE, SKY, GREEN, BLUE, VERMILION, PURPLE, YELLOW, BLACK)
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
DASHES: tuple[tuple[float, ...], ...] = ((), (4, 1.5), (1, 1), (5, 1.5, 1, 1.5))


@dataclass(frozen=True)
class Style:
    """How a method is drawn: colour, marker, and lengths of the dashes; empty for a solid line."""

    colour: str
    marker: str
    dashes: tuple[float, ...] = ()


_FIXED = {
    # The defenses of the paper and the reference rows.
    "none": Style(BLACK, "o"),
    "oracle": Style("#777777", "s", (1, 1)),
    "median": Style("#777777", "v", (4, 1.5)),
    "heavy-ridge": Style("#777777", "D", (5, 1.5, 1, 1.5)),
    "trim": Style(BLUE, "s"),
    "itrim": Style(BLUE, "^", (4, 1.5)),
    "huber": Style(ORANGE, "D"),
    "ransac": Style(GREEN, "^"),
    "roni": Style(PURPLE, "v"),
    "mm": Style(VERMILION, "P"),
    "torrent": Style(SKY, "X"),
    "chen": Style(YELLOW, "*"),
    # The attacks.
    "optp": Style(BLUE, "o"),
    "bgd": Style(ORANGE, "s"),
    "statp": Style(GREEN, "^"),
    "coordinate": Style(VERMILION, "D"),
    "subpopulation": Style(PURPLE, "v"),
    "adaptive": Style(SKY, "P"),
    "auto": Style(BLACK, "*"),
}


def style(name: str, variant: int = 0) -> Style:
    """Return the style of an attack or a defense.

    Parameters
    ----------
    name : str
        Its name in a config.
    variant : int
        The number of its variant in a figure, from 0; other variants get other markers and dashes.
    """
    code = crc32(name.encode())
    known = _FIXED.get(name) or Style(
        COLOURS[code % len(COLOURS)],
        MARKERS[code // len(COLOURS) % len(MARKERS)],
        DASHES[1 + code // 64 % (len(DASHES) - 1)],
    )
    if not variant:
        return known
    marker = MARKERS[(MARKERS.index(known.marker) + variant) % len(MARKERS)]
    return Style(known.colour, marker, DASHES[variant % len(DASHES)])
