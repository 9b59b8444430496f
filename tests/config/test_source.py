import contextlib
import math
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poisonbench.config import source as yaml_source
from poisonbench.config.strict_yaml import ConfigError, dump, parse


def long_form(word, short):
    return {} if short is None else {"name": short}


@pytest.fixture
def source(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def load(text, *overrides):
        Path("x.yaml").write_text(text, encoding="utf-8")
        return yaml_source.load(Path("x.yaml"), overrides, long_form)

    return load


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 1e-3),
        (".5e1", 5.0),
        ("5.", 5.0),
        ("1E5", 1e5),
        ("-.inf", -math.inf),
        ("007", 7),
        ("+5", 5),
        ("0o17", 15),
        ("0x1F", 31),
        ("~", None),
        ("", None),
        ("null", None),
        ("True", True),
        ("12:30", "12:30"),
        ("1_000", "1_000"),
        ("yes", "yes"),
        ("off", "off"),
        ("2020-01-01", "2020-01-01"),
        ("0b11", "0b11"),
        ("1e", "1e"),
        (".", "."),
        ("'5'", "5"),
        ("nUll", "nUll"),
    ],
)
def test_scalars_are_those_of_yaml_1_2(text, value):
    found, _ = parse(f"a: {text}", "x")
    assert found == {"a": value}
    assert type(found["a"]) is type(value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", "x.yaml:3: duplicate key 'a', first given on line 1"),
        ("a: {b: 1,\n b: 2}\n", "x.yaml:2: duplicate key 'b', first given on line 1"),
        ("a: &x [1, *x]", "x.yaml:1: an alias refers to something that contains it"),
        ("a: 1\n---\nb: 2\n", "x.yaml:2: not valid YAML: a second document"),
        ("a:\n\tb: 1\n", "x.yaml:2: not valid YAML: a tab"),
        ("a: 1\nb: 'x\n", "x.yaml:3: not valid YAML: found unexpected end"),
        ("a: *nowhere", "x.yaml:1: not valid YAML: found undefined alias"),
        ("a: !!python/name:os.system x", "x.yaml:1: 'x' does not fit the tag"),
        ("a: !thing {b: 1}", "x.yaml:1: the tag '!thing' is not supported"),
        ("a: 1\n5: 1", "x.yaml:2: the key 5 is not a string"),
        ("[a]: 1", "x.yaml:1: the key a list or map is not a string"),
        ("", "x.yaml: the file is empty"),
        ("# only this\n", "x.yaml: the file is empty"),
        ("- a\n", "x.yaml: not a mapping"),
        ("a: " + "[" * 5000, "x.yaml: nested too deeply"),
        ("a: " + "9" * 5000, "x.yaml:1: a number with 5000 digits is too long"),
        ("a: \x07", "x.yaml: not valid YAML: unacceptable character"),
        (
            "a: &a [1,1,1,1,1,1,1,1,1]\n"
            + "".join(f"{b}: &{b} [{','.join(9 * [f'*{a}'])}]\n" for a, b in pairwise("abcdef")),
            "x.yaml: more than 100000 values",
        ),
    ],
    ids=lambda text: text[:30],
)
def test_what_yaml_would_let_pass_is_an_error(source, text, message):
    with pytest.raises(ConfigError) as caught:
        source(text)
    assert str(caught.value).startswith(message)


def test_every_value_has_its_line(source):
    found = source("a: 1\nb:\n  c:\n    - x\n    - {d: 2,\n       e: 3}\n")
    lines = {
        ("a",): 1,
        ("b", "c"): 3,
        ("b", "c", 0): 4,
        ("b", "c", 1, "e"): 6,
        ("b", "c", 1, "e", "missing"): 6,
        ("absent",): None,
    }
    assert {path: found.line(path) for path in lines} == lines
    assert found.where(("b", "c", 1)) == "x.yaml:5"
    assert found.where(("absent",)) == "x.yaml"
    assert str(found.error(("b", "c", 0), "bad; expected y")) == "x.yaml:4: b.c.0: bad; expected y"


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\r\nb: [2,\r\n 3]\r\n")
    found = yaml_source.load(path, (), long_form)
    assert found.data == {"a": 1, "b": [2, 3]}
    assert found.line(("b", 1)) == 3


