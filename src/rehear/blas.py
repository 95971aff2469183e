"""How many threads numpy's matrix products take."""

import contextlib
import ctypes
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

_PREFIXES = ("scipy_openblas", "openblas")
_SUFFIXES = ("64_", "")


@contextlib.contextmanager
def single_threaded() -> Iterator[None]:
    """Keep matrix products to one thread, in forked processes too.

    The number of threads shows in the last bit of a product, and must not depend
    on the machine's number of cores. And where one process runs on each core,
    more threads only get in each other's way. Without effect where numpy was
    built on anything but OpenBLAS.
    """
    before = [(get(), limit) for get, limit in _controls()]
    for _, limit in before:
        limit(1)
    try:
        yield
    finally:
        for threads, limit in before:
            limit(threads)


def _controls() -> Iterator[tuple[Any, Any]]:
    """Yield getter and setter of every OpenBLAS that numpy brought along."""
    package = Path(np.__file__).parent
    folders = (package.with_name("numpy.libs"), package / ".dylibs")
    for file in sorted(
        file for folder in folders for file in folder.glob("*openblas*")
    ):
        library = ctypes.CDLL(str(file))
        for prefix, suffix in itertools.product(_PREFIXES, _SUFFIXES):
            getter = getattr(library, f"{prefix}_get_num_threads{suffix}", None)
            setter = getattr(library, f"{prefix}_set_num_threads{suffix}", None)
            if getter and setter:
                yield getter, setter
