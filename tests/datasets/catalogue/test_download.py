"""Downloads against a server on loopback that misbehaves in every way a server can."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from poisonbench.data.base import DatasetError
from poisonbench.datasets.catalogue import lock
from poisonbench.datasets.catalogue.download import FetchError, Limits, download
from poisonbench.datasets.catalogue.limits import check_redirect
from poisonbench.datasets.catalogue.lock import claimed

CONTENT = bytes(range(256)) * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
QUICK = Limits(timeout=0.3, retries=2, pause=0.0)


@dataclass
class Server:
    """What the server does, and what it was asked."""

    url: str = ""
    answers: list[Callable[[BaseHTTPRequestHandler], None]] = field(default_factory=list)
    requests: list[dict[str, str]] = field(default_factory=list)
    end: threading.Event = field(default_factory=threading.Event)

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """Give the answers in order; the last one is given from then on."""
        number = len(self.requests)
        self.requests.append({"path": handler.path, **handler.headers})
        self.answers[min(number, len(self.answers) - 1)](handler)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for variable in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            state.answer(self)

        def end_headers(self) -> None:
            self.send_header("Connection", "close")
            super().end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        state.url = f"http://127.0.0.1:{http.server_port}"
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield state
        state.end.set()
        http.shutdown()
        thread.join()


def sending(
    content: bytes, *, cut: int | None = None, status: int | None = None, **headers: str
) -> Callable[[BaseHTTPRequestHandler], None]:
    """Answer with `content`, from the byte asked for; break off after `cut` bytes."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        start = int(handler.headers.get("Range", "bytes=0-")[6:-1])
        handler.send_response(status or (206 if start else 200))
        if start:
            size = len(content)
            handler.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
        handler.send_header("Content-Length", str(len(content) - start))
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(content[start:cut])

    return answer


def failing(status: int) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer


def redirecting(target: str) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(302)
        handler.send_header("Location", target)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer


def get(server: Server, path: Path, **options: object) -> None:
    chosen = {"sha256": SHA256, "max_bytes": len(CONTENT), "limits": QUICK, **options}
    download(f"{server.url}/{path.name}", path, **chosen)  # type: ignore[arg-type]


