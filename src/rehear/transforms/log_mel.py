"""Log-mel spectrograms in numpy."""

from typing import TYPE_CHECKING

import numpy as np

from rehear.signals import SPECTROGRAM, WAVEFORM
from rehear.transforms.mel import Mel

if TYPE_CHECKING:
    from torch import nn

_DB = np.float32(10 / np.log(10))


class LogMel:
    """Log-mel spectrogram, as the PANN models were trained on.

    Power spectrogram with a Hann window, centred frames and reflected edges;
    ``n_mels`` triangular filters of equal area, evenly spaced on Slaney's mel
    scale; in dB relative to 1. A clip shorter than half a window is reflected
    more than once, as in numpy and librosa (torchlibrosa refuses it).

    Source: ``torchlibrosa.Spectrogram`` and ``LogmelFilterBank`` with
    ``ref=1, top_db=None``; Kong et al., "PANNs", 2020,
    https://arxiv.org/abs/1912.10211. Differences: mel before frames in the
    output; an FFT, where torchlibrosa convolves with float32 sines.

    Args:
        sample_rate: of the waveform, in Hz
        n_fft: length of the window, in samples
        hop_length: distance between frames, in samples
        n_mels: number of filters
        f_min: lowest frequency, in Hz
        f_max: highest frequency, in Hz; at most half the sample rate
        amin: smallest power before the logarithm

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
        f_min: float = 50.0,
        f_max: float = 8000.0,
        amin: float = 1e-10,
    ) -> None:
        self._mel = Mel(
            sample_rate=sample_rate,
            n_fft=n_fft,
            hop_length=hop_length,
            n_mels=n_mels,
            f_min=f_min,
            f_max=f_max,
        )
        if amin <= 0:
            raise ValueError(f"amin must be positive, not {amin!r}")
        self.amin = np.float32(amin)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        out = self._mel(x)
        np.maximum(out, self.amin, out=out)
        np.log(out, out=out)
        out *= _DB
        return out

    def on_device(self) -> "nn.Module":
        """Return the same for batches of tensors."""
        from rehear.transforms import on_device

        return on_device.LogMel(
            self._mel.window,
            self._mel.filters,
            hop_length=self._mel.hop_length,
            amin=float(self.amin),
        )
