"""What CONTRIBUTING.md prints works as printed: one file is a new attack, defense or data set."""

from __future__ import annotations

import ast
import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

import poisonbench
from poisonbench import attacks, datasets, defenses, registry
from poisonbench.cli.app import app
from poisonbench.config import choices
from poisonbench.datasets import catalogued
from poisonbench.datasets.catalogue.entries import Entry

REPOSITORY = Path(__file__).resolve().parent.parent
PACKAGE = Path(poisonbench.__file__).resolve().parent.parent
CONTRACTS = ("attacks/test_contract.py", "defenses/test_contract.py", "datasets/test_contract.py",
             "test_registry.py", "test_doctests.py")  # fmt: skip

FOR_EACH = {"EVERY", "TAKES_RATE", "WRAPPING", "COUNTING", "ESTIMATING"}
"""Decorators of the tests that meet every component that there is."""

PLUGIN = """
import poisonbench.attacks, poisonbench.datasets, poisonbench.defenses

for package in (poisonbench.attacks, poisonbench.datasets, poisonbench.defenses):
    package.__path__.append(package.__name__.replace("poisonbench", {folder!r}).replace(".", "/"))
"""

CONFIG = """
dataset: {name: friedman, n: 90}
attack: [{name: flipped-copies, share: 0.75}, {name: optp, iterations: 1}]
poisoning_rate: 0.2
defense: [none, least-absolute, {name: trim-once, n_poison: {count: 3}}, trim-once]
seeds: 2
"""


@pytest.fixture(scope="module")
def page() -> str:
    path = REPOSITORY / "CONTRIBUTING.md"
    if not path.is_file():
        pytest.skip(f"no file {path}: not a checkout")
    return path.read_text(encoding="utf-8")


@pytest.fixture
def environment(page: str, tmp_path: Path) -> dict[str, str]:
    """The environment of a process that can import `with_examples`: it adds the printed files."""
    files = re.findall(r"`poisonbench/(\S+\.py)`:\n\n```python\n(.*?)^```", page, re.M | re.S)
    assert sorted({path.split("/")[0] for path, _ in files}) == ["attacks", "datasets", "defenses"]
    for path, code in files:
        place = tmp_path / "examples" / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(code)
    plugin = PLUGIN.format(folder=str(tmp_path / "examples"))
    (tmp_path / "with_examples.py").write_text(plugin)
    (tmp_path / "x.yaml").write_text(CONFIG)
    (tmp_path / "wrong.yaml").write_text(CONFIG.replace("0.75", "7"))
    (tmp_path / "guess.yaml").write_text(CONFIG.replace("{count: 3}", "estimated"))
    path = os.pathsep.join([str(tmp_path), str(PACKAGE)])
    return os.environ | {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}


