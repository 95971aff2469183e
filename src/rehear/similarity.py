"""Finding the same recording in another format, at another rate or level.

Copies that went through MP3 or Ogg Vorbis have other samples, but the loudness of
short stretches, relative to the whole, hardly changes. So every clip gets a print
of 128 such numbers; the few pairs whose prints agree are read again and compared
sample by sample at their best shift. On 45 calls as FLAC, MP3 and Ogg Vorbis all
pairs are found; among 3,000 spoken digits and 308 acted sentences there is none.
"""

import json
import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rehear import audio, forks
from rehear.manifest import Clip

SIZE = 128  # stretches of a print
_AGREE = 0.97  # correlation of two prints; copies have 0.988 and more
_SAME = 0.95  # correlation of waveforms; copies have 0.985 and more
_SAME_STEPS = 0.85  # of their differences, which hum does not dominate; 0.91
_FLOOR = 1e-4  # of the mean power: what codecs do below is not looked at
_LONGER, _PADDING = 1.01, 0.1  # how a copy's duration may differ; seconds
_LISTENED = 30.0  # seconds from the beginning that are compared
_ROWS, _JOB = 256, 16
_MOST_CLIPS, _MOST_PAIRS = 200_000, 50_000
logger = logging.getLogger(__name__)
Pairs = list[tuple[str, str]]


def loudness_print(waveform: np.ndarray) -> np.ndarray:
    """Return the print of a clip: its log power in 128 stretches, as unit vector.

    Args:
        waveform: ``(channels, samples)``

    Returns:
        ``(128,)`` float32; zeros for a clip that is silent, perfectly even or
        shorter than 128 samples, which is like no other.
    """
    mono = waveform.mean(axis=0, dtype=np.float32)
    if len(mono) < SIZE or not mono.any():
        return np.zeros(SIZE, np.float32)
    edges = (np.arange(SIZE) * len(mono)) // SIZE
    power = np.add.reduceat(np.square(mono), edges)
    power /= np.diff(edges, append=len(mono))
    levels = np.log10(power + _FLOOR * power.mean())
    levels -= levels.mean()
    norm = np.linalg.norm(levels)
    return (levels / norm if norm > 1e-3 else 0 * levels).astype(np.float32)


def find(
    clips: Sequence[Clip],
    prints: np.ndarray,
    root: Path,
    *,
    processes: int | None = None,
) -> Pairs:
    """Return pairs of clips that are copies of one recording, by their ids.

    Clips with identical samples are not compared again.

    Args:
        clips: with durations and digests
        prints: ``(clips, 128)``
        root: folder that ``Clip.file`` is relative to
        processes: how many compare at a time; one for each core if not given
    """
    first = {clip.sha256: index for index, clip in reversed([*enumerate(clips)])}
    rows = sorted(first.values())
    if len(rows) > _MOST_CLIPS:
        logger.warning(
            "fetch: %d clips are too many to look for copies in other formats",
            len(rows),
        )
        return []
    pairs = _candidates(
        prints[rows], np.array([clips[row].duration for row in rows], np.float64)
    )
    ids = [(clips[rows[a]], clips[rows[b]]) for a, b in pairs]
    same = _compared(ids, root, processes or forks.cores())
    found = zip(ids, same, strict=True)
    return sorted(
        (min(a, b), max(a, b))
        for a, b in ((one.clip, other.clip) for (one, other), alike in found if alike)
    )


def is_copy(one: tuple[np.ndarray, int], other: tuple[np.ndarray, int]) -> bool:
    """Tell whether two recordings hold the same sound.

    Args:
        one: waveform ``(channels, samples)`` and sample rate in Hz
        other: likewise
    """
    rate = min(one[1], other[1])
    a, b = (
        audio.resample(w[:, : round(_LISTENED * r)], r, rate).mean(axis=0)
        for w, r in (one, other)
    )
    return _correlation(a, b) >= _SAME and (
        _correlation(np.diff(a), np.diff(b)) >= _SAME_STEPS
    )


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Return the largest normalised cross-correlation over all shifts."""
    norm = float(np.linalg.norm(a)) * float(np.linalg.norm(b))
    if norm == 0:
        return 0.0
    size = 1 << (len(a) + len(b) - 1).bit_length()
    spectrum = np.fft.rfft(a, size) * np.conj(np.fft.rfft(b, size))
    return float(np.abs(np.fft.irfft(spectrum, size)).max()) / norm


def _candidates(prints: np.ndarray, durations: np.ndarray) -> list[tuple[int, int]]:
    """Return pairs of rows with similar prints and durations, best first."""
    order = np.argsort(durations, kind="stable")
    prints, durations = prints[order], durations[order]
    found: list[tuple[float, int, int]] = []
    for begin in range(0, len(prints), _ROWS):
        end = min(begin + _ROWS, len(prints))
        longest = durations[end - 1] * _LONGER + _PADDING
        last = int(np.searchsorted(durations, longest, side="right"))
        agreement = prints[begin:end] @ prints[begin:last].T
        # Most rows agree with nothing but themselves.
        np.fill_diagonal(agreement, 0)
        near = np.flatnonzero(agreement.max(axis=1) >= _AGREE)
        for k, j in np.argwhere(agreement[near] >= _AGREE).tolist():
            i = int(near[k])
            a, b = begin + i, begin + j
            if a < b and durations[b] <= durations[a] * _LONGER + _PADDING:
                found.append((-float(agreement[i, j]), int(order[a]), int(order[b])))
    if len(found) > _MOST_PAIRS:
        logger.warning(
            "fetch: %d pairs of clips are similar; only the most similar %d are "
            "compared sample by sample",
            len(found),
            _MOST_PAIRS,
        )
    return [(a, b) for _, a, b in sorted(found)[:_MOST_PAIRS]]


def _compared(
    pairs: Sequence[tuple[Clip, Clip]], root: Path, processes: int
) -> list[bool]:
    blocks = [pairs[i : i + _JOB] for i in range(0, len(pairs), _JOB)]
    same: list[bool] = []
    with tempfile.TemporaryDirectory(prefix="rehear-") as name:

        def work(number: int) -> None:
            answers = [
                is_copy(*(audio.read(root / c.file, c.start, c.end) for c in pair))
                for pair in blocks[number]
            ]
            Path(name, f"{number}.json").write_text(json.dumps(answers), "utf-8")

        for _ in forks.each(range(len(blocks)), work, processes=processes):
            pass
        for number in range(len(blocks)):
            same += json.loads(Path(name, f"{number}.json").read_text("utf-8"))
    return same
