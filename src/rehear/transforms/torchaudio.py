"""The transforms of torchaudio, by their names."""

import inspect
import logging
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from rehear import blas
from rehear.errors import DataError, suggest
from rehear.signals import ANY, FEATURES, SAME, SPECTROGRAM, WAVEFORM

# What each takes and gives; of a class that is not here, torchaudio will tell.
_KINDS = {
    "AmplitudeToDB": (SPECTROGRAM, SAME),
    "ComputeDeltas": (SPECTROGRAM, SAME),
    "Deemphasis": (WAVEFORM, SAME),
    "Fade": (WAVEFORM, SAME),
    "GriffinLim": (SPECTROGRAM, WAVEFORM),
    "InverseMelScale": (SPECTROGRAM, SAME),
    "LFCC": (WAVEFORM, SPECTROGRAM),
    "Loudness": (WAVEFORM, FEATURES),
    "MFCC": (WAVEFORM, SPECTROGRAM),
    "MelScale": (SPECTROGRAM, SAME),
    "MelSpectrogram": (WAVEFORM, SPECTROGRAM),
    "MuLawDecoding": (WAVEFORM, SAME),
    "MuLawEncoding": (WAVEFORM, SAME),
    "PitchShift": (WAVEFORM, SAME),
    "Preemphasis": (WAVEFORM, SAME),
    "Resample": (WAVEFORM, SAME),
    "SlidingWindowCmn": (SPECTROGRAM, SAME),
    "SpectralCentroid": (WAVEFORM, FEATURES),
    "Spectrogram": (WAVEFORM, SPECTROGRAM),
    "Speed": (WAVEFORM, SAME),
    "Vad": (WAVEFORM, SAME),
    "Vol": (WAVEFORM, SAME),
}
_COMPLEX = "takes complex spectrograms or several arrays, and a transform gets one"
_REFUSED = {
    "AddNoise": "takes two arrays; use the augmentation gaussian_noise",
    "Convolve": "takes two arrays, and a transform gets one",
    "FFTConvolve": "takes two arrays, and a transform gets one",
    "FrequencyMasking": "draws at random; use the augmentation frequency_mask",
    "InverseSpectrogram": _COMPLEX,
    "MVDR": _COMPLEX,
    "PSD": _COMPLEX,
    "RNNTLoss": "is a loss",
    "RTFMVDR": _COMPLEX,
    "SoudenMVDR": _COMPLEX,
    "SpecAugment": "draws at random; use the augmentations time_mask and "
    "frequency_mask",
    "SpeedPerturbation": "draws at random; use Speed with one factor here, or an "
    "augmentation",
    "TimeMasking": "draws at random; use the augmentation time_mask",
    "TimeStretch": "takes complex spectrograms; use Speed for a fixed factor, or an "
    "augmentation for a random one",
}
# Arguments that the program knows, under torchaudio's names.
_RATES = ("sample_rate", "orig_freq")
_TIME_FIRST = ("SlidingWindowCmn",)
_WINDOWS = (
    "bartlett_window",
    "blackman_window",
    "hamming_window",
    "hann_window",
    "kaiser_window",
)
logger = logging.getLogger(__name__)


