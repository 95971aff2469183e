"""PaSST: a spectrogram transformer that learns with patches left out (patchout).

Source: Koutini et al., "Efficient training of audio transformers with patchout",
Interspeech 2022, https://arxiv.org/abs/2110.05069, and
https://github.com/kkoutini/PaSST. Layers are those of the authors' package
hear21passt, https://github.com/kkoutini/passt_hear21.
"""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from rehear.extras import needed
from rehear.models import transformer
from rehear.models.sources import Source
from rehear.models.waveform import check_rate, check_shape
from rehear.signals import WAVEFORM

RATE = 32000
N_FFT, WINDOW, HOP, MELS = 1024, 800, 320, 128  # 25 ms every 10 ms
HIGHEST = 15000  # Hz
PREEMPHASIS = 0.97
PATCH = 16  # mel bands and frames
SHORTEST = (PATCH - 1) * HOP + 1  # samples of one patch
SIZE = 768
LAYERS = 12
_POSITIONS = "time_new_pos_embed"
_FIRST = (
    "patch_embed",
    "cls_token",
    "dist_token",
    "new_pos_embed",
    "freq_new_pos_embed",
    _POSITIONS,
)
_RELEASES = "https://github.com/kkoutini/PaSST/releases/download"
_FILES: dict[str, tuple[str, dict[str, Any]]] = {
    "passt-s-f128-p16-s10-ap.476-swa": (
        "v0.0.1-audioset",
        {
            "sha256": "302903fa8c4aee817b11dc982da0b29a"
            "af8d11a3e722420476d0a12c9db70c2c",
            "size": 344665734,
        },
    ),
    "passt-s-kd-ap.486": ("v.0.0.9", {}),
    "passt-l-kd-ap.47": ("v.0.0.10", {"arguments": {"num_hidden_layers": 7}}),
    "passt-s-f128-p16-s16-ap.468": ("v0.0.2-audioset", {"arguments": {"stride": 16}}),
    "passt-s-f128-20sec-p16-s10-ap.474-swa": ("v0.0.5", {}),
    "passt-s-f128-30sec-p16-s10-ap.473-swa": ("v0.0.5", {}),
}


