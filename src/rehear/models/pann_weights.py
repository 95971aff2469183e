"""Where the PANNs' authors publish what they trained on AudioSet."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from rehear.models.sources import Source

FRONT_END = ("spectrogram_extractor.", "logmel_extractor.", "spec_augmenter.")
RECORD = "https://zenodo.org/records/3987831/files/"
CITATION = (
    "Kong et al., PANNs: large-scale pretrained audio neural networks for audio "
    "pattern recognition, IEEE/ACM TASLP 28, 2020, doi:10.1109/TASLP.2020.3030497; "
    "weights: doi:10.5281/zenodo.3987831"
)


class _File(NamedTuple):
    architecture: str
    stem: str
    rate: int = 32000
    size: int | None = None
    sha256: str = ""


_FILES = {
    "cnn6-32k": _File("Cnn6", "Cnn6_mAP%3D0.343"),
    "cnn10-32k": _File("Cnn10", "Cnn10_mAP%3D0.380", size=25_237_595),
    "cnn14-8k": _File("Cnn14", "Cnn14_8k_mAP%3D0.416", rate=8000),
    "cnn14-16k": _File(
        "Cnn14",
        "Cnn14_16k_mAP%3D0.438",
        rate=16000,
        size=358_668_570,
        sha256="e2ee543a27919542c2ea03eabaa70b24dcd4e6c8e05621de6b67a94e4c5058e6",
    ),
    "cnn14-32k": _File(
        "Cnn14",
        "Cnn14_mAP%3D0.431",
        size=327_428_481,
        sha256="0dc499e40e9761ef5ea061ffc77697697f277f6a960894903df3ada000e34b31",
    ),
    "resnet38-32k": _File("ResNet38", "ResNet38_mAP%3D0.434", size=299_615_982),
    "wavegram-logmel-cnn14-32k": _File(
        "Wavegram_Logmel_Cnn14", "Wavegram_Logmel_Cnn14_mAP%3D0.439", size=328_692_198
    ),
}


def log_mel(rate: int) -> dict[str, Any]:
    """Return the front end of the weights at a sample rate, as a transform."""
    window = {8000: 256, 16000: 512, 32000: 1024}[rate]
    return {
        "name": "log_mel",
        "n_fft": window,
        "hop_length": rate // 100,
        "n_mels": 64,
        "f_min": 50,
        "f_max": 14000 if rate == 32000 else rate // 2,
        "amin": 1e-10,
    }


def published(
    architecture: str,
    *,
    arguments: Mapping[str, Any] | None = None,
    waveforms: bool = False,
) -> dict[str, Source]:
    """Return the published weights of an architecture, by name.

    Args:
        architecture: as the authors call it
        arguments: what the model must have besides the authors' width
        waveforms: whether the model computes its spectrograms itself
    """
    return {
        f"panns/{name}": Source(
            name=f"panns/{name}",
            url=f"{RECORD}{file.stem}.pth",
            licence="CC BY 4.0",
            citation=CITATION,
            arguments={"width": 64, **(arguments or {})},
            sha256=file.sha256,
            size=file.size,
            entry="model",
            rate=file.rate,
            front_end={} if waveforms else log_mel(file.rate),
        )
        for name, file in _FILES.items()
        if file.architecture == architecture
    }
