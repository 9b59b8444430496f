"""The page of an audit in a browser."""

from __future__ import annotations

import json
import re
import subprocess

import pytest

pytest.importorskip("poisonbench.output.report", reason="the extra plot is missing")

from tests.output.test_report import CHROMIUM, MEASURE, WATCH


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
@pytest.mark.parametrize("width", [1200, 500])
def test_a_browser_shows_it_without_faults_and_requests(made, tmp_path, width):
    page = (made.out / "report.html").read_text(encoding="utf-8")
    inner = page.replace("<head>", f"<head>{WATCH}", 1).replace("</body>", f"{MEASURE}</body>")
    path = tmp_path / "report.html"
    path.write_text(inner, encoding="utf-8")
    done = subprocess.run(
        [
            str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu",
            "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking",
            f"--user-data-dir={tmp_path / 'profile'}",
            f"--window-size={width},900", "--dump-dom", path.as_uri(),
        ],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    found = json.loads(re.search(r"\{.*\}", done.stdout.split("<body>")[-1])[0])
    assert found["faults"] == []
    assert found["requests"] == []
    assert not found["wide"]
    assert found["figures"] >= 4
