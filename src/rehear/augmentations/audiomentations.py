"""Augmentations of audiomentations."""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from rehear.augmentations.external import External, missing
from rehear.signals import WAVEFORM

_HOLDS = "it holds other transforms; write them one by one in augment, each with its p"
_FILES = (
    "it reads other recordings, whose changes the pipeline would not notice; take "
    "'noise_at_snr' or 'impulse_response'"
)
_PACKAGE = "it needs the package {}, which no extra of rehear installs"


class Audiomentations(External):
    """Change a waveform by a class of ``audiomentations``.

    ``{name: audiomentations, transform: PitchShift, max_semitones: 2}``, for
    example. The class's own ``p`` is 1. Where the class changes the length, the
    clip is cut, or filled up with zeros, at its end. Some classes take one
    channel only.

    Args:
        sample_rate: of the waveform, in Hz
        transform: name of the class
        p: probability that a clip is changed
        settings: further arguments are those of the class

    Shape:
        ``(channels, samples)``, kept

    Raises:
        ParamsError: if there is no such class or argument, or a package is not
            installed

    Source: https://iver56.github.io/audiomentations/
    """

    takes = WAVEFORM
    name = "audiomentations"
    stretches = True
    numpy = True
    unusable: ClassVar[Mapping[str, str]] = {
        "AddBackgroundNoise": _FILES,
        "AddShortNoises": _FILES,
        "ApplyImpulseResponse": _FILES,
        "Compose": _HOLDS,
        "Lambda": "it needs a function",
        "Limiter": _PACKAGE.format("numpy-audio-limiter"),
        "LoudnessNormalization": _PACKAGE.format("loudness"),
        "Mp3Compression": _PACKAGE.format("fast-mp3-augment"),
        "OneOf": _HOLDS,
        "Resample": "it changes the sample rate; take Aliasing",
        "RoomSimulator": _PACKAGE.format("pyroomacoustics"),
        "SomeOf": _HOLDS,
    }

    def __init__(
        self,
        *,
        sample_rate: int,
        transform: str = "AddGaussianNoise",
        p: float = 1.0,
        **settings: Any,
    ) -> None:
        self.sample_rate = sample_rate
        super().__init__(transform, p, settings, {"p": 1.0})

    def library(self) -> tuple[Any, type]:
        try:
            import audiomentations
            from audiomentations.core.transforms_interface import BaseWaveformTransform
        except ModuleNotFoundError as error:
            raise missing(error, "audiomentations", "audiomentations") from None
        return audiomentations, BaseWaveformTransform

    def apply(self, x: np.ndarray, generator: np.random.Generator) -> Any:
        mono = len(x) == 1
        changed = self._part(x[0] if mono else x, sample_rate=self.sample_rate)
        return changed[None] if mono and changed.ndim == 1 else changed
