"""The MSE table: recomputed with pandas from results.csv, and readable in print."""

from __future__ import annotations

import re
import shutil
from typing import Any

import pandas as pd
import pytest

from poisonbench import records
from poisonbench.output import tables
from poisonbench.output.layout import StoreError
from poisonbench.records import Labels, Measured, Round

CONFIG: dict[str, Any] = {
    "dataset": "diabetes",
    "model": [{"name": "ridge", "alpha": 0.1}, "ols"],
    "attack": [{"name": "optp", "iterations": 0}, "statp", "none"],
    "poisoning_rate": [0.1, {"rate": 0.2, "rate_of": "total"}, 0],
    "split": {"train": 60, "validation": 20, "test": 30},
    "defense": ["none", "oracle", *({"name": "trim", "restarts": n} for n in (1, 2))],
    "seeds": 3,
}


@pytest.fixture(scope="module")
def ran(shared_bench):
    """What a run of CONFIG prints, and its output folder, not to be touched."""
    said = shared_bench.invoke(CONFIG, "--output", "out").stdout
    return said, shared_bench.folder / "out"


def frame(**columns: list[Any]) -> pd.DataFrame:
    """Return rows like those of results.csv; what is not given is the same in all."""
    n = len(columns["test_mse"])
    rest = {name: [""] * n for name in tables.ROW_KEY}
    rest |= {"variables": [None] * n, "initialization": [None] * n, "outer_objective": [None] * n}
    rest["n_poison"] = [10] * n
    rest |= {"repetitions": [1] * n, "spread": [None] * n, "n_poison_assumed": [None] * n}
    values = {**rest, "rate_of": ["clean"] * n, "test_mse_clipped": columns["test_mse"], **columns}
    return pd.DataFrame(values, dtype=object)


def test_statistics_are_those_of_results_csv(ran):
    _, out = ran
    results = pd.read_csv(out / "results.csv", keep_default_na=False, na_values=[""])
    table = pd.read_csv(out / "table.csv", keep_default_na=False, na_values=[""])
    assert not table[[*tables.ROW_KEY, "metric"]].duplicated().any()
    rates = [0.0, 0.1, 0.2]
    assert list(table.columns) == [*tables.ROW_KEY, "metric"] + [
        f"{rate:g}_{name}" for rate in rates for name in ("mean", "sd", "median", "count")
    ]
    cells = 0
    for _, row in table.iterrows():
        same = results[tables.ROW_KEY].eq(row[tables.ROW_KEY]) | (
            results[tables.ROW_KEY].isna() & row[tables.ROW_KEY].isna()
        )
        mine = results[same.all(axis=1)]
        assert len(mine)
        for rate in rates:
            values = mine[mine["poisoning_rate"] == rate][row["metric"]]
            assert row[f"{rate:g}_count"] == len(values)
            for name, expected in {
                "mean": values.mean(),
                "sd": values.std(ddof=1),
                "median": values.median(),
            }.items():
                assert row[f"{rate:g}_{name}"] == pytest.approx(expected, nan_ok=True)
            cells += len(values)
    assert cells == 2 * len(results)  # every row counted once for each metric
    # Rows come in the order of the config.
    assert table["metric"].iloc[0] == "test_mse"
    table = table[(table["metric"] == "test_mse") & (table["model"] == "ridge")]
    assert list(dict.fromkeys(table["attack"])) == ["optp", "statp", "none"]
    assert list(dict.fromkeys(table["defense"])) == ["none", "oracle", "trim"]


@pytest.mark.parametrize("attack", ["statp", "none", "bgd"])
def test_axes_that_are_empty_or_alike_in_every_row(bench, attack):
    out = bench.run({**CONFIG, "attack": attack, "seeds": 1})
    table = pd.read_csv(out / "table.csv")
    assert len(table) == 2 * 4 * (1 if attack == "none" else 2) * 2
    assert (table["0_count"].max(), table["0_mean"].isna().all()) == (1, False)


def test_one_seed_has_no_standard_deviation(bench):
    table = pd.read_csv(bench.run({**CONFIG, "attack": "statp", "seeds": 1}) / "table.csv")
    assert table["0.1_sd"].isna().all()
    assert set(table["0.1_count"]) == {0, 1}
    text = tables.render(frame(seed=[0], poisoning_rate=[0.1], test_mse=[0.5]))
    assert "p/n, mean over 1 seed\n" in text
    assert text.endswith(" 0.500")


def test_rates_alike_in_six_digits_have_columns_of_their_own():
    rates = [0.12345678, 0.12345679]
    table = tables.mse_table(frame(seed=[0, 0], poisoning_rate=rates, test_mse=[1.0, 2.0]))
    assert table.loc[0, "0.12345678_mean"] == 1
    assert table.loc[0, "0.12345679_mean"] == 2


def test_many_rates():
    rates = [k / 100 for k in range(60)]
    table = tables.mse_table(frame(seed=[0] * 60, poisoning_rate=rates, test_mse=rates))
    assert table.filter(regex="_mean$").iloc[0].tolist() == rates


