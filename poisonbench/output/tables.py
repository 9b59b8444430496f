"""The result files: results, timings, convergence, and the MSE table as papers print it."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from poisonbench import records
from poisonbench.config.choices import labelled
from poisonbench.output import spread, store
from poisonbench.output.digits import significant
from poisonbench.output.layout import StoreError
from poisonbench.records import Change, Labels, Measured, Predictions, Round, Row, Timings

METRICS = ("test_mse", "test_mse_clipped")
"""The metrics of the MSE table, beside the spread of defenses that were fitted several times."""

STATISTICS = {"mean": "mean", "sd": "std", "median": "median", "count": "count"}
"""The statistics over seeds in the MSE table, and their names in pandas."""

ROW_KEY = [name for name in records.names(Labels) if name not in ("seed", "poisoning_rate")]
"""The columns that, with the metric, identify a row of the MSE table."""


@dataclass(frozen=True)
class Results:
    """The rows of finished cells, as data frames.

    Parameters
    ----------
    results : pandas.DataFrame
        The rows of ``results.csv``.
    timings : pandas.DataFrame
        The rows of ``timings.csv``.
    convergence : pandas.DataFrame
        The rows of ``convergence.csv``.
    changes : pandas.DataFrame
        The rows of ``changes.csv``; empty if no predictions were kept.

    Examples
    --------
    >>> import poisonbench
    >>> config = {"dataset": "diabetes", "attack": "statp", "poisoning_rate": 0.1,
    ...           "defense": ["none", "trim"], "seeds": 1}
    >>> found = poisonbench.run(config)
    >>> found.results["defense"].tolist()
    ['none', 'trim']
    >>> len(found.table) > 0
    True
    """

    results: pd.DataFrame
    timings: pd.DataFrame
    convergence: pd.DataFrame
    changes: pd.DataFrame = field(default_factory=pd.DataFrame)

    @property
    def table(self) -> pd.DataFrame:
        """The MSE table, over seeds: the rows of ``table.csv``; see :func:`mse_table`."""
        return mse_table(self.results)

    def __str__(self) -> str:
        """Return the MSE table as ``poisonbench run`` prints it."""
        return render(self.results)


def collect(rows: Iterable[Row], out: Path) -> Results:
    """Read the finished cells of these rows, in their order."""
    done: list[tuple[Row, Measured, Timings]] = []
    for row in rows:
        measured = store.read_cell(out, row.cell)
        if measured is not None:
            timings = store.read_timings(out, row.cell) or Timings(None, None, None)
            done.append((row, measured, timings))
    labels = [records.values(row.labels) for row, _, _ in done]
    key = records.names(Labels)
    return Results(
        _frame(key + records.names(Measured), labels, [records.values(m) for _, m, _ in done]),
        _frame(key + records.names(Timings), labels, [records.values(t) for _, _, t in done]),
        pd.DataFrame(list(_rounds((m for _, m, _ in done), out)), columns=records.names(Round)),
        _changes([row for row, _, _ in done], out),
    )


def _changes(rows: list[Row], out: Path) -> pd.DataFrame:
    """Return how far each cell moved single predictions, for cells that kept them."""
    kept = [(row, store.read_predictions(out, row.cell)) for row in rows
            if (out / "predictions").is_dir()]  # fmt: skip
    found = [(row, change_of(predictions)) for row, predictions in kept if predictions is not None]
    return _frame(
        records.names(Labels) + records.names(Change),
        [records.values(row.labels) for row, _ in found],
        [records.values(change) for _, change in found],
    )


def change_of(predictions: Predictions) -> Change:
    """Return the quantiles of the relative change of predictions."""
    predicted, clean = np.array(predictions.predicted), np.array(predictions.clean)
    with np.errstate(divide="ignore", invalid="ignore"):
        change = np.abs(predicted - clean) / np.abs(clean)
    change[predicted == clean] = 0.0
    quantiles = np.quantile(change, [0.1, 0.25, 0.5, 0.75, 0.9], method="inverted_cdf").tolist()
    return Change(predictions.unit, float(np.median(predictions.y)), *quantiles)


def _rounds(done: Iterable[Measured], out: Path) -> Iterator[Round]:
    """Yield the rounds of every attack that has an objective, in the order of the rows."""
    for file in dict.fromkeys(measured.poison_file for measured in done):
        for number, objective in enumerate(store.read_trace(out, file) if file else ()):
            yield Round(file or "", number, objective)


def _frame(
    columns: list[str], labels: list[list[object]], values: list[list[object]]
) -> pd.DataFrame:
    # dtype=object: a column of integers with gaps must not become one of floats.
    rows = [[*left, *right] for left, right in zip(labels, values, strict=True)]
    return pd.DataFrame(rows, columns=columns, dtype=object)


def mse_table(results: pd.DataFrame) -> pd.DataFrame:
    """Return the MSE table: a row for each variant, defense and metric, columns by rate.

    Parameters
    ----------
    results : pandas.DataFrame
        The rows of ``results.csv``.

    Returns
    -------
    pandas.DataFrame
        For each rate r the columns ``r_mean``, ``r_sd``, ``r_median`` and ``r_count``, over
        seeds; the standard deviation divides by the count less one and is empty for one seed.
    """
    # Make every key column text; otherwise a column that is empty in all rows would match nothing.
    texts = results.assign(
        **{name: results[name].astype(object).fillna("").astype(str) for name in ROW_KEY}
    )
    metrics = [*METRICS, *(["spread"] if spread.known(results) else [])]
    long = texts.melt([*ROW_KEY, "poisoning_rate"], metrics, var_name="metric", value_name="value")
    long["value"] = long["value"].astype(float)
    long = long[(long["metric"] != "spread") | long["value"].notna()]
    key = [*ROW_KEY, "metric"]
    values = long.groupby([*key, "poisoning_rate"], sort=False)["value"]
    wide = values.agg(list(STATISTICS.values())).unstack("poisoning_rate")
    wide = wide.reindex(pd.MultiIndex.from_frame(long[key].drop_duplicates()))
    columns = {
        f"{header}_{name}": wide[statistic][rate]
        for rate, header in _headers(results["poisoning_rate"].unique()).items()
        for name, statistic in STATISTICS.items()
    }
    table = pd.DataFrame(columns, index=wide.index)
    counts = [name for name in columns if name.endswith("_count")]
    table[counts] = table[counts].fillna(0).astype(int)
    return table.reset_index()


def _headers(rates: Iterable[float]) -> dict[float, str]:
    """Return the text of each rate, in order, with all digits if six digits are ambiguous."""
    ordered = sorted(rates)
    short = [f"{rate:g}" for rate in ordered]
    texts = short if len(set(short)) == len(short) else [repr(rate) for rate in ordered]
    return dict(zip(ordered, texts, strict=True))


def write_csvs(results: Results, out: Path) -> list[Path]:
    """Write the CSV files below `out` and return their paths."""
    frames = {
        "results.csv": results.results,
        "table.csv": mse_table(results.results),
        "timings.csv": results.timings,
        "convergence.csv": results.convergence,
    }
    if len(results.changes):
        frames["changes.csv"] = results.changes
    for name, frame in frames.items():
        buffer = io.StringIO()
        # pandas writes floats as repr does, in the shortest exact form.  An empty entry means that
        # the column does not apply.
        frame.to_csv(buffer, index=False, lineterminator="\n", na_rep="")
        store.write(out / name, buffer.getvalue().encode())
    return [out / name for name in frames]


def read_csvs(out: Path) -> Results:
    """Read the CSV files of an output folder.

    Parameters
    ----------
    out : Path
        The folder.

    Returns
    -------
    Results
        Text labels are ordered categories, in the order of the config; counts that may be missing
        are ``Int64``; floats are exact.

    Raises
    ------
    StoreError
        A file is missing, or has other columns.
    """
    return Results(
        _read_csv(out / "results.csv", Labels, Measured),
        _read_csv(out / "timings.csv", Labels, Timings),
        _read_csv(out / "convergence.csv", Round),
        _read_csv(out / "changes.csv", Labels, Change)
        if (out / "changes.csv").exists()
        else pd.DataFrame(),
    )


def _read_csv(path: Path, *kinds: type) -> pd.DataFrame:
    types = {name: kind for record in kinds for name, kind in records.types(record).items()}
    try:
        # Read everything as text first, because not every version of pandas reads floats exactly.
        # Only empty entries are missing, because a defense may be called none.
        frame = pd.read_csv(path, dtype=object, keep_default_na=False, na_values=[""])
    except FileNotFoundError:
        raise StoreError(f"{path}: no such file; expected the output folder of poisonbench run, or "
                         "that of a sweep after poisonbench merge") from None  # fmt: skip
    except (OSError, ValueError) as error:
        raise StoreError(f"{path}: cannot be read: {error}") from error
    if list(frame) != list(types):
        odd = sorted({*frame} ^ {*types}) or list(frame)
        raise StoreError(f"{path}: its columns are not those of this version (such as {odd[0]}); "
                         "run poisonbench merge to make it again")  # fmt: skip
    labels = records.names(Labels)
    for name, kind in types.items():
        try:
            if kind == "int":
                frame[name] = frame[name].astype("int64")
            elif kind == "int | None":
                frame[name] = frame[name].astype("float64").astype("Int64")
            elif kind.startswith("float"):
                frame[name] = frame[name].astype("float64")
            elif name in labels:
                texts = frame[name] if kind == "str | None" else frame[name].fillna("")
                order = texts.dropna().unique()
                frame[name] = pd.Categorical(texts, categories=order, ordered=True)
        except (TypeError, ValueError) as error:
            raise StoreError(f"{path}: column {name}: {error}; run poisonbench merge to make the "
                             "file again") from None  # fmt: skip
    return frame


def render(results: pd.DataFrame) -> str:
    """Return the MSE table as text: mean test MSE and its standard deviation over seeds.

    If some cells are missing, a table averages over the seeds that all its cells have, so that its
    columns can be compared; if no seed is in all cells, the title says so.  If defenses were fitted
    several times to the same rows, the last column shows how far these fits are apart.  Notes below
    the table say so, and name any defense that removed nothing because it estimated that there is
    no poison, and any rate that rounds to 0 poison rows.
    """
    setting = ["dataset", "dataset_parameters", "split", "model", "model_parameters", "rate_of"]
    blocks = []
    for _, rows in results.groupby(setting, sort=False, dropna=False, observed=True):
        cells = rows.groupby([*ROW_KEY, "poisoning_rate"], dropna=False, observed=True)["seed"]
        seeds_of_cells = [set(seeds) for _, seeds in cells]
        shared = set.intersection(*seeds_of_cells)
        used = rows[rows["seed"].isin(shared)] if shared else rows
        table = mse_table(used).query("metric == 'test_mse'")
        rates = [name.removesuffix("_mean") for name in table.columns if name.endswith("_mean")]
        first = {name: str(table[name].iloc[0]) for name in setting}
        share = "p/n" if first["rate_of"] == "clean" else "p/(n+p)"
        most = max(map(len, seeds_of_cells))
        title = (
            f"{labelled(first['dataset'], first['dataset_parameters'])}, split {first['split']}, "
            f"{labelled(first['model'], first['model_parameters'])}: "
            f"test MSE by poisoning rate {share}, "
            + ("mean (standard deviation)" if most > 1 else "mean")
            + f" over {_averaged(len(shared), most)}"
        )
        spreads = _spreads(used)
        body = [["attack", "defense", *rates, *(["spread"] if spreads else [])]]
        last = None
        for row in table.to_dict("records"):
            attack = labelled(row["attack"], row["attack_parameters"])
            axes = [row[axis] for axis in ("variables", "initialization", "outer_objective")]
            attack = " ".join([attack, *filter(None, axes)])
            body.append(
                [
                    "" if attack == last else attack,
                    labelled(row["defense"], row["defense_parameters"]),
                    *(_cell(row[f"{rate}_mean"], row[f"{rate}_sd"]) for rate in rates),
                    *([spreads.get(tuple(row[name] for name in ROW_KEY), "")] if spreads else []),
                ]
            )
            last = attack
        blocks.append(f"{title}\n{_aligned(body)}")
    if spread.known(results):
        blocks.append(spread.note(results))
    blocks += removed_nothing(results)
    empty = results[(results["n_poison"] == 0) & (results["poisoning_rate"] > 0)]
    for rate, rows in empty.groupby("poisoning_rate"):
        blocks.append(
            f"Rate {rate:g} rounds to 0 poison rows ({', '.join(rows['dataset'].unique())}), so "
            "the errors in its column are errors without poison."
        )
    return "\n\n".join(blocks)


def removed_nothing(results: pd.DataFrame) -> list[str]:
    """Return a sentence for each defense that took no row for poison where there was poison."""
    # An empty source is that of a defense that always estimates the number.
    source = results["n_poison_source"]
    estimated = source.isna() | source.isin(["", "estimated"])
    cells = results[estimated & (results["n_poison"] > 0) & results["n_poison_assumed"].notna()]
    found = []
    for (name, given), rows in cells.groupby(
        ["defense", "defense_parameters"], sort=False, observed=True
    ):
        zero, label = int((rows["n_poison_assumed"] == 0).sum()), labelled(str(name), str(given))
        if zero:
            found.append(
                f"{label} estimated 0 poison rows, and removed nothing, in {zero} of {len(rows)} "
                "cells with poison."
            )
    return found


def _averaged(n_shared: int, most: int) -> str:
    """Return the seeds that a table averages over, in words."""
    if not n_shared:
        return (
            f"1 to {most} seeds, not paired: no seed is in every cell, so rows and columns average "
            "over different splits"
        )
    seeds = f"{n_shared} seed{'' if n_shared == 1 else 's'}"
    return seeds if n_shared == most else f"the {seeds} that every cell has (some have {most})"


def _spreads(results: pd.DataFrame) -> dict[tuple[str, ...], str]:
    """Return the spread for each row of the table: the median, and the largest in brackets."""
    if not spread.known(results):
        return {}
    rows = results.dropna(subset="spread")
    keys = rows[ROW_KEY].astype(object).fillna("").astype(str)
    found = rows["spread"].astype(float).groupby([keys[name] for name in ROW_KEY], sort=False)
    return {tuple(map(str, key)): _cell(values.median(), values.max()) for key, values in found}


def _cell(mean: float, sd: float) -> str:
    if pd.isna(mean):
        return ""
    text = significant(mean, 3)
    return text if pd.isna(sd) else f"{text} ({significant(sd, 2)})"


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    """Return rows as aligned text: two columns of labels, then columns of numbers."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(
            cell.ljust(width) if column < 2 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    lines.insert(1, "-" * max(map(len, lines)))
    return "\n".join(lines)
