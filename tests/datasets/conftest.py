"""Archives of a folder, from a web server on this machine."""

import contextlib

import pytest

from loopback import Page, serve


@pytest.fixture
def served():
    """Return a function that serves a folder's files and gives the address."""
    with contextlib.ExitStack() as stack:

        def at(folder):
            server = stack.enter_context(serve())
            for path in folder.rglob("*"):
                if path.is_file():
                    name = path.relative_to(folder).as_posix()
                    server.pages[f"/{name}"] = Page(path.read_bytes())
            return server.url

        yield at
