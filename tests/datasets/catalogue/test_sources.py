"""Data sets that scikit-learn reads: OpenML from its cache and from a stand-in, California."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import socket
import tarfile
import threading
import urllib.request
import zlib
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn import datasets
from sklearn.datasets import _california_housing
from typer.testing import CliRunner

from poisonbench.cli.app import app
from poisonbench.data.csv import read_dataset
from poisonbench.data.sidecar import Sidecar
from poisonbench.datasets.catalogue import openml as openml_files
from poisonbench.datasets.catalogue import sources
from poisonbench.datasets.catalogue.download import FetchError, Limits
from poisonbench.datasets.catalogue.entries import Entry, entries
from poisonbench.datasets.catalogue.fetch import fetch
from poisonbench.datasets.catalogue.verify import verify

QUICK = Limits(timeout=0.5, retries=1, pause=0.001)


def openml(
    entry: Entry, names: dict[str, str], rows: list[list[str]], base: str, ignored: str = ""
) -> dict[str, bytes]:
    """Return what OpenML answers about a data set, by path; `names` maps columns to ARFF types."""
    number = entry.origin.id  # type: ignore[union-attr]
    header = [f"@RELATION {entry.name}", *(f"@ATTRIBUTE {n} {t}" for n, t in names.items())]
    arff = "\n".join([*header, "@DATA", *(",".join(row) for row in rows)]).encode() + b"\n"
    path = f"data/v1/download/{number}/{entry.name}.arff"
    description = {
        "id": str(number),
        "name": entry.name,
        "version": "1",
        "description": "made for a test",
        "status": "active",
        "format": "ARFF",
        "file_id": str(number),
        "url": f"{base}/{path}",
        "md5_checksum": hashlib.md5(arff).hexdigest(),
        "default_target_attribute": entry.target,
        "ignore_attribute": ignored,
    }
    features = [
        {
            "index": str(j),
            "name": name,
            "data_type": "nominal" if kind.startswith("{") else "numeric",
            "is_target": str(name == entry.target).lower(),
            "is_ignore": str(name == ignored).lower(),
            "is_row_identifier": "false",
            "number_of_missing_values": "0",
        }
        for j, (name, kind) in enumerate(names.items())
    ]
    api = "api/v1/json/data"
    return {
        f"{api}/{number}": json.dumps({"data_set_description": description}).encode(),
        f"{api}/features/{number}": json.dumps({"data_features": {"feature": features}}).encode(),
        f"{api}/qualities/{number}": json.dumps({"data_qualities": {"quality": []}}).encode(),
        path: arff,
    }


@pytest.fixture
def energy() -> tuple[dict[str, str], list[list[str]]]:
    rng = np.random.default_rng(0)
    names = [f"f{j}" for j in range(8)] + ["heating_load", "cooling_load"]
    values = rng.uniform(2, 50, (768, len(names))).round(2)
    return dict.fromkeys(names, "REAL"), values.astype(str).tolist()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SCIKIT_LEARN_DATA", str(tmp_path / "sklearn"))
    monkeypatch.delenv("POISONBENCH_MIRROR", raising=False)
    return tmp_path / "sklearn" / "openml" / "openml.org"


def test_openml_from_the_cache_of_scikit_learn(
    energy: tuple[dict[str, str], list[list[str]]],
    cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names, rows = energy
    for path, content in openml(entries()["energy"], names, rows, "https://openml.org").items():
        place = cache / f"{path}.gz"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(gzip.compress(content))
    folder = tmp_path / "data"
    monkeypatch.setenv("POISONBENCH_DATA", str(folder))
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> Any:
        return CliRunner().invoke(app, list(arguments))

    fetched = run("datasets", "fetch", "energy")
    assert fetched.exit_code == 0, fetched.output
    assert sorted(os.listdir(folder)) == ["energy.csv", "energy.csv.json"]
    verified = run("datasets", "verify", "energy")
    assert verified.exit_code == 0
    assert "right: 768 rows" in verified.stdout
    assert "its SHA-256 is that recorded beside it" in verified.stdout
    data = read_dataset(folder / "energy.csv", "heating_load", "train")
    expected = np.array(rows, dtype=float)
    assert data.space.names == tuple(names)[:8]  # cooling_load is the other response
    np.testing.assert_allclose(data.X, expected[:, :8], rtol=1e-12)
    np.testing.assert_allclose(data.y, expected[:, 8], rtol=1e-12)
    Path("x.yaml").write_text("dataset: energy\nattack: statp\npoisoning_rate: 0.1\n")
    assert "OK: 1 dataset" in run("validate", "x.yaml").stdout
    described = run("datasets", "describe", "energy")
    assert "768 rows x 8 features" in described.stdout
    assert "https://doi.org/10.24432/C51307" in described.stdout


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, bytes]]:
    """Answer in the place of OpenML, with whatever a test puts into the dictionary."""
    content: dict[str, bytes] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = content.get(self.path.lstrip("/"))
            content["asked"] = str(int(content.get("asked", b"0")) + 1).encode()
            name, _, value = content.get("header", b"").decode().partition("\n")
            good = 302 if name == "Location" else 200
            self.send_response(good if found is not None else 404)
            self.send_header("Content-Length", str(len(found or b"")))
            if name:
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(found or b"")

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        base = f"http://127.0.0.1:{http.server_port}"
        monkeypatch.setattr(openml_files, "API", f"{base}/api/v1/json/data")
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        content["base"] = base.encode()
        yield content
        http.shutdown()
        thread.join()


@pytest.mark.usefixtures("cache")
def test_openml_from_a_stand_in(stand_in: dict[str, bytes], tmp_path: Path) -> None:
    entry = entries()["abalone"].model_copy(update={"rows": 6, "target": "rings"})
    names = {
        "sex": "{F,I,NA,None}",
        "length": "REAL",
        "code": "{1,2}",
        "id": "REAL",
        "rings": "REAL",
    }
    rows = [line.split(",") for line in (
        "F,0.5,1,1,5", "F,?,1,2,6", "I,0.7,2,3,7", "NA,0.9,2,4,8", "?,0.6,1,5,9", "None,0.4,2,6,4"
    )]  # fmt: skip
    stand_in.update(openml(entry, names, rows, stand_in["base"].decode(), ignored="id"))
    said: list[str] = []
    fetch(entry, tmp_path / "data", limits=QUICK, say=said.append)
    path = tmp_path / "data" / "abalone.csv"
    assert "fetching https://www.openml.org/d/44956" in said[0]
    data = read_dataset(path, "rings", "full")
    # A nominal column is one-hot though its names are numbers; only ? is missing, not None.
    assert data.space.names == ("length", "sex:NA", "sex:I", "sex:None", "code:2")
    np.testing.assert_allclose(data.X[:, 0], [0.5, 0.62, 0.7, 0.9, 0.6, 0.4])
    assert data.X[:, 1].tolist() == [0, 0, 0, 1, 1, 0]
    sidecar = Sidecar.read(path)
    assert sidecar is not None
    assert sidecar.source == "https://www.openml.org/d/44956"
    assert sidecar.preparation["filled"] == {"length": "1 rows, mean 0.62",
                                             "sex": "1 rows, category NA"}  # fmt: skip
    assert not verify(entry, tmp_path / "data").wrong


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("absent", r"/api/v1/json/data/44960: the server answered 404"),
        ("damaged", r"energy.arff is not the data: it is damaged"),
        ("without the response", r"d/44960: cannot be read by scikit-learn .*target_column"),
        ("of another form", r"/data/44960: not the description of a data set"),
        ("not ARFF", r"d/44960: cannot be read by scikit-learn .* may be damaged"),
        ("outside", r"/\.\./rows: expected an address without '\.\.'"),
    ],
)
def test_what_openml_cannot_give_is_a_message(
    stand_in: dict[str, bytes],
    energy: tuple[dict[str, str], list[list[str]]],
    tmp_path: Path,
    fault: str,
    message: str,
) -> None:
    entry = entries()["energy"]
    names, rows = energy
    if fault == "without the response":
        names = {name.replace("heating", "other"): kind for name, kind in names.items()}
    answers = openml(entry, names, rows, stand_in["base"].decode())
    if fault == "damaged":
        answers = {path: content + b" " if path.endswith("arff") else content
                   for path, content in answers.items()}  # fmt: skip
    elif fault == "of another form":
        answers["api/v1/json/data/44960"] = b"[]"
    elif fault == "not ARFF":
        (path,) = (path for path in answers if path.endswith("arff"))
        rows_md5 = hashlib.md5(answers[path]).hexdigest().encode()
        description = answers["api/v1/json/data/44960"]
        answers[path] = b"nonsense"
        md5 = hashlib.md5(b"nonsense").hexdigest().encode()
        answers["api/v1/json/data/44960"] = description.replace(rows_md5, md5)
    elif fault == "outside":
        description = answers["api/v1/json/data/44960"]
        address = json.loads(description)["data_set_description"]["url"].encode()
        answers["api/v1/json/data/44960"] = description.replace(address, b"https://x/../rows")
    if fault != "absent":
        stand_in.update(answers)
    with pytest.raises(FetchError, match=message):
        fetch(entry, tmp_path / "data", limits=QUICK)
    assert os.listdir(tmp_path / "data") == []


@pytest.mark.usefixtures("cache")
def test_openml_that_hangs_ends(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        monkeypatch.setattr(openml_files, "API", address)
        with pytest.raises(FetchError, match=r"no answer for 0\.1 s"):
            fetch(entries()["energy"], tmp_path / "data",
                  limits=Limits(timeout=0.1, retries=1, pause=0.001))  # fmt: skip


@pytest.mark.usefixtures("cache")
def test_other_downloads_of_the_process_are_left_alone(
    stand_in: dict[str, bytes],
    energy: tuple[dict[str, str], list[list[str]]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """While a fetch runs, urllib still downloads what exceeds the limits of the fetch."""
    stand_in.update(openml(entries()["energy"], *energy, stand_in["base"].decode()))
    monkeypatch.setattr(openml_files, "LARGEST", 100_000)
    stand_in["page"] = b"x" * 200_000
    page = f"{stand_in['base'].decode()}/page"
    read: list[int] = []
    download = openml_files.download

    def beside(*arguments: Any, **options: Any) -> None:
        with urllib.request.urlopen(page) as answer:
            read.append(len(answer.read()))
        download(*arguments, **options)

    monkeypatch.setattr(openml_files, "download", beside)
    fetch(entries()["energy"], tmp_path / "data", limits=QUICK)
    assert read == [200_000] * 4


@pytest.fixture
def archive(
    stand_in: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Entry]:
    """Offer an archive like that of California's houses, and return its entry."""
    rows = np.random.default_rng(0).uniform(1, 9, (20640, 9))
    (tmp_path / "cal_housing.data").write_text("\n".join(",".join(map(str, row)) for row in rows))
    with tarfile.open(tmp_path / "made.tgz", "w:gz", compresslevel=1) as packed:
        packed.add(tmp_path / "cal_housing.data", "CaliforniaHousing/cal_housing.data")
    content = (tmp_path / "made.tgz").read_bytes()
    stand_in["files/1"] = content
    sha256 = hashlib.sha256(content).hexdigest()
    known = _california_housing.ARCHIVE
    entry = entries()["california"]
    assert (entry.origin.url, entry.origin.archive, entry.origin.sha256) == (  # type: ignore[union-attr]
        known.url, known.filename, known.checksum
    )  # fmt: skip
    # scikit-learn itself has no address: it must not need one.
    monkeypatch.setattr(
        _california_housing, "ARCHIVE", known._replace(url="http://127.0.0.1:9/", checksum=sha256)
    )
    address = f"{stand_in['base'].decode()}/files/1"
    origin = entry.origin.model_copy(update={"url": address, "sha256": sha256})
    return entry.model_copy(update={"origin": origin})


