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
        hold: is waited for after ``cut_after`` bytes, instead of closing
        ranges: whether a part can be asked for
        length: value of Content-Length; the true one if not given
    """

    body: bytes
    content_type: str = "application/octet-stream"
    etag: str = '"v1"'
    statuses: list[int] = field(default_factory=list)
    cut_after: int | None = None
    cuts: int = 0
    hold: threading.Event | None = None
    ranges: bool = True


@dataclass
class Loopback:
    """The server: its pages, and what it was asked for.

    Attributes:
        url: address of the server, without a slash at the end
        pages: by path, such as ``"/a.tar.gz"``
        asked: path, Range header and body bytes sent of every request
    """

    url: str
    pages: dict[str, Page] = field(default_factory=dict)
    asked: list[tuple[str, str, int]] = field(default_factory=list)
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
    def log_message(self, *_):
        pass

    def do_GET(self):
        loopback = self.server.loopback
        asked = self.headers.get("Range", "")
        page = loopback.pages.get(self.path)
        number = len(loopback.asked)
        loopback.asked.append((self.path, asked, 0))
        if page is None:
            return self.send_error(404)
        if page.statuses:
            return self.send_error(page.statuses.pop(0))
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

    def _start(self, page, asked):
        same = self.headers.get("If-Range", page.etag) == page.etag
        if not (asked and page.ranges and same):
            return 0
        return int(asked.removeprefix("bytes=").rstrip("-"))

    def _head(self, page, start, body):
        self.send_response(206 if start else 200)
        self.send_header("Content-Type", page.content_type)
        self.send_header("Content-Length", str(len(body)))
        if page.etag:
            self.send_header("ETag", page.etag)
        if start:
            last = len(page.body) - 1
            self.send_header("Content-Range", f"bytes {start}-{last}/{last + 1}")
        self.end_headers()

    def _send(self, page, body):
        loopback = self.server.loopback
        if page.cut_after is not None and page.cuts > 0:
            page.cuts -= 1
            self.wfile.write(body[: page.cut_after])
            self.wfile.flush()
            loopback.reached.set()
            if page.hold is not None:
                page.hold.wait(30)
            self.close_connection = True
            return page.cut_after
        with contextlib.suppress(ConnectionError):
            self.wfile.write(body)
        return len(body)
