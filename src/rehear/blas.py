"""How many threads the arithmetic of numpy and torch takes."""

import contextlib
import ctypes
import itertools
import sys
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

    If something has imported torch, torch takes one thread as well: a forked
    process has none of the other threads that torch would wait for.
    """
    before = [(get(), limit) for get, limit in (*_controls(), *_of_torch())]
    for _, limit in before:
        limit(1)
    try:
        yield
    finally:
        for threads, limit in before:
            limit(threads)


@contextlib.contextmanager
def torch_single_threaded() -> Iterator[None]:
    """Keep torch to one thread, for a part that calls it; takes a microsecond.

    A transform gives the same numbers then in a forked process, in a worker of
    the training and in the training itself, on any number of cores.
    """
    before = [(get(), limit) for get, limit in _of_torch()]
    for _, limit in before:
        limit(1)
    try:
        yield
    finally:
        for threads, limit in before:
            limit(threads)


def _of_torch() -> Iterator[tuple[Any, Any]]:
    """Yield getter and setter of torch, where it is imported."""
    torch = sys.modules.get("torch")
    if torch is not None:
        yield torch.get_num_threads, torch.set_num_threads


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
