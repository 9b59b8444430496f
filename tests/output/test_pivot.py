"""Tables of results: what they average over, what they mark, and how they are written."""

from __future__ import annotations

import shutil
import subprocess

import pandas as pd
import pytest

from poisonbench.output import pivot, table_formats


def test_cells_average_over_the_seeds_that_all_have(rows):
    results = pd.concat(
        [rows([1.0, 2, 3], defense="none"), rows([10.0, 20], defense="trim", seed=1)]
    )
    table = pivot.make(results)[0]
    assert [cells[0].mean for _, cells in table.rows] == [2.5, 15]
    assert "over 2 seeds that all cells have" in table.title
    assert table.notes == (
        "Cells have up to 3 seeds; only the seeds that all cells have are used.",
    )
    assert not table.counts_differ


def test_without_a_common_seed_a_table_is_not_paired_and_gives_counts(rows):
    results = pd.concat(
        [rows([1.0, 2, 3], defense="none"), rows([10.0, 20], defense="trim", seed=7)]
    )
    text = table_formats.terminal(pivot.make(results))
    assert "over 1 to 3 seeds" in text
    assert "Not paired" in text
    assert "2.00 (1.0) [3]" in text
    assert "15.0 (7.1) [2]" in text


def test_the_best_is_marked_only_beyond_noise(rows):
    steady, noisy = [0.01 + i * 1e-5 for i in range(6)], [0.5, 0.001, 0.4, 0.002, 0.5, 0.001]
    clear = pd.concat([rows(steady, defense="trim"), rows([0.5 + i * 1e-4 for i in range(6)])])
    unclear = pd.concat([rows(steady, defense="trim"), rows(noisy, defense="huber")])
    assert "*0.0100" in table_formats.terminal(pivot.make(clear))
    assert "*" not in table_formats.terminal(pivot.make(unclear))


def test_the_oracle_is_no_rival_and_an_attack_is_better_by_a_larger_error(rows):
    few = [0.001 + i * 1e-6 for i in range(6)]
    results = pd.concat(
        [
            rows(few, defense="oracle"),
            rows([0.01 + i * 1e-5 for i in range(6)], defense="trim"),
            rows([0.5 + i * 1e-4 for i in range(6)]),
        ]
    )
    assert "*0.0100" in table_formats.terminal(pivot.make(results))
    attacks = pd.concat([rows(few), rows([0.5 + i * 1e-4 for i in range(6)], attack="bgd")])
    assert "*0.500" in table_formats.terminal(pivot.make(attacks, rows=["attack"]))


def test_medians_have_quartiles(rows):
    text = table_formats.terminal(pivot.make(rows([1.0, 2, 3, 4, 9]), statistic="median"))
    assert "3.00 [2.00, 4.00]" in text


def test_what_is_neither_row_nor_column_makes_tables(rows):
    results = pd.concat([rows([1.0]), rows([2.0], model="lasso"), rows([3.0], dataset="health")])
    titles = [table.title for table in pivot.make(results)]
    assert [title.split(": ")[0] for title in titles] == [
        "house, split 300/250/500, ridge(alpha=0.1)",
        "house, split 300/250/500, lasso(alpha=0.1)",
        "health, split 300/250/500, ridge(alpha=0.1)",
    ]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"rows": ["defence"]}, "did you mean 'defense'"),
        ({"columns": "attack"}, "given twice"),
        ({"metric": "tset_mse"}, "did you mean 'test_mse'"),
        ({"statistic": "mode"}, "mean or median"),
        ({"metric": "white-box-share"}, "no row has the metric white-box-share"),
    ],
)
def test_what_is_wrong_is_said(rows, given, message):
    with pytest.raises(ValueError, match=message):
        pivot.make(rows([1.0]), **given)


def test_the_white_boxs_share_of_the_damage(rows):
    # Clean .01: the white box does .2 of damage, the surrogate .05, a quarter.
    results = pd.concat(
        [
            rows([0.21, 0.21]),
            rows([0.06, 0.06], attack_parameters="knowledge=surrogate:data"),
            rows([0.06], attack="bgd", attack_parameters="knowledge=surrogate:data"),
        ]
    )
    shares = pivot.with_white_box_share(results)["white_box_share"].tolist()
    assert shares[2:4] == pytest.approx([0.25, 0.25])
    assert pd.isna([*shares[:2], shares[4]]).all()


def test_csv_has_every_statistic(rows):
    line = table_formats.csv(pivot.make(rows([1.0, 3.0]))).splitlines()
    assert line[0] == "table,attack,defense,column,mean,sd,median,first_quartile,third_quartile," \
                      "largest,count,best"  # fmt: skip
    assert line[1].endswith("statp,none,0.2,2.0,1.4142135623730951,2.0,1.5,2.5,3.0,2,False")


def test_names_are_escaped(rows):
    results = rows([1.0], dataset="a_b & 50% #1 {x}|\\~^[y]")
    assert r"a\_b \& 50\% \#1 \{x\}|\textbackslash{}\textasciitilde{}\textasciicircum{}{[}y]" in (
        table_formats.latex(pivot.make(results, rows=["dataset"]))
    )
    assert r"\|" in table_formats.markdown(pivot.make(results, rows=["dataset"]))


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_latex_compiles(rows, tmp_path):
    results = pd.concat(
        [rows([1.0, 2.0], dataset="a_b & 50% #1 {x}\\~^[y]<z>"), rows([3.0], defense="trim")]
    )
    body = table_formats.latex(pivot.make(results, rows=["dataset", "defense"]))
    (tmp_path / "x.tex").write_text(
        "\\documentclass{article}\\usepackage{booktabs}\\begin{document}\n"
        f"{body}\\end{{document}}\n"
    )
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "x.tex"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:]
