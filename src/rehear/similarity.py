"""Finding the same recording in another format, at another rate, level or start.

Copies have other samples, but their spectra have the same peaks. So clips whose
prints share peaks are read again, a few seconds around these, and compared
sample by sample. What is found are copies that were amplified, inverted, mixed down,
resampled, encoded with losses, disturbed by a little noise, or cut; also a clip that
is a part of another one, as long as what both hold is half of the shorter one. Other
recordings of the same words or of the same bird are no copies.

Sources: C. Knapp and G. Carter, The generalized correlation method for estimation of
time delay, IEEE TASSP 24(4), 1976, for correlations of flattened spectra;
``prints`` and ``landmarks`` name theirs.
"""

import json
import logging
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rehear import audio, forks, landmarks
from rehear.landmarks import Matches
from rehear.manifest import Clip
from rehear.prints import HOP, Prints

_SHARED = 0.5  # of the shorter clip, which both must hold
_AROUND, _MOST = 5.0, 1 << 18  # seconds, and samples, before and after that are read
_SLACK = 0.04  # seconds by which peaks may mislead; they move by a frame of 16 ms
_FEWEST = 256  # samples that can be compared
# How much the spectra are flattened, and the least correlation of copies then. The
# first is not enough, since low voices are alike; the last, since hum is.
_LEAST = ((0.0, 0.9), (0.5, 0.85), (1.0, 0.25))
_WIDTH = 100.0  # Hz over which the spectra are smoothed
_QUIET = 1e-7  # of the strongest power, below which nothing is raised
_EACH = 8  # pairs of a clip that are compared
_JOB = 16
logger = logging.getLogger(__name__)
Pairs = list[tuple[str, str]]
Recording = tuple[np.ndarray, int]


@dataclass(frozen=True, slots=True)
class _Pair:
    """Two clips, and the seconds of a sound that both may hold."""

    clips: tuple[Clip, Clip]
    times: tuple[float, float]

    @property
    def before(self) -> float:
        """Seconds before that sound that both have."""
        return min(self.times)

    @property
    def after(self) -> float:
        """Seconds after it that both have."""
        return min(
            clip.duration - time
            for clip, time in zip(self.clips, self.times, strict=True)
        )

    @property
    def shared(self) -> float:
        """The part of the shorter clip that the longer one may hold."""
        return (self.before + self.after) / min(clip.duration for clip in self.clips)


def find(
    clips: Sequence[Clip],
    prints: Prints,
    root: Path,
    *,
    processes: int | None = None,
) -> Pairs:
    """Return pairs of clips that are copies of one recording, by their ids.

    Of clips with identical samples, only the first is compared. Of a large group of
    copies not all pairs are found, but enough to link them. The cost is proportional
    to the number of clips; where that makes it give something up, it is logged.

    Args:
        clips: with durations and digests
        prints: of these clips
        root: folder that ``Clip.file`` is relative to
        processes: how many compare at a time; one for each core if not given
    """
    processes = processes or forks.cores()
    first = {clip.sha256: row for row, clip in reversed([*enumerate(clips)])}
    rows = np.array(sorted(first.values()), np.int64)
    matches = landmarks.matches(prints.select(rows), processes=processes)
    pairs = [
        _Pair((clips[rows[one]], clips[rows[other]]), (times[0] * HOP, times[1] * HOP))
        for one, other, times in zip(
            matches.first, matches.second, matches.times, strict=True
        )
    ]
    likely = np.array([pair.shared >= _SHARED for pair in pairs], bool)
    kept = [pairs[number] for number in _chosen(matches, likely)]
    found = zip(kept, _compared(kept, root, processes), strict=True)
    return sorted(
        (min(a, b), max(a, b))
        for a, b in (
            (pair.clips[0].clip, pair.clips[1].clip) for pair, same in found if same
        )
    )


def _chosen(matches: Matches, likely: np.ndarray) -> np.ndarray:
    """Return the pairs that are the most agreeing ones of one of their clips."""
    numbers = np.flatnonzero(likely)
    clips = np.concatenate([matches.first[numbers], matches.second[numbers]])
    both = np.tile(np.arange(len(numbers)), 2)
    order = np.lexsort((both, -matches.agreeing[numbers][both], clips))
    starts = np.searchsorted(clips[order], clips[order], side="left")
    among_best = np.arange(len(order)) - starts < _EACH
    chosen = np.unique(both[order[among_best]])
    if len(chosen) < len(numbers):
        logger.info(
            "fetch: copies: %d pairs of clips have similar prints; only the %d "
            "most similar of each clip, %d pairs, were compared sample by sample",
            len(numbers),
            _EACH,
            len(chosen),
        )
    return numbers[chosen]


