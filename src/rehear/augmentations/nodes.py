"""Augmentations made of augmentations.

A node draws for itself first (whether it runs, and which part), then one key of
128 bits for each part, whether that one runs or not. A part draws from a
generator of its own with that key, so that neither the number of its draws nor
another argument of its can shift what the other parts draw.
"""

import contextlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from rehear import signals
from rehear.augmentations.chance import probability, skips
from rehear.catalogue import Spec, misfit, name_of
from rehear.errors import ParamsError
from rehear.signals import ANY, FEATURES, IMAGE, SAME, SPECTROGRAM, WAVEFORM, Signal

_CONCRETE = (WAVEFORM, SPECTROGRAM, IMAGE)
_WHAT = "augmentation"


class Sequence:
    """Apply parts one after the other.

    Args:
        sample_rate: of the waveform, in Hz
        study: folder that paths of parts are relative to
        parts: augmentations of one clip, in the order of execution
        p: probability that the clip goes through them; otherwise through none

    Shape:
        what the first part takes, to what the last one gives

    Raises:
        ParamsError: if a part refuses its arguments, or what comes before it
    """

    by_clip = True
    nested = ("parts",)
    takes: str | tuple[str, ...] = ANY
    gives = ANY

    def __init__(
        self,
        *,
        sample_rate: int = 0,
        study: Path = Path(),
        parts: list[Any] | tuple[Any, ...] = (),
        p: float = 1.0,
    ) -> None:
        self.names, self.p = [name_of(spec) for spec in parts], probability(p)
        self.parts: list[Any] = []
        rate = sample_rate
        for index, spec in enumerate(parts):
            self.parts.append(_built(index, spec, rate, study))
            rate = getattr(self.parts[-1], "rate_after", rate)
        if rate != sample_rate:
            self.rate_after = rate
        self.takes, self.gives = _kinds([[*zip(self.names, self.parts, strict=True)]])

    def __call__(
        self, x: np.ndarray, generator: np.random.Generator, clip: str = ""
    ) -> np.ndarray:
        if skips(generator, self.p):
            return x
        keys = _keys(generator, len(self.parts))
        for name, part, key in zip(self.names, self.parts, keys, strict=True):
            x = _applied(part, name, x, key, clip)
        return x


class Choice:
    """Apply one part, drawn at random.

    Args:
        sample_rate: of the waveform, in Hz
        study: folder that paths of parts are relative to
        parts: augmentations of one clip
        weights: of the parts, in any unit; null draws each as often
        p: probability that one is applied; otherwise none is

    Shape:
        what all parts take, to what they give

    Raises:
        ParamsError: if a part refuses its arguments, or no kind of array suits all
        ValueError: if weights are not one for each part, negative or all zero
    """

    by_clip = True
    nested = ("parts",)
    takes: str | tuple[str, ...] = ANY
    gives = ANY

    def __init__(
        self,
        *,
        sample_rate: int = 0,
        study: Path = Path(),
        parts: list[Any] | tuple[Any, ...] = (),
        weights: list[float] | None = None,
        p: float = 1.0,
    ) -> None:
        self.names, self.p = [name_of(spec) for spec in parts], probability(p)
        self.parts = [
            _built(index, spec, sample_rate, study) for index, spec in enumerate(parts)
        ]
        self.bounds = _bounds(len(parts), weights)
        rates = {getattr(part, "rate_after", sample_rate) for part in self.parts}
        if len(rates) > 1:
            raise ValueError(f"parts give different sample rates: {sorted(rates)} Hz")
        if rates - {sample_rate}:
            self.rate_after = rates.pop()
        ways = [[way] for way in zip(self.names, self.parts, strict=True)]
        self.takes, self.gives = _kinds(ways)

    def __call__(
        self, x: np.ndarray, generator: np.random.Generator, clip: str = ""
    ) -> np.ndarray:
        if skips(generator, self.p):
            return x
        drawn = int(np.searchsorted(self.bounds, generator.random(), side="right"))
        key = _keys(generator, len(self.parts))[drawn]
        return _applied(self.parts[drawn], self.names[drawn], x, key, clip)


def _built(index: int, spec: Spec, rate: int, study: Path) -> Any:
    from rehear.augmentations import AUGMENTATIONS

    try:
        return AUGMENTATIONS.build(spec, sample_rate=rate, study=study)
    except ParamsError as error:
        raise error.within(f"parts.{index}") from error


def _bounds(count: int, weights: Any) -> np.ndarray:
    """Return for each part the number that draws below it choose it or one before."""
    if weights is None:
        weights = [1.0] * count
    listed = isinstance(weights, list) and len(weights) == count
    if not listed or any(misfit(float, weight) for weight in weights):
        raise ValueError(f"weights must be a list of {count} numbers, one a part")
    if min(weights) < 0 or sum(weights) == 0:
        raise ValueError(f"weights must be 0 or above, and not all 0, not {weights}")
    sums = np.cumsum(weights, dtype=np.float64)
    return sums / sums[-1]


def _keys(generator: np.random.Generator, count: int) -> np.ndarray:
    return generator.integers(0, 2**64, size=(count, 2), dtype=np.uint64)


def _applied(part: Any, name: str, x: np.ndarray, key: np.ndarray, clip: str) -> Any:
    signals.check_shape(part, name, x, what=_WHAT)
    generator = np.random.Generator(np.random.Philox(key=key))
    named = (clip,) if getattr(part, "by_clip", False) else ()
    return part(x, generator, *named)


def _kinds(
    ways: list[list[tuple[str, Any]]],
) -> tuple[str | tuple[str, ...], str]:
    """Return what can go through each of several ways, and what comes out.

    Args:
        ways: names and parts, in the order of execution

    Raises:
        ParamsError: if nothing can go through all of them
    """
    given: dict[str, set[str]] = {}
    for kind in (*_CONCRETE, FEATURES):
        with contextlib.suppress(ParamsError):
            given[kind] = {_end(way, kind) for way in ways}
    takes = tuple(kind for kind in _CONCRETE if kind in given)
    if not takes:
        raise ParamsError(_disagreement(ways))
    if {SPECTROGRAM, IMAGE} <= given.keys() and FEATURES in given:
        takes = (*takes, FEATURES)
    ends = [given[kind] for kind in takes]
    if all(end == {kind} for kind, end in zip(takes, ends, strict=True)):
        return ANY if len(takes) > len(_CONCRETE) else takes, SAME
    every = set().union(*ends)
    return takes, every.pop() if len(every) == 1 else ANY


def _disagreement(ways: list[list[tuple[str, Any]]]) -> str:
    taking = (
        f"'{name}' takes {signals.described(part)}"
        for way in ways
        for name, part in way
        if ANY not in signals.taken(part)
    )
    return f"no array suits all parts: {', '.join(taking)}; keep them apart"


def _end(way: Iterable[tuple[str, Any]], kind: str) -> str:
    """Return what comes out where ``kind`` goes in."""
    signal = Signal(kind)
    for name, part in way:
        signal = signals.after(part, name, signal, what=_WHAT)
    return signal.kind