@pytest.fixture
def examples(
    tmp_path: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Add the printed files to the package, for this process and for one test."""
    del environment
    monkeypatch.chdir(tmp_path)
    before = set(sys.modules)
    caches = (registry.components, choices.parameters)
    with monkeypatch.context() as patch:
        for package in (attacks, datasets, defenses):
            folder = tmp_path / "examples" / package.__name__.partition(".")[2]
            patch.setattr(package, "__path__", [*package.__path__, str(folder)])
        for cache in caches:
            cache.cache_clear()
        yield
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            package, _, module = name.rpartition(".")
            delattr(sys.modules[package], module)
            del sys.modules[name]
    for cache in caches:
        cache.cache_clear()


@pytest.mark.usefixtures("examples")
def test_the_command_line_and_a_run_know_the_examples(tmp_path: Path) -> None:
    def printed(command: str, code: int = 0) -> str:
        result = CliRunner().invoke(app, command.split())
        assert result.exit_code == code, result.output
        return result.stderr if code else result.stdout

    assert "flipped-copies    Copies of training rows with responses moved" in (
        printed("list attacks")
    )
    assert "share: a number with 0 <= share <= 1; default 1.0" in printed("list flipped-copies")
    assert "n_poison: oracle or {rate: " in printed("list trim-once")  # and no estimate
    schema = printed("schema")
    assert all(f'"{name}"' in schema for name in ("flipped-copies", "least-absolute", "friedman"))
    assert "How far a response moves" in schema
    assert "flipped-copies" in printed("run --help").split("attacks:")[1].split(":")[0]

    errors = printed("validate wrong.yaml", code=2)
    assert "wrong.yaml:3: " in errors
    assert "share" in errors
    errors = printed("validate guess.yaml", code=2)
    assert "guess.yaml:5: defense.2.n_poison: 'estimated'" in errors

    assert "flipped-copies" in printed("run x.yaml --output out --jobs 0")
    rows = (tmp_path / "out" / "results.csv").read_text().splitlines()
    assert len(rows) == 1 + 2 * 2 * 4
    assert sum(",flipped-copies," in row for row in rows) == 8
    assert sum(",least-absolute," in row for row in rows) == 4
    assert len(list((tmp_path / "out" / "poison").glob("flipped-copies-p6-*.npz"))) == 2


def test_the_examples_keep_the_rules_and_a_broken_rule_is_shown(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    folder = tmp_path / "examples" / "attacks"
    code = (folder / "flipped_copies.py").read_text()
    for old, new in (
        ("problem.generator()", "np.random.default_rng()"),
        ("flipped-copies", "broken-copies"),
        ("FlippedCopies", "BrokenCopies"),
    ):
        assert old in code
        code = code.replace(old, new)
    (folder / "broken_copies.py").write_text(code)
    words = ["flipped", "FlippedCopies", "least-absolute", "LeastAbsolute", "trim-once", "TrimOnce",
             "friedman", "(entropy and broken)"]  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "with_examples", "-p", "no:cacheprovider", "-rAf",
         "-q", "-n", "0", "--assert=plain", "-c", REPOSITORY / "pyproject.toml",
         "--rootdir", REPOSITORY,
         *(REPOSITORY / "tests" / name for name in CONTRACTS),
         "-k", " or ".join(words), "-m", "slow or not slow"],
        env=environment, cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    failed = re.findall(r"^FAILED \S*::(\S+)", done.stdout, re.M)
    assert failed == ["test_the_entropy_alone_decides[broken-copies]"], done.stdout[-3000:]
    assert "the rule of CONTRIBUTING.md that is broken" in done.stdout
    assert "**Random numbers.** They come from `problem.generator()` only" in done.stdout
    passed = " ".join(re.findall(r"^PASSED (.*)$", done.stdout, re.M))
    for name in (
        "test_the_entropy_alone_decides[flipped-copies]",
        "test_row_order_does_not_matter[least-absolute]",
        "test_every_other_is_a_scikit_learn_estimator[TrimOnce()-",  # a slow one
        "test_loads_the_same_usable_rows_every_time[friedman]",
        "test_a_component_has_an_example[defense-trim-once]",
    ):
        assert name in passed, name


def test_every_rule_that_a_test_enforces_is_written_down_and_every_rule_written_is_enforced(
    page: str,
) -> None:
    enforced = set()
    for name in CONTRACTS:
        tree = ast.parse((REPOSITORY / "tests" / name).read_text(encoding="utf-8"))
        for test in ast.walk(tree):
            if not isinstance(test, ast.FunctionDef):
                continue
            decorators = [ast.unparse(decorator) for decorator in test.decorator_list]
            found = {
                match[1] for one in decorators if (match := re.search(r"rule\('(.+)'\)$", one))
            }
            assert found or "contract" not in name or not FOR_EACH & {*decorators}, (
                f"{name}: {test.name} is a test of every component and enforces no written rule"
            )
            enforced |= found
    written = set(re.findall(r"^- \*\*(.+?)\.\*\*", page, re.M))
    assert enforced == written


def test_the_printed_entry_of_the_catalogue_is_a_data_set(page: str, tmp_path: Path) -> None:
    printed = re.search(r"^```yaml\n(- name: .*?)^```", page, re.M | re.S)
    assert printed
    (values,) = yaml.safe_load(printed[1])
    entry = Entry.model_validate(values)
    rows = [f"{hour},{1000 + hour * 7 % 11},{hour * hour % 13 / 10}" for hour in range(24)]
    content = "\n".join(["time,pressure,height", *rows, ""]).encode()
    assert entry.checksum == hashlib.sha256(content).hexdigest()
    (tmp_path / str(entry.file)).write_bytes(content)
    data = catalogued._loader(entry)(data_dir=tmp_path).load()
    assert (data.name, data.X.shape, data.target) == ("tides", (24, 2), "height")


def test_a_class_that_lacks_the_base_of_its_kind_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lonely.py").write_text(
        "class Lonely:\n    name = 'lonely'\n    reference = 'nobody'\n"
    )
    monkeypatch.setattr(defenses, "__path__", [*defenses.__path__, str(tmp_path)])
    registry.components.cache_clear()
    try:
        with pytest.raises(TypeError, match=r"Lonely has a name .* class Lonely\(Defense\)"):
            registry.components("defense")
    finally:
        sys.modules.pop("poisonbench.defenses.lonely", None)
        registry.components.cache_clear()
