"""Augmentations of torch-audiomentations."""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from rehear.augmentations.external import External, missing
from rehear.augmentations.seeding import one_thread
from rehear.signals import WAVEFORM

_HOLDS = "it holds other transforms; write them one by one in augment, each with its p"
_FILES = (
    "it reads other recordings, whose changes the pipeline would not notice; take "
    "'noise_at_snr' or 'impulse_response'"
)


class TorchAudiomentations(External):
    """Change a waveform by a class of ``torch_audiomentations``.

    ``{name: torch_audiomentations, transform: LowPassFilter, mode: per_channel}``,
    for example. The class's own ``p`` is 1. A clip is a batch of its own, so
    ``mode`` says only whether its channels are changed alike.

    Args:
        sample_rate: of the waveform, in Hz
        transform: name of the class
        p: probability that a clip is changed
        settings: further arguments are those of the class

    Shape:
        ``(channels, samples)``, kept

    Raises:
        ParamsError: if there is no such class or argument, or the package is not
            installed

    Source: https://github.com/asteroid-team/torch-audiomentations
    """

    takes = WAVEFORM
    name = "torch_audiomentations"
    unusable: ClassVar[Mapping[str, str]] = {
        "AddBackgroundNoise": _FILES,
        "ApplyImpulseResponse": _FILES,
        "Compose": _HOLDS,
        "OneOf": _HOLDS,
        "SomeOf": _HOLDS,
    }

    def __init__(
        self,
        *,
        sample_rate: int,
        transform: str = "AddColoredNoise",
        p: float = 1.0,
        **settings: Any,
    ) -> None:
        forced = {
            "p": 1.0,
            "p_mode": None,
            "sample_rate": sample_rate,
            "target_rate": None,
            "output_type": "dict",
        }
        super().__init__(transform, p, settings, forced)

    def library(self) -> tuple[Any, type]:
        try:
            import torch_audiomentations
            from torch_audiomentations.core.transforms_interface import (
                BaseWaveformTransform,
            )
        except ModuleNotFoundError as error:
            name = "torch_audiomentations"
            raise missing(error, name, "torch-audiomentations") from None
        return torch_audiomentations, BaseWaveformTransform

    def apply(self, x: np.ndarray, generator: np.random.Generator) -> Any:
        import torch

        with one_thread():
            return self._part(torch.from_numpy(x)[None]).samples[0]
