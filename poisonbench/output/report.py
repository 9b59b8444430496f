"""The report of a folder of results: one HTML file that needs no other file and no network.

It begins with a summary in plain words, and continues with figures, tables, a comparison with
published values, the threat model, and how to run the experiment again.  The template escapes
all text that comes from files, such as names of columns and parameters.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from poisonbench import registry
from poisonbench.output import comparison, figures, pivot, table_formats, weak_attacks
from poisonbench.output.drawings import Drawing, rendered
from poisonbench.output.reading import Tables, distinct
from poisonbench.output.tables import removed_nothing
from poisonbench.version import __version__

HELD = comparison.TRIM_TARGET
"""A defense has held if its error under every attack is at most this many times the clean error."""

BROKEN = 2.0
"""A defense is listed as broken if its error is at least this many times the clean error."""

SHOWN_ATTACKS = 5
"""Largest number of attacks whose errors the summary lists."""

SHOWN_WHOLE = 1000
"""Amounts of at least this size are shown without decimals."""

WIDE = 1.9
"""On a phone, a figure whose width is more than this many times its height scrolls instead of
shrinking."""

INCH = 0.135
"""The length in a figure, in inches, that is shown as one rem on the page."""

_SETTING = ["dataset_label", "model_label", "split"]


@dataclass(frozen=True)
class LeadPart:
    """A part of what stands on top of a report, before its summary.

    Parameters
    ----------
    title : str, default=""
        Its title, if it has one.
    paragraphs, bullets : sequence of str
        Its text.
    table : tuple of (str, sequence of str, sequence of sequence of str), optional
        The caption, the heads and the rows of a table of texts.
    drawing : Drawing, optional
        A figure.
    """

    title: str = ""
    paragraphs: Sequence[str] = ()
    bullets: Sequence[str] = ()
    table: tuple[str, Sequence[str], Sequence[Sequence[str]]] | None = None
    drawing: Drawing | None = None


def html(
    tables: Tables,
    title: str,
    reference: tuple[str, pd.DataFrame] | None = None,
    drawings: Iterable[Drawing] = (),
    lead: Sequence[LeadPart] = (),
) -> str:
    """Return the report as HTML.

    Parameters
    ----------
    tables : Tables
        The results.
    title : str
        The report's title.
    reference : tuple of (str, pandas.DataFrame), optional
        The name of a published reference and its values, to compare with.
    drawings : iterable of Drawing
        Further figures, to show after those of the results.
    lead : sequence of LeadPart
        What stands on top, before the summary.
    """
    results = tables.results
    known = None if reference is None else reference[1]
    shown = [*figures.of_results(results, tables.convergence, known), *drawings]
    environment = Environment(autoescape=True, trim_blocks=True, undefined=StrictUndefined)
    template = environment.from_string(
        files("poisonbench.output").joinpath("report.html.j2").read_text(encoding="utf-8")
    )
    seeds = results["seed"].nunique()
    return template.render(
        title=title,
        subtitle=f"{len(results)} results over {seeds} seed{'' if seeds == 1 else 's'}, "
        f"made by poisonbench {__version__}.",
        lead=[
            {
                "title": part.title,
                "paragraphs": part.paragraphs,
                "bullets": part.bullets,
                "table": part.table,
                "figure": None
                if part.drawing is None
                else {"caption": part.drawing.caption, "svg": inline(part.drawing)},
            }
            for part in lead
        ],
        findings=list(findings(results)),
        weak_attacks=list(weak_attacks.signs(results, tables.convergence)),
        not_covered=list(not_covered(results)),
        figures=[{"title": one.title, "caption": one.caption, "svg": inline(one)} for one in shown],
        tables=[_table(table) for table in pivot.make(results)],
        comparison=None if reference is None else _compared(results, *reference),
        provenance=list(_provenance(tables.folders)),
        reruns=list(_reruns(tables.folders)),
    )


def findings(results: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Yield, for each data set and learner, a title and the findings in sentences."""
    for (dataset, model, split), rows in distinct(results).groupby(_SETTING, sort=False):
        sentences = [*_damage(rows), *_defended(rows)]
        if sentences:
            yield {"title": f"{dataset}, {model}, split {split}", "sentences": sentences}


