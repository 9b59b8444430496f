"""The tables of :mod:`poisonbench.output.pivot` as text, Markdown, LaTeX and CSV."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from poisonbench.output.digits import significant
from poisonbench.output.pivot import Cell, Table


def _number(value: float) -> str:
    return significant(value, 3)


def text_of(cell: Cell, statistic: str, *, counted: bool) -> tuple[str, str]:
    """Return the text of a cell's number, and the text of its spread and count."""
    if statistic == "mean":
        main = _number(cell.mean)
        spread = "" if np.isnan(cell.sd) else f" ({significant(cell.sd, 2)})"
    elif statistic == "largest":
        return _number(cell.median), f" ({significant(cell.largest, 2)})"
    else:
        main = _number(cell.median)
        low, high = _number(cell.first_quartile), _number(cell.third_quartile)
        spread = f" [{low}, {high}]" if cell.count > 1 else ""
    return main, spread + (f" [{cell.count}]" if counted else "")


def terminal(tables: Sequence[Table]) -> str:
    """Return tables as aligned text, with a star at the best of a column."""
    blocks = []
    for table in tables:
        body = [[*table.row_names, *table.columns]]
        body += _rows(table, lambda main, spread, best: f"{'*' if best else ''}{main}{spread}")
        n = len(table.row_names)
        widths = [max(len(row[j]) for row in body) for j in range(len(body[0]))]
        lines = [
            "  ".join(
                text.ljust(width) if j < n else text.rjust(width)
                for j, (text, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in body
        ]
        lines.insert(1, "-" * max(map(len, lines)))
        blocks.append("\n".join([table.title, *lines, *table.notes]))
    return "\n\n".join(blocks) + "\n"


def markdown(tables: Sequence[Table]) -> str:
    """Return tables in Markdown, with the best of a column in bold."""
    blocks = []
    for table in tables:
        n = len(table.row_names)
        heads = [*table.row_names, *table.columns]
        lines = [
            f"| {' | '.join(map(_piped, heads))} |",
            "|" + " --- |" * n + " ---: |" * len(table.columns),
        ]
        mark: Callable[[str, str, bool], str] = lambda main, spread, best: (  # noqa: E731
            f"**{main}**{spread}" if best else f"{main}{spread}"
        )
        lines += [f"| {' | '.join(map(_piped, row))} |" for row in _rows(table, mark)]
        blocks.append(
            "\n".join([f"{table.title}\n", *lines, *(f"\n{note}" for note in table.notes)])
        )
    return "\n\n".join(blocks) + "\n"


def latex(tables: Sequence[Table]) -> str:
    """Return tables in LaTeX for the package booktabs, with the best of a column in bold."""
    blocks = ["% needs \\usepackage{booktabs}"]
    for table in tables:
        heads = " & ".join(map(_escaped, [*table.row_names, *table.columns]))
        mark: Callable[[str, str, bool], str] = lambda main, spread, best: (  # noqa: E731
            f"\\textbf{{{main}}}{spread}" if best else f"{main}{spread}"
        )
        n = len(table.row_names)
        body = [
            " & ".join([*map(_escaped, row[:n]), *row[n:]]) + r" \\" for row in _rows(table, mark)
        ]
        caption = _escaped(" ".join([f"{table.title}.", *table.notes]))
        blocks.append(
            "\n".join(
                [
                    r"\begin{table}",
                    r"\centering",
                    rf"\caption{{{caption}}}",
                    rf"\begin{{tabular}}{{{'l' * n}{'r' * len(table.columns)}}}",
                    r"\toprule",
                    rf"{heads} \\",
                    r"\midrule",
                    *body,
                    r"\bottomrule",
                    r"\end{tabular}",
                    r"\end{table}",
                ]
            )
        )
    return "\n\n".join(blocks) + "\n"


def csv(tables: Sequence[Table]) -> str:
    """Return tables as CSV: one line for each cell, with all its statistics."""
    lines = [
        {
            "table": table.title,
            **dict(zip(table.row_names, label, strict=True)),
            "column": column,
            **vars(cell),
        }
        for table in tables
        for label, cells in table.rows
        for column, cell in zip(table.columns, cells, strict=True)
        if cell is not None
    ]
    return pd.DataFrame(lines).to_csv(index=False, lineterminator="\n")


FORMATS: dict[str, Callable[[Sequence[Table]], str]] = {
    "text": terminal,
    "csv": csv,
    "markdown": markdown,
    "latex": latex,
}
"""The formats of tables by their names on the command line."""


def _rows(table: Table, mark: Callable[[str, str, bool], str]) -> list[list[str]]:
    """Return the rows as text, leaving out labels that repeat those of the row above."""
    lines = []
    last: tuple[str, ...] = ()
    for label, cells in table.rows:
        same = 0
        while same < len(label) - 1 and last[: same + 1] == label[: same + 1]:
            same += 1
        texts = [
            ""
            if cell is None
            else mark(*text_of(cell, table.statistic_of(j), counted=table.counts_differ), cell.best)
            for j, cell in enumerate(cells)
        ]
        lines.append([*([""] * same), *label[same:], *texts])
        last = label
    return lines


def _piped(text: str) -> str:
    return text.replace("|", r"\|")


_LATEX = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        **{character: f"\\{character}" for character in "&%$#_{}"},
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "[": "{[}",  # LaTeX would read it after the end of a row as a length
        "<": r"\textless{}",
        ">": r"\textgreater{}",
    }
)


def _escaped(text: str) -> str:
    """Return `text` with LaTeX's special characters escaped."""
    return text.translate(_LATEX)
