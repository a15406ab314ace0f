"""Downloads, against a server on this machine that fails as servers do."""

import errno
import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from chainrule.data import download
from chainrule.data.download import cache_folder, fetch
from chainrule.errors import DataError

CONTENT = bytes(range(256)) * 4096  # 1 MiB
MD5 = hashlib.md5(CONTENT).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """/whole, /breaks (off after a third), /lies (wrong content), /no-ranges, else 404."""

    def do_GET(self):
        server = self.server
        header = self.headers.get("Range")
        server.requests.append((self.path, header))
        start = int(header.removeprefix("bytes=").rstrip("-")) if header else 0
        if self.path == "/no-ranges":
            start = 0
        content = {"/lies": b"<html>please log in</html>"}.get(self.path, CONTENT)
        if self.path == "/absent":
            self.send_error(404)
            return
        if start >= len(content):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(content)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        rest = content[start:]
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        if self.path == "/breaks":
            rest = rest[: len(CONTENT) // 3]
        self.wfile.write(rest)

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    for variable in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.requests = []
    server.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def dead_url() -> str:
    """A port where nobody listens."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as closed:
        return f"http://127.0.0.1:{closed.server_port}/whole"


def test_downloads_once_and_then_uses_the_cache(tmp_path: Path, server):
    seen = []
    path = fetch("file", MD5, [server.url + "/whole"], tmp_path, lambda *args: seen.append(args))
    assert path == tmp_path / "file" and path.read_bytes() == CONTENT
    assert seen[-1] == ("download file", len(CONTENT), len(CONTENT))
    fetch("file", MD5, [server.url + "/whole"], tmp_path)
    assert len(server.requests) == 1


def test_a_transfer_that_breaks_off_is_continued(tmp_path: Path, server):
    path = fetch("file", MD5, [server.url + "/breaks"], tmp_path)
    assert path.read_bytes() == CONTENT
    assert len(server.requests) == 4  # a third each, and the odd byte
    starts = [header for _, header in server.requests]
    assert starts[0] is None and starts[1].startswith("bytes=") and len(set(starts)) == 4
    assert not (tmp_path / "file.part").exists()


def test_a_part_from_an_earlier_run_is_continued(tmp_path: Path, server):
    (tmp_path / "file.part").write_bytes(CONTENT[:1000])
    assert fetch("file", MD5, [server.url + "/whole"], tmp_path).read_bytes() == CONTENT
    assert server.requests == [("/whole", "bytes=1000-")]


@pytest.mark.parametrize("part", [CONTENT, CONTENT + b"more"], ids=["whole", "too long"])
def test_a_part_that_needs_nothing_more(tmp_path: Path, server, part):
    (tmp_path / "file.part").write_bytes(part)
    assert fetch("file", MD5, [server.url + "/whole"], tmp_path).read_bytes() == CONTENT


def test_a_server_without_ranges_sends_all_again(tmp_path: Path, server):
    (tmp_path / "file.part").write_bytes(b"x" * 1000)
    assert fetch("file", MD5, [server.url + "/no-ranges"], tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize("first", ["dead", "/lies", "/absent"])
def test_the_next_mirror_is_tried(tmp_path: Path, server, first):
    url = dead_url() if first == "dead" else server.url + first
    path = fetch("file", MD5, [url, server.url + "/whole"], tmp_path)
    assert path.read_bytes() == CONTENT


def test_a_damaged_part_spoils_one_mirror_only(tmp_path: Path, server):
    (tmp_path / "file.part").write_bytes(b"x" * 1000)
    path = fetch("file", MD5, [server.url + "/whole"] * 2, tmp_path)
    assert path.read_bytes() == CONTENT


def test_every_mirror_is_named_when_none_delivers(tmp_path: Path, server):
    urls = [dead_url(), server.url + "/lies", server.url + "/absent"]
    with pytest.raises(DataError, match="no mirror delivered file") as caught:
        fetch("file", MD5, urls, tmp_path)
    lines = str(caught.value).splitlines()
    assert "refused" in lines[1] and "checksum" in lines[2] and "404" in lines[3]
    assert not (tmp_path / "file").exists()


def test_a_full_disk_is_said(tmp_path: Path, server, monkeypatch):
    def full(self, url, have):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(download._ResumingDownload, "_transfer", full)
    with pytest.raises(DataError, match=r"cannot write .*No space left on device"):
        fetch("file", MD5, [server.url + "/whole"], tmp_path)


def test_the_cache_folder_can_be_named(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("CHAINRULE_CACHE", str(tmp_path / "here"))
    assert cache_folder() == tmp_path / "here"
    monkeypatch.delenv("CHAINRULE_CACHE")
    assert cache_folder().name == "chainrule"
