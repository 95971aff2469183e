"""BEATs: a transformer on patches of log-mel bands, taught by acoustic tokenizers.

Source: Chen et al., "BEATs: audio pre-training with acoustic tokenizers", ICML 2023,
https://arxiv.org/abs/2212.09058, and https://github.com/microsoft/unilm (``beats``).
Layers are those of SpeechBrain, https://github.com/speechbrain/speechbrain.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from rehear.models import transformer
from rehear.models.ecapa import import_speechbrain
from rehear.models.ffnn import FFNN, EncoderFFNN
from rehear.models.sources import Source, on_hub
from rehear.models.waveform import check_rate, check_shape
from rehear.signals import WAVEFORM

RATE = 16000
WINDOW, HOP, MELS = 400, 160, 128  # 25 ms every 10 ms
MEAN, DEVIATION = 15.41663, 6.55582  # of log-mel bands of the published weights
PATCH = 16  # mel bands and frames
SHORTEST = WINDOW + (PATCH - 1) * HOP  # samples of one patch: 175 ms
LAYERS = 12
# What differs from SpeechBrain's defaults, as it is written in the published files.
_PUBLISHED = {
    "deep_norm": True,
    "relative_position_embedding": True,
    "gru_rel_pos": True,
    "max_distance": 800,
    "dropout": 0.0,
    "attention_dropout": 0.0,
}
# As torch named the two factors of a normalised weight before, and as it does now.
_CONVOLUTION = "encoder.pos_conv.0."
_RENAMED = {
    f"{_CONVOLUTION}weight_g": f"{_CONVOLUTION}parametrizations.weight.original0",
    f"{_CONVOLUTION}weight_v": f"{_CONVOLUTION}parametrizations.weight.original1",
}
_BIAS = ".self_attn.relative_attention_bias.weight"
_CITATION = (
    "Chen et al., BEATs: audio pre-training with acoustic tokenizers, ICML 2023, "
    "https://arxiv.org/abs/2212.09058"
)


class BEATs(EncoderFFNN):
    """BEATs, its last states averaged over all patches, and a small network behind.

    Clips are waveforms at 16 kHz. 128 log-mel bands of 25 ms every 10 ms, made as
    Kaldi does and standardised as for the published weights, are part of the model;
    each 16 bands and 16 frames are a patch. In a batch, clips may differ in length:
    what is padded changes nothing. Clips below 2800 samples (175 ms) are padded with
    zeros to these, and the last frames that fill no patch are left out. Memory grows
    with the square of the length: 10 s are 496 patches.

    There is no dropout in the transformer, as in the published files, and no masking
    of layers (LayerDrop). The authors fine-tune each group of layers at 0.6 of the
    next one's rate (``train.lr_decay``). Weights fine-tuned on AudioSet keep their
    last layer (``pretrained.keep_head``) with ``num_layers: 1``.

    Args:
        num_hidden_layers: how many of the 12 transformer layers to use
        hidden_size: width of the hidden layers behind
        num_layers: linear layers behind, the last one included
        dropout: probability after each hidden layer behind
        num_outputs: given by the program
        input_shape: ``(1, samples)``, given by the program
        sample_rate: has to be 16000 Hz, given by the program; 0 if unknown

    Shape:
        ``(batch, 1, samples)`` to ``(batch, num_outputs)``

    Raises:
        ParamsError: if speechbrain is not installed
        ModelError: if clips are not waveforms of one channel at 16 kHz
        ValueError: if there are not as many layers
    """

    takes = WAVEFORM
    varied = True
    extractor = 1

    def __init__(
        self,
        *,
        num_hidden_layers: int = LAYERS,
        hidden_size: int = 512,
        num_layers: int = 2,
        dropout: float = 0.5,
        num_outputs: int,
        input_shape: tuple[int, ...],
        sample_rate: int,
    ) -> None:
        super().__init__()
        check_shape("beats", input_shape)
        check_rate("beats", sample_rate, wanted=RATE)
        import_speechbrain("beats")
        from speechbrain.lobes.models.beats import BEATsConfig

        number = transformer.first_layers(num_hidden_layers, of=LAYERS)
        config = BEATsConfig({**_PUBLISHED, "encoder_layers": number})
        size = config.encoder_embed_dim
        # By their names in the published files.
        self.patch_embedding = nn.Conv2d(
            1, config.embed_dim, PATCH, stride=PATCH, bias=config.conv_bias
        )
        self.layer_norm = nn.LayerNorm(config.embed_dim)
        self.post_extract_proj = nn.Linear(config.embed_dim, size)
        self.encoder = _transformer(config)
        self.ffnn = FFNN(
            hidden_size=hidden_size,
            num_layers=num_layers,
            dropout=dropout,
            num_outputs=num_outputs,
            input_shape=(size,),
        )

    @property
    def blocks(self) -> list[tuple[str, ...]]:
        """Patches, what leads to the transformer, and each of its layers."""
        number = len(self.encoder.layers)
        return [
            ("patch_embedding",),
            (
                "layer_norm",
                "post_extract_proj",
                "encoder.pos_conv",
                "encoder.layer_norm",
            ),
            *((f"encoder.layers.{i}",) for i in range(number)),
        ]

    @classmethod
    def sources(cls) -> dict[str, Source]:
        """Return the published weights, where others keep copies of the files.

        The authors' own addresses are links that a browser has to open. Files that
        were downloaded from there by hand are given as a path.
        """
        plain = Source(
            name="BEATs_iter3_plus_AS2M",
            url=on_hub(
                "lpepino/beats_ckpts",
                file="BEATs_iter3_plus_AS2M.pt",
                revision="5b53b0404df452a3a607d7e67687227730e5bad1",
            ),
            licence="MIT",
            citation=_CITATION,
            sha256="d43cbfad4d7b56381c061d7a24774f908d4d94c72961f6eb1d9090ff18cd8d34",
            size=361499833,
            entry="model",
            rate=RATE,
        )
        tuned = Source(
            name="BEATs_iter3_plus_AS2M_finetuned_on_AS2M_cpt2",
            url=on_hub(
                "WeiChihChen/BEATs_iter3_plus_AS2M_finetuned_on_AS2M_cpt2",
                file="BEATs_iter3_plus_AS2M_finetuned_on_AS2M_cpt2.pt",
                revision="172e4071a2912392d9151c70750b9a12f55fc54e",
            ),
            licence="MIT",
            citation=_CITATION,
            sha256="e5815275a04b6885e7b8af63d120b29bffae2cd2225cf4915e1ec6d819d3022c",
            size=363145291,
            entry="model",
            rate=RATE,
        )
        return {source.name: source for source in (plain, tuned)}

    def adapted(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return published weights by our names.

        Layers beyond ``num_hidden_layers`` are left out, and the copies of the bias of
        attention, which all layers share. The layer that was fine-tuned on AudioSet is
        the head, which stands before the mean there, and gives the same behind it.
        """
        number = len(self.encoder.layers)
        ours = transformer.within_layers(tensors, "encoder.layers", number)
        first = f"encoder.layers.0{_BIAS}"
        return {
            _renamed(name): tensor
            for name, tensor in ours.items()
            if name == first or not name.endswith(_BIAS)
        }

    def encode(self, features: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Return the mean state of the encoder ``(batch, 768)``."""
        short = max(SHORTEST - features.shape[-1], 0)
        x = self._patches(functional.pad(features, (0, short)).squeeze(1))
        if lengths is None:
            return self._transformed(x).mean(dim=1)
        lengths = lengths.to(x.device).clamp(min=SHORTEST)
        frames = (lengths - WINDOW) // HOP + 1
        patches = frames // PATCH * (MELS // PATCH)
        padded = torch.arange(x.shape[1], device=x.device) >= patches[:, None]
        states = self._transformed(x, padded).masked_fill(padded[..., None], 0)
        return states.sum(dim=1) / patches[:, None]

    def _patches(self, waveform: Tensor) -> Tensor:
        """Return patches ``(batch, patches, states)``, all bands of a time in a row."""
        x = self.patch_embedding(_bands(waveform)[:, None])
        return self.post_extract_proj(self.layer_norm(x.flatten(2).transpose(1, 2)))

    def _transformed(self, x: Tensor, padded: Tensor | None = None) -> Tensor:
        """Do what the encoder's own ``forward`` does, but draw no random numbers.

        It would draw one of numpy's for each layer, even where none is left out.

        Args:
            x: ``(batch, patches, states)``
            padded: ``(batch, patches)``, true for those that are not of the clip
        """
        if padded is not None:
            x = x.masked_fill(padded[..., None], 0)
        x = x + self.encoder.pos_conv(x.transpose(1, 2)).transpose(1, 2)
        x = self.encoder.layer_norm(x).transpose(0, 1)
        bias = None  # of attention, made by the first layer for all
        for layer in self.encoder.layers:
            x, _, bias = layer(x, self_attn_padding_mask=padded, pos_bias=bias)
        return x.transpose(0, 1)


def _transformer(config: Any) -> Any:
    """Return SpeechBrain's transformer, as the first of the published 12 layers."""
    from speechbrain.lobes.models.beats import TransformerEncoder

    device = torch.get_default_device()
    with torch.device("cpu"):  # numbers are copied there, which ``meta`` has none of
        encoder = TransformerEncoder(config)
    for layer in encoder.layers:
        layer.deep_norm_alpha = (2 * LAYERS) ** 0.25
    for layer in encoder.layers[1:]:
        del layer.self_attn.relative_attention_bias  # that of the first layer
    return encoder.to(device)


def _bands(waveform: Tensor) -> Tensor:
    """Return standardised log-mel bands ``(batch, frames, mels)``.

    Clips are made whole numbers of hops and sent through Kaldi's filters as one, end
    to end; the frames that reach into the next clip are left out.
    """
    from torchaudio.compliance import kaldi

    size = waveform.shape[-1]
    with torch.autocast(waveform.device.type, enabled=False):
        x = functional.pad(waveform.float() * 2**15, (0, -size % HOP)).flatten()
        x = functional.pad(x, (0, WINDOW - HOP))
        bands = kaldi.fbank(x[None], num_mel_bins=MELS, sample_frequency=RATE)
    bands = bands.unflatten(0, (len(waveform), -1))[:, : (size - WINDOW) // HOP + 1]
    return (bands - MEAN) / (2 * DEVIATION)


def _renamed(name: str) -> str:
    if name.startswith("predictor."):
        return name.replace("predictor", "ffnn.head", 1)
    return _RENAMED.get(name, name)
