import hashlib
import http.server
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deepen.data.download import fetch, over_https, sha256_is
from deepen.data.progress import shown_by
from deepen.errors import Problem

CONTENT = bytes(range(256)) * 4000
RIGHT = sha256_is(hashlib.sha256(CONTENT).hexdigest())
MOST = 2 * len(CONTENT)


class Server(http.server.ThreadingHTTPServer):
    """Serves CONTENT under /right, with the faults that a path names."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[tuple[str, str | None]] = []


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.server.asked.append((self.path, wanted))
        content = CONTENT
        if self.path.startswith("/wrong"):
            content = b"x" + CONTENT[1:]
        if self.path.startswith("/missing"):
            self.send_error(404)
            return
        if self.path.startswith("/endless"):
            self.send_response(200)
            self.end_headers()
            for _ in range(20):
                self.wfile.write(CONTENT)
            return
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and "norange" not in self.path else 0
        if start >= len(content):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        piece = content[start:]
        if "cut" in self.path:
            piece = piece[: max(len(content) // 3, 1)]
        self.wfile.write(piece)

    def log_message(self, *arguments: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def through(server: Server) -> Any:
    """A transport that takes https addresses to the local server."""

    def transport(request: urllib.request.Request) -> Any:
        path = request.full_url.removeprefix("https://example.org")
        local = urllib.request.Request(
            f"http://127.0.0.1:{server.server_port}{path}", headers=dict(request.header_items())
        )
        return urllib.request.build_opener(urllib.request.ProxyHandler({})).open(local, timeout=10)

    return transport


def get(server: Server, target: Path, *paths: str, **options: Any) -> Path:
    urls = [f"https://example.org/{path}" for path in paths]
    return fetch(urls, target, check=RIGHT, transport=through(server), **{"most": MOST, **options})


def test_a_file_comes_whole_and_with_progress(server: Server, tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    with shown_by(lambda *report: seen.append(report)):
        target = get(server, tmp_path / "new" / "file.gz", "right")
    assert target.read_bytes() == CONTENT
    assert seen[-1] == ("downloading file.gz", len(CONTENT), len(CONTENT))
    assert [path.name for path in target.parent.iterdir()] == ["file.gz"]


def test_a_cut_connection_is_continued_where_it_broke(server: Server, tmp_path: Path) -> None:
    assert get(server, tmp_path / "file", "cut").read_bytes() == CONTENT
    third = len(CONTENT) // 3
    assert server.asked == [
        ("/cut", None),
        ("/cut", f"bytes={third}-"),
        ("/cut", f"bytes={2 * third}-"),
        ("/cut", f"bytes={3 * third}-"),
    ]


def test_a_partial_file_from_before_is_continued(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file.part").write_bytes(CONTENT[:1000])
    assert get(server, tmp_path / "file", "right").read_bytes() == CONTENT
    assert server.asked == [("/right", "bytes=1000-")]


def test_a_server_without_ranges_starts_again(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file.part").write_bytes(CONTENT[:1000])
    assert get(server, tmp_path / "file", "right-norange").read_bytes() == CONTENT


@pytest.mark.parametrize("before", [CONTENT, CONTENT + b"more", b"other" * 100])
def test_a_partial_file_of_anything_else_does_no_harm(server: Server, tmp_path: Path, before: bytes) -> None:
    (tmp_path / "file.part").write_bytes(before)
    assert get(server, tmp_path / "file", "right").read_bytes() == CONTENT


def test_the_next_mirror_is_asked(server: Server, tmp_path: Path) -> None:
    assert get(server, tmp_path / "file", "missing", "wrong", "endless", "right").read_bytes() == CONTENT
    assert [path for path, _ in server.asked] == ["/missing", "/wrong", "/endless", "/right"]


def test_what_was_tried_and_where_to_put_the_file_is_said(server: Server, tmp_path: Path) -> None:
    with pytest.raises(Problem) as caught:
        get(server, tmp_path / "file", "missing", "wrong", "endless")
    text = str(caught.value)
    for part in (
        "/missing (not reached: HTTP 404",
        "/wrong (it has SHA-256",
        f"longer than {MOST:,} bytes",
        f"'{tmp_path / 'file'}' by hand",
    ):
        assert part in text
    assert list(tmp_path.iterdir()) == []


def test_without_a_network_the_partial_file_stays(tmp_path: Path) -> None:
    (tmp_path / "file.part").write_bytes(b"some")

    def offline(request: urllib.request.Request) -> Any:
        raise urllib.error.URLError("Name or service not known")

    with pytest.raises(Problem, match=r"Name or service not known.*by hand"):
        fetch(["https://example.org/right"], tmp_path / "file", check=RIGHT, most=MOST, transport=offline)
    assert (tmp_path / "file.part").read_bytes() == b"some"


@pytest.mark.parametrize("url", ["http://example.org/x", "ftp://example.org/x", "file:///etc/passwd"])
def test_only_https_is_asked(url: str, tmp_path: Path) -> None:
    def never(request: urllib.request.Request) -> Any:
        pytest.fail("asked")

    with pytest.raises(Problem, match="only downloaded over https"):
        fetch(["https://example.org/x", url], tmp_path / "file", check=RIGHT, most=MOST, transport=never)


def test_a_redirect_away_from_https_is_refused() -> None:
    from deepen.data.download import _OnlyHttps

    request = urllib.request.Request("https://example.org/x")
    with pytest.raises(urllib.error.URLError, match="away from https"):
        _OnlyHttps().redirect_request(request, None, 302, "", {}, "http://example.org/x")  # type: ignore[arg-type]
    further = _OnlyHttps().redirect_request(request, None, 302, "", {}, "https://example.org/y")  # type: ignore[arg-type]
    assert further is not None
    assert further.full_url == "https://example.org/y"
    assert callable(over_https)


def test_a_folder_that_cannot_be_made_is_said(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(Problem, match="DEEPEN_DATA"):
        get(server, tmp_path / "file" / "in" / "x", "right")