def test_a_good_file_is_placed_and_not_asked_for_twice(server: Server, tmp_path: Path) -> None:
    server.answers = [sending(CONTENT)]
    path = tmp_path / "new" / "a.csv"
    get(server, path)
    assert path.read_bytes() == CONTENT
    assert os.listdir(path.parent) == ["a.csv"]
    mask = os.umask(0)
    os.umask(mask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~mask
    get(server, path)
    assert len(server.requests) == 1
    assert server.requests[0]["Accept-Encoding"] == "identity"
    assert server.requests[0]["User-Agent"].startswith("poisonbench/")


def test_a_wrong_checksum_leaves_nothing(server: Server, tmp_path: Path) -> None:
    server.answers = [sending(CONTENT[::-1])]
    with pytest.raises(FetchError, match=f"(?s)a.csv.*does not match.*{SHA256}"):
        get(server, tmp_path / "a.csv")
    assert os.listdir(tmp_path) == []


def test_a_cut_connection_is_resumed_at_once(server: Server, tmp_path: Path) -> None:
    server.answers = [sending(CONTENT, cut=100_000), sending(CONTENT)]
    get(server, tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_bytes() == CONTENT
    assert [request.get("Range") for request in server.requests] == [None, "bytes=100000-"]
    assert os.listdir(tmp_path) == ["a.csv"]


def test_a_cut_connection_is_resumed_by_the_next_run(server: Server, tmp_path: Path) -> None:
    server.answers = [sending(CONTENT, cut=100_000), failing(503)]
    with pytest.raises(FetchError, match=r"503.*3 attempts; 100000 bytes are kept in .*a.csv.part"):
        get(server, tmp_path / "a.csv")
    assert os.listdir(tmp_path) == ["a.csv.part"]
    server.answers = [sending(CONTENT)]
    get(server, tmp_path / "a.csv")
    assert server.requests[-1]["Range"] == "bytes=100000-"
    assert os.listdir(tmp_path) == ["a.csv"]


def test_without_a_checksum_nothing_is_pieced_together(server: Server, tmp_path: Path) -> None:
    server.answers = [sending(CONTENT, cut=100_000), sending(CONTENT)]
    get(server, tmp_path / "a.csv", sha256=None)
    assert (tmp_path / "a.csv").read_bytes() == CONTENT
    assert all("Range" not in request for request in server.requests)
    server.answers = [sending(CONTENT, cut=100_000)]
    with pytest.raises(FetchError, match=r"cut .*100000 bytes read.*; 3 attempts$"):
        get(server, tmp_path / "b.csv", sha256=None)
    assert os.listdir(tmp_path) == ["a.csv"]


def test_a_server_that_cannot_resume_sends_it_all(server: Server, tmp_path: Path) -> None:
    (tmp_path / "a.csv.part").write_bytes(b"x" * 1000)
    server.answers = [lambda handler: (handler.headers.replace_header("Range", "bytes=0-"),
                                       sending(CONTENT)(handler))]  # fmt: skip
    get(server, tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_bytes() == CONTENT


@pytest.mark.parametrize("content_range", ["bytes 5-9/256000", "nonsense", ""])
def test_a_part_that_does_not_fit_is_dropped(
    server: Server, tmp_path: Path, content_range: str
) -> None:
    (tmp_path / "a.csv.part").write_bytes(b"x" * 1000)
    wrong = sending(b"12345", status=206, Content_Range=content_range)
    server.answers = [lambda handler: (handler.headers.replace_header("Range", "bytes=0-"),
                                       wrong(handler)), sending(CONTENT)]  # fmt: skip
    get(server, tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_bytes() == CONTENT


def test_a_part_longer_than_the_file_is_dropped(server: Server, tmp_path: Path) -> None:
    (tmp_path / "a.csv.part").write_bytes(CONTENT + b"x")
    server.answers = [failing(416), sending(CONTENT)]
    get(server, tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_bytes() == CONTENT


@pytest.mark.parametrize("status", [404, 403, 410, 401])
def test_a_refusal_is_final(server: Server, tmp_path: Path, status: int) -> None:
    server.answers = [failing(status)]
    with pytest.raises(FetchError, match=f"{server.url}/a.csv: the server answered {status}"):
        get(server, tmp_path / "a.csv")
    assert len(server.requests) == 1
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("status", [500, 502, 503, 429, 408])
def test_what_may_pass_is_tried_again(server: Server, tmp_path: Path, status: int) -> None:
    server.answers = [failing(status), sending(CONTENT)]
    get(server, tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_bytes() == CONTENT


@pytest.mark.parametrize("first", [0, 1000])
def test_a_hang_ends(server: Server, tmp_path: Path, first: int) -> None:
    def hang(handler: BaseHTTPRequestHandler) -> None:
        if first:
            handler.send_response(200)
            handler.send_header("Content-Length", str(len(CONTENT)))
            handler.end_headers()
            handler.wfile.write(CONTENT[:first])
        server.end.wait(5)
        handler.close_connection = True

    server.answers = [hang]
    with pytest.raises(FetchError, match=r"no answer for 0.1 s; 2 attempts"):
        get(server, tmp_path / "a.csv", limits=Limits(timeout=0.1, retries=1, pause=0))
    assert os.listdir(tmp_path) == (["a.csv.part"] if first else [])


def test_a_trickle_ends(server: Server, tmp_path: Path) -> None:
    def trickle(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(CONTENT)))
        handler.end_headers()
        while not server.end.wait(0.02):
            try:
                handler.wfile.write(b"x")
            except OSError:
                return

    server.answers = [trickle, sending(CONTENT)]
    with pytest.raises(FetchError, match=r"not done in 0.2 s; \d+ bytes are kept in .*a.csv.part"):
        get(server, tmp_path / "a.csv", limits=Limits(timeout=1, retries=0, pause=0, total=0.2))
    kept = (tmp_path / "a.csv.part").stat().st_size
    assert kept > 0
    with pytest.raises(FetchError):  # x is not how the content begins: nothing bad is kept
        get(server, tmp_path / "a.csv")
    assert server.requests[-1]["Range"] == f"bytes={kept}-"
    assert os.listdir(tmp_path) == []


def test_no_time_is_no_time_for_another_attempt(server: Server, tmp_path: Path) -> None:
    server.answers = [sending(CONTENT, cut=1000), failing(503)]
    limits = Limits(timeout=1, retries=5, pause=10, total=0.1)
    with pytest.raises(FetchError, match=r"not done in 0.1 s; 1000 bytes are kept"):
        get(server, tmp_path / "a.csv", limits=limits)
    assert len(server.requests) == 2


def sending_blindly(content: bytes, *, chunked: bool) -> Callable[[BaseHTTPRequestHandler], None]:
    """Answer without saying how long the content is."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        if chunked:
            handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        if chunked:
            handler.wfile.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(content), content))
        else:
            handler.wfile.write(content)

    return answer


def test_what_could_be_cut_unseen_is_not_taken(server: Server, tmp_path: Path) -> None:
    server.answers = [sending_blindly(CONTENT, chunked=False)]
    with pytest.raises(FetchError, match=r"does not say how long .* its checksum is not known"):
        get(server, tmp_path / "a.csv", sha256=None)
    assert os.listdir(tmp_path) == []
    get(server, tmp_path / "a.csv")  # the checksum tells
    server.answers = [sending_blindly(CONTENT, chunked=True)]
    get(server, tmp_path / "b.csv", sha256=None)  # a chunked answer says where it ends
    assert (tmp_path / "b.csv").read_bytes() == CONTENT


@pytest.mark.parametrize("announced", [True, False])
def test_a_file_beyond_the_limit_is_refused(
    server: Server, tmp_path: Path, announced: bool
) -> None:
    def endless(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        if announced:
            handler.send_header("Content-Length", str(10**12))
        handler.end_headers()
        try:
            while True:
                handler.wfile.write(CONTENT)
        except OSError:
            pass

    server.answers = [endless]
    with pytest.raises(FetchError, match="where 256000 are the limit"):
        get(server, tmp_path / "a.csv")
    assert os.listdir(tmp_path) == []


def test_packed_content_is_refused(server: Server, tmp_path: Path) -> None:
    server.answers = [sending(CONTENT, Content_Encoding="gzip")]
    with pytest.raises(FetchError, match="compressed, which is refused"):
        get(server, tmp_path / "a.csv")
    assert os.listdir(tmp_path) == []


def test_redirects_are_followed_within_the_scheme(server: Server, tmp_path: Path) -> None:
    server.answers = [redirecting("/elsewhere"), sending(CONTENT)]
    get(server, tmp_path / "a.csv")
    assert [request["path"] for request in server.requests] == ["/a.csv", "/elsewhere"]
    assert (tmp_path / "a.csv").read_bytes() == CONTENT


@pytest.mark.parametrize("target", ["ftp://127.0.0.1/a", "file:///etc/passwd", "https://localhost"])
def test_redirects_to_other_schemes_are_refused(
    server: Server, tmp_path: Path, target: str
) -> None:
    server.answers = [redirecting(target)]
    with pytest.raises(FetchError, match="redirects to another scheme"):
        get(server, tmp_path / "a.csv")
    assert os.listdir(tmp_path) == []


def test_the_body_of_a_redirect_is_not_read(server: Server, tmp_path: Path) -> None:
    def endless(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(302)
        handler.send_header("Location", "/elsewhere")
        handler.send_header("Content-Length", str(10**12))
        handler.end_headers()
        handler.wfile.write(b"x" * 1000)

    server.answers = [endless, sending(CONTENT)]
    get(server, tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_bytes() == CONTENT


def test_a_redirect_loop_ends(server: Server, tmp_path: Path) -> None:
    server.answers = [redirecting("/again")]
    with pytest.raises(FetchError, match="more than 5 redirects"):
        get(server, tmp_path / "a.csv")


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://x/a", "a.csv", ""])
def test_other_schemes_are_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(FetchError, match="https://"):
        download(url, tmp_path / "a.csv", sha256=None, max_bytes=1)


def test_no_server_is_a_message(tmp_path: Path) -> None:
    with pytest.raises(FetchError, match=r"connection failed or was cut.*refused"):
        download("http://127.0.0.1:9/a.csv", tmp_path / "a.csv", sha256=None, max_bytes=1,
                 limits=QUICK)  # fmt: skip
    assert os.listdir(tmp_path) == []


def test_what_is_not_accepted_is_not_placed(server: Server, tmp_path: Path) -> None:
    def refuse(part: Path) -> None:
        assert part.read_bytes() == CONTENT
        raise DatasetError("no column 'y'")

    server.answers = [sending(CONTENT)]
    with pytest.raises(FetchError, match=r"a.csv is not the data: no column 'y'"):
        get(server, tmp_path / "a.csv", sha256=None, accept=refuse)
    assert os.listdir(tmp_path) == []


def test_of_many_at_once_one_downloads(server: Server, tmp_path: Path) -> None:
    server.answers = [sending(CONTENT)]
    failures: list[BaseException] = []

    def attempt() -> None:
        try:
            get(server, tmp_path / "a.csv", limits=Limits(timeout=5, retries=0))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=attempt) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(server.requests) == 1
    assert os.listdir(tmp_path) == ["a.csv"]
    assert (tmp_path / "a.csv").read_bytes() == CONTENT


def test_of_many_at_once_the_next_takes_over_from_one_that_fails(
    server: Server, tmp_path: Path
) -> None:
    server.answers = [failing(404), sending(CONTENT)]
    outcomes: list[str] = []

    def attempt() -> None:
        try:
            get(server, tmp_path / "a.csv", limits=Limits(timeout=5, retries=0))
            outcomes.append("good")
        except FetchError:
            outcomes.append("bad")

    threads = [threading.Thread(target=attempt) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["bad", "good", "good", "good"]
    assert os.listdir(tmp_path) == ["a.csv"]


def test_a_folder_that_cannot_be_written_is_a_message(server: Server, tmp_path: Path) -> None:
    server.answers = [sending(CONTENT)]
    (tmp_path / "file").write_text("")
    with pytest.raises(FetchError, match=r"file/a.csv: cannot be written: "):
        get(server, tmp_path / "file" / "a.csv")
    assert server.requests == []


def test_a_read_only_folder_is_a_message(server: Server, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    if os.access(tmp_path, os.W_OK):
        pytest.skip("who runs this may write anywhere")
    try:
        with pytest.raises(FetchError, match=r"a.csv: cannot be written: Permission denied"):
            get(server, tmp_path / "a.csv")
    finally:
        tmp_path.chmod(0o700)


def test_a_full_disk_is_a_message_and_leaves_nothing(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    server.answers = [sending(CONTENT)]
    monkeypatch.setattr(shutil, "copy", full)
    with pytest.raises(FetchError, match="cannot be written: No space left"):
        get(server, tmp_path / "a.csv")
    assert os.listdir(tmp_path) == []


def test_a_disk_that_fills_up_keeps_what_came(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    server.answers = [sending(CONTENT, cut=1000), sending(CONTENT)]
    with monkeypatch.context() as patch:
        patch.setattr(time, "sleep", full)  # between the first attempt and the second
        with pytest.raises(
            FetchError, match=r"No space left .*; what has arrived is kept in .*a.csv.part"
        ):
            get(server, tmp_path / "a.csv")
    get(server, tmp_path / "a.csv")
    assert server.requests[-1]["Range"] == "bytes=1000-"


def test_an_interrupt_keeps_what_came(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    server.answers = [sending(CONTENT, cut=1000)]
    monkeypatch.setattr(time, "sleep", interrupt)
    with pytest.raises(KeyboardInterrupt):
        get(server, tmp_path / "a.csv")
    assert (tmp_path / "a.csv.part").read_bytes() == CONTENT[:1000]


def test_waiting_for_another_fetch_is_said_and_ends(server: Server, tmp_path: Path) -> None:
    path, said = tmp_path / "a.csv", []
    server.answers = [sending(CONTENT)]
    with (
        claimed(path, 0, said.append),
        pytest.raises(FetchError, match=r"another process has been fetching it for 0.1 s"),
    ):
        get(server, path, limits=Limits(total=0.1), say=said.append)
    assert said == [f"{path}: another process is fetching it; waiting"]
    assert server.requests == []
    get(server, path, say=said.append)
    assert len(said) == 1
    assert os.listdir(tmp_path) == ["a.csv"]


@pytest.mark.parametrize("fault", ["no module", "no locks"])
def test_without_locks_nobody_waits(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    if fault == "no module":
        monkeypatch.setattr(lock, "fcntl", None)
    else:
        monkeypatch.setattr(lock.fcntl, "flock", refuse)
    server.answers = [sending(CONTENT)]
    with claimed(tmp_path / "a.csv", 0, lambda _: None):
        get(server, tmp_path / "a.csv")
    assert os.listdir(tmp_path) == ["a.csv"]


@pytest.mark.parametrize(
    ("here", "there", "good"),
    [
        ("http://a/x", "http://b/y", True),
        ("http://a/x", "https://a/x", True),
        ("http://a:8080/x", "https://a/x", True),
        ("http://a/x", "https://b/x", False),
        ("https://a/x", "http://a/x", False),
        ("https://a/x", "file:///x", False),
    ],
)
def test_which_redirects_are_followed(here: str, there: str, good: bool) -> None:
    if good:
        check_redirect(here, there)
        return
    with pytest.raises(FetchError, match="redirects to another scheme"):
        check_redirect(here, there)


def test_a_redirect_to_https_of_the_same_host_is_followed(server: Server, tmp_path: Path) -> None:
    server.answers = [redirecting("https://127.0.0.1:9/a.csv")]
    with pytest.raises(FetchError, match=r"cut .*port=9.*refused"):
        get(server, tmp_path / "a.csv")


def test_a_socks_proxy_is_a_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "socks", None)
    monkeypatch.setenv("all_proxy", "socks5://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")
    with pytest.raises(FetchError, match=r"SOCKS proxy, which needs another package \(python -m"):
        download("http://data.invalid/a.csv", tmp_path / "a.csv", sha256=None, max_bytes=1,
                 limits=QUICK)  # fmt: skip


def test_proxies_are_respected(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.answers = [sending(CONTENT)]
    monkeypatch.setenv("http_proxy", server.url)
    monkeypatch.setenv("no_proxy", "")
    download("http://data.invalid/a.csv", tmp_path / "a.csv", sha256=SHA256, max_bytes=10**6,
             limits=QUICK)  # fmt: skip
    assert server.requests[0]["path"] == "http://data.invalid/a.csv"


def test_progress_is_shown_on_stderr(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.answers = [sending(CONTENT)]
    get(server, tmp_path / "a.csv")
    assert capsys.readouterr() == ("", "")
    get(server, tmp_path / "b.csv", progress=True)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "b.csv: 100%" in captured.err
