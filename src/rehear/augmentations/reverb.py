"""Room impulse responses."""

from pathlib import Path

import numpy as np

from rehear.augmentations.chance import probability, skips
from rehear.augmentations.recordings import Recordings
from rehear.signals import SAME, WAVEFORM, check_shape

_NORMS = ("energy", "peak", "none")


class ImpulseResponse:
    """Convolve a clip with the impulse response of a random room.

    The first channel of an impulse response is used, or all of them where the
    clip has as many. The clip keeps its length: the reverberation after its end
    is cut off.

    Args:
        sample_rate: of the waveform, in Hz
        study: folder that paths are relative to
        folder: of recordings of impulse responses, in the study
        normalize: divide impulse responses by the root of their ``energy`` or by
            their ``peak``, or ``none``
        align: start at the strongest sample of the impulse response, so that the
            direct sound is not delayed
        p: probability that a clip is changed

    Shape:
        ``(channels, samples)``, kept

    Raises:
        ValueError: if the folder has no recordings, or there is no such norm
    """

    takes, gives = WAVEFORM, SAME
    reads = ("folder",)

    def __init__(
        self,
        *,
        sample_rate: int = 0,
        study: Path = Path(),
        folder: str = "impulse_responses",
        normalize: str = "energy",
        align: bool = True,
        p: float = 1.0,
    ) -> None:
        if normalize not in _NORMS:
            known = " or ".join(_NORMS)
            raise ValueError(f"normalize must be {known}, not '{normalize}'")
        self.recordings = Recordings(study / folder, sample_rate=sample_rate)
        self.normalize, self.align, self.p = normalize, align, probability(p)

    def __call__(self, x: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        check_shape(self, "impulse_response", x, what="augmentation")
        if skips(generator, self.p):
            return x
        number = int(generator.integers(0, len(self.recordings)))
        response = self.recordings[number].astype(np.float64)
        if len(response) != len(x):
            response = response[:1]
        if not response.any():
            return x
        return convolve(x, self._normalized(response), align=self.align)

    def _normalized(self, response: np.ndarray) -> np.ndarray:
        """Return an impulse response at its norm, the same for all channels."""
        if self.normalize == "energy":
            strongest = np.square(response).sum(axis=1).max()
            return response / np.sqrt(strongest)
        if self.normalize == "peak":
            return response / np.abs(response).max()
        return response


def convolve(x: np.ndarray, response: np.ndarray, *, align: bool) -> np.ndarray:
    """Return a waveform convolved with an impulse response, as long as it was.

    Args:
        x: ``(channels, samples)``
        response: ``(channels, taps)`` or ``(1, taps)``
        align: leave out the delay of the strongest tap
    """
    samples, taps = x.shape[-1], response.shape[-1]
    delay = int(np.abs(response).max(axis=0).argmax()) if align else 0
    length = 1 << (samples + taps - 2).bit_length()
    spectrum = np.fft.rfft(x.astype(np.float64), length)
    spectrum = spectrum * np.fft.rfft(response, length)
    whole = np.fft.irfft(spectrum, length)
    return np.ascontiguousarray(whole[:, delay : delay + samples], x.dtype)
