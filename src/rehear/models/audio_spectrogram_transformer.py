"""Audio spectrogram transformer (AST).

Source: Gong et al., "AST: audio spectrogram transformer", Interspeech 2021,
https://arxiv.org/abs/2104.01778, and https://github.com/YuanGongND/ast. Layers are
those of https://huggingface.co/docs/transformers.
"""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from rehear.errors import ModelError
from rehear.models import transformer
from rehear.models.ffnn import FFNN, EncoderFFNN
from rehear.models.sources import Source, on_hub
from rehear.signals import FEATURES

LAYERS = 12
PATCH, STRIDE = 16, 10
GRID = (12, 101)  # patches of 128 mel bands and 1024 frames, as published
POOLINGS = {"mean": "over all tokens", "cls+distil": "over the two of the whole clip"}
# As weights are published, and as transformers names them since its version 5.
_NAMES = (
    ("encoder.layer.", "layers."),
    ("attention.attention.query", "attention.q_proj"),
    ("attention.attention.key", "attention.k_proj"),
    ("attention.attention.value", "attention.v_proj"),
    ("attention.output.dense", "attention.o_proj"),
    ("intermediate.dense", "mlp.fc1"),
    ("output.dense", "mlp.fc2"),
)


class AST(EncoderFFNN):
    """AST, and a small network behind.

    Its input is what ``feature_extractor`` with ``model: ast`` gives, of 1024 frames
    (10.24 s) and 128 mel bands by default. For other sizes, positions of published
    weights are cut out of the middle, or interpolated, as the authors do.

    Args:
        num_hidden_layers: how many of the 12 transformer layers to use
        hidden_size: width of the hidden layers behind
        num_layers: linear layers behind, the last one included
        dropout: probability after each hidden layer behind
        pooling: ``mean`` over all tokens, or ``cls+distil``: over the two that stand
            for the whole clip, as the authors' classifier has it
        num_outputs: given by the program
        input_shape: ``(frames, mels)``, given by the program

    Shape:
        ``(batch, frames, mels)`` to ``(batch, num_outputs)``

    Raises:
        ModelError: if features are not of at least 16 frames and 16 mel bands
        ValueError: if there is no such pooling, or not as many layers
    """

    takes = FEATURES
    front_end = "{name: feature_extractor, model: ast}"
    extractor = 1

    def __init__(
        self,
        *,
        num_hidden_layers: int = LAYERS,
        hidden_size: int = 128,
        num_layers: int = 2,
        dropout: float = 0.5,
        pooling: str = "mean",
        num_outputs: int,
        input_shape: tuple[int, ...],
    ) -> None:
        super().__init__()
        _check(input_shape)
        transformer.choose(POOLINGS, pooling, argument="pooling")
        self.pooling = pooling
        library = transformer.library("ast")
        self.config = library.ASTConfig(
            num_hidden_layers=transformer.first_layers(num_hidden_layers, of=LAYERS),
            max_length=input_shape[0],
            num_mel_bins=input_shape[1],
        )
        self.encoder = library.ASTModel(self.config)
        self.ffnn = FFNN(
            hidden_size=hidden_size,
            num_layers=num_layers,
            dropout=dropout,
            num_outputs=num_outputs,
            input_shape=(self.config.hidden_size,),
        )

    @property
    def blocks(self) -> list[tuple[str, ...]]:
        """Patches and positions, and each layer."""
        number = self.config.num_hidden_layers
        stem = "encoder.layers" if self._is_new else "encoder.encoder.layer"
        layers: list[tuple[str, ...]] = [(f"{stem}.{i}",) for i in range(number)]
        layers[-1] += ("encoder.layernorm",)
        return [("encoder.embeddings",), *layers]

    @property
    def _is_new(self) -> bool:
        """Whether the installed transformers has the names of its version 5."""
        return hasattr(self.encoder, "layers")

    @classmethod
    def sources(cls) -> dict[str, Source]:
        """Return the published weights."""
        name = "MIT/ast-finetuned-audioset-10-10-0.4593"
        source = Source(
            name=name,
            url=on_hub(
                name,
                file="model.safetensors",
                revision="f826b80d28226b62986cc218e5cec390b1096902",
            ),
            licence="BSD-3-Clause",
            citation="Gong et al., AST: audio spectrogram transformer, Interspeech "
            "2021",
            sha256="ae0c1e2ad4e1381d851fa9bf298ba13ebc9c5a914cdee2dbe427a6583869924d",
            size=346404948,
            rate=16000,
            front_end={"name": "feature_extractor", "model": "ast"},
        )
        return {name: source}

    def adapted(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return published weights by our names.

        The classifier is left out, and layers beyond ``num_hidden_layers``; positions
        are made to fit.
        """
        ours = transformer.without(tensors, ("classifier.",))
        ours = {
            self._renamed(name.removeprefix("audio_spectrogram_transformer.")): tensor
            for name, tensor in ours.items()
        }
        layers = "layers" if self._is_new else "encoder.layer"
        number = self.config.num_hidden_layers
        ours = transformer.within_layers(ours, layers, number)
        key = "embeddings.position_embeddings"
        if key in ours:
            grid = self.encoder.embeddings.get_shape(self.config)
            ours[key] = _fitted(ours[key], grid)
        return {f"encoder.{name}": tensor for name, tensor in ours.items()}

    def _renamed(self, name: str) -> str:
        for published, new in _NAMES:
            old, now = (published, new) if self._is_new else (new, published)
            if name.startswith(old) or f".{old}" in name:
                name = name.replace(old, now, 1)
        return name

    def encode(self, features: Tensor) -> Tensor:
        """Return the mean of tokens ``(batch, 768)``."""
        states = self.encoder(features).last_hidden_state
        tokens = states[:, :2] if self.pooling == "cls+distil" else states
        return tokens.mean(dim=1)


def _check(shape: tuple[int, ...]) -> None:
    if len(shape) != 2 or min(shape) < PATCH:
        raise ModelError(
            f"model 'ast' takes (frames, mels) of at least {PATCH} by {PATCH}, but "
            f"features are {shape}; end preprocess.transforms with {AST.front_end}"
        )


def _fitted(positions: Tensor, grid: tuple[int, int]) -> Tensor:
    """Return positions for another number of patches.

    Where there are fewer patches than published, those in the middle are taken;
    where there are more, positions are interpolated.

    Args:
        positions: ``(1, 2 + patches, size)``, those of two tokens first
        grid: patches over mel bands and over frames
    """
    if grid == GRID or positions.shape[1] != 2 + GRID[0] * GRID[1]:
        return positions
    tokens, patches = positions[:, :2], positions[:, 2:]
    x = patches.transpose(1, 2).reshape(1, -1, *GRID)  # (1, size, mels, frames)
    for axis in (3, 2):
        wanted, there = grid[axis - 2], x.shape[axis]
        if wanted <= there:
            x = x.narrow(axis, there // 2 - wanted // 2, wanted)
        else:
            size = (wanted, x.shape[3]) if axis == 2 else (x.shape[2], wanted)
            x = functional.interpolate(x, size=size, mode="bilinear")
    return torch.cat([tokens, x.flatten(2).transpose(1, 2)], dim=1)