class Torchaudio:
    """A transform of torchaudio, by the name of its class.

    Arguments besides ``transform`` are those of the class; ``sample_rate`` and
    ``orig_freq`` are set by the program, and ``window_fn`` is a name such as
    ``hamming_window``. Those that draw at random are refused: they are
    augmentations. torch computes in one thread, so that numbers do not depend on
    the number of cores. ``mel``, ``mfcc`` and ``resample`` give the same numbers
    without torch, which takes seconds to import.

    Source: https://docs.pytorch.org/audio/stable/transforms.html.

    Args:
        sample_rate: of the waveform, in Hz
        transform: class in ``torchaudio.transforms``, such as ``MFCC``
        arguments: of the class

    Shape:
        as the class says, with channels first and frames last

    Raises:
        ValueError: if there is no such class or argument, or if the class draws at
            random, takes more than one array, or gives complex numbers
        DataError: if it refuses a clip
    """

    takes: str = ANY
    gives: str = ANY

    def __init__(
        self, *, sample_rate: int, transform: str = "MelSpectrogram", **arguments: Any
    ) -> None:
        self.name = transform
        cls = _class(transform)
        self.takes, self.gives = _KINDS.get(transform, (ANY, ANY))
        parameters = inspect.signature(cls).parameters
        _check(transform, arguments, parameters)
        rates = {key: sample_rate for key in _RATES if key in parameters}
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            try:
                self._transform = cls(**rates, **_resolved(arguments))
            except (AssertionError, AttributeError, LookupError) as error:
                raise ValueError(f"{transform}: {error}") from error
        for warning in told:
            logger.warning("torchaudio: %s: %s", transform, warning.message)
        if transform == "Resample":
            self.rate_after = int(arguments.get("new_freq", sample_rate))

    def __call__(self, x: np.ndarray) -> np.ndarray:
        import torch

        turned = self.name in _TIME_FIRST
        # A copy, since some of them work in place.
        given = np.array(x.swapaxes(-1, -2) if turned else x, np.float32, order="C")
        try:
            with blas.torch_single_threaded(), torch.no_grad():
                out = self._transform(torch.from_numpy(given))
        except (RuntimeError, TypeError, ValueError, LookupError) as error:
            reason = " ".join(str(error).split())
            raise DataError(
                f"{self.name} of torchaudio refuses an array of shape {x.shape}: "
                f"{reason}; skip the clip, put 'fit' or 'expand' before it, or correct "
                "its arguments"
            ) from error
        if isinstance(out, tuple):  # an array and its length
            out = out[0]
        if out.is_complex():
            raise DataError(
                f"{self.name} gives complex numbers; make it give magnitudes "
                "(power: 1) or powers (power: 2)"
            )
        array = np.atleast_1d(out.to(torch.float32).numpy())
        return np.ascontiguousarray(array.swapaxes(-1, -2)) if turned else array


def _class(name: str) -> Any:
    """Return a class of ``torchaudio.transforms``."""
    import torch
    from torchaudio import transforms

    if name in _REFUSED:
        raise ValueError(f"{name} {_REFUSED[name]}")
    cls = getattr(transforms, name, None)
    if not (inspect.isclass(cls) and issubclass(cls, torch.nn.Module)):
        raise ValueError(
            f"torchaudio has no transform '{name}'.{suggest(name, _KINDS)} Known: "
            f"{', '.join(_KINDS)}"
        )
    return cls


def _check(
    name: str, arguments: Mapping[str, Any], parameters: Mapping[str, Any]
) -> None:
    for key in arguments:
        if key in _RATES and key in parameters:
            raise ValueError(f"{name}: '{key}' is set by the program; remove it")
        if key not in parameters:
            known = [known for known in parameters if known not in _RATES]
            raise ValueError(
                f"{name} has no argument '{key}'.{suggest(key, known)} It takes: "
                f"{', '.join(known) or 'none'}"
            )
    if name == "GriffinLim" and arguments.get("rand_init", True):
        raise ValueError(
            "GriffinLim starts from random phases; give it rand_init: false"
        )
    if name == "Spectrogram" and arguments.get("power", 2.0) is None:
        raise ValueError(
            "Spectrogram gives complex numbers with power: null; take power: 1 for "
            "magnitudes or power: 2"
        )


def _resolved(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments with windows in place of their names, at any depth."""
    import torch

    resolved: dict[str, Any] = {}
    for key, value in arguments.items():
        if isinstance(value, Mapping):
            resolved[key] = _resolved(value)
        elif key == "window_fn":
            if value not in _WINDOWS:
                raise ValueError(
                    f"unknown window_fn '{value}'.{suggest(value, _WINDOWS)} Known: "
                    f"{', '.join(_WINDOWS)}"
                )
            resolved[key] = getattr(torch, value)
        else:
            resolved[key] = value
    return resolved
