"""Keyed randomness: every draw has an address, and no draw depends on another."""

import hashlib

import numpy as np


def key(seed: int, purpose: str, *keys: int | str) -> int:
    """Return the 128-bit key of ``(seed, purpose, keys)``."""
    text = "\x1f".join([str(int(seed)), purpose, *map(str, keys)])
    digest = hashlib.blake2b(text.encode(), digest_size=16).digest()
    return int.from_bytes(digest, "little")


def generator(seed: int, purpose: str, *keys: int | str) -> np.random.Generator:
    """Return a fresh generator for ``(seed, purpose, keys)``.

    The same address always gives the same stream, whatever was drawn before,
    in whichever process: the number of workers, the order of the clips and an
    interruption cannot change a draw.

    Args:
        seed: the study's or the run's seed
        purpose: what is drawn, for example ``"augment"``
        keys: what it is drawn for, for example the epoch and the clip's id

    Example:
        >>> a = generator(1, "augment", 0, "dog-7").integers(100, size=3)
        >>> b = generator(1, "augment", 0, "dog-7").integers(100, size=3)
        >>> bool((a == b).all())
        True
    """
    return np.random.Generator(np.random.Philox(key=key(seed, purpose, *keys)))