def _damage(rows: pd.DataFrame) -> Iterator[str]:
    undefended = rows[(rows["defense"] == "none") & (rows["n_poison"] > 0)]
    if undefended.empty:
        yield "The damage is not known, because poison was never used without a defense."
        return
    at_most = undefended[undefended["n_poison"] == undefended["n_poison"].max()]
    medians = at_most.groupby("attack_label")["test_mse"].median().sort_values(ascending=False)
    strongest = at_most[at_most["attack_label"] == medians.index[0]]
    p, n = int(strongest["n_poison"].iloc[0]), int(strongest["n_clean"].iloc[0])
    before, after = _typical_errors(strongest)
    n_splits = strongest["seed"].nunique()
    ratio = strongest["ratio_to_clean"].astype(float).median()
    yield (
        f"{p} poison rows added to {n} clean rows ({p / n:.0%}) raised the typical error on test "
        f"rows (root mean squared error) from {before} to {after}. The mean squared error is "
        f"{_times(ratio)} that of the learner trained on the clean rows. "
        + (
            f"These are medians over {n_splits} splits."
            if n_splits > 1
            else "These are results of one split."
        )
    )
    listed = [f"{name} {_short(value)}" for name, value in medians.iloc[:SHOWN_ATTACKS].items()]
    more = len(medians) - len(listed)
    others = ", ".join(listed) + (f"; the other {more} did less damage" if more else "")
    yield (
        f"The strongest attack is {medians.index[0]}. Median test MSE by attack: {others}."
        if len(medians) > 1
        else f"Only one attack was run: {medians.index[0]}."
    )


def _typical_errors(rows: pd.DataFrame) -> tuple[str, str]:
    """Return the typical error without and with poison, in the response's own unit if known."""
    unscaled = rows["test_rmse_unscaled"].astype(float)
    unit = rows["response_unit"].iloc[0] if "response_unit" in rows else None
    clean_mse, mse = rows["test_mse_clean"].astype(float), rows["test_mse"].astype(float)
    if isinstance(unit, str) and unit and unscaled.notna().all():
        clean = unscaled * (clean_mse / mse) ** 0.5
        return _amount(clean.median(), unit), _amount(unscaled.median(), unit)
    before, now = float((clean_mse**0.5).median()), float((mse**0.5).median())
    return f"{before:.1%} of the response's range", f"{now:.1%}"


def _amount(value: float, unit: str) -> str:
    if unit.startswith("unit of "):
        unit = f"units{unit.removeprefix('unit')}"
    return f"{value:,.0f} {unit}" if value >= SHOWN_WHOLE else f"{value:.3g} {unit}"


def _short(value: float) -> str:
    """Return a number to two significant digits, without a point at its end."""
    return f"{value:#.2g}".rstrip(".")


def _times(ratio: float) -> str:
    return f"{ratio:,.0f} times" if ratio >= SHOWN_WHOLE else f"{ratio:#.3g}".rstrip(".") + " times"


