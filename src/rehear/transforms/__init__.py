"""Transforms: from a waveform to what a model gets, the same in every split.

To add one, write a class in a module of this folder and one line in the table.
Its constructor takes keyword arguments with defaults, and ``sample_rate`` if it
needs it; calling it turns one array into another. ``takes`` and ``gives`` say
what kind of array that is, see ``rehear.signals``, so that a list in the wrong
order is refused before any audio is read.
"""

from rehear.catalogue import Catalogue
from rehear.transforms.chain import Chain, build, offline, online, ordered

__all__ = ["TRANSFORMS", "Chain", "build", "offline", "online", "ordered"]

TRANSFORMS = Catalogue(
    "transform",
    {
        "cepstrum": "rehear.transforms.cepstrum:Cepstrum",
        "decibel": "rehear.transforms.cepstrum:Decibel",
        "expand": "rehear.transforms.values:Expand",
        "feature_extractor": "rehear.transforms.feature_extractor:FeatureExtractor",
        "fit": "rehear.transforms.waveform:Fit",
        "grey": "rehear.transforms.image:Grey",
        "log_mel": "rehear.transforms.log_mel:LogMel",
        "mel": "rehear.transforms.mel:Mel",
        "mfcc": "rehear.transforms.cepstrum:Mfcc",
        "mono": "rehear.transforms.waveform:Mono",
        "normalize": "rehear.transforms.values:Normalize",
        "opensmile": "rehear.transforms.opensmile:OpenSmile",
        "pcen": "rehear.transforms.pcen:Pcen",
        "resample": "rehear.transforms.waveform:Resample",
        "resize": "rehear.transforms.image:Resize",
        "rgb": "rehear.transforms.image:Rgb",
        "scale": "rehear.transforms.values:Scale",
        "spectrogram_image": "rehear.transforms.spectrogram_image:SpectrogramImage",
        "square": "rehear.transforms.image:Square",
        "standardize": "rehear.transforms.standardize:Standardize",
        "to_float": "rehear.transforms.values:ToFloat",
        "torchaudio": "rehear.transforms.torchaudio:Torchaudio",
    },
)
