"""ECAPA-TDNN: embeddings of speakers from the waveform."""

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from rehear.extras import needed
from rehear.models.ffnn import FFNN, EncoderFFNN
from rehear.models.sources import Source, on_hub
from rehear.models.waveform import check_rate, check_shape
from rehear.signals import WAVEFORM

RATE = 16000
MELS = 80
HOP = RATE // 100
_QUIRKS = "SB_DISABLE_QUIRKS"
_LAZY = "speechbrain.utils.importutils"


class EcapaTdnn(EncoderFFNN):
    """ECAPA-TDNN of SpeechBrain on the waveform, then linear layers.

    Log-mel bands of 25 ms every 10 ms, less their mean over the clip, as SpeechBrain
    made them for its published weights, are part of the model. So are its layers,
    under their own names. Here, what pads a clip in a batch changes none of its
    numbers: convolutions mirror each clip at its own end, and the bands are
    limited to 80 dB below the loudest one of the clip itself. While training, batch
    normalisation counts the frames behind the end of the shorter clips.

    Source: Desplanques et al., "ECAPA-TDNN: Emphasized channel attention,
    propagation and aggregation in TDNN based speaker verification", Interspeech
    2020, https://arxiv.org/abs/2005.07143; ``ECAPA_TDNN`` of SpeechBrain,
    https://github.com/speechbrain/speechbrain, with the arguments of
    https://huggingface.co/speechbrain/spkrec-ecapa-voxceleb.

    Args:
        channels: of the first layer, of the blocks, and of all blocks together
        kernel_sizes: of the same layers, in frames
        dilations: of the same layers
        attention_channels: of the attention that pools over time
        res2net_scale: groups of channels in a block
        se_channels: of squeeze-and-excitation in a block
        embedding_size: of the encoder, 192 in the published weights
        hidden_size: width of the hidden linear layers
        num_layers: linear layers on the embedding, the last one included
        dropout: probability after each hidden linear layer
        num_outputs: given by the program
        input_shape: ``(1, samples)``, given by the program
        sample_rate: has to be 16000 Hz, given by the program; 0 if unknown

    Shape:
        ``(batch, 1, samples)`` to ``(batch, num_outputs)``

    Raises:
        ParamsError: if speechbrain is not installed
        ModelError: if the features are not waveforms of one channel at 16 kHz
        ValueError: if the layers do not fit together, or one has no width
    """

    takes = WAVEFORM
    varied = True

    def __init__(  # noqa: PLR0913 - hyper-parameters of two networks
        self,
        *,
        channels: tuple[int, ...] = (1024, 1024, 1024, 1024, 3072),
        kernel_sizes: tuple[int, ...] = (5, 3, 3, 3, 1),
        dilations: tuple[int, ...] = (1, 2, 3, 4, 1),
        attention_channels: int = 128,
        res2net_scale: int = 8,
        se_channels: int = 128,
        embedding_size: int = 192,
        hidden_size: int = 32,
        num_layers: int = 2,
        dropout: float = 0.5,
        num_outputs: int,
        input_shape: tuple[int, ...],
        sample_rate: int,
    ) -> None:
        super().__init__()
        check_shape("ecapa_tdnn", input_shape)
        check_rate("ecapa_tdnn", sample_rate, wanted=RATE)
        _check_layers(channels, kernel_sizes, dilations, scale=res2net_scale)
        _check_positive(
            channels=channels,
            kernel_sizes=kernel_sizes,
            dilations=dilations,
            attention_channels=[attention_channels],
            se_channels=[se_channels],
            embedding_size=[embedding_size],
        )
        import_speechbrain()
        from speechbrain.lobes.models.ECAPA_TDNN import ECAPA_TDNN
        from speechbrain.nnet.CNN import Conv1d
        from speechbrain.processing.features import STFT, Filterbank, InputNormalization

        self.stft = STFT(sample_rate=RATE)
        self.filters = Filterbank(n_mels=MELS)
        self.centred = InputNormalization(norm_type="sentence", std_norm=False)
        self.encoder = ECAPA_TDNN(
            MELS,
            channels=list(channels),
            kernel_sizes=list(kernel_sizes),
            dilations=list(dilations),
            attention_channels=attention_channels,
            res2net_scale=res2net_scale,
            se_channels=se_channels,
            lin_neurons=embedding_size,
        )
        for module in self.encoder.modules():
            if isinstance(module, Conv1d):
                module.padding = "valid"  # since `_tdnn` pads
        self.ffnn = FFNN(
            hidden_size=hidden_size,
            num_layers=num_layers,
            dropout=dropout,
            num_outputs=num_outputs,
            input_shape=(embedding_size,),
        )
        self.blocks = (
            *((f"encoder.blocks.{i}",) for i in range(len(self.encoder.blocks))),
            ("encoder.mfa", "encoder.asp", "encoder.asp_bn", "encoder.fc"),
        )

    @classmethod
    def sources(cls) -> dict[str, Source]:
        """Return the published weights."""
        name = "speechbrain/spkrec-ecapa-voxceleb"
        url = on_hub(
            name,
            file="embedding_model.ckpt",
            revision="0f99f2d0ebe89ac095bcc5903c4dd8f72b367286",
        )
        source = Source(
            name,
            url,
            licence="Apache-2.0",
            citation="Ravanelli et al., SpeechBrain: A general-purpose speech toolkit, "
            "2021, https://arxiv.org/abs/2106.04624",
            sha256="0575cb64845e6b9a10db9bcb74d5ac32b326b8dc90352671d345e2ee3d0126a2",
            size=83316686,
            rate=RATE,
        )
        return {name: source}

    @staticmethod
    def adapted(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return SpeechBrain's tensors by our names."""
        return {f"encoder.{name}": tensor for name, tensor in tensors.items()}

    def encode(self, features: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Return the encoder's embedding ``(batch, embedding_size)``."""
        frames = None if lengths is None else lengths.to(features.device) // HOP + 1
        x = self._bands(features.squeeze(1), frames)
        return self._encoded(x, frames)

    def _bands(self, waveform: Tensor, frames: Tensor | None) -> Tensor:
        """Return log-mel bands ``(batch, frames, mels)``, less their means."""
        with torch.autocast(waveform.device.type, enabled=False):
            power = self.stft(waveform.float()).square().sum(dim=-1)
            if frames is not None:
                # Frames behind the end may be louder than all before it.
                inside = torch.arange(power.shape[1], device=power.device)
                power = power * (inside < frames[:, None])[..., None]
            bands = self.filters(power)
            return self.centred(bands, _relative(frames, bands.shape[1]))

    def _encoded(self, x: Tensor, frames: Tensor | None) -> Tensor:
        """Do what the encoder's own ``forward`` does, but mirror each clip's end."""
        relative = _relative(frames, x.shape[1])
        first, *blocks = self.encoder.blocks
        x = _tdnn(first, x.transpose(1, 2), frames)
        outputs = []
        for block in blocks:
            shortcut = block.shortcut(x) if block.shortcut else x
            x = _res2net(block.res2net_block, block.tdnn1(x), frames)
            x = block.se_block(block.tdnn2(x), relative) + shortcut
            outputs.append(x)
        x = _tdnn(self.encoder.mfa, torch.cat(outputs, dim=1), frames)
        x = _normalised(self.encoder.asp(x, relative), self.encoder.asp_bn.norm)
        return self.encoder.fc(x).squeeze(2)


def _relative(frames: Tensor | None, size: int) -> Tensor | None:
    """Return lengths as SpeechBrain takes them: parts of ``size``, below 1.

    Half a frame is taken off, so that rounding never counts one too many.
    """
    return None if frames is None else (frames - 0.5) / size


def _res2net(block: Any, x: Tensor, frames: Tensor | None) -> Tensor:
    """Send groups of channels through layers, each with what the last one gave."""
    first, part, *rest = x.chunk(block.scale, dim=1)
    layer, *layers = block.blocks
    outputs = [first, _tdnn(layer, part, frames)]
    for layer, part in zip(layers, rest, strict=True):
        outputs.append(_tdnn(layer, part + outputs[-1], frames))
    return torch.cat(outputs, dim=1)


def _tdnn(block: Any, x: Tensor, frames: Tensor | None) -> Tensor:
    """Send clips through a convolution that sees them mirrored at both ends."""
    conv = block.conv.conv
    return block(_mirrored(x, conv.dilation[0] * (conv.kernel_size[0] // 2), frames))


def _mirrored(x: Tensor, reach: int, frames: Tensor | None) -> Tensor:
    """Add ``reach`` frames before each clip and behind its own end.

    That is padding by reflection, whose gradient torch cannot make
    deterministic on a GPU. A clip shorter than that repeats its first frame.
    """
    if not reach:
        return x
    size = x.shape[2]
    at = torch.arange(-reach, size + reach, device=x.device).abs()
    if frames is None:
        at = (size - 1 - (size - 1 - at).abs()).clamp(min=0)
        return x.index_select(2, at)
    last = frames[:, None, None] - 1
    at = (last - (last - at).abs()).clamp(min=0)
    return x.gather(2, at.expand(-1, x.shape[1], -1))


def _normalised(x: Tensor, norm: nn.BatchNorm1d) -> Tensor:
    """Normalise over the batch; one of a single clip by the running statistics."""
    if len(x) > 1:
        return norm(x)
    mean, variance = norm.running_mean, norm.running_var
    return functional.batch_norm(
        x, mean, variance, norm.weight, norm.bias, eps=norm.eps
    )


def _check_layers(
    channels: tuple[int, ...],
    kernel_sizes: tuple[int, ...],
    dilations: tuple[int, ...],
    *,
    scale: int,
) -> None:
    if not 3 <= len(channels) == len(kernel_sizes) == len(dilations):
        raise ValueError(
            "channels, kernel_sizes and dilations need one value for each layer, at "
            f"least 3, not {len(channels)}, {len(kernel_sizes)} and {len(dilations)}"
        )
    inner = channels[1:-1]
    if len(set(inner)) > 1 or scale < 2 or inner[0] % scale:
        raise ValueError(
            f"channels of the blocks have to be equal, and a multiple of res2net_scale "
            f"(2 or more), not {', '.join(map(str, inner))} with {scale}"
        )
    if any(size % 2 == 0 for size in kernel_sizes):
        raise ValueError(f"kernel_sizes have to be odd, not {list(kernel_sizes)}")


def _check_positive(**sizes: Sequence[int]) -> None:
    for key, values in sizes.items():
        if min(values) < 1:
            raise ValueError(f"{key}: expected 1 or more, not {min(values)}")


def import_speechbrain(model: str = "ecapa_tdnn") -> None:
    """Import speechbrain, but keep the state of the process that it would change.

    It would allow TF32 on GPUs, which changes numbers of all models, switch off
    profiling of TorchScript, and leave modules in ``sys.modules`` that raise when
    somebody looks at them, as ``inspect`` does.

    Args:
        model: that needs it, by its name in params.yaml

    Raises:
        ParamsError: if it is not installed
    """
    quirks = os.environ.get(_QUIRKS, "")
    os.environ[_QUIRKS] = f"{quirks},allow_tf32,disable_jit_profiling"
    try:
        with needed(f"model '{model}'", "speechbrain"):
            import speechbrain  # noqa: F401
    finally:
        del os.environ[_QUIRKS]
        if quirks:
            os.environ[_QUIRKS] = quirks
    for name, module in list(sys.modules.items()):
        if type(module).__module__ == _LAZY:
            del sys.modules[name]