class PaSST(nn.Module):
    """PaSST, with a linear layer on the mean of its two tokens of the whole clip.

    Clips are waveforms at 32 kHz, all of one length. Its front end is part of the
    model: 128 log-mel bands of 25 ms every 10 ms, made as for the published weights.
    These know positions up to 10 s, where their name says so 20 or 30 s; of shorter
    clips they are those of the beginning. While training, patchout leaves out some
    of the patches, the same of all clips of a batch, which makes a step faster and
    the model better; the authors trained clips of 10 s with 40 columns and 4 rows
    less. Their random band limits and masks of the spectrogram are left out, since
    augmentations are parts of their own.

    Args:
        num_hidden_layers: how many of the 12 transformer layers to use; 7 in PaSST-L
        stride: of the patches of 16 by 16, in mel bands and frames; below 16 they
            overlap
        s_patchout_t: columns of patches to leave out while training (time)
        s_patchout_f: rows of patches to leave out while training (frequency)
        num_outputs: given by the program
        input_shape: ``(1, samples)``, given by the program
        sample_rate: has to be 32000 Hz, given by the program; 0 if unknown

    Shape:
        ``(batch, 1, samples)`` to ``(batch, num_outputs)``

    Raises:
        ParamsError: if hear21passt is not installed
        ModelError: if clips are not waveforms of one channel at 32 kHz, or too short
        ValueError: if layers, stride or patchout do not fit
    """

    takes = WAVEFORM
    head_modules = ("head",)
    extractor = 1
    window: Tensor
    filters: Tensor

    def __init__(
        self,
        *,
        num_hidden_layers: int = LAYERS,
        stride: int = 10,
        s_patchout_t: int = 0,
        s_patchout_f: int = 0,
        num_outputs: int,
        input_shape: tuple[int, ...],
        sample_rate: int,
    ) -> None:
        super().__init__()
        check_shape("passt", input_shape, least=SHORTEST)
        check_rate("passt", sample_rate, wanted=RATE)
        rows, columns = _grid(input_shape[1], stride)
        _check_patchout("s_patchout_t", s_patchout_t, columns)
        _check_patchout("s_patchout_f", s_patchout_f, rows)
        self.register_buffer(
            "window", torch.hann_window(WINDOW, periodic=False), persistent=False
        )
        self.register_buffer("filters", _filters(), persistent=False)
        self.encoder = _transformer(
            depth=transformer.first_layers(num_hidden_layers, of=LAYERS),
            stride=stride,
            s_patchout_t=s_patchout_t,
            s_patchout_f=s_patchout_f,
            img_size=(rows * stride, columns * stride),
        )
        # As the authors have it, by its names in the published files.
        self.head = nn.Sequential(nn.LayerNorm(SIZE), nn.Linear(SIZE, num_outputs))

    @property
    def blocks(self) -> list[tuple[str, ...]]:
        """Patches with tokens and positions, and each layer."""
        number = len(self.encoder.blocks)
        layers: list[tuple[str, ...]] = [
            (f"encoder.blocks.{i}",) for i in range(number)
        ]
        layers[-1] += ("encoder.norm",)
        return [tuple(f"encoder.{name}" for name in _FIRST), *layers]

    @classmethod
    def sources(cls) -> dict[str, Source]:
        """Return the published weights."""
        return {
            name: Source(
                name=name,
                url=f"{_RELEASES}/{release}/{name}.pt",
                licence="Apache-2.0",
                citation="Koutini et al., Efficient training of audio transformers "
                "with patchout, Interspeech 2022, https://arxiv.org/abs/2110.05069",
                rate=RATE,
                **rest,
            )
            for name, (release, rest) in _FILES.items()
        }

    def adapted(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return published weights by our names.

        The head that learnt from a teacher is left out, which has no part in outputs,
        and so are layers beyond ``num_hidden_layers`` and positions behind the clip.
        """
        ours = transformer.without(tensors, ("head_dist.",))
        ours = transformer.within_layers(ours, "blocks", len(self.encoder.blocks))
        if _POSITIONS in ours:
            columns = self.encoder.time_new_pos_embed.shape[-1]
            ours[_POSITIONS] = ours[_POSITIONS][..., :columns].clone()
        return {
            name if name.startswith("head.") else f"encoder.{name}": tensor
            for name, tensor in ours.items()
        }

    def encode(self, features: Tensor) -> Tensor:
        """Return the mean of the two tokens of the whole clip ``(batch, 768)``."""
        first, second = self.encoder.forward_features(self._bands(features))
        return (first + second) / 2

    embed = encode

    def decode(self, encoded: Tensor) -> Tensor:
        return self.head(encoded)

    def forward(self, features: Tensor) -> Tensor:
        return self.decode(self.encode(features))

    def _bands(self, waveform: Tensor) -> Tensor:
        """Return standardised log-mel bands ``(batch, 1, mels, frames)``."""
        with torch.autocast(waveform.device.type, enabled=False):
            x = waveform.float().squeeze(1)
            x = x[:, 1:] - PREEMPHASIS * x[:, :-1]
            x = torch.stft(
                x, N_FFT, HOP, WINDOW, window=self.window, return_complex=True
            )
            power = torch.view_as_real(x).square().sum(dim=-1)
            bands = (self.filters @ power + 1e-5).log()
        return (bands[:, None] + 4.5) / 5


def _filters() -> Tensor:
    """Return Kaldi's mel filters ``(mels, bins)``."""
    from torchaudio.compliance import kaldi

    filters, _ = kaldi.get_mel_banks(
        MELS,
        N_FFT,
        RATE,
        low_freq=0.0,
        high_freq=HIGHEST,
        vtln_low=100.0,
        vtln_high=-500.0,
        vtln_warp_factor=1.0,
    )
    return functional.pad(filters, (0, 1))


def _transformer(**arguments: Any) -> Any:
    """Return the authors' transformer without its heads."""
    library = _library()
    library.first_RUN = False  # it would print the shapes of its first batch
    device = torch.get_default_device()
    with torch.device("cpu"):  # rates are taken as numbers, which ``meta`` has none of
        encoder = library.PaSST(distilled=True, num_classes=0, **arguments)
    encoder.head, encoder.head_dist = nn.Identity(), None
    # It would warn of clips that are not of ``img_size``, which shorter ones may be.
    encoder.patch_embed = nn.Sequential(OrderedDict(proj=encoder.patch_embed.proj))
    return encoder.to(device)


def _library() -> Any:
    with needed("model 'passt'", "hear21passt", "timm", extra="passt"):
        from hear21passt.models import passt
    return passt


def _grid(samples: int, stride: int) -> tuple[int, int]:
    """Return how many patches there are over mel bands and over frames."""
    if not 1 <= stride <= PATCH:
        raise ValueError(f"stride: expected 1 to {PATCH}, not {stride}")
    frames = 1 + (samples - 1) // HOP
    return (MELS - PATCH) // stride + 1, (frames - PATCH) // stride + 1


def _check_patchout(name: str, number: int, there: int) -> None:
    if not 0 <= number < there:
        raise ValueError(
            f"{name}: expected 0 to {there - 1}, since clips have {there} patches "
            f"there, not {number}"
        )
