"""The commands ``compare``, ``table``, ``plot`` and ``report``, once their arguments are read.

Slow modules are imported inside the functions that need them, so that ``--help`` answers at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from poisonbench.cli.messages import say, to_stderr, usage, user_errors, using

if TYPE_CHECKING:
    import pandas as pd

    from poisonbench.output.drawings import Drawing
    from poisonbench.output.reading import Tables


def check_extra(command: str) -> None:
    """Exit with a message if a package that figures and reports need is not installed."""
    absent = [name for name in ("matplotlib", "jinja2") if find_spec(name) is None]
    if absent:
        raise usage(
            f"poisonbench {command}: {absent[0]} is not installed; expected the extra: python "
            "-m pip install 'poisonbench[plot]'"
        )


def read_tables(folder: Path) -> Tables:
    """Return the results in a folder, or exit with a message."""
    with user_errors(), using(folder):
        from poisonbench.output.reading import read

        return read(folder)


def published_values(name: str | None, results: pd.DataFrame) -> tuple[str, pd.DataFrame] | None:
    """Return the name of a published reference and its values, or None for no reference.

    Without a name, the paper's values are used if the results contain one of the paper's data sets
    with one of its learners.  The name ``none`` means no reference.
    """
    from poisonbench.output import published

    if name == "none":
        return None
    with user_errors():
        values = published.values(name or published.DEFAULT)
    measured = set(results[["dataset", "model"]].itertuples(index=False, name=None))
    known = set(values[["dataset", "model"]].itertuples(index=False, name=None))
    if name is None and not measured & known:
        return None
    return name or published.DEFAULT, values


def compare_results(folder: Path, reference: str | None, metric: str, output: Path | None) -> None:
    """Compare the results in a folder with published values or with another folder."""
    with user_errors():
        from poisonbench.output import comparison, pivot, published

    tables = read_tables(folder)
    name = published.DEFAULT if reference is None else reference
    if name not in published.names() and Path(name).is_dir():
        if metric not in pivot.METRICS:
            raise usage(f"--metric {metric}: expected {', '.join(pivot.METRICS)}")
        both = (tables.results, read_tables(Path(name)).results)
        first, second = (pivot.with_metric(results, metric) for results in both)
        found = comparison.of_folders(first, second, pivot.METRICS[metric].column)
        if found.empty:
            raise usage(
                f"{folder} and {name} have no cell in common; expected the same data set, split, "
                "learner, attack, rate and defense in both, and a seed that both have"
            )
        say(
            f"{folder} (first) and {name} (second): {pivot.METRICS[metric].title}, paired by "
            "seed.  The mean difference is second - first, with its 95% BCa interval.  P-values "
            "are those of the corrected resampled t-test, with Holm's adjustment over "
            f"{len(found)} cells.\n"
        )
        say(frame_text(found))
        written = found
    else:
        with user_errors():
            values = published.values(name)
        compared = comparison.with_published(tables.results, values)
        if compared.cells.empty:
            raise usage(
                f"{folder} has no cell for which {name} has a value; "
                f"{_expected(tables.results, values)}"
            )
        say(
            f"{folder} compared with {name}: a ratio is the median over seeds divided by the "
            "published value.  An attack is stronger than published if the undefended learner's "
            "error, or the change of its predictions, is larger; a defense if it is smaller.  A "
            "ratio within 5% of 1 counts as met.\n"
        )
        say(frame_text(compared.cells))
        if len(compared.checks):
            say(f"\n{frame_text(compared.checks)}")
        written = compared.cells
        if output is not None:
            write(
                output.with_name(f"{output.stem}-checks{output.suffix}"),
                compared.checks.to_csv(index=False, lineterminator="\n"),
            )
    if output is not None:
        write(output, written.to_csv(index=False, lineterminator="\n"))


def _expected(results: pd.DataFrame, values: pd.DataFrame) -> str:
    """Return what a folder must have for a comparison; if it is only other rates, these."""
    key = ["dataset", "model"]
    same = values.merge(results[key].drop_duplicates(), on=key)
    if same.empty:
        return f"expected {_available(values)}"
    has = ", ".join(f"{rate:.3g}" for rate in sorted({*(results["n_poison"] / results["n_clean"])}))
    wanted = ", ".join(f"{rate:g}" for rate in sorted(set(same["poisoning_rate"])))
    return (
        f"it has the poisoning rates p/n {has} and the attacks "
        f"{', '.join(sorted(set(results['attack'])))}; expected some of the rates {wanted} with "
        f"{', '.join(sorted(set(same['attack'])))}"
    )


def _available(values: pd.DataFrame) -> str:
    pairs = values[["dataset", "model"]].drop_duplicates().itertuples(index=False, name=None)
    return ", ".join(f"{dataset} with {model}" for dataset, model in pairs)


def table_of_results(
    folder: Path,
    rows: str,
    columns: str,
    metric: str,
    statistic: str,
    form: str,
    where: list[str],
    output: Path | None,
) -> None:
    """Print or write tables of the results in a folder."""
    with user_errors():
        from poisonbench.config import fields
        from poisonbench.output import pivot
        from poisonbench.output.table_formats import FORMATS

    if form not in FORMATS:
        raise usage(
            f"--format {form}: there is no such format{fields.hint(form, list(FORMATS))} "
            f"expected {fields.one_of(list(FORMATS))}"
        )
    results = chosen_rows(read_tables(folder).results, where)
    try:
        made = pivot.make(results, rows.split(","), columns, metric, statistic)
    except ValueError as error:
        raise usage(f"poisonbench table: {error}") from None
    text = FORMATS[form](made)
    if output is None:
        say(text, nl=False)
    else:
        write(output, text)


def chosen_rows(results: pd.DataFrame, where: list[str]) -> pd.DataFrame:
    """Return the rows that meet every condition, such as ``defense=trim,huber``."""
    from poisonbench.config import fields

    for condition in where:
        column, equals, text = condition.partition("=")
        if not equals or column not in results:
            hint = fields.hint(column, list(map(str, results)))
            raise usage(
                f"--where {condition}: no column '{column}'{hint} expected a column of "
                "results.csv, such as --where defense=trim,huber"
            )
        values = results[column]
        wanted = text.split(",")
        shown = values.map(lambda value: f"{value:g}" if isinstance(value, float) else str(value))
        kept = results[shown.isin(wanted)]
        if kept.empty:
            raise usage(
                f"--where {condition}: no row has that value; expected one of "
                f"{', '.join(sorted(set(shown))[:12])}"
            )
        results = kept
    return results


def plot_results(
    folder: Path,
    reference: str | None,
    kinds: str,
    output: Path | None,
    *,
    training_sets: bool,
    data_dir: Path | None,
) -> None:
    """Write the figures of the results in a folder."""
    check_extra("plot")
    with user_errors():
        from poisonbench.config import fields
        from poisonbench.output import figures
        from poisonbench.output.drawings import KINDS, save

    wanted = kinds.split(",")
    for kind in wanted:
        if kind not in KINDS:
            raise usage(
                f"--format {kinds}: '{kind}' is not a format{fields.hint(kind, KINDS)} "
                f"expected {fields.one_of(KINDS)}, or several, separated by commas"
            )
    tables = read_tables(folder)
    known = published_values(reference, tables.results)
    out = output or folder / "figures"
    with using(out):
        out.mkdir(parents=True, exist_ok=True)
        values = None if known is None else known[1]
        written: list[Path] = []
        for drawing in figures.of_results(tables.results, tables.convergence, values):
            written += save(drawing, out, wanted)
        for drawing in training_set_drawings(tables, data_dir) if training_sets else ():
            written += save(drawing, out, wanted)
    if not written:
        raise usage(f"{folder}: nothing to draw; expected results at two or more poisoning rates")
    for path in written:
        say(str(path))


def training_set_drawings(tables: Tables, data_dir: Path | None) -> Iterator[Drawing]:
    """Yield the figures of poisoned training sets, except where their data are missing."""
    from dataclasses import replace

    from poisonbench.config.strict_yaml import ConfigError
    from poisonbench.output import refitting
    from poisonbench.output.layout import StoreError
    from poisonbench.output.training_set_figures import of_training_set

    for place in tables.folders:
        rows = tables.results[tables.results["folder"] == place.name]
        try:
            found = refitting.fitted_training_sets(place, refitting.plan_of(place, data_dir), rows)
        except (ConfigError, StoreError) as error:
            to_stderr(f"No figures of the training sets of {place}, which need the data: {error}")
            continue
        for fitted in found:
            slug = "-".join("".join(c if c.isalnum() else " " for c in fitted.title).split())
            for drawing in of_training_set(fitted):
                yield replace(drawing, name=f"{drawing.name}-{place.name}-{slug}")


def report_results(
    folder: Path,
    reference: str | None,
    output: Path | None,
    *,
    training_sets: bool,
    data_dir: Path | None,
    quiet: bool = False,
) -> Path:
    """Write the report of the results in a folder as one HTML file, and return its path."""
    check_extra("report")
    with user_errors():
        from poisonbench.output.report import html

    tables = read_tables(folder)
    known = published_values(reference, tables.results)
    drawings = list(training_set_drawings(tables, data_dir)) if training_sets else []
    name = folder.resolve().name
    path = output or folder / "report.html"
    write(
        path, html(tables, f"Poisoning of linear regression: {name}", known, drawings), quiet=quiet
    )
    return path


def frame_text(frame: pd.DataFrame) -> str:
    """Return a data frame as aligned text, without the columns that are equal in every row."""
    shown = frame[
        [name for name in frame if len(frame) == 1 or frame[name].astype(str).nunique() > 1]
    ]
    return str(shown.to_string(index=False, float_format=lambda value: f"{value:.3g}", na_rep=""))


def write(path: Path, text: str, *, quiet: bool = False) -> None:
    """Write a text file and, unless `quiet`, print its path."""
    with using(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    if not quiet:
        say(f"Written: {path}")
