"""Fixtures that every test may use."""

from __future__ import annotations

import os

# Before NumPy loads its linear algebra, here and in the processes that tests start: the tests run
# on all processors already.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import functools
import gc
import json
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import typer
import yaml
from joblib.externals.loky import get_reusable_executor
from sklearn.base import clone
from typer.testing import CliRunner, Result

from poisonbench import registry
from poisonbench.cli.app import app
from poisonbench.config import choices
from poisonbench.data.scaling import Scaling
from poisonbench.features import FeatureSpace, OneHotGroup
from poisonbench.models import LinearModel, Ridge
from poisonbench.problem import AttackProblem, Sample

REPOSITORY = Path(__file__).resolve().parent.parent


def rules(page: str) -> dict[str, str]:
    """Return the rules of a page: list items that begin with a name in bold."""
    items = re.findall(r"^- (\*\*(.+?)\.\*\*.*?)(?=^\S|\Z)", page, re.M | re.S)
    return {name: " ".join(text.split()) for text, name in items}


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "rule(name): the rule of CONTRIBUTING.md that it enforces")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Show the rule that a test enforces where it fails."""
    report = yield
    marker = item.get_closest_marker("rule")
    page = REPOSITORY / "CONTRIBUTING.md"
    if marker and report.failed and page.is_file():
        text = rules(page.read_text(encoding="utf-8"))[marker.args[0]]
        report.sections.append(("the rule of CONTRIBUTING.md that is broken", text))
    return report


@pytest.fixture(scope="session", autouse=True)
def without_waiting() -> Iterator[None]:
    """Leave out what takes time and changes nothing that a test of this process can see.

    These are the wait for the disk after each file, and the making of the commands from their
    functions (50 ms) each time that one is run.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda file: None)
        patch.setattr(typer.testing, "_get_command", functools.cache(typer.main.get_command),
                      raising=False)  # fmt: skip
        yield


@pytest.fixture(autouse=True)
def heard_alarms() -> None:
    """Take away what hypothesis runs at a garbage collection, where alarms would be lost."""
    gc.callbacks[:] = [run for run in gc.callbacks if not run.__module__.startswith("hypothesis")]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of the data sets that are too large, or not ours, to ship."""
    default = REPOSITORY.parent / "shared" / "data"
    folder = Path(os.environ.get("POISONBENCH_TEST_DATA", default))
    if not folder.is_dir():
        pytest.skip(f"no folder {folder}; POISONBENCH_TEST_DATA names another")
    return folder


def existing(path: Path) -> Path:
    if not path.is_file():
        pytest.skip(f"no file {path}")
    return path


@pytest.fixture(scope="session")
def house_csv(shared_data: Path) -> Path:
    return existing(shared_data / "house-processed.csv")


@pytest.fixture(scope="session")
def health_csv(shared_data: Path) -> Path:
    return existing(shared_data / "pharm-preproc.csv")


@pytest.fixture
def fresh_processes() -> Iterator[None]:
    """End the processes that joblib keeps from an earlier test, and those of this one.

    They have that test's plug-ins, and write where its stderr went.
    """
    get_reusable_executor().shutdown(kill_workers=True)
    yield
    get_reusable_executor().shutdown(kill_workers=True)


@dataclass(frozen=True)
class Bench:
    """The command line, in process, with a folder of its own."""

    folder: Path

    def invoke(self, config: dict[str, Any], *arguments: str, code: int = 0) -> Result:
        """Run a config as ``poisonbench run x.yaml ARGUMENTS`` in this folder.

        In this very process, as processes of their own take seconds to start.
        """
        (self.folder / "x.yaml").write_text(yaml.safe_dump(config))
        with chdir(self.folder):
            result = CliRunner().invoke(app, ["run", "x.yaml", "--jobs", "0", *arguments])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.stderr
        assert result.exit_code == code, result.stdout + result.stderr
        assert "Traceback (" not in result.stderr
        return result

    def run(self, config: dict[str, Any], *arguments: str, out: str = "out", code: int = 0) -> Path:
        """Run a config quietly and return its output folder."""
        result = self.invoke(config, "--quiet", "--output", out, *arguments, code=code)
        assert result.stdout == ""
        return self.folder / out

    def results(self, config: dict[str, Any], *arguments: str, **options: Any) -> pd.DataFrame:
        """Run a config and return the rows of its ``results.csv``."""
        path = self.run(config, *arguments, **options) / "results.csv"
        return pd.read_csv(path, keep_default_na=False, na_values=[""])


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.chdir(tmp_path)
    return Bench(tmp_path)


@pytest.fixture(scope="module")
def shared_bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """One whose folder the tests of a module share, for results that several of them read."""
    return Bench(tmp_path_factory.mktemp("shared"))


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Path]]:
    """Install components of somebody else's distribution, in a folder for ``PYTHONPATH``."""
    folder = tmp_path / "site"
    caches = (registry.components, choices.parameters)

    def install(code: str, **components: str) -> Path:
        """Give `code` as a module, with its classes by kind, such as ``attacks="Toy"``."""
        (folder / "toys-1.0.dist-info").mkdir(parents=True)
        (folder / "toys.py").write_text(textwrap.dedent(code))
        (folder / "toys-1.0.dist-info" / "METADATA").write_text("Name: toys\nVersion: 1.0\n")
        (folder / "toys-1.0.dist-info" / "entry_points.txt").write_text(
            "".join(
                f"[poisonbench.{package}]\n"
                + "".join(f"{name} = toys:{name}\n" for name in names.split())
                for package, names in components.items()
            )
        )
        monkeypatch.syspath_prepend(folder)
        for cache in caches:
            cache.cache_clear()
        return folder

    yield install
    sys.modules.pop("toys", None)
    for cache in caches:
        cache.cache_clear()


