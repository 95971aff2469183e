"""Finding clips whose prints agree, without comparing all with all.

Some peaks near each other make a landmark: their bands and the times between them.
Clips that share a landmark, which is rare by chance, are looked up in an inverted
index; where the peaks around it agree too, the two clips may be copies. The cost is
proportional to the number of clips: of each clip at most some hundred landmarks are
kept, chosen by their value, so that copies keep the same ones, and each is compared
with the next few clips that share it.

Sources: A. Wang, An industrial-strength audio search algorithm, ISMIR 2003, for the
index of peaks; R. Sonnleitner and G. Widmer, Robust quad-based audio fingerprinting,
IEEE/ACM TASLP 24(3), 2016, for four of them, which are far more selective than two;
A. Broder, On the resemblance and containment of documents, 1997, for the choice.
"""

import itertools
import logging
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rehear import forks
from rehear.prints import Prints

_AHEAD = 7  # peaks after the first of which the others are taken
# Peaks of a landmark, and how many peaks all clips may have then. In larger sets of
# clips, chance makes more of them equal.
_PEAKS = ((4, 1_000_000), (5, 60_000_000), (6, 1 << 62))
_REACH = 31  # frames between the first and the last
_WANTED = 2048  # landmarks of a clip; more of long ones
_SPARSEST = 16  # of this many landmarks of a long clip, at least one is kept
_MOST = 1 << 24  # landmarks of all clips, about: 128 MiB
_MOST_PEAKS = 1 << 32  # of all clips: 16 GiB, years of sound
_NEXT = 8  # clips with the same landmark that a clip is compared with
_NEAR, _FAR = 8, 24  # peaks before, and after, that are compared first, and then
_AGREE_NEAR, _AGREE_FAR = 0.2, 0.25  # share of them, beyond the landmark, that agree
_FOUND = 2  # of them at least
_ROWS = 1 << 18  # peaks, or landmarks, of one job
_BATCH = 1 << 14  # pairs whose surroundings are compared at a time
_MIX = 0x9E3779B97F4A7C15  # 2**64 over the golden ratio, as in Fibonacci hashing
_ODD = _MIX >> 1 | 1  # the same for signed numbers
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Matches:
    """Pairs of clips that share a landmark and peaks around it.

    Attributes:
        first: row of the one clip
        second: row of the other, a later one
        times: frames of the landmark in both, ``(pairs, 2)``
        agreeing: number of peaks around it that both have
    """

    first: np.ndarray
    second: np.ndarray
    times: np.ndarray
    agreeing: np.ndarray

    def __len__(self) -> int:
        return len(self.first)


