"""Acoustic features of openSMILE."""

import logging
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from rehear.errors import DataError, suggest
from rehear.extras import needed
from rehear.signals import FEATURES, SPECTROGRAM, WAVEFORM

_LEVELS = {"functionals": "func", "lld": "lld", "lld_de": "lld_de"}
_VECTORS = ("functionals", "func")  # levels with one frame for the whole clip
logger = logging.getLogger(__name__)


class OpenSmile:
    """Features of a standard set of openSMILE, or of your own config file.

    One instance of openSMILE is made in each process and reset between clips,
    which takes two thirds of the time of a new one for each clip. Numbers are
    those of ``opensmile.Smile.process_signal``, bit for bit, except that
    samples beyond full scale are clipped, where opensmile lets them wrap around
    to the other sign.

    openSMILE computes deltas of two frames more than there are descriptors, both
    behind the last one; beside the descriptors (``deltas: true``) they are left
    out, so that each delta stands beside its own descriptor.

    Source: Eyben et al., "openSMILE", 2010; Eyben et al., "The Geneva Minimalistic
    Acoustic Parameter Set", 2016; https://audeering.github.io/opensmile-python/.

    Args:
        sample_rate: of the waveform, in Hz
        feature_set: name of a feature set, such as ``eGeMAPSv02`` (88
            functionals) or ``ComParE_2016`` (6373)
        level: ``functionals`` for one vector, ``lld`` for low-level descriptors
            in each frame, ``lld_de`` for their deltas
        deltas: with level ``lld``, append the deltas: twice as many features
        config: openSMILE config file to use instead of ``feature_set``, written
            as those of openSMILE's Python package are; ``level`` is then the
            level that it hands to the sink, a vector if called ``func`` or
            ``functionals``; files that it includes are not watched by DVC
        study: folder that ``config`` is relative to, given by the program

    Shape:
        ``(1, samples)`` to ``(features,)`` for functionals, else to
        ``(1, features, frames)``

    Raises:
        ParamsError: if opensmile is not installed
        ValueError: if there is no such set or level, if it has no deltas, or if
            openSMILE refuses the config file
    """

    takes: str = WAVEFORM
    reads = ("config",)

    def __init__(
        self,
        *,
        sample_rate: int,
        feature_set: str = "eGeMAPSv02",
        level: str = "functionals",
        deltas: bool = False,
        config: str = "",
        study: Path = Path(),
    ) -> None:
        opensmile = _opensmile()
        if deltas and (level != "lld" or config):
            raise ValueError(
                "deltas: true goes with level 'lld' of a feature_set; take away deltas"
                + (", and let the level of your config hold them" if config else "")
            )
        chosen: Any = (study / config).resolve()
        levels = [level]
        if not config:
            chosen = _standard(opensmile, feature_set, level, deltas=deltas)
            levels = [_LEVELS[level], *(["lld_de"] if deltas else [])]
        elif not chosen.is_file():
            raise ValueError(
                f"config: there is no file {config}; give its path from the study's "
                "folder"
            )
        self.sample_rate, self.vector = sample_rate, level in _VECTORS
        self.gives = FEATURES if self.vector else SPECTROGRAM
        self._engines = [_Engine(chosen, name, sample_rate) for name in levels]
        self.names = tuple(name for each in self._engines for name in each.names)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        if len(x) != 1:
            raise DataError(
                f"takes one channel, got {len(x)}; put 'mono' before it in "
                "preprocess.transforms"
            )
        pcm = np.clip(x[0] * np.float32(32768), -32768, 32767).astype(np.int16)
        frames = [engine.run(pcm) for engine in self._engines]
        if not all(frames):
            raise DataError(
                f"{x.shape[1]} samples at {self.sample_rate} Hz are too short for one "
                "frame; skip the clip, or put 'fit' before it in preprocess.transforms"
            )
        if self.vector:
            return np.vstack(frames[0])[0]
        low, *deltas = (np.vstack(each).T for each in frames)
        # Deltas have two frames more, behind the last.
        features = [low, *(each[:, : low.shape[1]] for each in deltas)]
        return np.ascontiguousarray(np.concatenate(features))[None]


class _Engine:
    """An openSMILE that is made once in each process and reset between clips."""

    def __init__(self, feature_set: Any, level: str, sample_rate: int) -> None:
        from opensmile import Smile
        from opensmile.core.lib import OpenSmileException

        self.level, self.sample_rate = level, sample_rate
        chosen = str(feature_set) if isinstance(feature_set, Path) else feature_set
        try:
            with warnings.catch_warnings(record=True) as told:
                warnings.simplefilter("always")
                self._smile = Smile(chosen, level)
        except OpenSmileException as error:
            raise ValueError(
                f"openSMILE refuses {feature_set} with level '{level}' ({error}); "
                "level must be one that the config computes, and its source and sink "
                "those of opensmile's Python package"
            ) from None
        for warning in told:
            logger.warning("opensmile: %s", warning.message)
        self.names: tuple[str, ...] = tuple(self._smile.feature_names)
        self._engine: Any = None
        self._process = 0

    def run(self, pcm: np.ndarray) -> list[np.ndarray]:
        """Return the frames of a clip, each ``(features,)``."""
        from opensmile.core.config import config

        engine, frames = self._ready(), list[np.ndarray]()
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
        return frames

    def _ready(self) -> Any:
        """Return this process's openSMILE; a forked one must not share it."""
        if self._engine is None or self._process != os.getpid():
            from opensmile.core.config import config
            from opensmile.core.lib import OpenSMILE

            root = self._smile.default_config_root
            options = {
                "sink": f"{root}/{config.EXTERNAL_OUTPUT_SINGLE_CONFIG}",
                "sinkLevel": self.level,
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


def _standard(opensmile: Any, feature_set: str, level: str, *, deltas: bool) -> Any:
    """Return a feature set of openSMILE's Python package by its name."""
    sets = list(opensmile.FeatureSet.__members__)
    if feature_set not in sets:
        raise ValueError(
            f"unknown feature_set '{feature_set}'.{suggest(feature_set, sets)} "
            f"Known: {', '.join(sets)}"
        )
    if level not in _LEVELS:
        raise ValueError(
            f"unknown level '{level}'.{suggest(level, _LEVELS)} "
            f"Known: {', '.join(_LEVELS)}"
        )
    if "GeMAPS" in feature_set and (deltas or level == "lld_de"):
        raise ValueError(
            f"{feature_set} has no deltas; take level 'lld' without deltas, or another "
            "feature_set"
        )
    return opensmile.FeatureSet[feature_set]


def _opensmile() -> Any:
    with needed("transform 'opensmile'", "opensmile"):
        import opensmile
    return opensmile