@pytest.fixture(scope="session")
def make_problem() -> Callable[..., AttackProblem]:
    """Makes small attack problems whose arrays cannot be written to."""
    return attack_problem


def attack_problem(
    model: LinearModel | None = None,
    *,
    n: int = 40,
    n_validation: int = 20,
    n_poison: int = 6,
    numeric: int = 3,
    duplicates: int = 0,
    constants: int = 0,
    groups: Sequence[int] = (3,),
    all_zero: bool = False,
    seed: int = 0,
    entropy: int = 1,
) -> AttackProblem:
    """Return a linear truth with noise.

    Columns: `numeric` ones, `duplicates` copies of the first, `constants` that are 0 in training,
    one-hot groups of the given sizes, with a row of zeros among the choices where `all_zero`.
    """
    rng = np.random.default_rng(seed)
    rows = n + n_validation
    names = [f"x{j}" for j in range(numeric + duplicates + constants)]
    columns = [rng.random((rows, numeric))]
    columns += [columns[0][:, :1]] * duplicates
    empty = rng.random((rows, constants))
    empty[:n] = 0.0
    columns.append(empty)
    one_hot = []
    for g, k in enumerate(groups):
        one_hot.append(OneHotGroup(f"g{g}", tuple(range(len(names), len(names) + k)), all_zero))
        names += [f"g{g}:{value}" for value in range(k)]
        levels = np.vstack([np.eye(k), np.zeros((int(all_zero), k))])
        columns.append(levels[rng.permutation(rows) % len(levels)])
    X = np.hstack(columns)
    d = len(names)
    truth = rng.uniform(-1.0, 1.0, d)
    y = 0.5 + X @ truth / (2 * np.abs(truth).sum()) + 0.05 * rng.standard_normal(rows)
    y = np.clip(y, 0.0, 1.0)
    train, validation = Sample(X[:n].copy(), y[:n].copy()), Sample(X[n:].copy(), y[n:].copy())
    fitted = clone(model or Ridge(lam=0.01)).fit(train.X, train.y)
    for array in (train.X, train.y, validation.X, validation.y, fitted.coef_):
        array.setflags(write=False)
    return AttackProblem(
        train=train,
        validation=validation,
        model=fitted,
        space=FeatureSpace(tuple(names), tuple(one_hot)),
        target="y",
        scaling=Scaling(np.zeros(d), np.ones(d), 0.0, 1.0),
        n_poison=n_poison,
        entropy=entropy,
    )


BROWSERS = ("chromium", "chromium-browser", "google-chrome")

WATCH = """
<script>
window.faults = [];
window.addEventListener("error", event => window.faults.push(String(event.message)));
const said = console.error; console.error = (...all) => window.faults.push(all.join(" "));
</script>
"""

MEASURE = """
<script>
window.addEventListener("load", () => {
  const wide = document.documentElement.scrollWidth > window.innerWidth + 1;
  const svgs = [...document.querySelectorAll("figure svg")];
  const button = document.querySelector("table.sortable th.n button");
  const column = button.closest("th").cellIndex;
  const read = () => [...button.closest("table").tBodies[0].rows]
    .map(row => Number(row.cells[column].dataset.value));
  button.click(); const up = read(); button.click(); const down = read();
  document.body.innerHTML = ""; document.title = "";
  document.body.append(JSON.stringify({
    faults: window.faults, wide, figures: svgs.length, up, down, width: window.innerWidth,
    requests: performance.getEntriesByType("resource").map(entry => entry.name)
      .filter(name => !name.startsWith("data:")),
  }));
});
</script>
"""


@pytest.fixture
def in_browser(tmp_path: Path) -> Callable[[str, int], dict[str, Any]]:
    """A function that shows a page in a window of some width, and returns what it measures."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        pytest.skip("no Chromium here")

    def run(page: str, width: int) -> dict[str, Any]:
        # Measured before the page is emptied; the frame gives a phone's width to any Chromium.
        inner = page.replace("<head>", f"<head>{WATCH}", 1).replace("</body>", f"{MEASURE}</body>")
        path = tmp_path / "report.html"
        path.write_text(inner, encoding="utf-8")
        done = subprocess.run(
            [
                browser, "--headless", "--no-sandbox", "--disable-gpu",
                "--disable-dev-shm-usage",
                "--disable-quic", "--no-first-run", "--disable-background-networking",
                "--disable-component-update", "--disable-sync",
                f"--user-data-dir={tmp_path / 'profile'}",
                f"--window-size={width},900", "--dump-dom", path.as_uri(),
            ],
            capture_output=True, text=True, timeout=120, check=True,
        )  # fmt: skip
        measured = re.search(r"\{.*\}", done.stdout.split("<body>")[-1])
        assert measured is not None, done.stdout
        found: dict[str, Any] = json.loads(measured[0])
        return found

    return run
