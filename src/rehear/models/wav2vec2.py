"""Speech transformers on waveforms: wav2vec 2.0, HuBERT and WavLM.

Sources: Baevski et al., "wav2vec 2.0: a framework for self-supervised learning of
speech representations", NeurIPS 2020, https://arxiv.org/abs/2006.11477; Hsu et al.,
"HuBERT: self-supervised speech representation learning by masked prediction of
hidden units", IEEE/ACM TASLP 29, 2021, https://arxiv.org/abs/2106.07447; Chen et
al., "WavLM: large-scale self-supervised pre-training for full stack speech
processing", IEEE JSTSP 16, 2022, https://arxiv.org/abs/2110.13900. Layers are those
of https://huggingface.co/docs/transformers.
"""

import warnings
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from rehear.models import transformer, wav2vec2_weights
from rehear.models.ffnn import FFNN, EncoderFFNN
from rehear.models.sources import Source
from rehear.models.waveform import check_rate, check_shape
from rehear.signals import WAVEFORM

RATE = 16000
RECEPTIVE_FIELD = 400  # samples of one frame: 25 ms
_LARGE = {
    "hidden_size": 1024,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "intermediate_size": 4096,
}
_LAYER_NORM = {"feat_extract_norm": "layer", "do_stable_layer_norm": True}
# Of heads and pre-training, and the vector that masked frames are replaced with.
_DROPPED = (
    "classifier.",
    "lm_head.",
    "masked_spec_embed",
    "project_hid.",
    "project_q.",
    "projector.",
    "quantizer.",
)
# As torch named the two factors of a normalised weight before, and as it does now.
_FACTORS = {
    "weight_g": "parametrizations.weight.original0",
    "weight_v": "parametrizations.weight.original1",
}


