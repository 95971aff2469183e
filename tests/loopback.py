"""A web server on this machine that misbehaves on request."""

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Page:
    """What the server has at one address.

    Attributes:
        body: all bytes
        content_type: as the header says
        etag: validator; empty for none
        statuses: answered one by one instead of the body, before it is sent
        cut_after: bytes of one answer after which the connection is closed
        cuts: how often it is closed
        hold: is waited for after ``cut_after`` bytes, before closing
        ranges: whether a part can be asked for
        headers: sent along with every answer, also those of ``statuses``
        silent: is waited for before anything is answered
        obeys: whether If-Range is
        chunked: whether the length is kept back
        status: of the answer with the body
        endless: whether only the end of the connection tells that of the body
    """

    body: bytes
    content_type: str = "application/octet-stream"
    etag: str = '"v1"'
    statuses: list[int] = field(default_factory=list)
    cut_after: int | None = None
    cuts: int = 0
    hold: threading.Event | None = None
    ranges: bool = True
    headers: dict[str, str] = field(default_factory=dict)
    silent: threading.Event | None = None
    obeys: bool = True
    chunked: bool = False
    status: int = 200
    endless: bool = False


@dataclass
class Loopback:
    """The server: its pages, and what it was asked for.

    Attributes:
        url: address of the server, without a slash at the end
        pages: by path, such as ``"/a.tar.gz"``
        asked: path, Range header and body bytes sent of every request
        heads: paths of which only the head was asked for
        reached: set whenever a connection is cut
    """

    url: str
    pages: dict[str, Page] = field(default_factory=dict)
    asked: list[tuple[str, str, int]] = field(default_factory=list)
    heads: list[str] = field(default_factory=list)
    reached: threading.Event = field(default_factory=threading.Event)

    def sent(self) -> list[int]:
        return [count for _, _, count in self.asked]


@contextlib.contextmanager
def serve() -> Iterator[Loopback]:
    """Serve until the block ends."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    loopback = Loopback(f"http://127.0.0.1:{server.server_address[1]}")
    server.loopback = loopback
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield loopback
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def end_headers(self):
        # One request a connection, as nobody keeps it open.
        self.send_header("Connection", "close")
        page = self.server.loopback.pages.get(self.path)
        for name, value in (page.headers if page else {}).items():
            self.send_header(name, value)
        super().end_headers()

    def do_HEAD(self):
        self.server.loopback.heads.append(self.path)
        page = self.server.loopback.pages.get(self.path)
        if page is None or page.statuses:
            return self.send_error(404 if page is None else page.statuses[0])
        return self._head(page, 0, page.body)

    def do_GET(self):
        loopback = self.server.loopback
        asked = self.headers.get("Range", "")
        page = loopback.pages.get(self.path)
        number = len(loopback.asked)
        loopback.asked.append((self.path, asked, 0))
        if page is None:
            return self.send_error(404)
        if page.silent is not None:
            page.silent.wait(30)
        if page.statuses:
            return self._answer(page.statuses.pop(0))
        start = self._start(page, asked)
        if start > 0 and start >= len(page.body):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(page.body)}")
            self.send_header("Content-Length", "0")
            return self.end_headers()
        body = page.body[start:]
        self._head(page, start, body)
        count = self._send(page, body)
        loopback.asked[number] = (self.path, asked, count)
        return None

    def _answer(self, status):
        if status >= 400:
            return self.send_error(status)
        self.send_response(status)
        self.send_header("Content-Length", "0")
        return self.end_headers()

    def _start(self, page, asked):
        same = self.headers.get("If-Range", page.etag) == page.etag or not page.obeys
        if not (asked and page.ranges and same):
            return 0
        return int(asked.removeprefix("bytes=").rstrip("-"))

    def _head(self, page, start, body):
        self.send_response(206 if start else page.status)
        self.send_header("Content-Type", page.content_type)
        if page.chunked:
            self.send_header("Transfer-Encoding", "chunked")
        elif not page.endless:
            self.send_header("Content-Length", str(len(body)))
        if page.etag:
            self.send_header("ETag", page.etag)
        if start:
            last = len(page.body) - 1
            self.send_header("Content-Range", f"bytes {start}-{last}/{last + 1}")
        self.end_headers()

    def _send(self, page, body):
        loopback = self.server.loopback
        with contextlib.suppress(ConnectionError):
            if page.cut_after is not None and page.cuts > 0:
                page.cuts -= 1
                self._write(page, body[: page.cut_after])
                self.wfile.flush()
                loopback.reached.set()
                if page.hold is not None:
                    page.hold.wait(30)
                return page.cut_after
            self._write(page, body)
            if page.chunked:
                self.wfile.write(b"0\r\n\r\n")
        return len(body)

    def _write(self, page, body):
        if page.chunked:
            body = b"%x\r\n%b\r\n" % (len(body), body)
        self.wfile.write(body)
