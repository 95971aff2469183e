"""Per-channel energy normalisation."""

import numpy as np

from rehear.signals import SPECTROGRAM

_BLOCK = 64  # frames smoothed by one matrix product


class Pcen:
    """Per-channel energy normalisation: each band relative to its recent past.

    In place of a logarithm; it takes away steady noise and the level of the
    recording. Put it behind ``mel``. The background of a band is smoothed by a
    filter of first order, ``m[t] = (1 - s) * m[t - 1] + s * x[t]``, and the output
    is ``(x / (eps + m) ** gain + bias) ** power - bias ** power``.

    Source: Wang et al., "Trainable frontend for robust and far-field keyword
    spotting", 2017, https://arxiv.org/abs/1607.05666; ``librosa.pcen`` with its
    defaults, which starts at ``m[-1] = 1`` and takes ``log1p`` for ``power: 0``.
    Constants of the paper are for samples of 16 bit: see ``scale``.

    Args:
        sample_rate: of the waveform before the spectrogram, in Hz
        hop_length: distance between frames, in samples
        gain: how much the background is taken away, 0 to 1
        bias: added before compression
        power: of the compression
        time_constant: of the smoothing, in s
        eps: added to the background
        scale: factor of the input; librosa advises 2**31 for magnitudes of samples
            between -1 and 1

    Shape:
        any spectrogram, kept

    Raises:
        ValueError: if an argument is out of range
    """

    takes = gives = SPECTROGRAM

    def __init__(
        self,
        *,
        sample_rate: int,
        hop_length: int = 160,
        gain: float = 0.98,
        bias: float = 2.0,
        power: float = 0.5,
        time_constant: float = 0.4,
        eps: float = 1e-6,
        scale: float = 1.0,
    ) -> None:
        if min(gain, bias, power) < 0:
            raise ValueError(
                "gain, bias and power must not be negative, got "
                f"{gain:g}, {bias:g} and {power:g}"
            )
        if min(hop_length, time_constant, eps, scale) <= 0:
            raise ValueError(
                "hop_length, time_constant, eps and scale must be positive, got "
                f"{hop_length}, {time_constant:g}, {eps:g} and {scale:g}"
            )
        frames = time_constant * sample_rate / hop_length
        smoothing = (np.sqrt(1 + 4 * frames**2) - 1) / (2 * frames**2)
        self.gain, self.bias, self.power, self.eps = gain, bias, power, eps
        self.scale = scale
        decay = 1 - smoothing
        lag = np.arange(_BLOCK)[None] - np.arange(_BLOCK)[:, None]
        # Column t holds what each frame up to t adds to m[t].
        self._weights = np.where(lag < 0, 0, smoothing * decay ** np.maximum(lag, 0))
        self._decays = decay ** np.arange(1, _BLOCK + 1)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        energy = x.astype(np.float64) * self.scale
        background = self._smoothed(energy)
        gain = np.exp(-self.gain * np.log(self.eps + background))
        energy *= gain
        if self.power == 0:
            out = np.log1p(energy)
        elif self.bias == 0:
            out = energy**self.power
        else:
            # As (energy + bias)**power - bias**power, exact for small energies.
            out = np.expm1(self.power * np.log1p(energy / self.bias))
            out *= self.bias**self.power
        return out.astype(np.float32)

    def _smoothed(self, energy: np.ndarray) -> np.ndarray:
        """Return the background, with one matrix product for many frames."""
        out = np.empty_like(energy)
        last = np.ones((*energy.shape[:-1], 1))
        for first in range(0, energy.shape[-1], _BLOCK):
            block = energy[..., first : first + _BLOCK]
            length = block.shape[-1]
            smooth = block @ self._weights[:length, :length]
            smooth += last * self._decays[:length]
            out[..., first : first + _BLOCK] = smooth
            last = smooth[..., -1:]
        return out
