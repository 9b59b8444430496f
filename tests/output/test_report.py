"""The report: what it says, that names in it are no markup, and how a browser shows it."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import pandas as pd
import pytest

from poisonbench.output import published
from poisonbench.output.reading import read

report = pytest.importorskip("poisonbench.output.report", reason="the extra plot is missing")


class Page(HTMLParser):
    """Which elements open and close, which identities and links there are, and all text."""

    VOID = frozenset({"meta", "link", "br", "img", "hr"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tags: set[str] = set()
        self.text = ""
        self.feed(text)
        assert not self.open, self.open

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.tags.add(tag)
        self.ids += [given["id"]] if "id" in given else []
        self.links += [given[key] for key in ("href", "src", "xlink:href") if given.get(key)]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


@pytest.fixture(scope="module")
def page(folder):
    return report.html(read(folder), "Results")


def test_the_page_is_well_formed_and_needs_nothing_else(page):
    found = Page(page)
    assert len(found.ids) == len(set(found.ids))
    for link in found.links:
        assert link.startswith("#") or link == "data:,"
        assert link == "data:," or link[1:] in found.ids
    assert not re.findall(r"url\((?!#)", page)


def test_figures_have_names_for_readers_of_screens(page):
    figures = re.findall(r"<svg [^>]*>", page)
    assert len(figures) == 5
    for figure in figures:
        assert 'role="img"' in figure
        assert "aria-label=" in figure


def test_it_says_what_happened(rows):
    results = pd.concat(
        [
            rows([0.04] * 3),
            rows([0.16] * 3, attack="coordinate"),
            rows([0.0105] * 3, attack="coordinate", defense="trim"),
            rows([0.05] * 3, attack="coordinate", defense="huber"),
            rows([0.012] * 3, attack="coordinate", defense="trim", poisoning_rate=0),
        ]
    ).assign(test_rmse_unscaled=100.0, response_unit="")
    (found,) = report.findings(results)
    damage, strongest, held, broken = found["sentences"]
    assert "60 poison rows added to 300 clean rows (20%)" in damage
    assert "from 10.0% of the response's range to 40.0%." in damage
    assert "is 16.0 times that" in damage
    assert strongest.startswith("The strongest attack is coordinate.")
    assert "trim held: under coordinate its test MSE is 1.05 times" in held
    assert "Without poison, its test MSE is 1.20 times" in held
    assert broken.endswith("at least 2 times the clean error under some attack: huber (5).")
    with_unit = results.assign(response_unit="US dollars")
    assert "to 100 US dollars" in next(iter(report.findings(with_unit)))["sentences"][0]
    with_unit = results.assign(response_unit="unit of progression")
    assert "to 100 units of progression" in next(iter(report.findings(with_unit)))["sentences"][0]


def test_a_defense_that_met_fewer_attacks_is_not_compared_by_its_worst(rows):
    results = pd.concat(
        [
            rows([0.5, 0.6]),
            rows([0.4, 0.4], attack="optp"),
            rows([0.011, 0.011], defense="trim"),
            rows([0.0105, 0.0105], defense="trim", attack="optp"),
            rows([0.01, 0.01], defense="ransac"),
            rows([0.05, 0.05], defense="roni"),
        ]
    ).assign(test_rmse_unscaled=None)
    (found,) = report.findings(results)
    held, broken, fewer = found["sentences"][2:]
    assert "With 60 poison rows, trim held: under the worst of 2 attacks, statp, its" in held
    assert broken.endswith("under some attack: roni (5).")
    assert fewer == "These defenses met fewer than the 2 attacks: ransac (1), roni (1)."


def test_of_many_attacks_the_strongest_are_listed(rows):
    errors = dict(zip("abcdefg", (0.1, 0.7, 0.3, 0.6, 0.2, 0.5, 0.4), strict=True))
    made = pd.concat([rows([value, value], attack=name) for name, value in errors.items()])
    (found,) = report.findings(made.assign(test_rmse_unscaled=None))
    listed = "b 0.70, d 0.60, f 0.50, g 0.40, c 0.30; the other 2 did less damage."
    assert found["sentences"][1].endswith(f"Median test MSE by attack: {listed}")


def test_what_is_not_covered(rows):
    said = " ".join(report.not_covered(rows([0.1], defense="trim", n_poison_source="oracle")))
    assert "adaptive" in said
    assert "trim was told the true number" in said
    assert "There was only 1 split of a data set" in said


def test_names_are_escaped(folder):
    tables = read(folder)
    evil = '<script>alert("x")</script>'
    results = tables.results.assign(
        dataset=evil, dataset_label=evil, defense_label="<b>&trim", model_label="'\"<img src=x>"
    )
    text = report.html(replace(tables, results=results), evil)
    assert evil not in text
    assert "<b>&trim" not in text
    assert Page(text).tags.isdisjoint({"b", "img"})


def test_it_shows_the_verdicts(folder):
    tables = read(folder)
    house = tables.results.assign(dataset="house", dataset_label="house")
    values = published.values("jagielski2018")
    text = report.html(replace(tables, results=house), "Results", ("jagielski2018", values))
    assert "Comparison with published values" in Page(text).text
    assert "weaker by" in text


@pytest.mark.slow
@pytest.mark.parametrize("width", [1200, 500])
def test_a_browser_shows_it_without_faults_and_requests(page, width, in_browser):
    found = in_browser(page, width)
    assert found["faults"] == []
    assert found["requests"] == []
    assert not found["wide"]
    assert found["figures"] == 5
    assert found["up"] == sorted(found["up"])
    assert found["down"] == sorted(found["down"], reverse=True)
