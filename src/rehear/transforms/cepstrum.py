"""Decibels and cepstral coefficients of spectrograms."""

import numpy as np

from rehear.errors import DataError
from rehear.signals import SPECTROGRAM, WAVEFORM
from rehear.transforms.mel import Mel

_DB = np.float32(10 / np.log(10))
_TOP_DB = 80.0  # of librosa's and torchaudio's MFCC


class Decibel:
    """Power in dB relative to 1, above a floor.

    Source: ``librosa.power_to_db``; ``torchaudio.transforms.AmplitudeToDB``.

    Args:
        amin: smallest power before the logarithm
        top_db: how far below the clip's highest value the floor is, in dB; no
            such floor if not given

    Shape:
        any spectrogram, kept

    Raises:
        ValueError: if an argument is not positive
    """

    takes = gives = SPECTROGRAM

    def __init__(self, *, amin: float = 1e-10, top_db: float | None = None) -> None:
        if amin <= 0:
            raise ValueError(f"amin must be positive, not {amin!r}")
        if top_db is not None and top_db <= 0:
            raise ValueError(f"top_db must be positive or null, not {top_db!r}")
        self.amin, self.top_db = np.float32(amin), top_db

    def __call__(self, x: np.ndarray) -> np.ndarray:
        out = np.maximum(x, self.amin, dtype=np.float32)
        np.log(out, out=out)
        out *= _DB
        if self.top_db is not None and out.size:
            np.maximum(out, out.max() - np.float32(self.top_db), out=out)
        return out


class Cepstrum:
    """Cepstral coefficients: a cosine transform along the bands.

    Of a log-mel spectrogram these are MFCC, see ``mfcc``.

    Source: ``scipy.fft.dct`` of type 2 with ``norm="ortho"``; liftering as in
    ``librosa.feature.mfcc``.

    Args:
        coefficients: how many are kept, from the lowest
        lifter: weighs coefficient k by ``1 + lifter / 2 * sin(pi * k / lifter)``,
            k from 1; no weights if 0

    Shape:
        ``(channels, bands, frames)`` to ``(channels, coefficients, frames)``

    Raises:
        ValueError: if there are no coefficients, or lifter is negative
    """

    takes = gives = SPECTROGRAM

    def __init__(self, *, coefficients: int = 13, lifter: float = 0.0) -> None:
        if coefficients < 1 or lifter < 0:
            raise ValueError(
                "coefficients must be positive and lifter not negative, got "
                f"{coefficients} and {lifter:g}"
            )
        self.coefficients, self.lifter = coefficients, lifter
        self._matrix = np.empty((0, 0), np.float32)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        bands = x.shape[1]
        if bands < self.coefficients:
            raise DataError(
                f"cannot give {self.coefficients} coefficients of {bands} bands; lower "
                "their number, or raise that of the bands before"
            )
        if self._matrix.shape[1] != bands:
            self._matrix = cosines(self.coefficients, bands, lifter=self.lifter)
        return self._matrix @ x.astype(np.float32, copy=False)


class Mfcc:
    """Mel-frequency cepstral coefficients.

    ``mel``, ``decibel`` with ``top_db: 80`` and ``cepstrum`` in one part. With
    ``mel_scale: slaney`` filters have equal area, as librosa's; with ``htk`` they
    have equal height, as torchaudio's. For other mixtures write the three parts.

    Source: ``librosa.feature.mfcc`` with ``pad_mode="reflect"``;
    ``torchaudio.transforms.MFCC``.

    Args:
        sample_rate: of the waveform, in Hz
        n_mfcc: how many coefficients are kept, from the lowest
        n_fft: length of the window, in samples
        hop_length: distance between frames, in samples
        n_mels: number of filters
        f_min: lowest frequency, in Hz
        f_max: highest frequency, in Hz; half the sample rate if not given
        mel_scale: ``slaney`` as librosa, or ``htk`` as torchaudio

    Shape:
        ``(channels, samples)`` to
        ``(channels, n_mfcc, 1 + samples // hop_length)``

    Raises:
        ValueError: if an argument is out of range
    """

    takes, gives = WAVEFORM, SPECTROGRAM

    def __init__(
        self,
        *,
        sample_rate: int,
        n_mfcc: int = 13,
        n_fft: int = 512,
        hop_length: int = 160,
        n_mels: int = 64,
        f_min: float = 0.0,
        f_max: float | None = None,
        mel_scale: str = "slaney",
    ) -> None:
        if n_mfcc > n_mels:
            raise ValueError(
                "there are at most as many coefficients as filters; got n_mfcc "
                f"{n_mfcc} and n_mels {n_mels}"
            )
        self._mel = Mel(
            sample_rate=sample_rate,
            n_fft=n_fft,
            hop_length=hop_length,
            n_mels=n_mels,
            f_min=f_min,
            f_max=f_max,
            mel_scale=mel_scale,
            norm="none" if mel_scale == "htk" else "slaney",
        )
        self._decibel = Decibel(top_db=_TOP_DB)
        self._cepstrum = Cepstrum(coefficients=n_mfcc)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return self._cepstrum(self._decibel(self._mel(x)))


def cosines(coefficients: int, bands: int, *, lifter: float = 0.0) -> np.ndarray:
    """Return the matrix of an orthonormal cosine transform of type 2.

    Args:
        coefficients: how many are kept
        bands: of what is transformed
        lifter: see ``Cepstrum``

    Returns:
        ``(coefficients, bands)``, float32
    """
    k = np.arange(coefficients)[:, None]
    matrix = np.cos(np.pi * k * (2 * np.arange(bands) + 1) / (2 * bands))
    matrix *= np.sqrt(np.where(k == 0, 1, 2) / bands)
    if lifter:
        matrix *= 1 + lifter / 2 * np.sin(np.pi * (k + 1) / lifter)
    return matrix.astype(np.float32)