def matches(prints: Prints, *, processes: int = 1) -> Matches:
    """Return pairs of clips that are likely to hold the same sound.

    Each pair occurs once, with the landmark around which most agrees; sorted by
    rows. The result does not depend on the number of processes.
    """
    prints = _numbered(prints)
    hashes, places, clips = _shared(_index(prints, processes), prints)
    agreement = _Agreement(prints)

    def work(number: int) -> np.ndarray:
        one, other = _alike(hashes, number * _ROWS)
        at = np.stack([places[one], places[other]])
        return _best(agreement.rows(np.stack([clips[one], clips[other]]), at))

    parts = _forked(work, -(-len(hashes) // _ROWS), processes)
    table = _best(np.concatenate([np.zeros((0, 5), np.int64), *parts]))
    _report(hashes)
    return Matches(table[:, 0], table[:, 1], table[:, 2:4], table[:, 4])


def _forked(
    work: Callable[[int], np.ndarray], jobs: int, processes: int
) -> list[np.ndarray]:
    """Return what work gives for every job, in their order."""
    with tempfile.TemporaryDirectory(prefix="rehear-") as name:

        def write(number: int) -> None:
            np.save(Path(name, f"{number}.npy"), work(number))

        for _ in forks.each(range(jobs), write, processes=processes):
            pass
        return [np.load(Path(name, f"{number}.npy")) for number in range(jobs)]


def _numbered(prints: Prints) -> Prints:
    """Return the prints of as many clips as 32 bits can number the peaks of."""
    most = int(np.searchsorted(prints.ends, _MOST_PEAKS, side="right"))
    if most == len(prints):
        return prints
    logger.warning(
        "fetch: copies: only the first %d of %d clips are looked at, since their "
        "prints have more than %d peaks",
        most,
        len(prints),
        _MOST_PEAKS,
    )
    peaks = int(prints.ends[most - 1]) if most else 0
    return Prints(prints.peaks[:peaks], prints.ends[:most])


def _alike(hashes: np.ndarray, begin: int) -> tuple[np.ndarray, np.ndarray]:
    """Return where a landmark and one of the next few have the same hash.

    Args:
        hashes: of all landmarks, sorted
        begin: the first of ``_ROWS`` landmarks for which others are looked for
    """
    ones = []
    for step in range(1, _NEXT + 1):
        one = np.arange(begin, min(begin + _ROWS, len(hashes) - step))
        ones.append(one[hashes[one] == hashes[one + step]])
    steps = np.repeat(np.arange(1, _NEXT + 1), [len(one) for one in ones])
    return np.concatenate(ones), np.concatenate(ones) + steps


def _best(table: np.ndarray) -> np.ndarray:
    """Return of each pair of clips the row with most agreement."""
    first, second, one_time, other_time, agreeing = table.T
    order = np.lexsort((other_time, one_time, -agreeing, second, first))
    table = table[order]
    new = np.ones(len(table), bool)
    new[1:] = (table[1:, :2] != table[:-1, :2]).any(axis=1)
    return table[new]


def _report(hashes: np.ndarray) -> None:
    beyond = int(np.count_nonzero(hashes[_NEXT + 1 :] == hashes[: -_NEXT - 1]))
    if beyond:
        logger.info(
            "fetch: copies: %d landmarks of prints are in more than %d clips; "
            "each of these was compared with the next %d only",
            beyond,
            _NEXT + 1,
            _NEXT,
        )


def _index(prints: Prints, processes: int) -> np.ndarray:
    """Return the chosen landmarks of all clips, sorted.

    Returns:
        hash of the landmark in the upper 32 bits, position of its first peak in
        ``prints.peaks`` in the lower ones
    """
    size = next(size for size, most in _PEAKS if len(prints.peaks) <= most)
    combinations = list(itertools.combinations(range(1, _AHEAD + 1), size - 1))
    limits = _limits(len(combinations) * _beginnings(prints))
    chunks = list(_chunks(prints.ends))

    def work(number: int) -> np.ndarray:
        first, last = chunks[number]
        begin = int(prints.ends[first - 1]) if first else 0
        peaks = prints.peaks[begin : prints.ends[last - 1]]
        owners = _owners(prints.ends[first:last] - begin)
        parts = [np.zeros(0, np.uint64)]
        for positions, layer in _layers(peaks, owners):
            limit = limits[first + owners[positions]]
            chosen = peaks[positions], owners[positions], layer
            for hashes, at in _landmarks(*chosen, combinations):
                kept = hashes < limit[at]
                place = (positions[at[kept]] + begin).astype(np.uint64)
                parts.append(hashes[kept] << 32 | place)
        return np.concatenate(parts)

    parts = _forked(work, len(chunks), processes)
    index = np.concatenate([np.zeros(0, np.uint64), *parts])
    del parts
    index.sort()
    return index


def _beginnings(prints: Prints) -> np.ndarray:
    """Return how many peaks of each clip landmarks begin at, in all layers."""
    counts = np.zeros(len(prints), np.int64)
    for first, last in _chunks(prints.ends):
        begin = int(prints.ends[first - 1]) if first else 0
        peaks = prints.peaks[begin : prints.ends[last - 1]]
        owners = _owners(prints.ends[first:last] - begin)
        for positions, _ in _layers(peaks, owners):
            counts[first:last] += np.bincount(owners[positions], minlength=last - first)
    return counts


def _limits(landmarks: np.ndarray) -> np.ndarray:
    """Return below which hash landmarks are kept, for each clip's number of them."""
    one_of = np.clip(landmarks / _WANTED, 1, _SPARSEST)
    one_of *= max(1.0, float((landmarks / one_of).sum()) / _MOST)
    return np.ceil(2.0**32 / one_of).astype(np.uint64)


def _chunks(ends: np.ndarray) -> Iterator[tuple[int, int]]:
    """Yield ranges of clips that have some ``_ROWS`` peaks together."""
    first = 0
    while first < len(ends):
        begin = int(ends[first - 1]) if first else 0
        last = int(np.searchsorted(ends, begin + _ROWS, side="right"))
        yield first, max(first + 1, last)
        first = max(first + 1, last)


def _owners(ends: np.ndarray) -> np.ndarray:
    """Return the clip of each peak."""
    return np.repeat(np.arange(len(ends)), np.diff(ends, prepend=0))


def _layers(peaks: np.ndarray, owners: np.ndarray) -> Iterator[tuple[np.ndarray, int]]:
    """Yield positions of the prominent peaks, and of all peaks of short clips.

    A clip of a few seconds may be a part of a long one, which has prominent peaks
    only, or of a short one.
    """
    prominent = (peaks & 1).astype(bool)
    yield np.flatnonzero(prominent), 0
    is_short = np.zeros(owners[-1] + 1 if len(owners) else 0, bool)
    is_short[owners[~prominent]] = True
    yield np.flatnonzero(is_short[owners]), 1


def _landmarks(
    peaks: np.ndarray,
    owners: np.ndarray,
    layer: int,
    combinations: Sequence[tuple[int, ...]],
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield hashes below 2**32, and positions of the first peaks."""
    times = (peaks >> 9).astype(np.uint64)
    bands = (peaks >> 1 & 0xFF).astype(np.uint64)
    for combination in combinations:
        last = combination[-1]
        if last >= len(peaks):
            return
        near = (owners[last:] == owners[:-last]) & (
            times[last:] - times[:-last] <= _REACH
        )
        at = np.flatnonzero(near)
        code = bands[at] << 1 | layer
        for ahead in combination:
            # Halved, since peaks move by a frame when sound moves by half of one.
            later = (times[at + ahead] - times[at] + 1) >> 1
            code = code * np.uint64(_MIX) + (bands[at + ahead] << 5 | later)
        yield code * np.uint64(_MIX) >> 32, at


def _shared(
    index: np.ndarray, prints: Prints
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the landmarks that occur more than once: hash, position, clip."""
    same = np.zeros(len(index) + 1, bool)  # as the one before
    same[1:-1] = index[1:] ^ index[:-1] < 1 << 32
    index = index[same[:-1] | same[1:]]
    places = (index & 0xFFFFFFFF).astype(np.int64)
    clips = np.searchsorted(prints.ends, places, side="right")
    # A sound that repeats itself counts once.
    first = np.ones(len(index), bool)
    first[1:] = (index[1:] ^ index[:-1] >= 1 << 32) | (clips[1:] != clips[:-1])
    return (index[first] >> 32).astype(np.uint32), places[first], clips[first]


class _Agreement:
    """Counts how many peaks two clips have in common around a shared landmark."""

    def __init__(self, prints: Prints) -> None:
        self.peaks, self.ends = prints.peaks, prints.ends
        self.begins = np.append(0, prints.ends[:-1])
        self.by_band = np.empty_like(prints.peaks)  # of each clip: band, then time
        self.last = np.zeros(len(prints), np.int64)  # frame with a peak
        self.highest = np.zeros(len(prints), np.int64)  # band with a peak
        self.has_all = np.zeros(len(prints), bool)  # not only prominent peaks
        for first, last in _chunks(prints.ends):
            begin, end = int(self.begins[first]), int(self.ends[last - 1])
            peaks = self.peaks[begin:end].astype(np.uint64)
            owners = _owners(self.ends[first:last] - begin)
            bands = peaks >> 1 & 0xFF
            np.maximum.at(self.last[first:last], owners, (peaks >> 9).astype(int))
            np.maximum.at(self.highest[first:last], owners, bands.astype(int))
            self.has_all[first + owners[peaks & 1 == 0]] = True
            ordered = np.sort(owners.astype(np.uint64) << 32 | bands << 23 | peaks >> 9)
            self.by_band[begin:end] = ordered & 0xFFFFFFFF

    def rows(self, clips: np.ndarray, at: np.ndarray) -> np.ndarray:
        """Return the pairs of clips that agree.

        Args:
            clips: ``(2, pairs)``
            at: positions of peaks where both have the same landmark, ``(2, pairs)``

        Returns:
            ``(pairs, 5)``: both clips, frames of the landmark in both, number of
            peaks that agree
        """
        kept = self._different(clips, at)
        found = [np.zeros((0, 5), np.int64)]
        for begin in range(0, len(kept), _BATCH):
            part = kept[begin : begin + _BATCH]
            found.append(self._rows(clips[:, part], at[:, part]))
        return np.concatenate(found)

    def _different(self, clips: np.ndarray, at: np.ndarray) -> np.ndarray:
        """Return one of all those that say the same of two clips."""
        times = (self.peaks[at] >> 9).astype(np.int64)
        code = (clips[0] * _ODD + clips[1]) * _ODD + (times[1] - times[0])
        return np.unique(code, return_index=True)[1]

    def _rows(self, clips: np.ndarray, at: np.ndarray) -> np.ndarray:
        times = (self.peaks[at] >> 9).astype(np.int64)
        shift = times[1] - times[0]
        kept = np.arange(len(shift))
        for around, least in ((_NEAR, _AGREE_NEAR), (_FAR, _AGREE_FAR)):
            there, of = self._found(at[0][kept], clips[:, kept], shift[kept], around)
            back, of_back = self._found(
                at[1][kept], clips[::-1, kept], -shift[kept], around
            )
            # The four peaks of the landmark agree anyway.
            agreeing, expected = there + back - 8, of + of_back - 8
            good = (agreeing >= _FOUND) & (agreeing >= least * expected)
            kept, agreeing = kept[good], agreeing[good]
        return np.column_stack([*clips[:, kept], *times[:, kept], agreeing])

    def _found(
        self, at: np.ndarray, clips: np.ndarray, shift: np.ndarray, around: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return how many peaks around ``at`` the second clip has, and could have."""
        one, other = clips[:, :, None]
        places = at[:, None] + np.arange(-around, around + 1)
        inside = (places >= self.begins[one]) & (places < self.ends[one])
        peaks = self.peaks[np.clip(places, 0, len(self.peaks) - 1)].astype(np.int64)
        times, bands = (peaks >> 9) + shift[:, None], peaks >> 1 & 0xFF
        inside &= (peaks & 1 == 1) | self.has_all[other]
        inside &= bands <= self.highest[other]
        inside &= (times >= -1) & (times <= self.last[other] + 1)
        has = np.zeros(places.shape, bool)
        has[inside] = self._has(
            (bands << 23 | times & 0x7FFFFF)[inside],
            np.broadcast_to(self.begins[other], places.shape)[inside],
            np.broadcast_to(self.ends[other], places.shape)[inside],
        )
        return has.sum(axis=1), inside.sum(axis=1)

    def _has(
        self, wanted: np.ndarray, begin: np.ndarray, end: np.ndarray
    ) -> np.ndarray:
        """Tell which peaks a clip has in the same frame or in one beside it."""
        low, high, most = begin, end, end - 1
        for _ in range(int((end - begin).max(initial=0)).bit_length()):
            middle = (low + high) >> 1
            below = self.by_band[np.minimum(middle, most)] < wanted - 1
            below &= low < high
            low = np.where(below, middle + 1, low)
            high = np.where(below, high, middle)
        return (low < end) & (self.by_band[np.minimum(low, most)] <= wanted + 1)
