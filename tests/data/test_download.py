import errno
import hashlib
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from shoestring.core.errors import DataError
from shoestring.core.progress import Advance, Progress
from shoestring.data.download import check, checksum_of, fetch

CONTENT = np.random.default_rng(0).bytes(700_000)
CHECKSUM = "sha256:" + hashlib.sha256(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves CONTENT as the test tells it to, and remembers what was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.status = 200
        self.content = CONTENT
        self.knows_ranges = True
        self.shift = 0
        self.cuts: list[int] = []  # bytes after which the next answers break off
        self.asked: list[str | None] = []
        self.gate: threading.Event | None = None  # opened when the second half of a body may be sent

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/file.bin"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        server = self.server
        given = self.headers["Range"]
        server.asked.append(given)
        start = (
            int(given.removeprefix("bytes=").removesuffix("-")) + server.shift if given and server.knows_ranges else 0
        )
        if server.status != 200:
            self.send_error(server.status) if server.status >= 400 else self.answer(server.status, b"")
        elif start and start >= len(server.content):
            self.send_error(416)
        else:
            body = server.content[start:]
            headers = (
                {"Content-Range": f"bytes {start}-{len(server.content) - 1}/{len(server.content)}"} if start else {}
            )
            cut = server.cuts.pop(0) if server.cuts else len(body)
            self.answer(206 if start else 200, body[:cut], len(body), headers)

    def answer(self, status: int, body: bytes, length: int = 0, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(length), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        half = len(body) // 2
        self.wfile.write(body[:half])
        if self.server.gate:
            self.server.gate.wait(60)
        self.wfile.write(body[half:])

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


class Counted(Progress):
    def __init__(self) -> None:
        self.tasks: list[list[int]] = []

    @contextmanager
    def task(self, title: str, total: int, unit: str = "", start: int = 0) -> Iterator[Advance]:
        assert (title, unit) == ("downloading file.bin", "bytes")
        counted = [start, total]
        self.tasks.append(counted)

        class Adding(Advance):
            def __call__(self, amount: int = 1, **facts: str) -> None:
                counted[0] += amount

        yield Adding()


def get(
    server: Server, path: Path, progress: Progress | None = None, checksum: str = CHECKSUM, attempts: int = 3
) -> Path:
    return fetch([server.url], path, checksum, progress or Progress(), attempts=attempts, pause_seconds=0)


def only_the_final_file(path: Path) -> bool:
    return [item.name for item in path.parent.iterdir()] == [path.name]


def test_a_file_arrives_whole_and_is_not_fetched_twice(server: Server, tmp_path: Path) -> None:
    path, progress = tmp_path / "new" / "file.bin", Counted()
    assert get(server, path, progress) == path
    assert get(server, path) == path
    assert path.read_bytes() == CONTENT
    assert only_the_final_file(path)
    assert server.asked == [None]
    assert progress.tasks == [[len(CONTENT), len(CONTENT)]]


def test_a_cut_connection_is_resumed_where_it_broke(server: Server, tmp_path: Path) -> None:
    path, progress = tmp_path / "file.bin", Counted()
    server.cuts = [300_000, 250_000]
    get(server, path, progress)
    assert path.read_bytes() == CONTENT
    assert only_the_final_file(path)
    assert server.asked == [None, "bytes=300000-", "bytes=550000-"]
    assert progress.tasks == [[300_000, 700_000], [550_000, 700_000], [700_000, 700_000]]


def test_a_later_call_resumes_too(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "file.bin"
    server.cuts = [300_000]
    with pytest.raises(DataError, match=r"ended after 300,000 of 700,000 bytes \(1 tries\)"):
        get(server, path, attempts=1)
    assert not path.exists()
    get(server, path)
    assert path.read_bytes() == CONTENT
    assert server.asked == [None, "bytes=300000-"]


def test_a_server_that_ignores_ranges_starts_over(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "file.bin"
    server.knows_ranges, server.cuts = False, [300_000]
    get(server, path)
    assert path.read_bytes() == CONTENT
    assert server.asked == [None, "bytes=300000-"]


def test_a_server_that_continues_elsewhere_is_asked_from_the_start(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "file.bin"
    server.shift, server.cuts = 5, [300_000]
    get(server, path)
    assert path.read_bytes() == CONTENT
    assert server.asked == [None, "bytes=300000-", None]


def test_a_part_that_is_already_whole_is_taken(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "file.bin"
    path.with_name("file.bin.part").write_bytes(CONTENT)
    get(server, path)
    assert path.read_bytes() == CONTENT
    assert server.asked == ["bytes=700000-"]
    assert only_the_final_file(path)


def test_a_part_that_is_too_long_is_deleted(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "file.bin"
    path.with_name("file.bin.part").write_bytes(CONTENT + b"more")
    with pytest.raises(DataError, match="it was deleted"):
        get(server, path)
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_checksum_leaves_nothing_and_says_so(server: Server, tmp_path: Path) -> None:
    server.content = CONTENT[:-1] + b"x"
    with pytest.raises(DataError, match=f"not {CHECKSUM.removeprefix('sha256:')}.*deleted"):
        get(server, tmp_path / "file.bin")
    assert list(tmp_path.iterdir()) == []
    assert len(server.asked) == 1


@pytest.mark.parametrize(("status", "tries"), [(202, 1), (204, 1), (403, 1), (404, 1), (429, 3), (500, 3), (503, 3)])
def test_refusals_are_called_what_they_are(server: Server, tmp_path: Path, status: int, tries: int) -> None:
    server.status = status
    path = tmp_path / "file.bin"
    with pytest.raises(DataError, match=f"the server answered {status}") as caught:
        get(server, path)
    assert f"put it at {path}" in str(caught.value)
    assert len(server.asked) == tries
    assert list(tmp_path.iterdir()) == []


def test_an_empty_body_is_no_file(server: Server, tmp_path: Path) -> None:
    server.content = b""
    with pytest.raises(DataError, match="empty body"):
        get(server, tmp_path / "file.bin", checksum="md5:d41d8cd98f00b204e9800998ecf8427e")
    assert list(tmp_path.iterdir()) == []


def test_the_next_place_is_asked_and_every_failure_is_told(server: Server, tmp_path: Path) -> None:
    with Server() as closed:
        nowhere = closed.url
    path = tmp_path / "file.bin"
    fetch([nowhere, server.url], path, CHECKSUM, Progress(), attempts=2, pause_seconds=0)
    assert path.read_bytes() == CONTENT
    path.unlink()
    server.status = 403
    with pytest.raises(DataError) as caught:
        fetch([nowhere, server.url], path, CHECKSUM, Progress(), remedy="Or ask.", attempts=2, pause_seconds=0)
    message = str(caught.value)
    assert f"{nowhere}: the connection failed" in message
    assert f"{server.url}: the server answered 403" in message
    assert message.endswith("Or ask.")


def test_another_file_in_its_place_is_kept_and_named(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "file.bin"
    path.write_bytes(b"mine")
    with pytest.raises(DataError, match="is not the expected file"):
        get(server, path)
    assert path.read_bytes() == b"mine"
    assert server.asked == []


def test_a_folder_that_cannot_be_made_is_named(server: Server, tmp_path: Path) -> None:
    (tmp_path / "taken").write_bytes(b"")
    with pytest.raises(DataError, match="cannot be written"):
        get(server, tmp_path / "taken" / "file.bin")


def test_checksums_are_hashlibs(tmp_path: Path) -> None:
    path = tmp_path / "file.bin"
    path.write_bytes(CONTENT)
    assert checksum_of(path, "md5") == hashlib.md5(CONTENT).hexdigest()
    check(path, CHECKSUM)
    with pytest.raises(DataError, match="damaged or another version"):
        check(path, "md5:0")
    assert not path.exists()


SCRIPT = """
import sys
from pathlib import Path
from shoestring.data.download import fetch
from shoestring.core.progress import Progress

class Telling(Progress):
    def say(self, message):
        print(message, flush=True)

fetch([sys.argv[1]], Path(sys.argv[2]), sys.argv[3], Telling(), attempts=1)
"""


def start(server: Server, path: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", SCRIPT, server.url, str(path), CHECKSUM]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def downloading(server: Server, path: Path) -> subprocess.Popen[str]:
    """A process that has begun to download, and gets no more than the first half for now."""
    server.gate = threading.Event()
    process = start(server, path)
    while not server.asked:
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    return process


@pytest.mark.parametrize("how", ["to the end", "until it is killed"])
def test_of_two_processes_one_waits_for_the_other(server: Server, tmp_path: Path, how: str) -> None:
    path = tmp_path / "file.bin"
    first = downloading(server, path)
    second = start(server, path)
    assert second.stdout is not None
    assert second.stdout.readline() == f"{path} is being made by another process; waiting for it\n"
    assert len(server.asked) == 1
    assert server.gate is not None
    if how == "to the end":
        server.gate.set()
        assert (first.wait(60), first.communicate()) == (0, ("", ""))
    else:
        first.kill()
        first.communicate()
        server.gate.set()
    assert (second.wait(60), second.communicate()) == (0, ("", ""))
    assert path.read_bytes() == CONTENT
    assert only_the_final_file(path)
    assert len(server.asked) == (1 if how == "to the end" else 2)


def test_of_two_threads_one_waits_for_the_other(server: Server, tmp_path: Path) -> None:
    path, gate = tmp_path / "file.bin", threading.Event()
    server.gate = gate

    class Opening(Progress):
        def say(self, message: str) -> None:
            gate.set()  # only one of them can have to wait

    with ThreadPoolExecutor() as pool:
        assert [*pool.map(lambda _: get(server, path, Opening()), range(2))] == [path, path]
    assert gate.is_set()
    assert path.read_bytes() == CONTENT
    assert only_the_final_file(path)
    assert server.asked == [None]


def test_a_file_system_without_locks_is_no_hindrance(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(file: object, operation: int) -> None:
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr("fcntl.flock", refuse)
    assert get(server, tmp_path / "file.bin").read_bytes() == CONTENT
