"""The page of an audit in a browser."""

from __future__ import annotations

import pytest

pytest.importorskip("poisonbench.output.report", reason="the extra plot is missing")


@pytest.mark.slow
@pytest.mark.parametrize("width", [1200, 500])
def test_a_browser_shows_it_without_faults_and_requests(made, width, in_browser):
    found = in_browser((made.out / "report.html").read_text(encoding="utf-8"), width)
    assert found["faults"] == []
    assert found["requests"] == []
    assert not found["wide"]
    assert found["figures"] >= 4
