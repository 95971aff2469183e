"""Make libraries with global generators draw from a generator that is handed in.

The global generators of Python, NumPy and PyTorch are seeded for the length of
one call, and then get back the states that they had. So a draw depends on the
clip's key alone, and a call changes nothing for the rest of the program.
"""

import contextlib
import random  # noqa: TID251 - seeded here, so that libraries draw from a key
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np


@contextlib.contextmanager
def seeded(generator: np.random.Generator, *, numpy: bool = True) -> Iterator[None]:
    """Seed all global generators from ``generator``; restore them at the end.

    Args:
        generator: gives 256 random bits
        numpy: whether NumPy's is among them, whose state takes 60 µs to save and
            restore, two thirds of the whole
    """
    import torch

    words = generator.integers(2**32, size=8, dtype=np.uint32)
    python = random.getstate()
    legacy: Any = np.random.get_state(legacy=False) if numpy else None  # noqa: NPY002
    cpu = torch.default_generator.get_state()
    gpu: Any = torch.cuda
    cuda = gpu.get_rng_state_all() if gpu.is_initialized() else []
    number = int(words[6]) << 31 | int(words[7]) >> 1
    try:
        random.seed(int.from_bytes(words[:3].tobytes(), "little"))
        if numpy:
            np.random.seed(words[3:6])  # noqa: NPY002
        torch.default_generator.manual_seed(number)
        if cuda:
            gpu.manual_seed_all(number)
        yield
    finally:
        random.setstate(python)
        if numpy:
            np.random.set_state(legacy)  # noqa: NPY002
        torch.default_generator.set_state(cpu)
        if cuda:
            gpu.set_rng_state_all(cuda)


def python_random(generator: np.random.Generator) -> random.Random:
    """Return a generator of Python's, for libraries that are handed one."""
    return random.Random(int.from_bytes(generator.bytes(16), "little"))


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Let PyTorch compute in one thread, and without gradients.

    Sums depend on the number of threads, which differs between machines and is
    one in the processes that make batches.
    """
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.no_grad():
            yield
    finally:
        torch.set_num_threads(threads)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep a library's warnings, of deprecations for example, from the user."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
