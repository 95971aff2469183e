"""Whisper, a speech recogniser, as a listener.

Source: Radford et al., "Robust speech recognition via large-scale weak supervision",
ICML 2023, https://arxiv.org/abs/2212.04356. Layers are those of
https://huggingface.co/docs/transformers.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from rehear.errors import ModelError
from rehear.models import transformer
from rehear.models.ffnn import FFNN, EncoderFFNN
from rehear.models.sources import Source, on_hub
from rehear.signals import FEATURES

FRAMES = 3000  # of 30 s, which the published positions are for
START = 50258  # <|startoftranscript|>, with which the decoder begins


def _settings(width: int, layers: int, **rest: Any) -> dict[str, Any]:
    """Return the config of an encoder and a decoder of equal size."""
    sizes: dict[str, Any] = {"d_model": width}
    for half in ("encoder", "decoder"):
        sizes[f"{half}_layers"] = layers
        sizes[f"{half}_attention_heads"] = width // 64
        sizes[f"{half}_ffn_dim"] = 4 * width
    return {**sizes, **rest}


ARCHITECTURES: Mapping[str, Mapping[str, Any]] = {
    "tiny": _settings(384, 4),
    "base": _settings(512, 6),
    "small": _settings(768, 12),
    "medium": _settings(1024, 24),
    "large-v3": _settings(1280, 32, num_mel_bins=128, vocab_size=51866),
}
POOLINGS = {
    "mean": "average of the encoder's states",
    "decoder": "first state of the decoder",
}


class Whisper(EncoderFFNN):
    """The encoder of Whisper, its states averaged, and a small network behind.

    Its input is what ``feature_extractor`` with ``model: whisper`` gives: 30 s,
    whatever the length of a clip, so that silence is averaged too. Shorter inputs
    (``chunk_length`` of the feature extractor, in seconds) are cheaper, and use the
    first positions of the published weights.

    Args:
        architecture: ``tiny``, ``base``, ``small``, ``medium`` or ``large-v3``
        hidden_size: width of the hidden layers behind
        num_layers: linear layers behind, the last one included
        dropout: probability after each hidden layer behind
        pooling: ``mean`` of the encoder's states, or ``decoder``: the state that the
            decoder starts its transcript with
        num_outputs: given by the program
        input_shape: ``(mels, frames)``, given by the program

    Shape:
        ``(batch, mels, frames)`` to ``(batch, num_outputs)``

    Raises:
        ModelError: if features are not of the feature extractor
        ValueError: if there is no such architecture or pooling
    """

    takes = FEATURES
    front_end = "{name: feature_extractor, model: whisper}"
    extractor = 1

    def __init__(
        self,
        *,
        architecture: str = "tiny",
        hidden_size: int = 512,
        num_layers: int = 2,
        dropout: float = 0.5,
        pooling: str = "mean",
        num_outputs: int,
        input_shape: tuple[int, ...],
    ) -> None:
        super().__init__()
        settings = transformer.choose(
            ARCHITECTURES, architecture, argument="architecture"
        )
        transformer.choose(POOLINGS, pooling, argument="pooling")
        library = transformer.library("whisper")
        self.config = library.WhisperConfig(**settings)
        mels = self.config.num_mel_bins
        _check(input_shape, mels=mels)
        self.config.max_source_positions = input_shape[1] // 2
        layers = library.models.whisper.modeling_whisper
        self.encoder = layers.WhisperEncoder(self.config)
        # Sinusoids that never learn.
        positions = self.encoder.embed_positions
        fixed = positions.weight.detach()
        del positions.weight
        positions.register_buffer("weight", fixed)
        self.decoder = (
            layers.WhisperDecoder(self.config) if pooling == "decoder" else None
        )
        self.ffnn = FFNN(
            hidden_size=hidden_size,
            num_layers=num_layers,
            dropout=dropout,
            num_outputs=num_outputs,
            input_shape=(self.config.d_model,),
        )

    @property
    def blocks(self) -> list[tuple[str, ...]]:
        """Convolutions, and each layer of the encoder and of the decoder."""
        groups = [("encoder.conv1", "encoder.conv2"), *self._layers("encoder")]
        if self.decoder is not None:
            embedding = ("decoder.embed_tokens", "decoder.embed_positions")
            groups += [embedding, *self._layers("decoder")]
        return groups

    def _layers(self, half: str) -> list[tuple[str, ...]]:
        number = getattr(self.config, f"{half}_layers")
        layers: list[tuple[str, ...]] = [(f"{half}.layers.{i}",) for i in range(number)]
        layers[-1] += (f"{half}.layer_norm",)
        return layers

    @classmethod
    def sources(cls) -> dict[str, Source]:
        """Return the published weights."""
        return {source.name: source for source in map(_source, _FILES)}

    def adapted(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return published weights by our names.

        The decoder is left out where it is not used, and positions beyond the
        frames.
        """
        ours = {name.removeprefix("model."): tensor for name, tensor in tensors.items()}
        dropped = ("proj_out.",) if self.decoder is not None else _TEXT
        ours = transformer.without(ours, dropped)
        key = "encoder.embed_positions.weight"
        if key in ours:
            ours[key] = ours[key][: self.config.max_source_positions]
        return ours

    def encode(self, features: Tensor) -> Tensor:
        """Return pooled states ``(batch, states)`` of the encoder or decoder."""
        states = self.encoder(features).last_hidden_state
        if self.decoder is None:
            return states.mean(dim=1)
        start = torch.full((len(states), 1), START, device=states.device)
        decoded = self.decoder(
            input_ids=start, encoder_hidden_states=states, use_cache=False
        )
        return decoded.last_hidden_state[:, 0]