def test_nothing_done_makes_empty_tables(tmp_path):
    columns = records.names(Labels) + records.names(Measured)
    empty = tables.Results(
        pd.DataFrame(columns=columns, dtype=object),
        pd.DataFrame(columns=["seed"], dtype=object),
        pd.DataFrame(columns=records.names(Round)),
    )
    for path in tables.write_csvs(empty, tmp_path):
        assert len(path.read_text().splitlines()) == 1
    assert tables.mse_table(empty.results).empty


def test_the_printed_table_is_readable(ran):
    text, _ = ran
    assert "nan" not in text.lower()
    assert "None" not in text
    blocks = [
        block.splitlines() for block in text.strip().split("\n\n") if ": test MSE by" in block
    ]
    assert len(blocks) == 4  # 2 models, 2 kinds of rate
    means = r"test MSE by poisoning rate p/(n|\(n\+p\)), mean \(standard deviation\) over 3 seeds"
    for title, head, rule, *rows in blocks:
        assert re.fullmatch(rf"diabetes, split 60/20/30, (ridge\(alpha=0.1\)|ols): {means}", title)
        assert head.split()[:2] == ["attack", "defense"]
        assert set(rule) == {"-"}
        assert max(map(len, [head, *rows])) == len(rule) < 100
        # Numbers end where the heads of their columns end.
        ends = {match.end() for match in re.finditer(r"\S+", head)}
        for row in rows:
            for match in re.finditer(r"\d\S* \(\S+", row):
                assert match.end() in ends
    first = blocks[0][3:]
    assert first[0].startswith("optp(iterations=0) xy bflip validation  none")
    assert first[1].startswith("   ")  # the attack is named once
    assert re.search(r"^statp  +none ", "\n".join(first), re.M)


def test_numbers_in_print():
    results = frame(
        seed=[0, 1] * 3,
        defense=["none", "none", "huber", "huber", "trim", "trim"],
        poisoning_rate=[0.1, 0.1, 0.2, 0.2, 0.2, 0.2],
        test_mse=[0.1234, 0.1238, 12345.6, 12345.6, 123.4, 123.4],
    )
    assert tables.render(results).splitlines()[1:] == [
        "attack  defense              0.1             0.2",
        "------------------------------------------------",
        "        none     0.124 (0.00028)",
        "        huber                     1.23e+04 (0.0)",
        "        trim                           123 (0.0)",
    ]


@pytest.fixture
def results(ran):
    _, out = ran
    return pd.read_csv(out / "results.csv", keep_default_na=False, na_values=[""])


def test_a_partial_table_averages_over_the_seeds_that_every_cell_has(results):
    first, last = results["seed"].min(), results["seed"].max()
    assert first < last
    some = results[(results["seed"] == first) | (results["defense"] == "none")]
    text = tables.render(some)
    assert "over the 1 seed that every cell has (some have" in text
    alone = tables.render(results[results["seed"] == first])
    assert text.splitlines()[2:4] == alone.splitlines()[2:4]


def test_a_table_without_a_common_seed_says_that_it_is_not_paired(results):
    first = results["seed"].min()
    none = results["defense"] == "none"
    some = results[(none & (results["seed"] == first)) | (~none & (results["seed"] != first))]
    assert "not paired: no seed is in every cell" in tables.render(some)


def test_tables_that_are_read_again_print_the_same(ran):
    said, out = ran
    text = tables.render(tables.read_csvs(out).results)
    assert text
    assert text in said


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda columns: [*columns, "spare"], "spare"),
        (lambda columns: columns[:-1], None),
        (lambda columns: columns[::-1], None),
    ],
)
def test_a_table_of_another_version_is_refused_with_a_column_of_it(ran, tmp_path, change, named):
    out = shutil.copytree(ran[1], tmp_path / "out")
    path = out / "results.csv"
    rows = pd.read_csv(path, dtype=str, keep_default_na=False)
    columns = list(rows)
    rows.reindex(columns=change(columns)).to_csv(path, index=False)
    named = named or columns[-1]
    message = rf"columns are not those of this version \(such as {named}\)"
    with pytest.raises(StoreError, match=message):
        tables.read_csvs(out)


def test_a_defense_that_estimates_no_poison_is_named():
    words = {"seed": [0, 1, 2, 3], "poisoning_rate": [0.1] * 4, "test_mse": [1.0] * 4}
    source = {"defense": ["itrim"] * 4, "n_poison_source": [None] * 4}
    line = "itrim estimated 0 poison rows, and removed nothing, in 2 of 4 cells with poison."
    assumed = frame(**words, **source, n_poison_assumed=[0, 9, 0, 10])
    assert tables.render(assumed).endswith(f"\n\n{line}")
    clean = frame(**words, **source, n_poison_assumed=[0, 9, 0, 10], n_poison=[0] * 4)
    assert "estimated 0" not in tables.render(clean)
    told = {**source, "n_poison_source": ["count"] * 4}
    assert "estimated 0" not in tables.render(frame(**words, **told, n_poison_assumed=[0] * 4))
    assert "estimated 0" not in tables.render(frame(**words))
