"""Inputs of pretrained transformers, as their own feature extractors make them."""

import json
import logging
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rehear import blas
from rehear.errors import DataError, suggest
from rehear.extras import needed
from rehear.signals import FEATURES, WAVEFORM

CONFIG = "preprocessor_config.json"
_CLASSES = {
    "ast": "ASTFeatureExtractor",
    "wav2vec2": "Wav2Vec2FeatureExtractor",
    "whisper": "WhisperFeatureExtractor",
}
_OUTPUTS = {"ast": "input_values", "wav2vec2": "input_values"}
_PADDED = ("ast", "whisper")  # to the length that the model takes
logger = logging.getLogger(__name__)


class FeatureExtractor:
    """What a pretrained AST, wav2vec 2.0, HuBERT or Whisper takes.

    Nothing is downloaded: a checkpoint is a folder of the study. Clips for ``ast``
    and ``whisper`` are padded, or cut, to the length of the model, by default
    1024 frames (10 s) and 30 s; those for ``wav2vec2``, which stands for HuBERT
    and WavLM too, are only standardised. Arguments besides those below are of
    the feature extractor, such as ``num_mel_bins`` or ``max_length`` of ``ast``.

    Source: ``ASTFeatureExtractor``, ``Wav2Vec2FeatureExtractor`` and
    ``WhisperFeatureExtractor`` of https://huggingface.co/docs/transformers.

    Args:
        sample_rate: of the waveform, in Hz; has to be that of the checkpoint
        model: ``ast``, ``wav2vec2`` or ``whisper``
        checkpoint: folder with a ``preprocessor_config.json``; defaults of
            transformers if empty
        study: folder that ``checkpoint`` is relative to, given by the program
        arguments: in place of those of the checkpoint

    Shape:
        ``(1, samples)`` to what the models of transformers take for each clip:
        ``(frames, mels)`` for ``ast``, ``(mels, frames)`` for ``whisper``; the
        waveform ``(1, samples)`` for ``wav2vec2``

    Raises:
        ParamsError: if transformers is not installed
        ValueError: if there is no such model, checkpoint or argument, or if the
            sample rate is another
        DataError: if there is more than one channel, or a clip is too short
    """

    takes: str = WAVEFORM
    reads = ("checkpoint",)

    def __init__(
        self,
        *,
        sample_rate: int,
        model: str = "ast",
        checkpoint: str = "",
        study: Path = Path(),
        **arguments: Any,
    ) -> None:
        if model not in _CLASSES:
            raise ValueError(
                f"unknown model '{model}'.{suggest(model, _CLASSES)} Known: "
                f"{', '.join(_CLASSES)}"
            )
        self.model = model
        self.gives = WAVEFORM if model == "wav2vec2" else FEATURES
        cls = getattr(_transformers(), _CLASSES[model])
        config = _read(study / checkpoint, model) if checkpoint else {}
        _check(arguments, known=cls().to_dict())
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            self.extractor = cls(**{**config, **arguments})
        for warning in told:
            logger.warning("feature_extractor: %s: %s", model, warning.message)
        rate = self.extractor.sampling_rate
        if rate != sample_rate:
            raise ValueError(
                f"{model} takes {rate} Hz, but the waveform has {sample_rate} Hz; set "
                f"preprocess.sample_rate to {rate}, or put {{name: resample, rate: "
                f"{rate}}} before it"
            )
        if getattr(self.extractor, "dither", 0):
            raise ValueError("dither draws at random; set it to 0.0")

    def __call__(self, x: np.ndarray) -> np.ndarray:
        if len(x) != 1:
            raise DataError(
                f"takes one channel, got {len(x)}; put 'mono' before it in "
                "preprocess.transforms"
            )
        options = {"padding": "max_length"} if self.model in _PADDED else {}
        clip = np.array(x[0], np.float32)
        try:
            with blas.torch_single_threaded():
                made = self.extractor(
                    clip,
                    sampling_rate=self.extractor.sampling_rate,
                    return_tensors="np",
                    **options,
                )
        except (AssertionError, IndexError, RuntimeError, ValueError) as error:
            reason = " ".join(str(error).split())
            raise DataError(
                f"{self.model} refuses a clip of {clip.size} samples: {reason}; skip "
                "it, or put 'fit' or 'expand' before"
            ) from error
        out = made[_OUTPUTS.get(self.model, "input_features")]
        out = out if self.model == "wav2vec2" else out[0]
        return np.ascontiguousarray(out, np.float32)


def _check(arguments: Mapping[str, Any], *, known: Mapping[str, Any]) -> None:
    for key in arguments:
        if key not in known:
            raise ValueError(
                f"the feature extractor has no argument '{key}'.{suggest(key, known)} "
                f"It takes: {', '.join(known)}"
            )


def _read(checkpoint: Path, model: str) -> dict[str, Any]:
    """Return the config of a checkpoint."""
    file = checkpoint / CONFIG
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(
            f"checkpoint: {file} cannot be read ({error.strerror}); give a folder of "
            "the study that holds it, or leave checkpoint empty for the defaults"
        ) from None
    except ValueError:
        config = None
    config = config if isinstance(config, dict) else None
    if config is None:
        raise ValueError(f"checkpoint: {file} is no JSON object; download it again")
    kind = config.pop("feature_extractor_type", _CLASSES[model])
    if kind != _CLASSES[model]:
        names = [name for name, known in _CLASSES.items() if known == kind]
        advice = f"set model to {names[0]}" if names else "take another checkpoint"
        raise ValueError(f"checkpoint: {file} is of {kind}, not {model}; {advice}")
    return config


def _transformers() -> Any:
    with needed("transform 'feature_extractor'", "transformers"):
        import transformers
    return transformers
