"""Pretrained audio neural networks (PANNs) on log-mel spectrograms.

Source: Kong et al., "PANNs: large-scale pretrained audio neural networks for
audio pattern recognition", IEEE/ACM TASLP 28, 2020,
https://arxiv.org/abs/1912.10211; the authors' implementation,
https://github.com/qiuqiangkong/audioset_tagging_cnn. Layers carry its names, so
that its checkpoints fit.
"""

import itertools
from collections.abc import Callable, Mapping

from torch import Tensor, nn
from torch.nn import functional

from rehear.errors import ModelError
from rehear.models.pann_weights import FRONT_END, published
from rehear.models.sources import Source
from rehear.signals import IMAGE, SPECTROGRAM

Step = tuple[str, int]


class ConvBlock(nn.Module):
    """Two 3x3 convolutions with batch normalisation and ReLU.

    Shape:
        ``(batch, in_channels, frames, mels)`` to
        ``(batch, out_channels, frames, mels)``
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.bn2 = nn.BatchNorm2d(out_channels)
        nn.init.xavier_uniform_(self.conv1.weight)
        nn.init.xavier_uniform_(self.conv2.weight)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu_(self.bn1(self.conv1(x)))
        return functional.relu_(self.bn2(self.conv2(x)))


class ConvBlock5x5(nn.Module):
    """One 5x5 convolution with batch normalisation and ReLU.

    Shape:
        as ``ConvBlock``
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 5, padding=2, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        nn.init.xavier_uniform_(self.conv1.weight)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu_(self.bn1(self.conv1(x)))


