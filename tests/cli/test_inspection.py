import json
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import jsonschema
import pytest
from typer.testing import CliRunner

from poisonbench import attacks, registry
from poisonbench.cli.app import app
from poisonbench.config import choices
from poisonbench.config.schema import schema

REPOSITORY = Path(__file__).parents[2]
GOOD = "dataset: diabetes\nattack: [optp, statp]\npoisoning_rate: [0.1, 0.2]\nseeds: 2\n"


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("x.yaml").write_text(GOOD)

    def invoke(*arguments):
        result = CliRunner().invoke(app, list(arguments))
        assert result.exception is None or isinstance(result.exception, SystemExit)
        return result

    return invoke


def test_validate_says_what_there_is(run):
    result = run("validate", "x.yaml", "defense=[none, oracle]")
    assert result.exit_code == 0
    assert result.stdout == ("x.yaml: OK: 1 dataset, 1 split, 1 model, 2 attack variants, 2 rates, "
                             "2 defenses, 2 seeds, 8 poison sets, 16 cells\n")  # fmt: skip


@pytest.mark.parametrize("command", ["validate", "show"])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["x.yaml", "poisoning_rate=1.5"], "command line: poisoning_rate=1.5: poisoning_rate: 1.5"),
        (["x.yaml", "foo"], "command line: foo: not an override"),
        (["absent.yaml"], "absent.yaml: no such file"),
        (["."], ".: is a folder"),
        ([], "Missing argument"),
        (["x.yaml", "--nonsense"], "No such option"),
    ],
)
def test_bad_input_is_exit_2_and_a_message_on_stderr(run, command, arguments, message):
    result = run(command, *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stdout == ""
    assert "Traceback" not in result.stderr


def test_show_prints_a_config_that_shows_the_same(run):
    first = run("show", "x.yaml", "model.alpha=0.1", "defense=[none, trim]")
    assert first.exit_code == 0
    Path("y.yaml").write_text(first.stdout)
    assert run("show", "y.yaml").stdout == first.stdout
    assert "alpha: 0.1" in first.stdout


def test_list_has_every_component(run):
    result = run("list")
    assert result.exit_code == 0
    for kind, plural in choices.PLURALS.items():
        section = re.search(rf"^{plural}\n((?:  .*\n?)+)", result.stdout, re.M)[1]
        assert re.findall(r"^  (\S+)", section, re.M) == choices.names(kind)


@pytest.mark.parametrize("word", ["defenses", "defense", "outer objectives", "outer_objective"])
def test_list_of_a_kind(run, word):
    result = run("list", word)
    assert result.exit_code == 0
    assert result.stdout.splitlines()[0] in ("defenses", "outer objectives")


def test_list_of_one_component_describes_its_parameters(run):
    text = run("list", "elastic-net").stdout
    assert "lambda: a number > 0 or cv; default cv" in text
    assert "rho: a number with 0 < rho <= 1; default 0.5\n      Share of the l1 norm" in text
    assert "Parameters\n---" not in text


def test_list_says_what_an_attack_is_computed_with(run):
    assert re.search(
        r"^  coordinate .*\n(?: {20}.*\n)* {20}runs with: (numpy|numba) \d",
        run("list", "attacks").stdout,
        re.M,
    )
    assert re.search(r"^Runs with: (numpy|numba) \d", run("list", "coordinate").stdout, re.M)
    assert "uns with" not in run("list", "optp").stdout


def test_list_of_a_name_of_two_kinds_describes_both(run):
    text = run("list", "none").stdout
    assert "none (attack)" in text
    assert "none (defense)" in text


def test_list_of_something_unknown(run):
    result = run("list", "rigde")
    assert result.exit_code == 2
    assert "did you mean 'ridge'?" in result.stderr


def test_schema_is_printed_or_written(run):
    printed = json.loads(run("schema").stdout)
    assert run("schema", "--output", "s.json").exit_code == 0
    assert json.loads(Path("s.json").read_text()) == printed == schema()
    jsonschema.Draft202012Validator.check_schema(printed)
    assert run("schema", "--output", "absent/s.json").exit_code == 2


def test_the_schema_in_the_repository_is_current():
    path = REPOSITORY / "configs" / "schema.json"
    if not path.parent.is_dir():
        pytest.skip("not in a checkout of the repository")
    assert json.loads(path.read_text()) == schema(), (
        "out of date; run: poisonbench schema --output configs/schema.json"
    )


def test_help_has_examples_line_by_line_and_the_names(run):
    for command in ("validate", "show", "list", "schema"):
        result = run(command, "--help")
        assert result.exit_code == 0
        assert re.search(rf"Examples:\n(    poisonbench {command}.*\n)+", result.stdout)
    text = run("validate", "--help").stdout
    assert re.search(r"attacks: [^:]*\bstatp\b", text)
    assert re.search(r"defenses: .*\boracle\b", text)


def test_help_does_not_load_the_numerics():
    code = (
        "import sys; from poisonbench.cli.app import app; app(['--help'], standalone_mode=False); "
        "sys.exit(bool({'numpy', 'pydantic', 'sklearn', 'yaml'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True)
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()
    assert b"Usage: " in done.stdout


def test_version(run):
    assert re.fullmatch(r"poisonbench \d+\.\d+\.\d+\n", run("--version").stdout)


TOY = '''
from poisonbench.attacks.base import Attack


class Toy(Attack):
    """Does nothing of interest.

    Parameters
    ----------
    strength : float, default=0.5
        How strongly it does it.
    """

    name = "toy"
    reference = "nowhere"

    def __init__(self, strength: float = 0.5, outer_objective: str = "training") -> None:
        self.strength = strength
        self.outer_objective = outer_objective

    def generate(self, problem):
        raise NotImplementedError
'''


@pytest.fixture
def toy_attack(tmp_path, monkeypatch):
    """Put one new file beside the attacks."""
    folder = tmp_path / "attacks"
    folder.mkdir()
    (folder / "toy.py").write_text(textwrap.dedent(TOY))
    monkeypatch.setattr(attacks, "__path__", [*attacks.__path__, str(folder)])
    caches = (registry.components, choices.parameters)
    for cache in caches:
        cache.cache_clear()
    yield
    for cache in caches:
        cache.cache_clear()
    sys.modules.pop("poisonbench.attacks.toy", None)


@pytest.mark.usefixtures("toy_attack")
def test_one_new_file_is_all_that_a_new_attack_needs(run):
    assert re.search(r"^  toy +Does nothing of interest\.$", run("list", "attacks").stdout, re.M)
    assert "How strongly it does it." in run("list", "toy").stdout
    assert re.search(r"attacks: [^:]*\btoy\b", run("validate", "--help").stdout)
    config = {"dataset": "diabetes", "attack": {"name": "toy", "strength": 2}, "poisoning_rate": 0}
    jsonschema.validate(config, schema())
    overrides = ["attack=toy", "attack.strength=2", "outer_objective=[training, validation]"]
    assert "2 attack variants" in run("validate", "x.yaml", *overrides).stdout
    assert run("validate", "x.yaml", "attack=toy", "attack.strength=x").exit_code == 2