class Wav2Vec2(EncoderFFNN):
    """wav2vec 2.0, its last states averaged over time, and a small network behind.

    Clips are waveforms at 16 kHz, standardised (``feature_extractor`` with ``model:
    wav2vec2``) if the published weights ask for it. In a batch, clips may differ in
    length: what is padded changes nothing, not even where the first convolution is
    normalised over time (``base`` and ``large``), which the original does over the
    padding too. Clips below 400 samples (25 ms) are padded with zeros to these.

    While training, dropout in the transformer is 0.1, as in the paper; masking of
    frames (SpecAugment) and of layers (LayerDrop) is off, since augmentations are
    parts of their own.

    Args:
        architecture: ``base`` (12 layers of 768), ``large`` (24 of 1024) or
            ``large-robust`` (as ``large``, with layer normalisation in the
            convolutions and before each layer, which VoxPopuli's weights have too)
        num_hidden_layers: how many of the first transformer layers to use; all if
            null
        hidden_size: width of the hidden layers behind
        num_layers: linear layers behind, the last one included
        dropout: probability after each hidden layer behind
        num_outputs: given by the program
        input_shape: ``(1, samples)``, given by the program
        sample_rate: of the waveforms, given by the program

    Shape:
        ``(batch, 1, samples)`` to ``(batch, num_outputs)``

    Raises:
        ModelError: if clips are not waveforms of one channel at 16 kHz
        ValueError: if there is no such architecture, or not as many layers
    """

    takes: ClassVar[str] = WAVEFORM
    varied = True
    extractor = 1
    name: ClassVar[str] = "wav2vec2"
    architectures: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "base": {},
        "large": _LARGE,
        "large-robust": {**_LARGE, **_LAYER_NORM, "conv_bias": True},
    }
    _classes = ("Wav2Vec2Config", "Wav2Vec2Model")

    def __init__(
        self,
        *,
        architecture: str = "base",
        num_hidden_layers: int | None = None,
        hidden_size: int = 512,
        num_layers: int = 2,
        dropout: float = 0.5,
        num_outputs: int,
        input_shape: tuple[int, ...],
        sample_rate: int,
    ) -> None:
        super().__init__()
        check_shape(self.name, input_shape)
        check_rate(self.name, sample_rate, wanted=RATE)
        settings = transformer.choose(
            self.architectures, architecture, argument="architecture"
        )
        library = transformer.library(self.name)
        config, model = (getattr(library, name) for name in self._classes)
        self.config = config(
            **settings,
            activation_dropout=0.0,
            layerdrop=0.0,
            mask_time_prob=0.0,
            mask_feature_prob=0.0,
        )
        self.config.num_hidden_layers = transformer.first_layers(
            num_hidden_layers, of=self.config.num_hidden_layers
        )
        self.encoder = model(self.config)
        self.ffnn = FFNN(
            hidden_size=hidden_size,
            num_layers=num_layers,
            dropout=dropout,
            num_outputs=num_outputs,
            input_shape=(self.config.hidden_size,),
        )

    @property
    def blocks(self) -> list[tuple[str, ...]]:
        """Convolutions, what leads to the transformer, and each of its layers."""
        groups: list[tuple[str, ...]] = [
            ("encoder.feature_extractor",),
            ("encoder.feature_projection", "encoder.encoder.pos_conv_embed"),
            *((f"encoder.encoder.layers.{i}",) for i in range(self._num_layers)),
        ]
        # After the last layer, or before the first.
        where = -1 if self.config.do_stable_layer_norm else 1
        groups[where] += ("encoder.encoder.layer_norm",)
        return groups

    @property
    def _num_layers(self) -> int:
        return int(self.config.num_hidden_layers)

    @classmethod
    def sources(cls) -> dict[str, Source]:
        """Return the published weights."""
        return wav2vec2_weights.SOURCES[cls.name]

    def adapted(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return published weights by our names.

        What belongs to pre-training or to a head is left out, and layers beyond
        ``num_hidden_layers``. Convolutions published without a bias get one of zero
        where the architecture has one, which is the same.
        """
        prefix = f"{self.name}."
        kept = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
        kept = transformer.without(kept, _DROPPED)
        kept = transformer.within_layers(kept, "encoder.layers", self._num_layers)
        ours = {f"encoder.{_renamed(name)}": tensor for name, tensor in kept.items()}
        biases = {
            f"encoder.feature_extractor.{name}": torch.zeros(tensor.shape)
            for name, tensor in self.encoder.feature_extractor.named_parameters()
            if name.endswith(".conv.bias")
        }
        return ours if biases.keys() & ours.keys() else {**biases, **ours}

    def encode(self, features: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Return the mean state of the encoder ``(batch, states)``."""
        short = max(RECEPTIVE_FIELD - features.shape[-1], 0)
        features = functional.pad(features, (0, short))
        if lengths is not None:
            lengths = lengths.to(features.device).clamp(min=RECEPTIVE_FIELD)
        x, frames = self._convolve(features, lengths)
        x = self.encoder.feature_projection(x.transpose(1, 2))
        x = x if isinstance(x, Tensor) else x[0]
        if frames is None:
            return self.encoder.encoder(x).last_hidden_state.mean(dim=1)
        mask = _valid(frames, x.shape[1])
        with warnings.catch_warnings():
            # WavLM gives torch masks of two kinds, which is right though deprecated.
            warnings.filterwarnings("ignore", message="Support for mismatched key_pad")
            x = self.encoder.encoder(x, attention_mask=mask).last_hidden_state
        return x.masked_fill(~mask[..., None], 0).sum(dim=1) / frames[:, None]

    def _convolve(
        self, x: Tensor, lengths: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """Return ``(batch, channels, frames)``, and how many frames are of the clip."""
        for layer in self.encoder.feature_extractor.conv_layers:
            if lengths is not None:
                (kernel,), (stride,) = layer.conv.kernel_size, layer.conv.stride
                lengths = (lengths - kernel) // stride + 1
            norm = getattr(layer, "layer_norm", None)
            if lengths is not None and isinstance(norm, nn.GroupNorm):
                x = layer.activation(_norm(layer.conv(x), norm, lengths))
            else:
                x = layer(x)
        return x, lengths


class Hubert(Wav2Vec2):
    """HuBERT, its last states averaged over time, and a small network behind.

    As ``wav2vec2``, which says more, with the layers of HuBERT.

    Args:
        architecture: ``base`` (12 layers of 768) or ``large`` (24 of 1024)
        num_hidden_layers: how many of the first transformer layers to use; all if
            null
        hidden_size: width of the hidden layers behind
        num_layers: linear layers behind, the last one included
        dropout: probability after each hidden layer behind
        num_outputs: given by the program
        input_shape: ``(1, samples)``, given by the program
        sample_rate: of the waveforms, given by the program

    Shape:
        ``(batch, 1, samples)`` to ``(batch, num_outputs)``

    Raises:
        ModelError: if clips are not waveforms of one channel at 16 kHz
        ValueError: if there is no such architecture, or not as many layers
    """

    name = "hubert"
    architectures: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "base": {},
        "large": {**_LARGE, **_LAYER_NORM, "conv_bias": True},
    }
    _classes = ("HubertConfig", "HubertModel")


class WavLM(Wav2Vec2):
    """WavLM, its last states averaged over time, and a small network behind.

    As ``wav2vec2``, which says more, with the layers of WavLM: attention knows how
    far apart two frames are.

    Args:
        architecture: ``base`` (12 layers of 768), which WavLM Base+ has too, or
            ``large`` (24 of 1024)
        num_hidden_layers: how many of the first transformer layers to use; all if
            null
        hidden_size: width of the hidden layers behind
        num_layers: linear layers behind, the last one included
        dropout: probability after each hidden layer behind
        num_outputs: given by the program
        input_shape: ``(1, samples)``, given by the program
        sample_rate: of the waveforms, given by the program

    Shape:
        ``(batch, 1, samples)`` to ``(batch, num_outputs)``

    Raises:
        ModelError: if clips are not waveforms of one channel at 16 kHz
        ValueError: if there is no such architecture, or not as many layers
    """

    name = "wavlm"
    architectures: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "base": {},
        "large": {**_LARGE, **_LAYER_NORM},
    }
    _classes = ("WavLMConfig", "WavLMModel")


def _renamed(name: str) -> str:
    stem, _, last = name.rpartition(".")
    return f"{stem}.{_FACTORS[last]}" if last in _FACTORS else name


def _valid(frames: Tensor, size: int) -> Tensor:
    """Return a mask ``(batch, size)`` of the frames that are of the clip."""
    return torch.arange(size, device=frames.device) < frames[:, None]


def _norm(x: Tensor, norm: nn.GroupNorm, frames: Tensor) -> Tensor:
    """Normalise each channel over the frames of the clip alone.

    Args:
        x: ``(batch, channels, frames)``
        norm: of one channel a group, over all frames
        frames: ``(batch,)``, how many are of the clip
    """
    x = x.float()
    mask = _valid(frames, x.shape[2])[:, None]
    count = frames[:, None, None]
    mean = x.masked_fill(~mask, 0).sum(dim=2, keepdim=True) / count
    x = x - mean
    square = x.masked_fill(~mask, 0).square().sum(dim=2, keepdim=True) / count
    x = x * torch.rsqrt(square + norm.eps)
    return x * norm.weight[:, None] + norm.bias[:, None]
