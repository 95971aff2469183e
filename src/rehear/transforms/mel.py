"""Mel spectrograms in numpy, with librosa's or torchaudio's filters."""

import functools
import logging

import numpy as np

from rehear.resampling import overlapping
from rehear.signals import SPECTROGRAM, WAVEFORM

_FRAMES = 256  # frames transformed at once: what they need stays in the cache
SCALES, NORMS = ("slaney", "htk"), ("slaney", "none")
logger = logging.getLogger(__name__)


class Mel:
    """Mel spectrogram: the power in each band, without a logarithm.

    Hann window, centred frames, reflected edges, triangular filters. A clip
    shorter than half a window is reflected more than once. Put ``decibel`` or
    ``pcen`` behind it.

    Source: ``librosa.feature.melspectrogram`` with ``pad_mode="reflect"``; with
    ``mel_scale: htk`` and ``norm: none``, ``torchaudio.transforms.MelSpectrogram``.

    Args:
        sample_rate: of the waveform, in Hz
        n_fft: length of the window, in samples
        hop_length: distance between frames, in samples
        n_mels: number of filters
        f_min: lowest frequency, in Hz
        f_max: highest frequency, in Hz; half the sample rate if not given
        mel_scale: ``slaney``, linear below 1 kHz, or ``htk``
        norm: ``slaney`` for filters of equal area, ``none`` for equal height

    Shape:
        ``(channels, samples)`` to
        ``(channels, n_mels, 1 + samples // hop_length)``

    Raises:
        ValueError: if an argument is out of range
    """

    takes, gives = WAVEFORM, SPECTROGRAM

    def __init__(
        self,
        *,
        sample_rate: int,
        n_fft: int = 512,
        hop_length: int = 160,
        n_mels: int = 64,
        f_min: float = 0.0,
        f_max: float | None = None,
        mel_scale: str = "slaney",
        norm: str = "slaney",
    ) -> None:
        f_max = sample_rate / 2 if f_max is None else f_max
        if min(n_fft, hop_length, n_mels) < 1 or n_fft % 2:
            raise ValueError(
                "n_fft, hop_length and n_mels must be positive, and n_fft even; got "
                f"{n_fft}, {hop_length} and {n_mels}"
            )
        if not 0 <= f_min < f_max <= sample_rate / 2:
            raise ValueError(
                f"expected 0 <= f_min < f_max <= {sample_rate / 2:g} Hz (half of "
                f"preprocess.sample_rate), got f_min {f_min:g} and f_max {f_max:g}"
            )
        if mel_scale not in SCALES or norm not in NORMS:
            raise ValueError(
                f"mel_scale must be {' or '.join(SCALES)} and norm "
                f"{' or '.join(NORMS)}, got '{mel_scale}' and '{norm}'"
            )
        self.n_fft, self.hop_length = n_fft, hop_length
        self.window = _hann(n_fft)
        self.filters = mel_filters(
            sample_rate,
            n_fft,
            n_mels,
            f_min=f_min,
            f_max=f_max,
            scale=mel_scale,
            norm=norm,
        )

    def __call__(self, x: np.ndarray) -> np.ndarray:
        half = self.n_fft // 2
        frames = 1 + x.shape[1] // self.hop_length
        out = np.empty((len(x), len(self.filters), frames), np.float32)
        for waveform, bands in zip(x, out, strict=True):
            padded = _reflected(waveform, half)
            windows = overlapping(padded, self.n_fft, step=self.hop_length)
            for first in range(0, frames, _FRAMES):
                part = slice(first, first + _FRAMES)
                bands[:, part] = self._power(windows[part])
        return out

    def _power(self, windows: np.ndarray) -> np.ndarray:
        """Return the power of some frames in each band, as ``(n_mels, frames)``."""
        spectrum = np.fft.rfft(windows * self.window)
        parts = spectrum.view(np.float32)
        np.square(parts, out=parts)
        return self.filters @ (parts[:, ::2] + parts[:, 1::2]).T


def _reflected(waveform: np.ndarray, margin: int) -> np.ndarray:
    if len(waveform) <= margin:
        return np.pad(waveform, margin, mode="reflect")
    # np.pad takes as long as the FFT of a short clip.
    before, after = waveform[margin:0:-1], waveform[-2 : -margin - 2 : -1]
    return np.concatenate([before, waveform, after])


@functools.lru_cache(maxsize=16)
def _hann(length: int) -> np.ndarray:
    # Periodic, as scipy.signal.get_window("hann", length) gives it.
    phase = 2 * np.pi * np.arange(length) / length
    return (0.5 - 0.5 * np.cos(phase)).astype(np.float32)


@functools.lru_cache(maxsize=16)
def mel_filters(
    sample_rate: int,
    n_fft: int,
    n_mels: int,
    *,
    f_min: float,
    f_max: float,
    scale: str = "slaney",
    norm: str = "slaney",
) -> np.ndarray:
    """Return triangular filters, evenly spaced on a mel scale.

    Source: ``librosa.filters.mel``.

    Args:
        sample_rate: of the waveform, in Hz
        n_fft: length of the window, in samples
        n_mels: number of filters
        f_min: lower edge of the first filter, in Hz
        f_max: upper edge of the last filter, in Hz
        scale: ``slaney`` or ``htk``
        norm: ``slaney`` for equal area, ``none`` for equal height

    Returns:
        ``(n_mels, 1 + n_fft // 2)``, float32
    """
    bins = np.linspace(0, sample_rate / 2, 1 + n_fft // 2)
    to_mel, to_hertz = (
        (_mel_htk, _hertz_htk) if scale == "htk" else (_mel_slaney, _hertz_slaney)
    )
    edges = to_hertz(np.linspace(to_mel(f_min), to_mel(f_max), n_mels + 2))
    widths = np.diff(edges)
    slopes = edges[:, None] - bins
    rising = -slopes[:-2] / widths[:-1, None]
    falling = slopes[2:] / widths[1:, None]
    filters = np.maximum(0, np.minimum(rising, falling))
    # librosa rounds to float32 before it scales, and so must we.
    filters = filters.astype(np.float32)
    if norm == "slaney":
        filters *= (2 / (edges[2:] - edges[:-2]))[:, None]
    empty = int((filters.max(axis=1) == 0).sum())
    if empty:
        logger.warning(
            "%d of %d mel filters lie between two frequencies of the FFT and stay "
            "empty; raise n_fft or lower n_mels",
            empty,
            n_mels,
        )
    filters.setflags(write=False)
    return filters


def _mel_htk(hertz: float) -> float:
    return float(2595 * np.log10(1 + hertz / 700))


def _hertz_htk(mel: np.ndarray) -> np.ndarray:
    return 700 * (10 ** (mel / 2595) - 1)


# Slaney's scale is linear below 1 kHz, where it has 15 mel, and logarithmic
# above, with 27 mel for a factor of 6.4.
_LINEAR = 200 / 3
_KNEE_HZ, _KNEE_MEL = 1000.0, 15.0
_LOG_STEP = np.log(6.4) / 27


def _mel_slaney(hertz: float) -> float:
    if hertz < _KNEE_HZ:
        return hertz / _LINEAR
    return float(_KNEE_MEL + np.log(hertz / _KNEE_HZ) / _LOG_STEP)


def _hertz_slaney(mel: np.ndarray) -> np.ndarray:
    above = _KNEE_HZ * np.exp(_LOG_STEP * (np.maximum(mel, _KNEE_MEL) - _KNEE_MEL))
    return np.where(mel < _KNEE_MEL, _LINEAR * mel, above)