def _defended(rows: pd.DataFrame) -> Iterator[str]:
    defended = rows[(rows["n_poison"] > 0) & ~rows["defense"].isin(["none", "oracle"])]
    if defended.empty:
        yield "No defense was run."
        return
    at_most = defended[defended["n_poison"] == defended["n_poison"].max()]
    medians = at_most.groupby(["defense_label", "attack_label"])["ratio_to_clean"].apply(
        lambda values: values.astype(float).median()
    )
    met = medians.groupby("defense_label").size()
    n_attacks = int(met.max())
    # Only those that met equally many attacks can be compared by the worst of them.
    worst = medians.groupby("defense_label").max()[met == n_attacks].sort_values()
    best = str(worst.index[0])
    under = str(medians[best].idxmax())
    p = int(at_most["n_poison"].iloc[0])
    clean = rows[(rows["n_poison"] == 0) & (rows["defense_label"] == best)]["ratio_to_clean"]
    cost = (
        " Without poison, its test MSE is "
        f"{_times(float(clean.astype(float).median()))} the clean learner's."
        if len(clean)
        else " Its error without poison was not measured."
    )
    word = "held" if worst.iloc[0] <= HELD else "came closest to the clean error"
    attack = f"the worst of {n_attacks} attacks, {under}," if n_attacks > 1 else under
    yield (
        f"With {p} poison rows, {best} {word}: under {attack} its test MSE is "
        f"{_times(float(worst.iloc[0]))} that of the learner trained on the clean rows.{cost}"
    )
    also = [
        f"{name} ({value:.2g})" for name, value in worst.items() if value <= HELD and name != best
    ]
    if also:
        yield (
            f"These defenses, too, stayed within {HELD:g} times the clean error under every "
            f"attack: {', '.join(also)}."
        )
    spreads = at_most.dropna(subset="spread")
    if len(spreads):
        most = spreads.loc[spreads["spread"].astype(float).idxmax()]
        yield (
            "The random numbers of a defense alone change its result: over "
            f"{int(most['repetitions'])} fits to the same rows, the test MSE of "
            f"{most['defense_label']} under {most['attack_label']} differed by a factor of "
            f"{float(most['spread']):#.3g} on one split, the largest factor with so many poison "
            "rows. The numbers here are those of the fit with the median test MSE."
        )
    everywhere = medians.groupby("defense_label").max().sort_values()
    broken = [f"{name} ({value:.2g})" for name, value in everywhere.items() if value >= BROKEN]
    if broken:
        yield (
            f"The error of these defenses was at least {BROKEN:g} times the clean error under some "
            f"attack: {', '.join(broken)}."
        )
    fewer = [f"{name} ({count})" for name, count in met.items() if count < n_attacks]
    if fewer:
        yield f"These defenses met fewer than the {n_attacks} attacks: {', '.join(fewer)}."


def not_covered(results: pd.DataFrame) -> Iterator[str]:
    """Yield the limits of the results, in sentences."""
    attacks = set(results["attack"])
    missing = [
        name
        for name in registry.components("attack")
        if name not in attacks and name not in ("none", "file", "auto")
    ]
    if missing:
        yield f"Attacks that were not run: {', '.join(missing)}."
    if "adaptive" not in attacks and set(results["defense"]) - {"none", "oracle"}:
        yield (
            "No attack was tuned to a defense (adaptive), so a defense that held here may still be "
            "broken by an attacker who knows it."
        )
    told = results[results["n_poison_source"].fillna("") == "oracle"]
    told_names = sorted(set(told["defense"]) - {"oracle"})
    if told_names:
        yield (
            f"{', '.join(told_names)} {'was' if len(told_names) == 1 else 'were'} told the true "
            "number of poison rows, which a defender rarely knows."
        )
    known = registry.components("defense")
    once = results[results["repetitions"].fillna(1).astype(int) == 1]["defense"].unique()
    drawing = sorted({*once} & {
        name for name, cls in known.items() if registry.accepts(cls, "random_state")
    })  # fmt: skip
    if drawing:
        yield (
            f"{', '.join(drawing)} {'draws' if len(drawing) == 1 else 'draw'} random numbers, and "
            f"{'was' if len(drawing) == 1 else 'were'} fitted only once to each training set. With "
            "repetitions: 5 in the config, the report shows how much these numbers change the "
            "results."
        )
    yield from removed_nothing(results)
    seeds = results.groupby(_SETTING)["seed"].nunique()
    if seeds.min() < 10:
        yield (
            f"There {'was' if seeds.min() == 1 else 'were'} only {seeds.min()} "
            f"split{'' if seeds.min() == 1 else 's'} of a data set, too few to show rare outcomes."
        )
    if not results["attack_parameters"].astype(str).str.contains("knowledge=").any():
        yield "Every attacker knew the training rows and the learner."
    yield "Attacks that change or remove clean rows, and nonlinear learners, are not covered."


