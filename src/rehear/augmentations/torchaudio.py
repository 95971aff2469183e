"""Augmentations of torchaudio."""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from rehear.augmentations.external import External
from rehear.augmentations.seeding import one_thread
from rehear.signals import ANY

_FEATURES = "it makes other features of a clip; such are made by preprocess.transforms"
_TWO = "it needs a second signal, and an augmentation gets one"
_COMPLEX = "it takes complex spectrograms, which the store does not hold"
_MASK = "it needs complex spectrograms of several channels and masks"


class Torchaudio(External):
    """Change a clip by a class of ``torchaudio.transforms``.

    ``{name: torchaudio, transform: FrequencyMasking, freq_mask_param: 8}``, for
    example. Where the class changes the length, as ``Speed`` does, the clip is
    cut, or filled up with zeros, at its end. The widths of masks are 10 where
    none are given. ``p`` of the masks of torchaudio, the greatest share that is
    masked, stays 1.

    Args:
        sample_rate: of waveforms, in Hz; for classes with ``sample_rate`` or
            ``orig_freq``
        transform: name of the class
        p: probability that a clip is changed
        settings: further arguments are those of the class

    Shape:
        as the class takes, kept

    Raises:
        ParamsError: if there is no such class or argument

    Source: https://docs.pytorch.org/audio/2.11/transforms.html
    """

    takes = ANY
    name = "torchaudio"
    stretches = True
    defaults: ClassVar[Mapping[str, Any]] = {
        "time_mask_param": 10,
        "freq_mask_param": 10,
    }
    unusable: ClassVar[Mapping[str, str]] = {
        "AddNoise": _TWO,
        "Convolve": _TWO,
        "FFTConvolve": _TWO,
        "GriffinLim": "it turns spectrograms into waveforms",
        "InverseMelScale": _FEATURES,
        "InverseSpectrogram": _COMPLEX,
        "LFCC": _FEATURES,
        "Loudness": _FEATURES,
        "MFCC": _FEATURES,
        "MVDR": _MASK,
        "MelScale": _FEATURES,
        "MelSpectrogram": _FEATURES,
        "MuLawEncoding": "it gives whole numbers, not a waveform",
        "MuLawDecoding": "it takes whole numbers, not a waveform",
        "PSD": _MASK,
        "RNNTLoss": "it is a loss",
        "RTFMVDR": _MASK,
        "Resample": "it changes the sample rate; take Speed or PitchShift",
        "SoudenMVDR": _MASK,
        "SpectralCentroid": _FEATURES,
        "Spectrogram": _FEATURES,
        "TimeStretch": _COMPLEX,
    }

    def __init__(
        self,
        *,
        sample_rate: int,
        transform: str = "TimeMasking",
        p: float = 1.0,
        **settings: Any,
    ) -> None:
        rates = {"sample_rate": sample_rate, "orig_freq": sample_rate}
        super().__init__(transform, p, settings, rates)

    def library(self) -> tuple[Any, type]:
        from torch import nn
        from torchaudio import transforms

        return transforms, nn.Module

    def apply(self, x: np.ndarray, generator: np.random.Generator) -> Any:
        import torch

        with one_thread():
            changed = self._part(torch.from_numpy(x))
        return changed[0] if isinstance(changed, tuple) else changed
