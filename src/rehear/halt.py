"""Ending downloads that run in other threads."""

import contextlib
import http.client
import os
import socket
import threading
from collections.abc import Iterator
from typing import Any


class Halted(Exception):  # noqa: N818 - not an error of this download
    """A download was told to end."""


class Halt:
    """Ends downloads in other threads, also those that wait for bytes."""

    def __init__(self) -> None:
        self._event, self._lock = threading.Event(), threading.Lock()
        self._responses: set[http.client.HTTPResponse] = set()

    def set(self) -> None:
        """Tell all downloads to end."""
        self._event.set()
        with self._lock:
            for response in self._responses:
                _shut(response)

    def check(self) -> None:
        """Raise ``Halted`` if it is time to end."""
        if self._event.is_set():
            raise Halted

    def wait(self, seconds: float) -> None:
        """Sleep, and raise ``Halted`` as soon as it is time to end."""
        if self._event.wait(seconds):
            raise Halted

    @contextlib.contextmanager
    def watching(self, response: Any) -> Iterator[None]:
        """Cut this response short when it is time to end."""
        if not isinstance(response, http.client.HTTPResponse):
            yield  # a file, which does not let anybody wait
            return
        with self._lock:
            self._responses.add(response)
        try:
            self.check()
            yield
        finally:
            with self._lock:
                self._responses.discard(response)


def _shut(response: http.client.HTTPResponse) -> None:
    """Let the thread that waits for this response see its end."""
    # A response without a descriptor has come to its end by itself.
    with (
        contextlib.suppress(OSError, ValueError, AttributeError),
        socket.socket(fileno=os.dup(response.fileno())) as connection,
    ):
        connection.shutdown(socket.SHUT_RDWR)
