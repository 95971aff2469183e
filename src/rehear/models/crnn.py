"""End2You's networks: convolutions on the waveform, then recurrent layers.

Source: Tzirakis et al., "End2You: the Imperial toolkit for multimodal profiling by
end-to-end learning", 2018, https://arxiv.org/abs/1802.01115, with its implementation
https://github.com/end2you/end2you.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from rehear.errors import ModelError, suggest
from rehear.models.recurrent import Recurrent
from rehear.models.waveform import check_shape
from rehear.signals import WAVEFORM


class Layer(NamedTuple):
    """A convolution: channels, size of its kernel, and frames pooled into one."""

    channels: int
    kernel_size: int
    pool: int

    @property
    def padding(self) -> int:
        """Zeros at each end, one too few in all where the kernel is of even size."""
        return (self.kernel_size - 1) // 2

    @property
    def lost(self) -> int:
        """Samples that the convolution takes away in spite of them."""
        return self.kernel_size - 1 - 2 * self.padding

    def frames(self, samples: Tensor) -> Tensor:
        """Return how many frames come of so many samples."""
        return (samples - self.lost) // self.pool

    def samples(self, frames: int) -> int:
        """Return how many samples so many frames need."""
        return frames * self.pool + self.lost


class Architecture(NamedTuple):
    """The convolutions of a paper, and their activation."""

    layers: tuple[Layer, ...]
    activation: type[nn.Module]


ARCHITECTURES = {
    "emo18": Architecture(
        (Layer(64, 8, 10), Layer(128, 6, 8), Layer(256, 6, 8)), nn.LeakyReLU
    ),
    "zhao19": Architecture(
        (Layer(64, 3, 4), Layer(64, 3, 4), Layer(128, 3, 4), Layer(128, 3, 4)), nn.ELU
    ),
}


class ConvBlock(nn.Module):
    """Convolution, batch normalisation, max-pooling and activation.

    The activation comes last: it never decreases, so that the numbers are those of
    the authors' order, pooling last, in a fraction of the operations.

    Shape:
        ``(batch, in_channels, samples)`` to ``(batch, channels, frames)``
    """

    def __init__(
        self, in_channels: int, layer: Layer, activation: type[nn.Module]
    ) -> None:
        super().__init__()
        self.conv = nn.Conv1d(
            in_channels, layer.channels, layer.kernel_size, padding=layer.padding
        )
        self.bn = nn.BatchNorm1d(layer.channels)
        self.pool = nn.MaxPool1d(layer.pool)
        self.activation = activation()
        nn.init.kaiming_uniform_(self.conv.weight)
        nn.init.zeros_(self.conv.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        return self.activation(self.pool(self.bn(self.conv(x))))


class CRNN(nn.Module):
    """Convolutions on the waveform, recurrent layers, mean over time, linear layer.

    Of End2You the convolutions and their first weights; what follows is as in
    ``AudioRNNModel`` of autrainer (Rampp et al., 2024), which pools over time and
    has one output for each clip, where End2You cuts clips into chunks and has one
    for each chunk.

    While training, batch normalisation counts what pads the shorter clips of a
    batch.

    Source: ``emo18`` is of Tzirakis et al., "End-to-end speech emotion recognition
    using deep neural networks", ICASSP 2018; ``zhao19`` of Zhao et al., "Speech
    emotion recognition using deep 1D & 2D CNN LSTM networks", Biomedical Signal
    Processing and Control 47, 2019.

    Args:
        architecture: ``emo18`` (3 convolutions, a frame for 640 samples) or
            ``zhao19`` (4 convolutions, a frame for 256 samples)
        hidden_size: states of each direction of the recurrent layers
        num_layers: recurrent layers
        dropout: probability between two recurrent layers
        cell: ``lstm`` or ``gru``
        bidirectional: also from the end of a clip to its beginning
        num_outputs: given by the program
        input_shape: ``(1, samples)``, given by the program

    Shape:
        ``(batch, 1, samples)`` to ``(batch, num_outputs)``

    Raises:
        ModelError: if the features are not waveforms of one channel, or too short
            for one frame
        ValueError: if there is no such architecture or cell
    """

    takes = WAVEFORM
    varied = True
    head_modules = ("head",)

    def __init__(
        self,
        *,
        architecture: str = "emo18",
        hidden_size: int = 256,
        num_layers: int = 2,
        dropout: float = 0.5,
        cell: str = "lstm",
        bidirectional: bool = False,
        num_outputs: int,
        input_shape: tuple[int, ...],
    ) -> None:
        super().__init__()
        if architecture not in ARCHITECTURES:
            raise ValueError(
                f"unknown architecture '{architecture}'."
                f"{suggest(architecture, ARCHITECTURES)} Known: "
                f"{', '.join(ARCHITECTURES)}"
            )
        check_shape("crnn", input_shape)
        self.layers, activation = ARCHITECTURES[architecture]
        channels = [1, *(layer.channels for layer in self.layers)]
        self.convolutions = nn.Sequential(
            *(
                ConvBlock(before, layer, activation)
                for before, layer in zip(channels, self.layers, strict=False)
            )
        )
        self.recurrent = Recurrent(
            channels[-1],
            cell=cell,
            hidden_size=hidden_size,
            num_layers=num_layers,
            dropout=dropout,
            bidirectional=bidirectional,
        )
        self.head = nn.Linear(self.recurrent.size, num_outputs)
        self.extractor = len(self.layers)
        names = [f"convolutions.{number}" for number in range(len(self.layers))]
        self.blocks = tuple((name,) for name in [*names, "recurrent"])
        self._refuse_short(input_shape[1])

    def embed(self, features: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Return the mean state ``(batch, hidden_size)``, of both directions twice."""
        x = features
        if lengths is not None:
            self._refuse_short(int(lengths.min()))
            lengths = lengths.to(x.device)
        for layer, block in zip(self.layers, self.convolutions, strict=True):
            if lengths is not None:
                # What a clip alone would see behind its end: zeros.
                beyond = torch.arange(x.shape[2], device=x.device) >= lengths[:, None]
                x = x.masked_fill(beyond[:, None], 0)
                lengths = layer.frames(lengths)
            x = block(x)
        return self.recurrent(x.transpose(1, 2), lengths)

    encode = embed

    def decode(self, encoded: Tensor) -> Tensor:
        return self.head(encoded)

    def forward(self, features: Tensor, lengths: Tensor | None = None) -> Tensor:
        return self.decode(self.encode(features, lengths))

    def _refuse_short(self, samples: int) -> None:
        needed = 1
        for layer in reversed(self.layers):
            needed = layer.samples(needed)
        if samples < needed:
            raise ModelError(
                f"model 'crnn' takes clips of {needed} samples or more, but one has "
                f"{samples}; put {{name: fit, seconds: …}} into preprocess.transforms, "
                "after mono"
            )