@pytest.mark.usefixtures("cache")
def test_california_is_downloaded_once(
    archive: Entry, stand_in: dict[str, bytes], tmp_path: Path
) -> None:
    folder = tmp_path / "data"
    fetch(archive, folder, limits=QUICK)
    data = read_dataset(folder / "california.csv", "MedHouseVal", "full")
    assert data.X.shape == (20640, 8)
    assert not verify(entries()["california"], folder).wrong
    fetch(archive, tmp_path / "again", limits=QUICK)
    for name in ("california.csv", "california.csv.json"):
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes()
    assert stand_in["asked"] == b"1"


@pytest.mark.usefixtures("cache")
def test_the_download_of_california_is_bounded(
    archive: Entry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "LARGEST", 5_000)
    with pytest.raises(FetchError, match="where 5000 are the limit"):
        fetch(archive, tmp_path / "data", limits=QUICK)
    assert os.listdir(tmp_path / "data") == []


@pytest.mark.usefixtures("cache")
def test_the_downloads_for_scikit_learn_are_bounded(
    stand_in: dict[str, bytes],
    energy: tuple[dict[str, str], list[list[str]]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    entry, folder = entries()["energy"], tmp_path / "data"
    stand_in.update(openml(entry, *energy, stand_in["base"].decode()))
    with monkeypatch.context() as patch:
        patch.setattr(openml_files, "LARGEST", 5_000)
        with pytest.raises(FetchError, match=r"energy.arff: \d+ bytes .* 5000 are the limit"):
            fetch(entry, folder, limits=QUICK)
    assert os.listdir(folder) == []
    with pytest.raises(FetchError, match="not done in 0 s"):
        fetch(entry, folder, limits=replace(QUICK, total=0))


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize(
    ("header", "message"),
    [
        (("Content-Encoding", "gzip"), "sends it compressed, which is refused"),
        (("Location", "ftp://127.0.0.1/a"), "redirects to another scheme"),
    ],
)
def test_compressed_answers_and_other_schemes_are_refused(
    stand_in: dict[str, bytes], tmp_path: Path, header: tuple[str, str], message: str
) -> None:
    stand_in.update({"api/v1/json/data/44960": b"{}", "header": "\n".join(header).encode()})
    with pytest.raises(FetchError, match=message):
        fetch(entries()["energy"], tmp_path / "data", limits=QUICK)
    assert os.listdir(tmp_path / "data") == []


@pytest.mark.usefixtures("stand_in")
@pytest.mark.parametrize("damage", ["cut", "not packed", "not ARFF"])
def test_a_damaged_cache_is_not_used(
    energy: tuple[dict[str, str], list[list[str]]], cache: Path, tmp_path: Path, damage: str
) -> None:
    for path, content in openml(entries()["energy"], *energy, "https://openml.org").items():
        kept = gzip.compress(b"nonsense" if damage == "not ARFF" else content)
        place = cache / f"{path}.gz"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(b"nonsense" if damage == "not packed" else kept[:-20])
    with pytest.raises(FetchError, match=r"data/44960: the server answered 404"):
        fetch(entries()["energy"], tmp_path / "data", limits=QUICK)
    assert os.listdir(tmp_path / "data") == []


@pytest.mark.parametrize("error", [EOFError("x"), zlib.error("x"), RuntimeError("x")])
def test_whatever_scikit_learn_raises_is_a_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(**_: object) -> None:
        raise error

    monkeypatch.delenv("POISONBENCH_MIRROR", raising=False)
    monkeypatch.setattr(datasets, "fetch_california_housing", fail)
    named = rf"cannot be read by scikit-learn .{type(error).__name__}.*, are in "
    with pytest.raises(FetchError, match=named):
        fetch(entries()["california"], tmp_path, limits=QUICK)
    assert os.listdir(tmp_path) == []


@pytest.mark.usefixtures("cache")
def test_a_table_of_another_shape_is_not_placed(
    stand_in: dict[str, bytes], energy: tuple[dict[str, str], list[list[str]]], tmp_path: Path
) -> None:
    names, rows = energy
    stand_in.update(openml(entries()["energy"], names, rows[:-1], stand_in["base"].decode()))
    with pytest.raises(FetchError, match="767 rows, expected 768"):
        fetch(entries()["energy"], tmp_path / "data", limits=QUICK)
    assert os.listdir(tmp_path / "data") == []


@pytest.mark.usefixtures("cache")
def test_of_two_at_once_one_fetches_and_what_a_kill_left_is_cleared(
    stand_in: dict[str, bytes],
    energy: tuple[dict[str, str], list[list[str]]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    entry, folder = entries()["energy"], tmp_path / "data"
    stand_in.update(openml(entry, *energy, stand_in["base"].decode()))
    (folder / ".energy.csv.preparing").mkdir(parents=True)
    (folder / ".energy.csv.preparing" / "raw.csv").write_text("half a")
    said: list[str] = []

    def attempt() -> None:
        fetch(entry, folder, limits=Limits(timeout=5, retries=1), progress=True, say=said.append)

    threads = [threading.Thread(target=attempt) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(os.listdir(folder)) == ["energy.csv", "energy.csv.json"]
    assert not verify(entry, folder).wrong
    assert stand_in["asked"] == b"4"  # description, features, qualities, rows
    assert any("another process is fetching it; waiting" in line for line in said)
    assert "energy.arff: " in capsys.readouterr().err


def test_a_cache_that_cannot_be_written_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.delenv("POISONBENCH_MIRROR", raising=False)
    monkeypatch.setenv("SCIKIT_LEARN_DATA", str(tmp_path / "file" / "cache"))
    with pytest.raises(
        FetchError, match=r"file/cache: the downloads for scikit-learn cannot .*SCIKIT_LEARN_DATA"
    ):
        fetch(entries()["energy"], tmp_path / "data", limits=QUICK)
