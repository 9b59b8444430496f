"""The catalogue, its loaders, and the commands that read it."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError
from typer.testing import CliRunner

from poisonbench import registry
from poisonbench.cli.app import app
from poisonbench.config import choices
from poisonbench.data.csv import read_dataset
from poisonbench.datasets.catalogue.describe import histogram
from poisonbench.datasets.catalogue.entries import Entry, PublishedFile, data_folder, entries
from poisonbench.datasets.catalogue.fetch import fetch
from poisonbench.datasets.catalogue.readme import readme
from poisonbench.datasets.catalogued import MissingDataError
from poisonbench.datasets.csv import Csv
from poisonbench.preparation import Choices, prepare

REPOSITORY = Path(__file__).parents[3]
LOAN = "int_rate,a\n" + "0,1\n0.5,0.25\n" * 550
"""What might be the file of loan: its checksum is not known."""

Invoke = Callable[..., Any]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Invoke:
    monkeypatch.chdir(tmp_path)
    for variable in ("POISONBENCH_DATA", "POISONBENCH_MIRROR", "http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    Path("x.yaml").write_text("dataset: house\nattack: statp\npoisoning_rate: 0.1\nseeds: 1\n")

    def invoke(*arguments: str) -> Any:
        result = CliRunner().invoke(app, list(arguments))
        assert result.exception is None or isinstance(result.exception, SystemExit)
        return result

    return invoke


@pytest.fixture
def mirror(tmp_path: Path, run: Invoke, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A web folder, named by POISONBENCH_MIRROR."""
    folder = tmp_path / "mirror"
    folder.mkdir()

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    handler = partial(Handler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        monkeypatch.setenv("POISONBENCH_MIRROR", f"http://127.0.0.1:{http.server_port}/")
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield folder
        http.shutdown()
        thread.join()


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> bytes:
    """Make the catalogue's house a small file."""
    content = b"SalePrice,a,g:1\n0,0.5,1\n0.5,1,0\n1,0,0\n"
    sha256 = hashlib.sha256(content).hexdigest()
    published = PublishedFile(
        kind="file", url="https://data.invalid/a.csv", sha256=sha256, size=len(content)
    )
    small = entries()["house"].model_copy(
        update={"origin": published, "rows": 3, "features": 2, "groups": ("g",)}
    )
    monkeypatch.setitem(entries(), "house", small)
    monkeypatch.setattr(registry.components("dataset")["house"], "entry", small)
    return content


def test_every_entry_is_a_loader_and_every_loader_an_entry() -> None:
    assert set(registry.components("dataset")) == {*entries(), "csv"}
    for name, loader in registry.components("dataset").items():
        if name != "csv" and entries()[name].file:
            assert loader.reference == entries()[name].citation
            scaling = {p.name: p.default for p in registry.parameters(loader)}
            assert scaling == {"scaling": entries()[name].scaling}
            assert entries()[name].title in registry.summary(loader)
            assert choices.parameters("dataset", name)[0].description


def test_what_the_catalogue_must_hold() -> None:
    known = entries()
    expected = {"house", "health", "loan", "house-raw", "california", "diabetes", "synthetic",
                "abalone", "concrete", "airfoil", "energy", "grid-stability", "cpu-activity",
                "protein", "bike-sharing"}  # fmt: skip
    assert expected <= set(known)
    files = [entry.file for entry in known.values() if entry.file]
    assert len(set(files)) == len(files)
    for entry in known.values():
        assert entry.terms or entry.name == "synthetic"
        if "none stated" in entry.licence or "-NC" in entry.licence:
            assert entry.redistribution != "allowed"
    assert "recorded at the first fetch" in known["loan"].unverified


def test_the_checksums_are_those_of_the_files(shared_data: Path) -> None:
    listed = dict(
        reversed(line.split()) for line in (shared_data / "SHA256SUMS").read_text().splitlines()
    )
    for name in ("house", "health"):
        entry = entries()[name]
        assert isinstance(entry.origin, PublishedFile)
        assert listed[str(entry.file)] == entry.origin.sha256
        assert (shared_data / str(entry.file)).stat().st_size == entry.origin.size


@pytest.mark.parametrize(
    "change",
    [
        {"file": "../house.csv"},
        {"file": "/etc/passwd"},
        {"file": ".hidden.csv"},
        {"name": "House"},
        {"origin": {"kind": "file", "url": "http://x/y.csv"}},
        {"origin": {"kind": "file", "url": "https://x/y.csv", "sha256": "abc"}},
        {"origin": {"kind": "carrier pigeon"}},
        {"title": ""},
        {"colour": "red"},
    ],
)
def test_entries_are_checked(change: dict[str, Any]) -> None:
    entry = entries()["house"].model_dump()
    Entry.model_validate(entry)
    with pytest.raises(ValidationError):
        Entry.model_validate({**entry, **change})


def test_the_readme_in_the_repository_is_current() -> None:
    path = REPOSITORY / "datasets" / "README.md"
    if not path.is_file():
        pytest.skip("not in a checkout of the repository")
    assert path.read_text(encoding="utf-8") == readme(), (
        "out of date; run: poisonbench datasets list --markdown > datasets/README.md"
    )
    assert "{{" not in readme()


def test_where_data_lie(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("POISONBENCH_DATA", raising=False)
    assert data_folder() == Path("datasets")
    monkeypatch.setenv("POISONBENCH_DATA", "/elsewhere")
    assert data_folder() == Path("/elsewhere")
    assert data_folder(Path("here")) == Path("here")
    monkeypatch.setenv("POISONBENCH_DATA", "")
    assert data_folder() == Path("datasets")


@pytest.mark.parametrize(
    ("name", "target"), [("house", "SalePrice"), ("health", "TherapeuticDoseofWarfarin")]
)
def test_by_name_is_the_same_as_by_path(
    shared_data: Path, monkeypatch: pytest.MonkeyPatch, name: str, target: str
) -> None:
    monkeypatch.setenv("POISONBENCH_DATA", str(shared_data))
    loader = registry.components("dataset")[name]
    named = loader().load()
    path = shared_data / str(entries()[name].file)
    assert named.name == name
    # Only the catalogue knows what the file was scaled from.
    assert named.unit is not None
    by_path = Csv(path=path, target=target, scaling="none").load()
    assert replace(named, unit=None).fingerprint == by_path.fingerprint
    scaled = loader(scaling="train", data_dir=shared_data).load()
    by_path = Csv(path=path, target=target, scaling="train").load()
    assert replace(scaled, unit=None).fingerprint == by_path.fingerprint


def test_a_run_by_name_gives_the_numbers_of_a_run_by_path(run: Invoke, house_csv: Path) -> None:
    by_path = f"dataset={{name: csv, path: {house_csv}, target: SalePrice, scaling: none}}"
    common = ["defense=[none, trim]", "model.alpha=0.1", "split.train=100", "split.validation=50",
              "split.test=100", "--jobs", "0", "--quiet"]  # fmt: skip
    assert run("run", "x.yaml", by_path, *common, "--output", "path").exit_code == 0
    folder = ["--data-dir", str(house_csv.parent)]
    assert run("run", "x.yaml", *common, *folder, "--output", "name").exit_code == 0
    tables = [pd.read_csv(Path(out) / "results.csv") for out in ("path", "name")]
    # Only the catalogue knows what the file was scaled from.
    columns = ["dataset", "dataset_parameters", "test_rmse_unscaled", "response_unit"]
    columns.append("poison_file")  # its name has the identity, of which the unit is a part
    pd.testing.assert_frame_equal(*(table.drop(columns=columns) for table in tables))
    assert tables[1]["dataset"].unique().tolist() == ["house"]


@pytest.mark.parametrize("command", ["run", "validate"])
def test_data_that_are_not_there(run: Invoke, tmp_path: Path, command: str) -> None:
    result = run(command, "x.yaml")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr == (
        f"x.yaml:1: dataset: no file {tmp_path}/datasets/house-processed.csv; fetch it with\n"
        "  poisonbench datasets fetch house\n"
        "or put there by hand\n"
        f"  {tmp_path}/datasets/house-processed.csv, from https://raw.githubusercontent.com/"
        "jagielski/manip-ml/master/datasets/house-processed.csv\n"
    )
    assert not Path("results").exists()
    several = "[abalone, {name: health, scaling: train}, diabetes, {name: health, scaling: full}]"
    result = run(command, "x.yaml", f"dataset={several}", "--data-dir", "my data")
    assert result.exit_code == 2
    assert result.stderr.count("poisonbench datasets fetch") == 1
    assert "  poisonbench datasets fetch abalone health --data-dir 'my data'\n" in result.stderr
    assert f"\n  {tmp_path}/my data/abalone.csv, and abalone.csv.json, both" in result.stderr
    assert f"\n  {tmp_path}/my data/pharm-preproc.csv, from https://raw." in result.stderr
    with pytest.raises(MissingDataError):
        registry.components("dataset")["house"]().load()


def test_another_file_under_the_name_is_refused(run: Invoke) -> None:
    Path("datasets").mkdir()
    Path("datasets/house-processed.csv").write_text("SalePrice,a\n0,1\n1,0\n0.5,0\n")
    result = run("validate", "x.yaml")
    assert result.exit_code == 2
    assert "is not the file of house: it has 26 bytes, expected 1619223; its" in result.stderr
    assert "that of the catalogue is 51c161c9b911" in result.stderr
    verified = run("datasets", "verify")
    assert verified.exit_code == 1
    assert "house: wrong" in verified.stdout
    assert "wrong: 3 rows, expected 1460" in verified.stdout
    assert "bytes, expected 1619223" in verified.stdout
    assert "health: not there" in verified.stdout
    fetched = run("datasets", "fetch", "house")
    assert fetched.exit_code == 1
    assert "is there but wrong" in fetched.stderr
    assert Path("datasets/house-processed.csv").read_text().startswith("SalePrice,a")


@pytest.fixture
def abalone(run: Invoke) -> Path:
    """Prepare what might be the catalogue's abalone, in the data folder."""
    path = Path("datasets/abalone.csv")
    path.parent.mkdir()
    rows = [f"{i % 13},{'MF'[i % 2]},{(i * i) % 29}" for i in range(4177)]
    Path("raw.csv").write_text("\n".join(["length,sex,rings", *rows]))
    prepare(Path("raw.csv"), path, Choices("rings"), source="https://www.openml.org/d/44956")
    return path


def edit_sidecar(path: Path, **changes: str) -> None:
    beside = path.with_name(f"{path.name}.json")
    beside.write_text(json.dumps({**json.loads(beside.read_text()), **changes}))


def prepare_short(path: Path) -> None:
    Path("raw.csv").write_text("length,rings\n" + "1,2\n2,3\n" * 50)
    prepare(Path("raw.csv"), path, Choices("rings"), source="https://www.openml.org/d/44956")


PREPARED_FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "no sidecar": (lambda path: path.with_name("abalone.csv.json").unlink(),
                   "abalone.csv.json, which fetch puts beside it, is missing"),
    "another sidecar": (lambda path: edit_sidecar(path, sha256="0" * 64), f"is {'0' * 64}"),
    "a damaged sidecar": (lambda path: path.with_name("abalone.csv.json").write_text("{"),
                          "not a description of abalone.csv"),
    "another source": (lambda path: edit_sidecar(path, source="raw.csv"),
                       "it was made from raw.csv, expected https://www.openml.org/d/44956"),
    "another response": (lambda path: edit_sidecar(path, target="length"),
                         "its response is 'length', expected 'rings'"),
    "a foreign file": (lambda path: path.write_text("rings,a\n0,1\n1,0\n0.5,0\n"), "SHA-256 is"),
    "another shape": (prepare_short, "100 rows, expected 4177"),
}  # fmt: skip


@pytest.mark.parametrize("fault", PREPARED_FAULTS)
def test_loading_checks_what_verify_checks(run: Invoke, abalone: Path, fault: str) -> None:
    commands = (["validate", "x.yaml", "dataset=abalone"],
                ["run", "x.yaml", "dataset=abalone", "--dry-run"])  # fmt: skip
    assert run("datasets", "verify", "abalone").exit_code == 0
    assert run(*commands[0]).exit_code == 0
    break_it, message = PREPARED_FAULTS[fault]
    break_it(abalone)
    verified = run("datasets", "verify", "abalone")
    assert verified.exit_code == 1
    assert message in verified.stdout
    for command in commands:
        result = run(*command)
        assert result.exit_code == 2
        assert message in result.stderr
        assert "fetch it (poisonbench datasets fetch abalone)" in result.stderr
    assert run("datasets", "describe", "abalone").exit_code == 1


def test_a_file_of_ones_own_is_checked_too(run: Invoke, abalone: Path) -> None:
    for name in ("abalone.csv", "abalone.csv.json"):
        shutil.copy(abalone.with_name(name), name.replace("abalone", "mine"))
    own = "dataset={name: csv, path: mine.csv, target: rings}"
    assert run("validate", "x.yaml", own).exit_code == 0
    verified = run("datasets", "verify", "mine.csv", "datasets/abalone.csv")
    assert verified.exit_code == 0
    assert "mine.csv: right\n  right: its SHA-256 is that recorded" in verified.stdout
    assert "abalone: right (datasets/abalone.csv)" in verified.stdout
    with Path("mine.csv").open("a") as file:
        file.write("0.5,0.5,1\n")
    for scaling in ("train", "none"):
        result = run("validate", "x.yaml", own[:-1] + f", scaling: {scaling}}}")
        assert result.exit_code == 2
        assert "mine.csv is not the file that mine.csv.json describes" in result.stderr
    verified = run("datasets", "verify", "mine.csv")
    assert verified.exit_code == 1
    assert "wrong: mine.csv is not the file that mine.csv.json describes" in verified.stdout
    Path("mine.csv.json").unlink()
    verified = run("datasets", "verify", "mine.csv")
    assert verified.exit_code == 0
    assert "there is no record of it" in verified.stdout
    assert run("datasets", "verify", "not-here.csv").exit_code == 2


def test_a_file_whose_line_ends_were_translated(run: Invoke, tiny: bytes) -> None:
    Path("datasets").mkdir()
    Path("datasets/house-processed.csv").write_bytes(tiny.replace(b"\n", b"\r\n"))
    verified = run("datasets", "verify", "house")
    assert verified.exit_code == 1
    assert "it differs only in its line ends: copy it as binary" in verified.stdout


def test_verify_in_an_empty_or_absent_folder(run: Invoke) -> None:
    assert run("datasets", "verify").exit_code == 0
    Path("datasets/abalone.csv").mkdir(parents=True)
    result = run("datasets", "verify", "abalone")
    assert result.exit_code == 1
    assert "it is a folder, expected a file" in result.stdout
    Path("datasets/house-processed.csv.part").write_text("x")
    assert "is an unfinished download" in run("datasets", "verify", "house").stdout


def test_fetch_from_a_mirror(run: Invoke, mirror: Path, tiny: bytes) -> None:
    (mirror / "house-processed.csv").write_bytes(tiny)
    result = run("datasets", "fetch", "house")
    assert result.exit_code == 0, result.output
    assert "house: redistribution unclear.  The MIT licence" in result.stdout
    assert os.listdir("datasets") == ["house-processed.csv"]
    assert run("datasets", "verify", "house").exit_code == 0
    again = run("datasets", "fetch", "house", "house", "diabetes")
    assert again.stdout.splitlines() == [
        "house: datasets/house-processed.csv is there already",
        "diabetes: needs no file",
    ]


def test_what_a_mirror_does_not_have(run: Invoke, mirror: Path, tiny: bytes) -> None:
    (mirror / "house-processed.csv").write_bytes(tiny[::-1])
    result = run("datasets", "fetch", "house", "health", "abalone", "--quiet")
    assert result.exit_code == 1
    assert "house-processed.csv: SHA256 hash" in result.stderr
    assert "pharm-preproc.csv: the server answered 404" in result.stderr
    assert "abalone.csv.json: the server answered 404" in result.stderr
    assert os.listdir("datasets") == []
    everything = run("datasets", "fetch", "--all", "--quiet")
    assert everything.exit_code == 1
    assert everything.stderr.count("the server answered 404") == len(entries()) - 3


def test_the_data_folder_of_another_user_is_a_mirror(run: Invoke, mirror: Path) -> None:
    raw = mirror / "raw.csv"
    rows = [f"{i % 13},{'MF'[i % 2]},{(i * i) % 29}" for i in range(4177)]
    raw.write_text("\n".join(["length,sex,rings", *rows]))
    origin = "https://www.openml.org/d/44956"
    prepare(raw, mirror / "abalone.csv", Choices("rings"), source=origin)
    assert run("datasets", "fetch", "abalone").exit_code == 0
    assert sorted(os.listdir("datasets")) == ["abalone.csv", "abalone.csv.json"]
    assert run("datasets", "verify", "abalone").exit_code == 0
    assert "length M 0 1" not in run("datasets", "describe", "abalone").stdout
    shutil.rmtree("datasets")
    with (mirror / "abalone.csv").open("a") as file:
        file.write("0,0,0\n")
    result = run("datasets", "fetch", "abalone")
    assert result.exit_code == 1
    assert "SHA256 hash" in result.stderr
    assert os.listdir("datasets") == []


def test_a_checksum_that_was_not_known_is_recorded(run: Invoke, mirror: Path) -> None:
    (mirror / "loan-processed.csv").write_text("<html>not found</html>")
    result = run("datasets", "fetch", "loan")
    assert result.exit_code == 1
    assert "is not the data" in result.stderr
    assert os.listdir("datasets") == []
    (mirror / "loan-processed.csv").write_text("int_rate,a\n0,1\n1,0\n0.5,0.25\n")
    assert "3 rows, expected 1050 or more" in run("datasets", "fetch", "loan").stderr
    assert os.listdir("datasets") == []
    (mirror / "loan-processed.csv").write_text(LOAN)
    fetched = run("datasets", "fetch", "loan")
    assert fetched.exit_code == 0
    assert "1100 rows, 1 features.  The checksum is not known in advance" in fetched.stdout
    verified = run("datasets", "verify", "loan")
    assert verified.exit_code == 0
    assert "its SHA-256 is that recorded beside it" in verified.stdout
    with Path("datasets/loan-processed.csv").open("a") as file:
        file.write("0,0\n")
    assert run("datasets", "verify", "loan").exit_code == 1
    assert "that recorded beside it" in run("validate", "x.yaml", "dataset=loan").stderr
    Path("datasets/loan-processed.csv.json").unlink()  # placed by hand
    assert "its checksum is not known" in run("datasets", "verify", "loan").stdout
    assert run("validate", "x.yaml", "dataset=loan", "split.train=2", "split.validation=1",
               "split.test=1").exit_code == 0  # fmt: skip


def test_a_recorded_checksum_binds_later_fetches(run: Invoke, mirror: Path) -> None:
    (mirror / "loan-processed.csv").write_text(LOAN)
    assert run("datasets", "fetch", "loan").exit_code == 0
    pinned = Path("datasets/loan-processed.csv.json").read_text()
    assert "127.0.0.1" not in pinned
    Path("datasets/loan-processed.csv").unlink()
    (mirror / "loan-processed.csv").write_text(LOAN.replace("0.5", "0.6"))
    assert run("datasets", "fetch", "loan").exit_code != 0
    assert Path("datasets/loan-processed.csv.json").read_text() == pinned


def test_run_fetches_only_when_told(run: Invoke, mirror: Path, tiny: bytes) -> None:
    (mirror / "house-processed.csv").write_bytes(tiny)
    small = ["attack=none", "split.train=2", "split.validation=0", "split.test=1"]
    assert run("run", "x.yaml", *small, "--dry-run").exit_code == 2
    result = run("run", "x.yaml", *small, "--dry-run", "--fetch")
    assert result.exit_code == 0, result.output
    assert os.listdir("datasets") == ["house-processed.csv"]
    assert run("validate", "x.yaml", *small).exit_code == 0
    Path("datasets/house-processed.csv").unlink()
    assert run("validate", "x.yaml", *small).exit_code == 2
    assert run("validate", "x.yaml", *small, "--fetch").exit_code == 0
    missing = run("run", "x.yaml", "dataset=[house, health, diabetes]", "--fetch")
    assert missing.exit_code == 2
    assert "health: http://127" in missing.stderr
    assert "the server answered 404" in missing.stderr


@pytest.mark.parametrize("command", ["run x.yaml --fetch", "datasets fetch house"])
def test_an_interrupted_fetch_says_so(
    run: Invoke, mirror: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("poisonbench.datasets.catalogue.fetch.download", interrupt)
    result = run(*command.split())
    assert result.exit_code == 130
    assert "Downloaded data are kept; run the same command again to resume." in result.stderr


def test_a_prepared_file_is_placed_after_its_sidecar(
    run: Invoke, mirror: Path, monkeypatch: pytest.MonkeyPatch, abalone: Path
) -> None:
    for name in ("abalone.csv", "abalone.csv.json"):
        abalone.with_name(name).rename(mirror / name)

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copy", stop)  # the last step before the file is in its place
        assert run("datasets", "fetch", "abalone").exit_code == 130
    assert "abalone.csv" not in os.listdir("datasets")
    assert "abalone: not there" in run("datasets", "verify", "abalone").stdout
    assert run("datasets", "fetch", "abalone").exit_code == 0
    assert sorted(os.listdir("datasets")) == ["abalone.csv", "abalone.csv.json"]


def test_help_does_not_list_the_catalogue(run: Invoke) -> None:
    text = run("run", "--help").stdout
    assert max(map(len, text.splitlines())) <= 96
    assert re.search(r"(?s)datasets: +abalone, .*\d+\s+more\s+\(poisonbench list datasets\)", text)


@pytest.mark.parametrize("name", ["../house", "hause", "house-processed.csv", ""])
@pytest.mark.parametrize("command", ["fetch", "describe", "verify"])
def test_names_that_are_not_in_the_catalogue(run: Invoke, command: str, name: str) -> None:
    result = run("datasets", command, name)
    assert result.exit_code == 2
    assert f"no data set is named '{name}'" in result.stderr
    assert os.listdir() == ["x.yaml"]


def test_fetch_wants_names_or_all(run: Invoke) -> None:
    for arguments, message in (
        ([], "expected the names of data sets, or --all"),
        (["house", "--all"], "expected either --all or names, not both"),
    ):
        result = run("datasets", "fetch", *arguments)
        assert result.exit_code == 2
        assert message in result.stderr


@pytest.mark.parametrize(
    "address",
    ["file:///etc", "ftp://server/data", "server/data", "http://", "http://[::1", "http://a:b/c",
     "http://server/data?x=1", "http://a server/"],
)  # fmt: skip
def test_a_bad_mirror_is_one_message_before_any_network(
    run: Invoke, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("POISONBENCH_MIRROR", address)
    for arguments in (["datasets", "fetch", "house", "abalone"], ["run", "x.yaml", "--fetch"]):
        result = run(*arguments)
        assert result.exit_code == 2
        assert result.stderr.count("POISONBENCH_MIRROR is '") == 1
        assert "expected the address of a web folder" in result.stderr
        assert not Path("datasets").exists()


def test_what_a_mirror_does_names_it(run: Invoke, mirror: Path) -> None:
    for name in ("house", "abalone"):
        result = run("datasets", "fetch", name)
        assert result.exit_code == 1
        assert re.search(r"404 .*\(the mirror that POISONBENCH_MIRROR names\)",
                         result.stderr)  # fmt: skip
    (mirror / "abalone.csv.json").write_text("<html>log in</html>")
    result = run("datasets", "fetch", "abalone")
    assert "abalone.csv.json: not what poisonbench writes beside a prepared file" in result.stderr
    (mirror / "house-processed.csv").write_text("<!DOCTYPE html><title>log in</title>")
    assert "the server sent a web page in its place" in run("datasets", "fetch", "house").stderr
    assert os.listdir("datasets") == []


def test_the_password_of_a_mirror_is_not_shown(
    run: Invoke, mirror: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = os.environ["POISONBENCH_MIRROR"].replace("//", "//user:secret@")
    for given, code in ((address, 1), (f"{address}?x", 2)):
        monkeypatch.setenv("POISONBENCH_MIRROR", given)
        result = run("datasets", "fetch", "house", "abalone")
        assert result.exit_code == code
        assert "secret" not in result.output
        assert "127.0.0.1" in result.stderr


def test_no_place_for_temporary_files_is_a_message(
    run: Invoke, mirror: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere/at/all")
    result = run("datasets", "fetch", "abalone")
    assert result.exit_code == 1
    assert "abalone.csv: cannot be written: No such file" in result.stderr


FOLDERS = {
    "file": "is a file, expected a folder",
    "file/data": "lies in a file, expected a folder",
    "link": "is a link to nowhere, which does not exist",
    "a" * 300: "cannot be read: File name too long",
}


@pytest.mark.parametrize("folder", FOLDERS)
@pytest.mark.parametrize(
    "command",
    ["datasets list", "datasets verify", "datasets describe house", "datasets fetch house",
     "run x.yaml", "run x.yaml --fetch", "validate x.yaml"],
)  # fmt: skip
def test_data_folders_that_are_none(run: Invoke, command: str, folder: str) -> None:
    Path("file").write_text("")
    Path("link").symlink_to("nowhere")
    result = run(*command.split(), "--data-dir", folder)
    assert result.exit_code == 2
    assert f"{folder} (named by --data-dir) {FOLDERS[folder]}" in result.stderr
    assert result.stdout == ""


def test_a_data_folder_that_does_not_exist(run: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    for command in ("list", "verify"):
        result = run("datasets", command, "--data-dir", "dta")
        assert result.exit_code == 2
        assert "dta (named by --data-dir) does not exist, expected a folder" in result.stderr
        assert run("datasets", command).exit_code == 0  # nothing was fetched yet
    monkeypatch.setenv("POISONBENCH_DATA", "dta")
    assert "dta (named by POISONBENCH_DATA) does not" in run("datasets", "verify").stderr


def test_list_says_what_is_here(run: Invoke, tiny: bytes) -> None:
    Path("datasets").mkdir()
    Path("datasets/house-processed.csv").write_bytes(tiny)
    text = run("datasets", "list").stdout
    assert re.search(r"^  house +3 x 79  here ", text, re.M)
    assert re.search(r"^  health +4683 x 42  not here ", text, re.M)
    assert re.search(r"^  diabetes +442 x 10  no file ", text, re.M)
    assert len(text.splitlines()) == len(entries()) + 1
    Path("datasets/house-processed.csv").write_bytes(tiny[::-1])
    Path("datasets/pharm-preproc.csv").write_text("short")
    Path("datasets/abalone.csv").write_text("rings,a\n1,2\n2,1\n")
    text = run("datasets", "list").stdout
    for name in ("house", "health", "abalone"):
        assert re.search(rf"^  {name} +\d+ x \d+  wrong ", text, re.M)
    assert "datasets verify house health abalone to see what is wrong" in text
    assert run("datasets", "list", "--markdown").stdout == readme()


def test_describe_house(run: Invoke, shared_data: Path) -> None:
    text = run("datasets", "describe", "house", "--data-dir", str(shared_data)).stdout
    assert "1460 rows x 274 features: 35 numeric, 44 one-hot groups with 239 columns" in text
    data = read_dataset(shared_data / "house-processed.csv", "SalePrice", "none")
    rank = np.linalg.matrix_rank(np.column_stack([np.ones(1460), data.X]))
    assert f"{rank} of 275, intercept included" in text
    assert re.search(r"^  LotFrontage +0 +0.16798 +1$", text, re.M)
    assert re.search(r"^  MSZoning +4 +1.10%  one or none$", text, re.M)
    assert "Jagielski et al. 2018" in " ".join(text.split())


def test_describe_what_is_not_here_and_what_needs_no_file(run: Invoke) -> None:
    absent = run("datasets", "describe", "abalone")
    assert absent.exit_code == 0
    assert "https://www.openml.org/d/44956" in absent.stdout
    assert "poisonbench datasets fetch abalone" in absent.stdout
    text = run("datasets", "describe", "diabetes").stdout
    assert "442 rows x 11 features: 9 numeric, 1 one-hot group with 2 columns" in text
    assert "11 of 12, intercept included: 1 column depends on others" in text
    assert "1000 rows x 10 features" in run("datasets", "describe", "synthetic").stdout


def test_the_histogram_counts_every_response() -> None:
    y = np.concatenate([np.zeros(5), np.ones(1000)])
    lines = histogram(y)
    assert sum(int(line.split()[3]) for line in lines[:-1]) == len(y)
    assert lines[0].split()[3:] == ["5", "."]
    assert lines[-2].endswith("  " + "#" * 50)


def test_fetch_asks_no_source_for_what_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny: bytes
) -> None:
    monkeypatch.delenv("POISONBENCH_MIRROR", raising=False)
    (tmp_path / "house-processed.csv").write_bytes(tiny)
    fetch(entries()["house"], tmp_path)  # its address leads nowhere