class Pann(nn.Module):
    """What all share: normalised bands in front, convolutions, two linear layers.

    ``steps`` names the modules between, with the factor by which both axes are
    pooled behind each; dropout follows.

    Args:
        bands: of the spectrogram
        width: channels of the first block
        dropout: probability after each step
        head_dropout: probability before and after the last hidden layer

    Raises:
        ValueError: if an argument is out of range
    """

    takes: str | tuple[str, ...] = (SPECTROGRAM, IMAGE)
    head_modules = ("fc_audioset",)
    steps: tuple[Step, ...]

    def __init__(
        self, bands: int, *, width: int, dropout: float, head_dropout: float
    ) -> None:
        super().__init__()
        if width < 1:
            raise ValueError(f"width must be 1 or more, got {width}")
        if not (0 <= dropout <= 1 and 0 <= head_dropout <= 1):
            raise ValueError(
                f"dropout and head_dropout must be from 0 to 1, got {dropout} and "
                f"{head_dropout}"
            )
        self.dropout = dropout
        self.head_dropout = head_dropout
        self.bn0 = nn.BatchNorm2d(bands)

    def add_blocks(
        self, block: Callable[[int, int], nn.Module], width: int, *, count: int
    ) -> None:
        """Add ``conv_block1``, ``conv_block2``, …, each twice as wide."""
        channels = [1, *(width * 2**n for n in range(count))]
        for number, (narrow, wide) in enumerate(itertools.pairwise(channels), 1):
            self.add_module(f"conv_block{number}", block(narrow, wide))

    def add_layers(self, size: int, num_outputs: int) -> None:
        """Add the hidden layer and the head."""
        self.fc1 = nn.Linear(size, size)
        self.fc_audioset = nn.Linear(size, num_outputs)
        for layer in (self.fc1, self.fc_audioset):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def embed(self, features: Tensor) -> Tensor:
        """Return the last hidden layer, ``fc1`` after ReLU."""
        return self.hidden(self.convolve(self.normalise(features), self.steps))

    def encode(self, features: Tensor) -> Tensor:
        """Return the last hidden layer."""
        return self.embed(features)

    def decode(self, encoded: Tensor) -> Tensor:
        x = functional.dropout(encoded, self.head_dropout, self.training)
        return self.fc_audioset(x)

    def forward(self, features: Tensor) -> Tensor:
        return self.decode(self.embed(features))

    def normalise(self, features: Tensor) -> Tensor:
        """Return ``(batch, 1, frames, mels)``."""
        # Mel bands become channels, so that each is normalised on its own.
        return self.bn0(features.transpose(1, 2)).permute(0, 2, 3, 1)

    def convolve(self, x: Tensor, steps: tuple[Step, ...]) -> Tensor:
        """Return what comes out of some steps."""
        for name, factor in steps:
            step = self.get_submodule(name)
            x = step(x)
            if factor > 1:
                x = functional.avg_pool2d(x, factor)
            # A frozen step does not drop anything either.
            x = functional.dropout(x, self.dropout, step.training)
        return x

    def hidden(self, x: Tensor) -> Tensor:
        """Return the hidden layer of ``(batch, channels, frames, mels)``."""
        x = x.mean(dim=3)  # (batch, channels, frames)
        x = x.amax(dim=2) + x.mean(dim=2)
        x = functional.dropout(x, self.head_dropout, self.fc1.training)
        return functional.relu_(self.fc1(x))

    def adapted(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return tensors of the authors' checkpoints without their front end."""
        return {
            name: tensor
            for name, tensor in tensors.items()
            if not name.startswith(FRONT_END)
        }


class Cnn6(Pann):
    """Cnn6: four blocks of one 5x5 convolution on a log-mel spectrogram.

    Source: Kong et al., "PANNs", 2020, https://arxiv.org/abs/1912.10211.
    Differences from the authors' implementation: the front end is a transform of
    its own, the number of mel bands is free, SpecAugment is an augmentation, and
    outputs are logits.

    Args:
        width: channels of the first block, doubled in each; 64 in the paper
        dropout: probability after each block
        head_dropout: probability before and after the last hidden layer
        num_outputs: given by the program
        input_shape: ``(1, mels, frames)``, given by the program

    Shape:
        ``(batch, 1, mels, frames)`` to ``(batch, num_outputs)``; embedding
        ``(batch, 8 * width)``

    Raises:
        ModelError: if the features are not one-channel spectrograms of at
            least 16 mel bands and 16 frames
        ValueError: if an argument is out of range
    """

    steps = tuple((f"conv_block{number}", 2) for number in range(1, 5))
    blocks = (
        ("bn0", "conv_block1"),
        ("conv_block2",),
        ("conv_block3",),
        ("conv_block4",),
        ("fc1",),
    )

    def __init__(
        self,
        *,
        width: int = 64,
        dropout: float = 0.2,
        head_dropout: float = 0.5,
        num_outputs: int,
        input_shape: tuple[int, ...],
    ) -> None:
        bands = mel_bands("cnn6", input_shape, smallest=16)
        super().__init__(bands, width=width, dropout=dropout, head_dropout=head_dropout)
        self.add_blocks(ConvBlock5x5, width, count=4)
        self.add_layers(8 * width, num_outputs)

    @classmethod
    def sources(cls) -> dict[str, Source]:
        return published("Cnn6")


class Cnn10(Pann):
    """Cnn10: four blocks of two convolutions on a log-mel spectrogram.

    Source: Kong et al., "PANNs", 2020, https://arxiv.org/abs/1912.10211.
    Differences from the authors' implementation: the front end is a transform of
    its own, the number of mel bands is free, SpecAugment is an augmentation, and
    outputs are logits.

    Args:
        width: channels of the first block, doubled in each; 64 in the paper
        dropout: probability after each block
        head_dropout: probability before and after the last hidden layer
        num_outputs: given by the program
        input_shape: ``(1, mels, frames)``, given by the program

    Shape:
        ``(batch, 1, mels, frames)`` to ``(batch, num_outputs)``; embedding
        ``(batch, 8 * width)``

    Raises:
        ModelError: if the features are not one-channel spectrograms of at
            least 16 mel bands and 16 frames
        ValueError: if an argument is out of range
    """

    steps = Cnn6.steps
    blocks = Cnn6.blocks

    def __init__(
        self,
        *,
        width: int = 64,
        dropout: float = 0.2,
        head_dropout: float = 0.5,
        num_outputs: int,
        input_shape: tuple[int, ...],
    ) -> None:
        bands = mel_bands("cnn10", input_shape, smallest=16)
        super().__init__(bands, width=width, dropout=dropout, head_dropout=head_dropout)
        self.add_blocks(ConvBlock, width, count=4)
        self.add_layers(8 * width, num_outputs)

    @classmethod
    def sources(cls) -> dict[str, Source]:
        return published("Cnn10")


class Cnn14(Pann):
    """Cnn14: six blocks of two convolutions on a log-mel spectrogram.

    Source: Kong et al., "PANNs", 2020, https://arxiv.org/abs/1912.10211.
    Differences from the authors' implementation: the front end is a transform of
    its own, the number of mel bands is free, SpecAugment is an augmentation, and
    outputs are logits.

    Args:
        width: channels of the first block, doubled in each; 64 in the paper
        dropout: probability after each block
        head_dropout: probability before and after the last hidden layer
        num_outputs: given by the program
        input_shape: ``(1, mels, frames)``, given by the program

    Shape:
        ``(batch, 1, mels, frames)`` to ``(batch, num_outputs)``; embedding
        ``(batch, 32 * width)``

    Raises:
        ModelError: if the features are not one-channel spectrograms of at
            least 32 mel bands and 32 frames
        ValueError: if an argument is out of range
    """

    # The last block is not followed by pooling.
    steps = (*Cnn10.steps, ("conv_block5", 2), ("conv_block6", 1))
    blocks = (*Cnn10.blocks[:-1], ("conv_block5",), ("conv_block6",), ("fc1",))

    def __init__(
        self,
        *,
        width: int = 64,
        dropout: float = 0.2,
        head_dropout: float = 0.5,
        num_outputs: int,
        input_shape: tuple[int, ...],
    ) -> None:
        bands = mel_bands("cnn14", input_shape, smallest=32)
        super().__init__(bands, width=width, dropout=dropout, head_dropout=head_dropout)
        self.add_blocks(ConvBlock, width, count=6)
        self.add_layers(32 * width, num_outputs)

    @classmethod
    def sources(cls) -> dict[str, Source]:
        return published("Cnn14")


def mel_bands(name: str, input_shape: tuple[int, ...], *, smallest: int) -> int:
    """Return the number of mel bands of a spectrogram that is large enough.

    Raises:
        ModelError: if the features are not one-channel spectrograms of at least
            ``smallest`` bands and frames
    """
    fits = len(input_shape) == 3 and input_shape[0] == 1
    if not fits or min(input_shape[1:]) < smallest:
        raise ModelError(
            f"model '{name}' takes a spectrogram (1, mels, frames) of at least "
            f"{smallest} by {smallest}, but features are {input_shape}; end "
            "preprocess.transforms with log_mel, after mono and fit"
        )
    return input_shape[1]
