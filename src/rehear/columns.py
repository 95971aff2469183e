"""Columns of a manifest as numbers, so that a million clips are counted in seconds."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from rehear.manifest import Clip


@dataclass(frozen=True)
class Column:
    """Names as numbers.

    Attributes:
        names: all that occur, in alphabetical order
        codes: place of each value in ``names``
    """

    names: Sequence[str]
    codes: np.ndarray


@dataclass(frozen=True)
class Labels(Column):
    """Every clip with each of its labels.

    Attributes:
        rows: place of the clip of each code
    """

    rows: np.ndarray


def column(values: Iterable[str]) -> Column:
    """Return names as numbers, which do not depend on their order.

    Example:
        >>> column(["b", "a", "b"]).codes.tolist()
        [1, 0, 1]
    """
    listed = list(values)
    names = sorted(set(listed))
    code_of = {name: code for code, name in enumerate(names)}
    codes = np.fromiter(map(code_of.__getitem__, listed), np.int64, len(listed))
    return Column(names, codes)


def labels(clips: Sequence[Clip]) -> Labels:
    """Return every pair of a clip and one of its labels."""
    found = column(chain.from_iterable(clip.labels for clip in clips))
    sizes = np.fromiter((len(clip.labels) for clip in clips), np.int64, len(clips))
    return Labels(found.names, found.codes, np.repeat(np.arange(len(clips)), sizes))


def distinct(*codes: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return the different combinations of codes, sorted.

    Args:
        codes: of equal length, none negative
    """
    sizes = [int(code.max(initial=-1)) + 1 for code in codes]
    if not len(codes[0]):
        return codes
    return np.unravel_index(np.unique(np.ravel_multi_index(codes, sizes)), sizes)


def table(rows: np.ndarray, columns: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return how often each pair of codes occurs.

    Args:
        rows: code of the row, for each occurrence
        columns: likewise
        shape: of the table
    """
    counts = np.bincount(rows * shape[1] + columns, minlength=shape[0] * shape[1])
    return counts.reshape(shape)
