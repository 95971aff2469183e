"""LEAF, a learnable front end, and an EfficientNet on what it hears."""

import math
import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from rehear.errors import ModelError, suggest
from rehear.extras import needed
from rehear.models.filterbanks import FILTERBANKS
from rehear.models.pcen import Pcen
from rehear.models.sources import Source, on_hub
from rehear.models.waveform import check_shape
from rehear.signals import WAVEFORM

FLOOR = 1e-5  # of the energy before its normalisation
_NAMES, _MODULE = "*efficientnet*", "efficientnet"  # of timm
_HALF = math.sqrt(2 * math.log(2)) / math.pi
_CITATION = (
    "Tan and Le: EfficientNet: rethinking model scaling for convolutional neural "
    "networks, ICML 2019; Wightman: PyTorch image models, "
    "https://github.com/huggingface/pytorch-image-models"
)


class Leaf(nn.Module):
    """A spectrogram whose filters, pooling and compression are learnt.

    Gabor filters, the square of their modulus, Gaussian windows that also reduce
    the rate, and PCEN. Filters run as products of spectra, which gives the numbers
    of a convolution with every sample as its centre, in less time.

    Source: Zeghidour et al., "LEAF: a learnable frontend for audio classification",
    ICLR 2021, https://arxiv.org/abs/2101.08596, as restated by Schlüter and
    Gutenbrunner, "EfficientLEAF", EUSIPCO 2022, https://arxiv.org/abs/2207.05508.

    Args:
        sample_rate: of the waveform, in Hz
        filters: number of them
        kernel_ms: length of filters and windows, in ms
        hop_ms: between windows, in ms
        min_freq: lowest frequency of the first filters, in Hz
        max_freq: highest frequency of the first filters, in Hz
        initialization: of the filters, a name in ``FILTERBANKS``
        pooling_bias: learn an energy that is added to each filter's, 1 at first

    Shape:
        ``(batch, 1, samples)`` to ``(batch, 1, filters, frames)``, with a frame for
        each ``hop_ms`` begun

    Raises:
        ValueError: if an argument is out of range
    """

    def __init__(
        self,
        *,
        sample_rate: int,
        filters: int = 40,
        kernel_ms: float = 25.0,
        hop_ms: float = 10.0,
        min_freq: float = 60.0,
        max_freq: float = 7800.0,
        initialization: str = "mel",
        pooling_bias: bool = False,
    ) -> None:
        super().__init__()
        _check_band(min_freq, max_freq, sample_rate)
        if filters < 1:
            raise ValueError(f"filters: expected 1 or more, not {filters}")
        if initialization not in FILTERBANKS:
            raise ValueError(
                f"unknown initialization '{initialization}'."
                f"{suggest(initialization, FILTERBANKS)} Known: "
                f"{', '.join(FILTERBANKS)}"
            )
        self.size = int(sample_rate * kernel_ms / 1000) | 1  # odd, to have a centre
        self.hop = int(sample_rate * hop_ms / 1000)
        if min(self.size - 2, self.hop) < 1:
            raise ValueError(
                f"kernel_ms and hop_ms: {kernel_ms:g} and {hop_ms:g} ms are too short "
                f"at {sample_rate} Hz"
            )
        fill = FILTERBANKS[initialization]
        centers, bandwidths = fill(filters, min_freq, max_freq, sample_rate)
        self.centers = nn.Parameter(centers * (2 * math.pi / sample_rate))
        self.widths = nn.Parameter(sample_rate / 2 / bandwidths)
        self.pooling = nn.Parameter(torch.full((filters,), 0.4))
        self.pooling_bias: nn.Parameter | None = None
        if pooling_bias:
            self.pooling_bias = nn.Parameter(torch.ones(filters))
        self.pcen = Pcen(filters)

    def forward(self, waveform: Tensor) -> Tensor:
        # Half precision would lose quiet bands, whose level PCEN takes away.
        with torch.autocast(waveform.device.type, enabled=False):
            energy = self._pooled(self._energy(waveform.squeeze(1)))
            return self.pcen(energy.clamp(min=FLOOR))[:, None]

    def filters(self) -> Tensor:
        """Return the impulse responses ``(filters, size)``, which are complex."""
        center = self.centers.clamp(0, math.pi)[:, None]
        width = self.widths.clamp(4 * _HALF, self.size * _HALF)[:, None]
        time = torch.arange(self.size, device=center.device) - self.size // 2
        envelope = (-0.5 * (time / width) ** 2).exp() / (math.sqrt(2 * math.pi) * width)
        return torch.polar(envelope, center * time)

    def windows(self) -> Tensor:
        """Return the pooling windows ``(filters, size)``."""
        width = self.pooling.clamp(2 / self.size, 0.5)[:, None]
        time = torch.linspace(-1, 1, self.size, device=width.device, dtype=width.dtype)
        return (-0.5 * (time / width) ** 2).exp()

    def _energy(self, x: Tensor) -> Tensor:
        """Return the energy of each filter at every sample, by overlap-save.

        Shape:
            ``(batch, samples)`` to ``(batch, filters, samples)``
        """
        points = 2 ** math.ceil(math.log2(4 * self.size))
        step = points - self.size + 1
        samples, before = x.shape[-1], self.size // 2
        total = -(-samples // step) * step + self.size - 1
        x = functional.pad(x, (before, total - samples - before))
        spectra = torch.fft.fft(x.unfold(-1, points, step))[:, None]
        response = torch.fft.fft(self.filters(), points)[:, None]
        whole = torch.fft.ifft(spectra * response)[..., self.size - 1 :]
        energy = torch.view_as_real(whole).square().sum(dim=-1)
        return energy.flatten(-2)[..., :samples]

    def _pooled(self, energy: Tensor) -> Tensor:
        """Return windowed sums, one for each hop: ``(batch, filters, frames)``.

        Windows are cut into pieces of one hop, so that no sample is copied.
        """
        hop, samples, before = self.hop, energy.shape[-1], self.size // 2
        frames, pieces = -(-samples // hop), -(-self.size // hop)
        total = (frames + pieces - 1) * hop
        energy = functional.pad(energy, (before, total - samples - before))
        windows = functional.pad(self.windows(), (0, pieces * hop - self.size))
        energy = energy.reshape(*energy.shape[:2], -1, hop)
        sums = energy @ windows.reshape(len(windows), pieces, hop).mT
        pooled = sums[:, :, :frames, 0]
        for piece in range(1, pieces):
            pooled = pooled + sums[:, :, piece : piece + frames, piece]
        if self.pooling_bias is not None:
            pooled = pooled + self.pooling_bias[:, None]
        return pooled


class LeafEfficientNet(nn.Module):
    """An EfficientNet on the map of LEAF.

    By default as Meng et al., "What is learnt by the LEArnable Front-end (LEAF)?",
    Interspeech 2023, https://arxiv.org/abs/2404.06702, have it: autrainer's
    ``mode: interspeech``. The first filters of the original are ``initialization:
    mel-fft``. speechbrain's LEAF, autrainer's ``mode: speech_brain``, has
    ``pooling_bias: true`` too, and half the sample rate as ``max_freq``.

    Source: see ``Leaf``; Tan and Le, "EfficientNet", ICML 2019,
    https://arxiv.org/abs/1905.11946, by timm.

    Args:
        filters: of LEAF
        kernel_ms: length of its filters and pooling windows, in ms
        hop_ms: between frames of its map, in ms
        min_freq: lowest frequency of its first filters, in Hz
        max_freq: highest frequency of its first filters, in Hz; at most half the
            sample rate
        initialization: of its filters: ``mel``, ``mel-fft`` (as measured on the
            bins of an FFT), ``bark``, ``linear-constant``, ``constant``,
            ``uniform`` (drawn at random) or ``zeros``
        pooling_bias: learn an energy that is added to each filter's, 1 at first
        efficientnet: any EfficientNet of timm
        num_outputs: given by the program
        input_shape: ``(1, samples)``, given by the program
        sample_rate: of the waveform, in Hz, given by the program

    Shape:
        ``(batch, 1, samples)`` to ``(batch, num_outputs)``

    Raises:
        ModelError: if features are not waveforms of one channel, or too short
        ParamsError: if timm is not installed
        ValueError: if an argument is out of range, or there is no such network
    """

    takes = WAVEFORM
    head_modules = ("efficientnet.classifier",)
    extractor = 1
    fresh = ("leaf",)  # no published weights hold it

    def __init__(  # noqa: PLR0913 (the arguments of two networks)
        self,
        *,
        filters: int = 40,
        kernel_ms: float = 25.0,
        hop_ms: float = 10.0,
        min_freq: float = 60.0,
        max_freq: float = 7800.0,
        initialization: str = "mel",
        pooling_bias: bool = False,
        efficientnet: str = "efficientnet_b0",
        num_outputs: int,
        input_shape: tuple[int, ...],
        sample_rate: int,
    ) -> None:
        super().__init__()
        check_shape("leaf", input_shape)
        self.leaf = Leaf(
            sample_rate=sample_rate,
            filters=filters,
            kernel_ms=kernel_ms,
            hop_ms=hop_ms,
            min_freq=min_freq,
            max_freq=max_freq,
            initialization=initialization,
            pooling_bias=pooling_bias,
        )
        if input_shape[1] < self.leaf.size:
            raise ModelError(
                f"model 'leaf' takes clips of at least one filter, {self.leaf.size} "
                f"samples, but they have {input_shape[1]}; give it longer clips, or a "
                "smaller model.kernel_ms"
            )
        self.efficientnet = _efficientnet(efficientnet, num_outputs)
        self.blocks = (
            ("leaf",),
            ("efficientnet.conv_stem", "efficientnet.bn1"),
            *(
                (f"efficientnet.blocks.{i}",)
                for i in range(len(self.efficientnet.blocks))
            ),
            ("efficientnet.conv_head", "efficientnet.bn2"),
        )

    def embed(self, features: Tensor) -> Tensor:
        """Return the pooled features ``(batch, size)``; 1280 of ``efficientnet_b0``."""
        maps = self.efficientnet.forward_features(self.leaf(features))
        return self.efficientnet.forward_head(maps, pre_logits=True)

    encode = embed

    def decode(self, encoded: Tensor) -> Tensor:
        return self.efficientnet.classifier(encoded)

    def forward(self, features: Tensor) -> Tensor:
        return self.decode(self.encode(features))

    @classmethod
    def sources(cls) -> dict[str, Source]:
        """Return the ImageNet weights that timm publishes, by name of the network."""
        timm = _timm()
        tagged = timm.list_models(_NAMES, module=_MODULE, pretrained=True)
        names = sorted({name.partition(".")[0] for name in tagged})
        return {
            f"imagenet/{name}": _source(name, timm.get_pretrained_cfg(name))
            for name in names
            if not name.startswith("test_")
        }

    @staticmethod
    def adapted(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the tensors of an EfficientNet by our names, for one channel."""
        own = ("leaf.", "efficientnet.")
        found = {
            name if name.startswith(own) else f"efficientnet.{name}": tensor
            for name, tensor in tensors.items()
        }
        stem = found.get("efficientnet.conv_stem.weight")
        if stem is not None and stem.ndim == 4 and stem.shape[1] == 3:
            found["efficientnet.conv_stem.weight"] = stem.sum(dim=1, keepdim=True)
        return found


def _check_band(low: float, high: float, rate: int) -> None:
    if not 0 < low < high:
        raise ValueError(
            f"min_freq and max_freq: expected 0 < min_freq < max_freq, not {low:g} and "
            f"{high:g}"
        )
    if high > rate / 2:
        raise ValueError(
            f"max_freq is {high:g} Hz, but waveforms of {rate} Hz hold nothing above "
            f"{rate / 2:g} Hz; set model.max_freq to {rate / 2:g} or less, or raise "
            "preprocess.sample_rate if the recordings have more"
        )


def _efficientnet(name: str, num_outputs: int) -> Any:
    timm = _timm()
    known = timm.list_models(_NAMES, module=_MODULE)
    if name not in known:
        raise ValueError(
            f"unknown efficientnet '{name}'.{suggest(name, known)} Known: "
            f"{', '.join(known)}"
        )
    return timm.create_model(name, in_chans=1, num_classes=num_outputs)


def _source(name: str, published: Any) -> Source:
    digest = re.search(r"-([0-9a-f]{8})\.pth$", published.url or "")
    return Source(
        name=f"imagenet/{name}",
        url=published.url or on_hub(published.hf_hub_id, file="model.safetensors"),
        licence=published.license,
        citation=_CITATION,
        arguments={"efficientnet": name},
        sha256=digest[1] if digest else "",
    )


def _timm() -> Any:
    with needed("model 'leaf'", "timm", "torchvision"):
        import timm
    return timm