def _check(shape: tuple[int, ...], *, mels: int) -> None:
    if len(shape) != 2 or shape[0] != mels or shape[1] % 2 or shape[1] > FRAMES:
        raise ModelError(
            f"model 'whisper' of this architecture takes ({mels}, {FRAMES}): {mels} "
            f"mel bands, and frames up to {FRAMES}, an even number; but features are "
            f"{shape}; end preprocess.transforms with {{name: feature_extractor, "
            f"model: whisper, feature_size: {mels}}}"
        )


_TEXT = ("decoder.", "proj_out.")
_FILES = {
    "tiny": (
        "169d4a4341b33bc18d8881c4b69c2e104e1cc0af",
        "7ebd0e69e78190ffe1438491fa05cc1f5c1aa3a4c4db3bc1723adbb551ea2395",
        151061672,
    ),
    "base": (
        "e37978b90ca9030d5170a5c07aadb050351a65bb",
        "07cadb9f25677c8d50df603e66a98fbd842cce45047139baeb16e6219a1e807b",
        290403936,
    ),
    "small": (
        "973afd24965f72e36ca33b3055d56a652f456b4d",
        "1d7734884874f1a1513ed9aa760a4f8e97aaa02fd6d93a3a85d27b2ae9ca596b",
        966995080,
    ),
    "medium": (
        "abdf7c39ab9d0397620ccaea8974cc764cd0953e",
        "62f73550fa6db24b0c6f6c5962bd0dae80fa644e93cde9cd9c3792971b47fd28",
        3055544304,
    ),
    "large-v3": (
        "06f233fe06e710322aca913c1bc4249a0d71fce1",
        "a8e94b85976e5864ba3e9525c7e6c83b2a1eca42d4b797a0c7c24d778e40fd95",
        3087130976,
    ),
}


def _source(architecture: str) -> Source:
    revision, sha256, size = _FILES[architecture]
    repository = f"openai/whisper-{architecture}"
    front_end: dict[str, Any] = {"name": "feature_extractor", "model": "whisper"}
    if architecture == "large-v3":
        front_end["feature_size"] = 128
    return Source(
        name=repository,
        url=on_hub(repository, file="model.safetensors", revision=revision),
        licence="Apache-2.0",
        citation="Radford et al., Robust speech recognition via large-scale weak "
        "supervision, ICML 2023",
        arguments={"architecture": architecture},
        sha256=sha256,
        size=size,
        rate=16000,
        front_end=front_end,
    )