def _compared(pairs: Sequence[_Pair], root: Path, processes: int) -> list[bool]:
    blocks = [pairs[i : i + _JOB] for i in range(0, len(pairs), _JOB)]
    same: list[bool] = []
    with tempfile.TemporaryDirectory(prefix="rehear-") as name:

        def work(number: int) -> None:
            answers = [is_copy(*_read(pair, root)) for pair in blocks[number]]
            Path(name, f"{number}.json").write_text(json.dumps(answers), "utf-8")

        for _ in forks.each(range(len(blocks)), work, processes=processes):
            pass
        for number in range(len(blocks)):
            same += json.loads(Path(name, f"{number}.json").read_text("utf-8"))
    return same


def _read(pair: _Pair, root: Path) -> tuple[Recording, Recording]:
    """Read what two clips may share, or a part of it."""
    most = min(_AROUND, _MOST / min(clip.sample_rate for clip in pair.clips))
    one, other = (
        audio.read(
            root / clip.file,
            (clip.start or 0.0) + time - min(pair.before, most),
            (clip.start or 0.0) + time + min(pair.after, most),
        )
        for clip, time in zip(pair.clips, pair.times, strict=True)
    )
    return one, other


def is_copy(one: Recording, other: Recording, *, slack: float = _SLACK) -> bool:
    """Tell whether two recordings hold the same sound.

    They are compared at the lower one's rate, at the shift that fits best, after
    their spectra are made equal: as they are, flattened by half, and flat. A copy
    agrees in all three; two that share a loud hum do not agree when flattened.

    Args:
        one: waveform ``(channels, samples)`` and sample rate in Hz
        other: likewise
        slack: seconds by which the sound may begin earlier or later in ``other``
    """
    rate = min(one[1], other[1])
    a, b = (
        audio.resample(waveform, own, rate).mean(axis=0, dtype=np.float64)
        for waveform, own in (one, other)
    )
    a, b = a - a.mean(), b - b.mean()
    shift = _shift(a, b, rate, int(slack * rate) + 1)
    a, b = a[max(shift, 0) :], b[max(-shift, 0) :]
    samples = min(len(a), len(b))
    if samples < _FEWEST:
        return False
    spectra = _Spectra(a[:samples], b[:samples], rate, samples)
    spectra.straighten()
    return all(spectra.correlation(flat) >= least for flat, least in _LEAST)


def _shift(a: np.ndarray, b: np.ndarray, rate: int, most: int) -> int:
    """Return how many samples later, at most, the same sound is in ``a``."""
    samples = max(len(a), len(b)) + most
    cross = _Spectra(a, b, rate, samples).cross_correlation(0.5)
    shifts = np.append(np.arange(most + 1), np.arange(-most, 0))
    return int(shifts[np.argmax(np.abs(cross[shifts]))])


class _Spectra:
    """The spectra of two signals, and what they have in common.

    Args:
        a: samples
        b: samples
        rate: of both, in Hz
        samples: as many fit in
    """

    def __init__(self, a: np.ndarray, b: np.ndarray, rate: int, samples: int) -> None:
        self._size = 1 << (samples - 1).bit_length()
        one, other = np.fft.rfft(a, self._size), np.fft.rfft(b, self._size)
        self._cross = one * np.conj(other)
        self._powers = [np.square(s.real) + np.square(s.imag) for s in (one, other)]
        reach = max(1, round(_WIDTH / 2 * self._size / rate))
        self._levels = [_smooth(power, reach) for power in self._powers]

    def cross_correlation(self, flat: float) -> np.ndarray:
        """Return the cross-correlation after some flattening, for all shifts."""
        return np.fft.irfft(self._cross * self._weight(flat), self._size)

    def straighten(self) -> None:
        """Undo a delay of less than a sample, and a change of polarity."""
        if self._cross.real.sum() < 0:
            self._cross = -self._cross
        bins = np.arange(len(self._cross))
        weight = np.abs(self._cross) * bins
        delay = (weight * np.angle(self._cross)).sum() / ((weight * bins).sum() or 1.0)
        self._cross = self._cross * np.exp(-1j * delay * bins)

    def correlation(self, flat: float) -> float:
        """Return the correlation, both spectra made equal and flattened."""
        weight, ratio = self._weight(flat), np.sqrt(self._levels[1] / self._levels[0])
        one, other = self._powers
        norm = (one * weight * ratio).sum() * (other * weight / ratio).sum()
        return float((self._cross.real * weight).sum() / (np.sqrt(norm) or 1.0))

    def _weight(self, flat: float) -> np.ndarray:
        return (self._levels[0] * self._levels[1]) ** (-flat / 2)


def _smooth(power: np.ndarray, reach: int) -> np.ndarray:
    """Return moving means of a spectrum, none of which is 0."""
    total = np.append(0.0, np.cumsum(power))
    at = np.arange(len(power))
    low, high = np.maximum(at - reach, 0), np.minimum(at + reach + 1, len(power))
    level = (total[high] - total[low]) / (high - low)
    return level + (_QUIET * level.max() or 1.0)
