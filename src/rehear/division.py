"""Dividing clips into parts: which clip is in which split or fold.

Clips of one group (a speaker, a recorder, a site) always stay together, as do copies
of one recording; without groups, the clips of one recording do. Among the divisions
that keep this, one is drawn in which labels are spread as evenly as possible. It
depends on the seed and on the names and labels of the clips, not on the order of
files on a disk.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rehear import randomness
from rehear.errors import DataError
from rehear.manifest import Clip

_BINS = 5  # quantiles of a regression target that are spread like labels
_EVERY = ""  # stands for a label of every clip, which balances the sizes
_WORK = 500_000  # counts looked at before the best division so far is taken
_MOST_TRIES = 50
_JITTER = 2.0  # at the last try, a group may count as up to three times as large
_TIE_BREAK = 1e-3  # weight of sizes against labels; labels alone decide mostly
_UNSEEN = 100.0  # cost of a label that train lacks
_ABSENT = 1.0  # cost of a label that another part lacks
Counts = dict[str, int]


@dataclass(frozen=True, slots=True)
class _Kind:
    """What units have in common that are alike for a division.

    Attributes:
        size: number of clips
        counts: clips of each label
        rarest: how often its rarest label occurs in all units
    """

    size: int
    counts: Counts
    rarest: int


@dataclass(frozen=True)
class _Units:
    """Clips that must not be parted, for all clips.

    Attributes:
        names: of the groups or files, sorted
        kinds: that there are
        kind_of: number of the kind of every unit
        unit_of: number of the unit of every clip
    """

    names: list[str]
    kinds: list[_Kind]
    kind_of: list[int]
    unit_of: list[int]


def unit_of(clip: Clip) -> str:
    """Return the name of what must stay in one split with ``clip``."""
    return f"group {clip.group}" if clip.group else f"file {clip.file}"


def divide(
    clips: Sequence[Clip],
    shares: Mapping[str, float],
    *,
    seed: int,
    purpose: str,
) -> list[str]:
    """Return the part that each clip is drawn into.

    Args:
        clips: with groups, where there are any
        shares: of the parts, by their names
        seed: another seed gives another division
        purpose: what is drawn; another purpose gives another division as well

    Raises:
        DataError: if there are fewer groups, or recordings, than parts
    """
    units = _units(clips, _unit_names(clips))
    if len(units.names) < len(shares):
        raise _too_few(clips, units.names, shares)
    labels = sum(len(units.kinds[kind].counts) for kind in units.kind_of)
    tries = int(np.clip(_WORK // (labels * len(shares) or 1), 1, _MOST_TRIES))
    part_of: list[str] = []
    least = float("inf")
    for attempt in range(tries):
        keys = [randomness.key(seed, purpose, attempt, name) for name in units.names]
        division = _Division(shares, units)
        drawn = division.fill(_order(units, keys, _JITTER * attempt / _MOST_TRIES))
        if division.cost() < least:
            least, part_of = division.cost(), drawn
    return [part_of[unit] for unit in units.unit_of]


def _order(units: _Units, keys: Sequence[int], spread: float) -> list[int]:
    # Large units first, as small ones fill the gaps that they leave; of equal
    # ones those with rare labels, as there is the least choice for them.
    sizes = np.array([kind.size for kind in units.kinds], np.float64)[units.kind_of]
    for unit in np.flatnonzero(sizes > 1).tolist():
        sizes[unit] *= 1.0 + spread * keys[unit] / 2**128
    rarest = np.array([kind.rarest for kind in units.kinds])[units.kind_of]
    leading = np.array([key >> 64 for key in keys], np.uint64)
    order: list[int] = np.lexsort((leading, rarest, -sizes)).tolist()
    return order


def _unit_names(clips: Sequence[Clip]) -> list[str]:
    """Return the unit of every clip; units that share a recording are one.

    Identical samples and known copies are the same recording.
    """
    names = [unit_of(clip) for clip in clips]
    parent = dict(zip(names, names, strict=True))

    def root(name: str) -> str:
        while parent[name] != name:
            parent[name] = name = parent[parent[name]]
        return name

    def join(one: str, other: str) -> None:
        pair = root(one), root(other)
        # The first name in the alphabet, whatever the order of the clips.
        parent[max(pair)] = min(pair)

    first: dict[str, str] = {}
    copied: dict[str, str] = {}
    for name, clip in zip(names, clips, strict=True):
        if clip.sha256 and first.setdefault(clip.sha256, name) != name:
            join(name, first[clip.sha256])
        if clip.copies and copied.setdefault(clip.copies, name) != name:
            join(name, copied[clip.copies])
    return [root(name) for name in names]


def _units(clips: Sequence[Clip], names: Sequence[str]) -> _Units:
    ordered = sorted(set(names))
    number = {name: unit for unit, name in enumerate(ordered)}
    unit_of = [number[name] for name in names]
    sizes = np.bincount(unit_of, minlength=len(ordered)).tolist()
    contents: list[Any] = [None] * len(ordered)
    for unit, labels in zip(unit_of, _labels(clips), strict=True):
        if sizes[unit] == 1:
            contents[unit] = tuple(sorted(labels))
        else:
            contents[unit] = contents[unit] or Counter()
            contents[unit].update(labels)
    kinds: dict[Any, int] = {}
    kind_of = []
    for size, content in zip(sizes, contents, strict=True):
        if size > 1:
            content = tuple(sorted(content.items()))
        kind_of.append(kinds.setdefault((size, content), len(kinds)))
    return _Units(ordered, _kinds(kinds, kind_of), kind_of, unit_of)


def _kinds(
    kinds: Iterable[tuple[int, tuple[Any, ...]]], kind_of: Sequence[int]
) -> list[_Kind]:
    counts = [
        dict(content) if size > 1 else dict(sorted(Counter(content).items()))
        for size, content in kinds
    ]
    carriers: Counter[str] = Counter()
    for kind, times in Counter(kind_of).items():
        for label in counts[kind]:
            carriers[label] += times
    return [
        _Kind(size, of, min((carriers[label] for label in of), default=0))
        for (size, _), of in zip(kinds, counts, strict=True)
    ]


def _labels(clips: Sequence[Clip]) -> Iterable[tuple[str, ...]]:
    """Return what is spread evenly: labels, or quantiles of every target."""
    if not clips or not clips[0].targets:
        return (clip.labels for clip in clips)
    values = np.array([clip.targets for clip in clips])
    inner = np.linspace(0, 1, _BINS + 1)[1:-1]
    bins = np.stack(
        [
            np.searchsorted(np.quantile(column, inner), column, side="right")
            for column in values.T
        ],
        axis=1,
    )
    return (
        tuple(f"target {number}: {value}" for number, value in enumerate(row))
        for row in bins.tolist()
    )


class _Division:
    """Parts that are being filled with units.

    Every step puts a unit where the sum of squared distances between wanted and
    present counts, relative to how frequent a label is, falls the most.
    """

    def __init__(self, shares: Mapping[str, float], units: _Units) -> None:
        self.units = units
        totals: Counter[str] = Counter()
        for kind, times in Counter(units.kind_of).items():
            for label, count in units.kinds[kind].counts.items():
                totals[label] += times * count
        totals[_EVERY] = len(units.unit_of)
        self.totals = dict(totals)
        self.parts = list(shares)
        self.missing = [
            {label: share * n for label, n in totals.items()}
            for share in shares.values()
        ]
        self.present: list[set[str]] = [set() for _ in self.parts]

    def fill(self, order: Sequence[int]) -> list[str]:
        """Return the part of every unit."""
        part_of = [""] * len(order)
        weights = [self._weights(kind) for kind in self.units.kinds]
        empty = set(range(len(self.parts)))
        for done, unit in enumerate(order):
            number = self.units.kind_of[unit]
            # A part is never left without any unit.
            forced = len(order) - done <= len(empty)
            choice = self._best(weights[number], among=empty if forced else None)
            part_of[unit] = self.parts[choice]
            empty.discard(choice)
            kind, missing = self.units.kinds[number], self.missing[choice]
            missing[_EVERY] -= kind.size
            self.present[choice].update(kind.counts)
            for label, count in kind.counts.items():
                missing[label] -= count
        return part_of

    def _weights(self, kind: _Kind) -> list[tuple[str, float]]:
        weights = [(label, n / self.totals[label]) for label, n in kind.counts.items()]
        return [*weights, (_EVERY, _TIE_BREAK * kind.size / self.totals[_EVERY])]

    def _best(
        self, weights: Sequence[tuple[str, float]], *, among: set[int] | None
    ) -> int:
        best, most = 0, float("-inf")
        for part, missing in enumerate(self.missing):
            if among is not None and part not in among:
                continue
            gain = 0.0
            for label, weight in weights:
                gain += weight * missing[label]
            if gain > most:
                best, most = part, gain
        return best

    def cost(self) -> float:
        cost = 0.0
        labels = self.totals.keys() - {_EVERY}
        for part, missing, present in zip(
            self.parts, self.missing, self.present, strict=True
        ):
            # Sizes weigh as much as all labels together.
            cost += (missing[_EVERY] / self.totals[_EVERY]) ** 2 * len(self.totals)
            cost += sum((missing[label] / self.totals[label]) ** 2 for label in missing)
            lost = len(labels - present)
            cost += lost * (_UNSEEN if part == "train" else _ABSENT)
        return cost


def _too_few(
    clips: Sequence[Clip], units: Sequence[str], shares: Mapping[str, float]
) -> DataError:
    kind = "groups" if any(clip.group for clip in clips) else "recordings"
    names = ", ".join(unit.partition(" ")[2] for unit in units[:10])
    return DataError(
        f"{len(units)} {kind} ({names}) cannot be divided into {len(shares)} parts "
        f"({', '.join(shares)}) without sharing one; add {kind}, or set "
        "fetch.split.dev, fetch.split.test or fetch.split.folds lower"
    )