def test_files_that_cannot_be_read(tmp_path):
    (tmp_path / "latin.yaml").write_bytes(b"a: \xe9t\xe9")
    for name, message in [
        ("absent.yaml", "no such file"),
        (".", "is a folder"),
        ("latin.yaml", "is not valid UTF-8"),
        ("a\0b", "cannot be read"),
    ]:
        with pytest.raises(ConfigError, match=message):
            yaml_source.load(tmp_path / name, (), long_form)


@pytest.mark.parametrize(
    ("override", "changed"),
    [
        ("model=lasso", {"model": "lasso"}),
        ("model=a=b", {"model": "a=b"}),
        ("model.alpha=1e-1", {"model": {"name": "ridge", "alpha": 0.1}}),
        ("attack.0.v=x", {"attack": [{"name": "p", "v": "x"}, {"name": "q"}]}),
        ("attack.1.v=[1, 2]", {"attack": ["p", {"name": "q", "v": [1, 2]}]}),
        ("attack.1=r", {"attack": ["p", "r"]}),
        ("new.a.b=", {"new": {"a": {}}}),
    ],
)
def test_overrides(source, override, changed):
    data = {"model": "ridge", "attack": ["p", {"name": "q"}]}
    assert source(dump(data), override).data == {**data, **changed}


def test_what_an_override_set_is_placed_on_the_command_line(source):
    found = source("m: {name: ridge, k: {z: 1}}\nl: [1, 2]\n", "m.k=5", "l.1=7", "n.a=3")
    assert found.where(("m", "k", "z")) == "command line: m.k=5"
    assert found.where(("m", "name")) == "x.yaml:1"
    assert found.where(("l", 0)) == "x.yaml:2"
    assert found.where(("l", 1)) == "command line: l.1=7"
    assert found.where(("n", "b")) == "command line: n.a=3"
    assert found.line(("l", 1)) is None
    assert found.from_command_line(("l", 1))
    assert not found.from_command_line(("l", 0))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("foo", "not an override; expected key=value"),
        ("=3", "not an override"),
        ("a..b=1", "not an override"),
        (".a=1", "not an override"),
        ("a.=1", "not an override"),
        ("attack.v=x", "attack is a list of length 2, and 'v' is not one of its indices; "
                       "expected 0 to 1, such as attack.0.v=..."),
        ("attack.2.v=x", "such as attack.0.v=..."),
        ("attack.-1=x", "such as attack.0=..."),
        ("a=[", "not valid YAML"),
        ("a={b: 1, b: 2}", "duplicate key 'b'"),
    ],
)  # fmt: skip
def test_malformed_overrides_are_named(source, override, message):
    with pytest.raises(ConfigError) as caught:
        source("attack: [p, q]\n", override)
    assert str(caught.value).startswith(f"command line: {override}: ")
    assert message in str(caught.value)


characters = st.characters(exclude_characters="\0", exclude_categories=["Cs"])
words = ["yes", "1e-3", ".5e1", "0o7", "1_000", "null", "", "~", "="]
texts = st.text(characters) | st.sampled_from(words)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(texts, values, max_size=4))
def test_what_is_dumped_is_read_back(data):
    assert parse(dump(data), "x")[0] == (data or {})


@pytest.mark.parametrize(
    ("escape", "message"),
    [
        (r"\U00110000", "not valid YAML: an escape sequence stands for no character"),
        (r"\UFFFFFFFF", "not valid YAML: an escape sequence stands for no character"),
        (r"\ud800", r"a string contains the character U\+D800"),
        (r"\0", r"a string contains the character U\+0000"),
    ],
)
@pytest.mark.parametrize("line", ['b: "x{}"', '"x{}": 1', 'b: [{{"x{}": 1}}]'])
def test_characters_that_no_text_has(escape, message, line):
    with pytest.raises(ConfigError, match=f"^x.yaml:2: {message}"):
        parse(f"a: 1\n{line.format(escape)}\n", "x.yaml")


@settings(max_examples=50)
@given(st.text())
def test_any_text_is_either_read_or_refused(text):
    with contextlib.suppress(ConfigError):
        parse(text, "x")
