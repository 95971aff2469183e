"""ResNet38 of the PANNs: residual blocks between two convolutional ones."""

from collections import OrderedDict

from torch import Tensor, nn
from torch.nn import functional

from rehear.models.pann import ConvBlock, Pann, mel_bands
from rehear.models.pann_weights import published
from rehear.models.sources import Source

DEPTHS = (3, 4, 6, 3)  # residual blocks of each layer


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions, with what goes in added to what comes out.

    Args:
        in_channels: of the input
        out_channels: of the output; where there are more, both axes are halved first
        dropout: probability between the convolutions

    Shape:
        ``(batch, in_channels, frames, mels)`` to
        ``(batch, out_channels, frames, mels)``, or half of both
    """

    def __init__(self, in_channels: int, out_channels: int, *, dropout: float) -> None:
        super().__init__()
        self.dropout = dropout
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.downsample: nn.Sequential | None = None
        nn.init.xavier_uniform_(self.conv1.weight)
        nn.init.xavier_uniform_(self.conv2.weight)
        nn.init.zeros_(self.bn2.weight)  # at first the block changes nothing
        if in_channels != out_channels:
            widened = nn.Conv2d(in_channels, out_channels, 1, bias=False)
            nn.init.xavier_uniform_(widened.weight)
            # 0 is pooling in the authors' implementation, here done once for both.
            self.downsample = nn.Sequential(
                OrderedDict({"1": widened, "2": nn.BatchNorm2d(out_channels)})
            )

    def forward(self, x: Tensor) -> Tensor:
        if self.downsample is None:
            identity = x
        else:
            x = functional.avg_pool2d(x, 2)
            identity = self.downsample(x)
        x = functional.relu_(self.bn1(self.conv1(x)))
        x = functional.dropout(x, self.dropout, self.training)
        return functional.relu_(self.bn2(self.conv2(x)) + identity)


class ResNet38(Pann):
    """ResNet38 on a log-mel spectrogram.

    Source: Kong et al., "PANNs", 2020, https://arxiv.org/abs/1912.10211.
    Differences from the authors' implementation: the front end is a transform of
    its own, the number of mel bands is free, SpecAugment is an augmentation, and
    outputs are logits.

    Args:
        width: channels of the first block and the first layer, doubled in each
            layer; 64 in the paper
        dropout: probability after the first block, the layers and the last block
        residual_dropout: probability within each residual block
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

    steps = (("conv_block1", 2), ("resnet", 2), ("conv_block_after1", 1))
    blocks = (
        ("bn0", "conv_block1"),
        ("resnet.layer1",),
        ("resnet.layer2",),
        ("resnet.layer3",),
        ("resnet.layer4",),
        ("conv_block_after1",),
        ("fc1",),
    )

    def __init__(
        self,
        *,
        width: int = 64,
        dropout: float = 0.2,
        residual_dropout: float = 0.1,
        head_dropout: float = 0.5,
        num_outputs: int,
        input_shape: tuple[int, ...],
    ) -> None:
        bands = mel_bands("resnet38", input_shape, smallest=32)
        super().__init__(bands, width=width, dropout=dropout, head_dropout=head_dropout)
        if not 0 <= residual_dropout <= 1:
            raise ValueError(
                f"residual_dropout must be from 0 to 1, got {residual_dropout}"
            )
        self.add_blocks(ConvBlock, width, count=1)
        self.resnet = residual_layers(width, dropout=residual_dropout)
        self.conv_block_after1 = ConvBlock(8 * width, 32 * width)
        self.add_layers(32 * width, num_outputs)

    @classmethod
    def sources(cls) -> dict[str, Source]:
        return published("ResNet38")


def residual_layers(width: int, *, dropout: float) -> nn.Sequential:
    """Return ``layer1`` to ``layer4``, each but the first halving both axes."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    channels = width
    for number, depth in enumerate(DEPTHS):
        stack = []
        for _ in range(depth):
            stack.append(ResidualBlock(channels, width * 2**number, dropout=dropout))
            channels = width * 2**number
        layers[f"layer{number + 1}"] = nn.Sequential(*stack)
    return nn.Sequential(layers)
