"""The description of a data set: its provenance, and statistics of its numbers."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

import numpy as np

from poisonbench.data.base import Dataset
from poisonbench.data.sidecar import Sidecar
from poisonbench.datasets.catalogue.entries import Entry
from poisonbench.features import FloatArray

WIDTH = 96
BINS = 12
BAR = 50
"""Length of the longest bar of the histogram, in characters."""


def provenance(entry: Entry) -> str:
    """Return the catalogue's facts about a data set."""
    facts = {
        "source": f"{entry.origin}" + (f" ({entry.homepage})" if entry.homepage else ""),
        "citation": entry.citation,
        "licence": entry.licence,
        "redistribution": f"{entry.redistribution}.  {entry.terms}".removesuffix(".  "),
        "size": entry.size,
        "response": f"{entry.target} ({entry.unit})",
        "preprocessing": entry.preprocessing,
        "not verified": entry.unverified,
        "file": entry.file or "none needed",
    }
    return "\n".join([f"{entry.name}: {entry.title}", *_facts(facts)])


def statistics(data: Dataset, sidecar: Sidecar | None = None) -> str:
    """Return statistics of a data set as text.

    Parameters
    ----------
    data : Dataset
        The data set.
    sidecar : Sidecar, optional
        The record of its preparation.
    """
    rank, condition = conditioning(data)
    d = data.space.n_features
    excess = d + 1 - rank
    dependent = "1 column depends" if excess == 1 else f"{excess} columns depend"
    independent = f"{dependent} on others" if excess else "full rank"
    n_groups = len(data.space.groups)
    groups = "1 one-hot group" if n_groups == 1 else f"{n_groups} one-hot groups"
    facts = {
        "shape": f"{len(data.y)} rows x {d} features: {len(data.space.numeric)} numeric, "
        f"{groups} with {d - len(data.space.numeric)} columns",
        "rank": f"{rank} of {d + 1}, intercept included: {independent}",
        "condition": f"{condition:.3g} (columns in [0, 1], largest by smallest singular value "
        "that is not 0)",
        "missing": _missing(sidecar),
    }
    lines = [*_facts(facts), *_ranges(data), *_groups(data)]
    return "\n".join([*lines, f"response '{data.target}'", *histogram(data.y)])


def conditioning(data: Dataset) -> tuple[int, float]:
    """Return the rank and condition number of the design, scaled to [0, 1], with an intercept."""
    low, span = data.X.min(axis=0), np.ptp(data.X, axis=0)
    scaled = (data.X - low) / np.where(span > 0, span, 1.0)
    design = np.column_stack([np.ones(len(data.X)), scaled])
    singular = np.linalg.svd(design, compute_uv=False)
    real = singular[singular > singular[0] * max(design.shape) * np.finfo(np.float64).eps]
    return len(real), float(real[0] / real[-1])


def histogram(y: FloatArray) -> list[str]:
    """Return a histogram of responses, a line for each bin."""
    counts, edges = np.histogram(y, bins=BINS)
    most = counts.max()
    lines = []
    for count, low, high in zip(counts, edges, edges[1:], strict=False):
        bar = "#" * round(BAR * count / most) or ("." if count else "")
        lines.append(f"  {low:>10.4g} to {high:>10.4g}  {count:>7}  {bar}".rstrip())
    quartiles = ", ".join(f"{q:.6g}" for q in np.quantile(y, [0, 0.25, 0.5, 0.75, 1]))
    lines.append(f"  smallest, quartiles, largest: {quartiles}; mean {y.mean():.6g}")
    return lines


def _facts(facts: dict[str, str]) -> list[str]:
    return [
        textwrap.fill(
            text,
            WIDTH,
            initial_indent=f"  {f'{name}:':<16}",
            subsequent_indent=" " * 18,
            break_long_words=False,
            break_on_hyphens=False,
        )
        for name, text in facts.items()
        if text
    ]


def _missing(sidecar: Sidecar | None) -> str:
    if sidecar is None or not sidecar.preparation:
        return "none in the file"
    filled = sidecar.preparation.get("filled", {})
    dropped = sidecar.preparation.get("rows dropped", 0)
    parts = [f"{name} {what}" for name, what in filled.items()]
    parts += [f"{dropped} rows dropped"] if dropped else []
    return "none in the file; in the raw data: " + ("; ".join(parts) or "none")


def _ranges(data: Dataset) -> Iterator[str]:
    """Yield a line for each numeric column."""
    names = [data.space.names[j] for j in data.space.numeric]
    if not names:
        return
    width = max(map(len, names))
    yield f"numeric columns{'':<{max(width - 13, 2)}}{'smallest':>12}{'mean':>12}{'largest':>12}"
    for name, values in zip(names, data.X[:, data.space.numeric].T, strict=True):
        yield (f"  {name:<{max(width, 15)}}{values.min():>12.5g}{values.mean():>12.5g}"
               f"{values.max():>12.5g}")  # fmt: skip


def _groups(data: Dataset) -> Iterator[str]:
    """Yield a line for each one-hot group."""
    if data.space.groups:
        yield "one-hot groups, with the number of columns and the share of the rarest"
    width = max((len(group.name) for group in data.space.groups), default=0)
    for group in data.space.groups:
        rarest = data.X[:, group.columns].mean(axis=0).min()
        rows = "one or none" if group.all_zero else "exactly one"
        kind = rows if group.one_of_k else "any number of ones: independent columns"
        yield f"  {group.name:<{width}}{len(group.columns):>5}{rarest:>9.2%}  {kind}"
