"""Pretrained audio neural networks (PANNs), convolutional.

Source: Kong et al., "PANNs: large-scale pretrained audio neural networks for
audio pattern recognition", IEEE/ACM TASLP 28, 2020,
https://arxiv.org/abs/1912.10211. Layers carry the names of the authors'
implementation, so that its checkpoints fit by name.
"""

from torch import Tensor, nn
from torch.nn import functional

from rehear.errors import ModelError
from rehear.signals import IMAGE, SPECTROGRAM


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


class Cnn10(nn.Module):
    """Cnn10: four blocks of two convolutions on a log-mel spectrogram.

    Differences from the authors' implementation: the front end is a transform
    of its own, the number of mel bands is free, SpecAugment is an augmentation,
    and outputs are logits.

    Args:
        width: channels of the first block, doubled in each; 64 in the paper
        dropout: probability after each block
        head_dropout: probability before and after the last hidden layer
        num_outputs: given by the program
        input_shape: ``(1, mels, frames)``, given by the program

    Shape:
        ``(batch, 1, mels, frames)`` to ``(batch, num_outputs)``

    Raises:
        ModelError: if the features are not one-channel spectrograms of at
            least 16 mel bands and 16 frames
    """

    takes = (SPECTROGRAM, IMAGE)
    head_modules = ("fc_audioset",)
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
        super().__init__()
        if len(input_shape) != 3 or input_shape[0] != 1 or min(input_shape[1:]) < 16:
            raise ModelError(
                f"model 'cnn10' takes a spectrogram (1, mels, frames) of at least 16 "
                f"by 16, but features are {input_shape}; end preprocess.transforms "
                "with log_mel, after mono and fit"
            )
        self.dropout = dropout
        self.head_dropout = head_dropout
        self.bn0 = nn.BatchNorm2d(input_shape[1])
        self.conv_block1 = ConvBlock(1, width)
        self.conv_block2 = ConvBlock(width, 2 * width)
        self.conv_block3 = ConvBlock(2 * width, 4 * width)
        self.conv_block4 = ConvBlock(4 * width, 8 * width)
        self.fc1 = nn.Linear(8 * width, 8 * width)
        self.fc_audioset = nn.Linear(8 * width, num_outputs)
        for layer in (self.fc1, self.fc_audioset):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def embed(self, features: Tensor) -> Tensor:
        """Return the last hidden layer ``(batch, 8 * width)``."""
        # Mel bands become channels, so that each is normalised on its own.
        x = self.bn0(features.transpose(1, 2)).permute(0, 2, 3, 1)
        for block in (
            self.conv_block1,
            self.conv_block2,
            self.conv_block3,
            self.conv_block4,
        ):
            x = functional.avg_pool2d(block(x), 2)
            x = functional.dropout(x, self.dropout, self.training)
        x = x.mean(dim=3)  # (batch, channels, frames)
        x = x.amax(dim=2) + x.mean(dim=2)
        x = functional.dropout(x, self.head_dropout, self.training)
        return functional.relu_(self.fc1(x))

    def forward(self, features: Tensor) -> Tensor:
        x = functional.dropout(self.embed(features), self.head_dropout, self.training)
        return self.fc_audioset(x)
