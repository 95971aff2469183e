"""Wavegram-Logmel-CNN of the PANNs: a learnt spectrogram beside the log-mel one."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from rehear.models.pann import Cnn14, ConvBlock, Pann
from rehear.models.pann_weights import published
from rehear.models.sources import Source
from rehear.models.waveform import check_shape
from rehear.signals import WAVEFORM
from rehear.transforms.log_mel import LogMel

HOP = 320  # samples a frame: a stride of 5, pooled by 4 three times
WINDOW = 1024
MELS = 64
SMALLEST = 10236  # samples that leave 32 frames; they are halved five times


class WaveBlock(nn.Module):
    """Two convolutions along time, the second dilated, then maxima of four samples.

    Shape:
        ``(batch, in_channels, samples)`` to
        ``(batch, out_channels, samples // 4)``
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(in_channels, out_channels, 3, padding=1, bias=False)
        self.conv2 = nn.Conv1d(
            out_channels, out_channels, 3, dilation=2, padding=2, bias=False
        )
        self.bn1 = nn.BatchNorm1d(out_channels)
        self.bn2 = nn.BatchNorm1d(out_channels)
        nn.init.xavier_uniform_(self.conv1.weight)
        nn.init.xavier_uniform_(self.conv2.weight)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu_(self.bn1(self.conv1(x)))
        x = functional.relu_(self.bn2(self.conv2(x)))
        return functional.max_pool1d(x, 4)


class WavegramLogmelCnn14(Pann):
    """Wavegram-Logmel-CNN: Cnn14 on a log-mel spectrogram and a learnt one.

    The log-mel spectrogram has 64 bands and windows of 1024 samples, 320 apart.

    Source: Kong et al., "PANNs", 2020, https://arxiv.org/abs/1912.10211.
    Differences from the authors' implementation: of clips whose two spectrograms
    differ in length, the longer one loses its last frame, where theirs fails;
    SpecAugment and mixup within the model are left out; outputs are logits.

    Args:
        width: channels of the first block, doubled in each; 64 in the paper
        f_min: lowest frequency of the log-mel spectrogram, in Hz
        f_max: highest frequency of the log-mel spectrogram, in Hz
        dropout: probability after each block
        head_dropout: probability before and after the last hidden layer
        num_outputs: given by the program
        input_shape: ``(1, samples)``, given by the program
        sample_rate: of the waveforms, in Hz, given by the program

    Shape:
        ``(batch, 1, samples)`` to ``(batch, num_outputs)``; embedding
        ``(batch, 32 * width)``

    Raises:
        ModelError: if the features are not waveforms of one channel and at least
            10236 samples
        ValueError: if an argument is out of range
    """

    takes = WAVEFORM
    steps = Cnn14.steps
    blocks = (
        (
            "pre_conv0",
            "pre_bn0",
            "pre_block1",
            "pre_block2",
            "pre_block3",
            "pre_block4",
            *Cnn14.blocks[0],
        ),
        *Cnn14.blocks[1:],
    )

    def __init__(
        self,
        *,
        width: int = 64,
        f_min: float = 50.0,
        f_max: float = 14000.0,
        dropout: float = 0.2,
        head_dropout: float = 0.5,
        num_outputs: int,
        input_shape: tuple[int, ...],
        sample_rate: int,
    ) -> None:
        check_shape("wavegram_logmel_cnn14", input_shape, least=SMALLEST)
        super().__init__(MELS, width=width, dropout=dropout, head_dropout=head_dropout)
        self.log_mel = LogMel(
            sample_rate=sample_rate,
            n_fft=WINDOW,
            hop_length=HOP,
            n_mels=MELS,
            f_min=f_min,
            f_max=f_max,
        ).on_device()
        self.pre_conv0 = nn.Conv1d(1, width, 11, stride=5, padding=5, bias=False)
        self.pre_bn0 = nn.BatchNorm1d(width)
        self.pre_block1 = WaveBlock(width, width)
        self.pre_block2 = WaveBlock(width, 2 * width)
        self.pre_block3 = WaveBlock(2 * width, 2 * MELS)
        self.pre_block4 = ConvBlock(4, width)
        nn.init.xavier_uniform_(self.pre_conv0.weight)
        self.add_blocks(ConvBlock, width, count=6)
        # The two spectrograms come together as channels.
        self.conv_block2 = ConvBlock(2 * width, 2 * width)
        self.add_layers(32 * width, num_outputs)

    @classmethod
    def sources(cls) -> dict[str, Source]:
        return published(
            "Wavegram_Logmel_Cnn14",
            arguments={"f_min": 50, "f_max": 14000},
            waveforms=True,
        )

    def adapted(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return tensors of the authors' checkpoints, with our own front end."""
        own = self.log_mel.state_dict(prefix="log_mel.")
        return {**super().adapted(tensors), **own}

    def embed(self, features: Tensor) -> Tensor:
        """Return the last hidden layer, ``fc1`` after ReLU."""
        learnt = self.wavegram(features)
        x = self.convolve(self.normalise(self.log_mel(features)), self.steps[:1])
        frames = min(x.shape[2], learnt.shape[2])
        x = torch.cat([x[:, :, :frames], learnt[:, :, :frames]], dim=1)
        return self.hidden(self.convolve(x, self.steps[1:]))

    def wavegram(self, waveforms: Tensor) -> Tensor:
        """Return ``(batch, width, samples // 640, 32)``."""
        x = functional.relu_(self.pre_bn0(self.pre_conv0(waveforms)))
        x = self.pre_block3(self.pre_block2(self.pre_block1(x)))
        x = x.unflatten(1, (4, MELS // 2)).transpose(2, 3)
        x = functional.avg_pool2d(self.pre_block4(x), (2, 1))
        return functional.dropout(x, self.dropout, self.pre_block4.training)
