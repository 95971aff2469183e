"""Acoustic features of openSMILE."""

import os
from typing import Any

import numpy as np

from rehear.errors import DataError, ParamsError, suggest
from rehear.signals import FEATURES, WAVEFORM

_LEVELS = {
    "functionals": "Functionals",
    "lld": "LowLevelDescriptors",
    "lld_de": "LowLevelDescriptors_Deltas",
}


class OpenSmile:
    """Features of a standard set of openSMILE.

    One instance of openSMILE is made in each process and reset between clips,
    which takes two thirds of the time of a new one for each clip. Numbers are
    those of ``opensmile.Smile.process_signal``, bit for bit, except that
    samples beyond full scale are clipped, where opensmile lets them wrap around
    to the other sign.

    Source: Eyben et al., "openSMILE", 2010; Eyben et al., "The Geneva Minimalistic
    Acoustic Parameter Set", 2016; https://audeering.github.io/opensmile-python/.

    Args:
        sample_rate: of the waveform, in Hz
        feature_set: name of a feature set, such as ``eGeMAPSv02`` (88
            functionals) or ``ComParE_2016`` (6373)
        level: ``functionals`` for one vector, ``lld`` for low-level descriptors
            in each frame, ``lld_de`` for their deltas

    Shape:
        ``(1, samples)`` to ``(features,)`` for functionals, else to
        ``(1, features, frames)``

    Raises:
        ParamsError: if opensmile is not installed
        ValueError: if there is no such set or level
    """

    takes, gives = WAVEFORM, FEATURES

    def __init__(
        self,
        *,
        sample_rate: int,
        feature_set: str = "eGeMAPSv02",
        level: str = "functionals",
    ) -> None:
        opensmile = _opensmile()
        sets = list(opensmile.FeatureSet.__members__)
        if feature_set not in sets:
            raise ValueError(
                f"unknown feature_set '{feature_set}'.{suggest(feature_set, sets)} "
                f"Known: {', '.join(sets)}"
            )
        if level not in _LEVELS:
            raise ValueError(f"unknown level '{level}'. Known: {', '.join(_LEVELS)}")
        if level == "lld_de" and "GeMAPS" in feature_set:
            raise ValueError(f"{feature_set} has no deltas; take level 'lld'")
        self.sample_rate, self.level = sample_rate, level
        self._smile = opensmile.Smile(
            opensmile.FeatureSet[feature_set], opensmile.FeatureLevel[_LEVELS[level]]
        )
        self.names: tuple[str, ...] = tuple(self._smile.feature_names)
        self._engine: Any = None
        self._process = 0

    def __call__(self, x: np.ndarray) -> np.ndarray:
        from opensmile.core.config import config

        if len(x) != 1:
            raise DataError(
                f"takes one channel, got {len(x)}; put 'mono' before it in "
                "preprocess.transforms"
            )
        pcm = np.clip(x[0] * np.float32(32768), -32768, 32767).astype(np.int16)
        engine, frames = self._ready(), []
        # Callbacks pile up in the binding, and are lost at a reset.
        engine._callbacks.clear()
        engine.external_sink_set_callback_ex(
            config.EXTERNAL_OUTPUT_COMPONENT, lambda data, _: frames.append(data.copy())
        )
        engine.external_audio_source_write_data(
            config.EXTERNAL_SOURCE_COMPONENT, pcm.tobytes()
        )
        engine.external_audio_source_set_eoi(config.EXTERNAL_SOURCE_COMPONENT)
        engine.run()
        engine.reset()
        if not frames:
            raise DataError(
                f"{x.shape[1]} samples at {self.sample_rate} Hz are too short for one "
                "frame; skip the clip, or put 'fit' before it in preprocess.transforms"
            )
        features = np.vstack(frames)
        if self.level == "functionals":
            return features[0]
        return np.ascontiguousarray(features.T)[None]

    def _ready(self) -> Any:
        """Return this process's openSMILE; a forked one must not share it."""
        if self._engine is None or self._process != os.getpid():
            from opensmile.core.config import config
            from opensmile.core.lib import OpenSMILE

            root = self._smile.default_config_root
            options = {
                "sink": f"{root}/{config.EXTERNAL_OUTPUT_SINGLE_CONFIG}",
                "sinkLevel": self._smile.feature_level.value,
                "bufferModeRbConf": f"{root}/shared/BufferModeRb.conf.inc",
                "frameModeFunctionalsConf": (
                    f"{root}/shared/FrameModeFunctionals.conf.inc"
                ),
                "source": f"{root}/{config.EXTERNAL_INPUT_CONFIG}",
                "sampleRate": self.sample_rate,
                "nBits": 16,
            }
            self._engine = OpenSMILE()
            self._engine.initialize(
                config_file=self._smile.config_path, options=options, loglevel=0
            )
            self._process = os.getpid()
        return self._engine


def _opensmile() -> Any:
    try:
        import opensmile
    except ModuleNotFoundError as error:
        if error.name != "opensmile":
            raise
        raise ParamsError(
            "transform 'opensmile' needs the package opensmile, which is not installed;"
            " install it with `pip install 'rehear[opensmile]'`"
        ) from None
    return opensmile
