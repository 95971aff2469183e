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
        "fit": "rehear.transforms.waveform:Fit",
        "log_mel": "rehear.transforms.log_mel:LogMel",
        "mono": "rehear.transforms.waveform:Mono",
        "opensmile": "rehear.transforms.opensmile:OpenSmile",
        "standardize": "rehear.transforms.standardize:Standardize",
    },
)
