"""The statements on the pages of the repository are true."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

REPOSITORY = Path(__file__).resolve().parent.parent


def page(name: str) -> str:
    path = REPOSITORY / name
    if not path.is_file():
        pytest.skip(f"no file {path}: not a checkout")
    return path.read_text(encoding="utf-8")


def test_ci_runs_the_two_commands_of_the_readme() -> None:
    commands = re.findall(r"^    (python -m pip install \S+) && (.+)$", page("README.md"), re.M)
    assert len(commands) == 2
    lines = page(".ci/run").splitlines()
    for install, then in commands:
        assert install in lines
        assert any(line.startswith(then) for line in lines)


def test_the_readme_shows_the_quickstart_as_it_is() -> None:
    shown = re.search(r"^```yaml\n(dataset: diabetes.*?)^```", page("README.md"), re.M | re.S)
    assert shown
    assert yaml.safe_load(shown[1]) == yaml.safe_load(page("configs/quickstart.yaml"))


def test_the_faults_that_are_put_into_the_package_fit_its_code() -> None:
    page("tests/mutation/faults.yaml")
    command = [sys.executable, "tests/mutation/run.py", "--list", "--every"]
    listed = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=300)
    assert not listed.returncode, listed.stderr
    survivors = yaml.safe_load(page("tests/mutation/survivors.yaml"))
    assert not {*survivors} - {*listed.stdout.splitlines()}


def test_links_between_pages_lead_somewhere() -> None:
    for name in ("README.md", "CONTRIBUTING.md", "results/README.md", "datasets/README.md"):
        for target in re.findall(r"\]\(([^)#:]+)\)", page(name)):
            assert (REPOSITORY / name).parent.joinpath(target).exists(), f"{name}: {target}"