def inline(drawing: Drawing) -> Markup:
    """Return a figure as an SVG element for a page, with a label for screen readers."""
    text = rendered(drawing.figure, "svg").decode()
    text = text[text.index("<svg") :]
    # Several figures on one page must not share ids.
    text = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{drawing.name}-", text)
    width, height = drawing.figure.get_size_inches()
    wide = ' class="wide"' if width / height > WIDE else ""
    wide += f' style="max-width: {width / INCH:.0f}rem"'
    label = Markup.escape(f"{drawing.title}. {drawing.caption}")
    text = re.sub(
        r'<svg ([^>]*?)\bwidth="[^"]*"',
        rf'<svg role="img" aria-label="{{label}}"{wide} \1',
        text,
        count=1,
    )
    text = re.sub(r'\bheight="[^"]*pt"', "", text, count=1)
    # matplotlib draws the SVG, and the label is escaped.
    return Markup(text.replace("{label}", str(label), 1))


def _table(table: pivot.Table) -> dict[str, Any]:
    rows = []
    for label, cells in table.rows:
        row = [{"text": text, "value": None, "best": False} for text in label]
        for j, cell in enumerate(cells):
            if cell is None:
                row.append({"text": "", "value": None, "best": False})
                continue
            statistic = table.statistic_of(j)
            main, spread = table_formats.text_of(cell, statistic, counted=table.counts_differ)
            value = cell.mean if statistic == "mean" else cell.median
            row.append({"text": main + spread, "value": repr(value), "best": cell.best})
        rows.append(row)
    return {
        "title": table.title,
        "heads": [*table.row_names, *table.columns],
        "rows": rows,
        "n_labels": len(table.row_names),
        "notes": table.notes,
    }


def _compared(results: pd.DataFrame, name: str, reference: pd.DataFrame) -> dict[str, Any] | None:
    found = comparison.with_published(results, reference)
    made = []
    for title, frame in (
        ("Verdict on each cell", found.cells),
        ("Shapes of the curves", found.checks),
    ):
        if frame.empty:
            continue
        columns = [column for column in frame if frame[column].nunique() > 1]
        made.append(
            {
                "title": title,
                "heads": columns,
                "rows": [
                    [_shown(row[column]) for column in columns] for row in frame.to_dict("records")
                ],
                "n_labels": 1,
            }
        )
    return {"name": name, "tables": made} if made else None


def _shown(value: Any) -> dict[str, Any]:
    if isinstance(value, float):
        missing = value != value
        return {
            "text": "" if missing else f"{value:.3g}",
            "value": None if missing else repr(value),
            "best": False,
        }
    return {"text": str(value), "value": None, "best": False}


def _provenance(folders: Sequence[Path]) -> Iterator[tuple[str, str]]:
    """Yield the software and machines that computed the cells, from some cells of each folder."""
    seen: dict[str, set[str]] = {}
    for folder in folders:
        for path in sorted((folder / "meta").glob("*/*.json"))[:50]:
            try:
                facts = json.loads(path.read_text(encoding="utf-8"))
            except (OSError, ValueError):
                continue
            for name in ("poisonbench", "python", "platform"):
                if name in facts:
                    seen.setdefault(name, set()).add(str(facts[name]))
            for name, version in (facts.get("libraries") or {}).items():
                seen.setdefault(name, set()).add(str(version or "not installed"))
    yield "folders", ", ".join(folder.name for folder in folders)
    for name, values in seen.items():
        yield name, ", ".join(sorted(values))


def _reruns(folders: Sequence[Path]) -> Iterator[dict[str, str]]:
    for folder in folders:
        try:
            plan = json.loads((folder / "plan.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        yield {
            "folder": folder.name,
            "command": f"poisonbench run config.yaml --output results/{folder.name}",
            "config": yaml.safe_dump(plan.get("config", {}), sort_keys=False, width=90),
        }
