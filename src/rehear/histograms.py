"""How durations and levels are distributed, in the same bins for every data set.

Durations are counted in bins between preferred numbers (ISO 3, series R10: 1,
1.25, 1.6, 2 …), ten to a decade, since clips of a tenth of a second and of ten
minutes have to fit on one axis. Levels are counted in steps of 3 dB.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rehear.manifest import Manifest

WHOLE = "all"  # clips of a manifest without splits
_PREFERRED = (1.0, 1.25, 1.6, 2.0, 2.5, 3.15, 4.0, 5.0, 6.3, 8.0)
_DECADES = range(-4, 8)  # 0.1 ms to 3 years
_STEP = 3  # dB
_SOFTEST, _LOUDEST = -150, 60
_EVEN = 14  # bins at most, but for one at either end


def describe(manifest: Manifest) -> dict[str, dict[str, Any]]:
    """Return the histograms of duration and level, ready for JSON.

    Args:
        manifest: with durations and levels

    Returns:
        ``duration`` and ``level``, where they are known, each with its ``unit``,
        the ``edges`` of its bins (from, inclusive, to, exclusive) and for each
        split its ``counts``; for the level also the number of ``silent`` clips
    """
    clips = manifest.clips
    parts = np.array([clip.split or WHOLE for clip in clips])
    durations = np.array([clip.duration for clip in clips], float)
    levels = np.array([math.nan if c.level is None else c.level for c in clips], float)
    found: dict[str, dict[str, Any]] = {}
    if (durations > 0).any():
        counted = _counted(durations, durations > 0, parts, _durations())
        found["duration"] = {"unit": "s", **counted}
    audible = np.isfinite(levels)
    if audible.any():
        counted = _counted(levels, audible, parts, _levels())
        silent = int((~audible).sum())
        found["level"] = {"unit": "dB", **counted, "silent": silent}
    return found


def even(values: np.ndarray, splits: Sequence[str]) -> dict[str, Any]:
    """Return a histogram of numbers in 7 to 16 bins of equal, round width.

    Args:
        values: finite
        splits: of each value; may be empty

    Returns:
        ``edges`` and ``counts``, as ``describe`` gives them
    """
    wide = float(values.max() - values.min()) / _EVEN or 1.0
    power = 10.0 ** math.floor(math.log10(wide))
    step = power * next(n for n in (1, 2, 5, 10) if n * power > 0.999 * wide)
    first = math.floor(values.min() / step)
    count = math.floor(values.max() / step) - first + 1
    edges = np.array([float(f"{step * (first + i):.12g}") for i in range(count + 1)])
    parts = np.array([split or WHOLE for split in splits])
    return _counted(values, np.isfinite(values), parts, edges)


def summed(counts: Mapping[str, Sequence[int]]) -> list[int]:
    """Return the counts of all splits together."""
    return [sum(column) for column in zip(*counts.values(), strict=True)]


def _durations() -> np.ndarray:
    edges = [round(n * 10.0**d, 9) for d in _DECADES for n in _PREFERRED]
    return np.array([0.0, *edges])


def _levels() -> np.ndarray:
    return np.arange(_SOFTEST, _LOUDEST + _STEP, _STEP)


def _counted(
    values: np.ndarray, known: np.ndarray, parts: np.ndarray, edges: np.ndarray
) -> dict[str, Any]:
    place = np.searchsorted(edges, values[known], side="right") - 1
    place = np.clip(place, 0, len(edges) - 2)
    low, high = int(place.min()), int(place.max())
    counts = {}
    # As a set of strings it would have another order in every process.
    for part in ("train", "dev", "test", WHOLE):
        mine = place[parts[known] == part]
        if len(mine):
            found = np.bincount(mine - low, minlength=high - low + 1)
            counts[part] = found.tolist()
    return {"edges": edges[low : high + 2].tolist(), "counts": counts}
