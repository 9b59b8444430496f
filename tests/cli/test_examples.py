"""Every example that a command's help shows is a command line that works."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from typer.testing import CliRunner

from poisonbench.cli.app import app

SMALL = {
    "dataset": "diabetes",
    "model": {"name": "ridge", "alpha": 0.1},
    "attack": ["statp", {"name": "bgd", "iterations": 1}],
    "poisoning_rate": [0, 0.1],
    "split": {"train": 40, "validation": 20, "test": 30},
    "defense": ["none", "trim", "huber"],
    "seeds": 2,
}
"""In the place of every config that an example names."""

ELSEWHERE = {
    "tcp://": "a Dask cluster",
    "datasets fetch": "the network",
    "--fetch": "the network",
    "reproduce jagielski2018": "data that are not passed on",
    "/scratch": "a folder of somebody's cluster",
    "compare results/jagielski2018": "data that are not passed on",
    "compare results/house": "data that are not passed on",
    "datasets describe house": "data that are not passed on",
    "datasets verify house": "data that are not passed on",
}
"""What an example needs that is not here; its arguments are read all the same."""


def commands(group: Any, above: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Yield the commands of the program with their names, such as ``datasets list``."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*above, name))
        else:
            yield " ".join((*above, name)), command


ROOT = typer.main.get_command(app)
COMMANDS = dict(commands(ROOT))


def examples(command: Any) -> list[list[str]]:
    """Return the examples in a command's help, as words; comments and redirections are cut off."""
    lines = re.findall(r"^ *poisonbench (.*)$", command.help or "", re.M)
    return [shlex.split(re.split(r"   +|>", line)[0]) for line in lines]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_examples_whose_arguments_are_read(name: str) -> None:
    found = examples(COMMANDS[name])
    assert found
    assert any(words[: len(name.split())] == name.split() for words in found)
    for words in [*found, *examples(ROOT)]:
        known = next(n for n in sorted(COMMANDS, key=len, reverse=True)
                     if words[: len(n.split())] == n.split())  # fmt: skip
        COMMANDS[known].make_context(known, words[len(known.split()) :])


@pytest.mark.slow
def test_every_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("POISONBENCH_DATA", raising=False)
    every = [words for command in (ROOT, *COMMANDS.values()) for words in examples(command)]
    for word in {word for words in every for word in words if word.endswith(".yaml")}:
        Path(word).parent.mkdir(parents=True, exist_ok=True)
        Path(word).write_text(yaml.safe_dump(SMALL))
    (tmp_path / "first" / "config.yaml").unlink()
    raw = "id,url,zip,area,age,price\n" + "".join(
        f"{i},u{i},0{i % 3}501,{i * 7 % 41} m2,{i * 5 % 23},{i * i % 37}\n" for i in range(60)
    )
    Path("raw.csv").write_text(raw)
    for name in ("sales.csv", "new.csv"):
        Path(name).write_text(raw)
    # What others work on comes first, whatever the order of the commands.
    first = ("init", "run", "sweep", "datasets prepare")
    every.sort(key=lambda words: ("--add" in words, not " ".join(words).startswith(first)))
    runner, seen = CliRunner(), set()
    for words in every:
        line = " ".join(words)
        if line in seen or any(what in line for what in ELSEWHERE):
            continue
        seen.add(line)
        folders = [word for word in words[1:] if word.startswith("results/")]
        makes = ("run", "sweep", "rerun", "merge", "verify")
        works_on = words[0] not in makes or "--add" in words
        for folder in folders if works_on else []:
            make = ["run", "configs/quickstart.yaml", "--jobs", "0", "--quiet", "--output", folder]
            if not Path(folder).exists():  # of another config
                assert runner.invoke(app, make).exit_code == 0
        quick = []
        if words[0] in ("run", "sweep", "rerun") and "--dry-run" not in words:
            quick = [] if {"--jobs", "--emit-slurm"} & set(words) else ["--jobs", "0"]
            # Examples of one command are alternatives, in the same folder by default.
            ending = {"run": "", "sweep": "-sweep", "rerun": "-rerun"}[words[0]]
            if not {"--output", "--add"} & set(words):
                shutil.rmtree(Path("results", Path(words[1]).stem + ending), ignore_errors=True)
        if words[0] == "verify" and "--jobs" not in words:
            quick = ["--jobs", "0"]
        if words[0] == "audit":
            quick = ["--jobs", "0", "--splits", "1", *([] if "--budget" in words else
                     ["--budget", "0.02"])]  # fmt: skip
        if "--shard" in words:  # and the other shards
            at = words.index("--shard")
            runner.invoke(app, [*words[:at], *words[at + 2 :], *quick])
        result = runner.invoke(app, [*words, *quick])
        assert result.exit_code == 0, f"poisonbench {line}\n{result.output}"
