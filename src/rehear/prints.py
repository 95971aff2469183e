"""Prints of recordings: where their spectrum has peaks.

A peak of the spectrogram stays where it is when a recording is amplified, encoded,
resampled, mixed down or disturbed by a little noise, and it moves along with the
sound when something is put in front or cut off. Whether one point is a peak is a
matter of its surroundings only. So a clip has the peaks of the longer clip that it
was cut from, and a copy at a lower rate lacks the high peaks but no others.

Source: A. Wang, An industrial-strength audio search algorithm, ISMIR 2003.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

HOP = 0.016  # seconds between two frames
_WINDOW = 0.064  # seconds of a frame
_LOWEST = 62.5  # Hz, lower edge of the first band
_WIDTH = 31.25  # Hz, of the narrow bands at low frequencies
_QUALITY = 24  # centre over width of the bands above
_HIGHEST = 0.94  # of the Nyquist frequency, near which codecs and filters differ
_NEAR, _FAR = 2, 3  # frames, and bands, that a peak and a prominent one exceed
_SHORT = 4.0  # seconds: the peaks of longer clips are prominent ones only
_FLOOR = 1e-6  # of the strongest point: rounding and dither lie below
_MOST_FRAMES = 1 << 23  # 37 hours
_BLOCK = 512  # frames that are transformed at a time


@dataclass(frozen=True)
class Prints:
    """The peaks of many clips.

    Attributes:
        peaks: of all clips, one after the other, each clip's by time and then by
            band, see ``spectral_print``; uint32
        ends: of each clip's peaks, int64
    """

    peaks: np.ndarray
    ends: np.ndarray

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, row: int) -> np.ndarray:
        begin = self.ends[row - 1] if row else 0
        return self.peaks[begin : self.ends[row]]

    @classmethod
    def of(cls, prints: Sequence[np.ndarray]) -> "Prints":
        """Put prints of clips together."""
        return cls(
            np.concatenate([np.zeros(0, np.uint32), *prints]),
            np.cumsum([len(peaks) for peaks in prints], dtype=np.int64),
        )

    def select(self, rows: np.ndarray) -> "Prints":
        """Return the prints of some clips, whose rows are sorted."""
        if len(rows) == len(self):
            return self
        sizes = np.diff(self.ends, prepend=0)
        chosen = np.zeros(len(self), bool)
        chosen[rows] = True
        return Prints(self.peaks[np.repeat(chosen, sizes)], np.cumsum(sizes[rows]))


def spectral_print(waveform: np.ndarray, sample_rate: int) -> np.ndarray:
    """Return the peaks of the spectrogram of a clip.

    The spectrogram has frames of 64 ms every 16 ms, and bands of 31 Hz up to 750 Hz
    and of a 24th of their frequency above, so that they are the same at all sample
    rates. A peak is the strongest point within 2 frames and 2 bands, a prominent one
    within 3. A second has 85 to 175 peaks, or 40 to 90 prominent ones. Clips of more
    than four seconds, which have enough of them, keep prominent ones only.

    Args:
        waveform: ``(channels, samples)``
        sample_rate: in Hz

    Returns:
        ``time << 9 | band << 1 | prominent`` of each peak, uint32, sorted; none for a
        clip that is silent or constant
    """
    mono = waveform.mean(axis=0, dtype=np.float32)
    power = _spectrogram(mono - float(mono.mean(dtype=np.float64)), sample_rate)
    if not power.size:
        return np.zeros(0, np.uint32)
    audible = power > _FLOOR * power.max()
    prominent = audible & _exceeds(power, _FAR)
    found = prominent
    if waveform.shape[1] <= _SHORT * sample_rate:
        found = audible & _exceeds(power, _NEAR)
    time, band = np.nonzero(found[:_MOST_FRAMES])
    return (time << 9 | band << 1 | prominent[time, band]).astype(np.uint32)


@functools.cache
def _edges(sample_rate: int) -> np.ndarray:
    """Return the edges of all bands in Hz."""
    edges = [_LOWEST]
    while (
        upper := edges[-1] + max(_WIDTH, edges[-1] / _QUALITY)
    ) <= _HIGHEST * sample_rate / 2:
        edges.append(upper)
    return np.array(edges)


def _spectrogram(mono: np.ndarray, sample_rate: int) -> np.ndarray:
    """Return ``(frames, bands)``, the power in each band."""
    half = max(1, round(_WINDOW * sample_rate / 2))
    window = np.hanning(2 * half + 1)[:-1].astype(np.float32)
    size = 1 << (2 * half - 1).bit_length()
    positions = _edges(sample_rate) * (size / sample_rate) + 0.5
    below = positions.astype(np.int64)
    share = (positions - below).astype(np.float32)
    padded = np.zeros(len(mono) + 2 * half, np.float32)
    padded[half:-half] = mono
    starts = np.rint(np.arange(len(mono) / sample_rate / HOP) * HOP * sample_rate)
    starts = starts.astype(np.int64)
    power = np.empty((len(starts), len(positions) - 1), np.float32)
    for first in range(0, len(starts), _BLOCK):
        block = starts[first : first + _BLOCK, None]
        frames = padded[block + np.arange(2 * half)] * window
        spectrum = np.fft.rfft(frames, size)
        squares = np.square(spectrum.real) + np.square(spectrum.imag)
        # Edges lie between bins: the integral up to each is interpolated.
        below_bin = np.zeros((len(block), size // 2 + 2))
        np.cumsum(squares, axis=1, out=below_bin[:, 1:])
        integral = below_bin[:, below] * (1 - share) + below_bin[:, below + 1] * share
        power[first : first + _BLOCK] = np.diff(integral, axis=1)
    return power


def _exceeds(power: np.ndarray, far: int) -> np.ndarray:
    """Tell which points exceed all others within some frames and bands."""
    largest = power.copy()
    for step in range(1, far + 1):
        np.maximum(largest[:, step:], power[:, :-step], out=largest[:, step:])
        np.maximum(largest[:, :-step], power[:, step:], out=largest[:, :-step])
    does = power >= largest
    for step in range(1, far + 1):
        # One peak, the first, where a tone stays the same.
        does[step:] &= power[step:] > largest[:-step]
        does[:-step] &= power[:-step] >= largest[step:]
    return does
