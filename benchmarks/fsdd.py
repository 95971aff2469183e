"""The Free Spoken Digit Dataset: 3000 recordings of ten digits, six speakers.

Source: Jackson et al., https://github.com/Jakobovski/free-spoken-digit-dataset.
Files are called ``<digit>_<speaker>_<index>.wav``. Of each speaker and digit,
indices 0 to 4 are the official test split; 5 to 9 are the dev split here.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import BenchmarkError

_DEFAULT = Path(__file__).resolve().parents[2] / "shared" / "data"
_CLIPS = 3000
_FEW = (0, 5, 10, 20, 30)


@dataclass(frozen=True)
class Recording:
    """One recording, its label and its split."""

    file: str
    label: str
    speaker: str
    split: str


def folder(given: Path | None) -> Path:
    """Return the folder of the recordings.

    Raises:
        BenchmarkError: if they are not there, or not all of them
    """
    parent = Path(os.environ.get("REHEAR_TEST_DATA", _DEFAULT))
    place = (given or parent / "fsdd").resolve()
    for name in ("audio", "recordings", "."):
        if any((place / name).glob("*_*_*.wav")):
            return place / name
    raise BenchmarkError(
        f"{place} holds no recordings such as 0_george_0.wav; clone "
        "https://github.com/Jakobovski/free-spoken-digit-dataset and give --data"
    )


def recordings(audio: Path, *, few: bool = False) -> list[Recording]:
    """Return all recordings, sorted by file.

    Args:
        audio: their folder
        few: five of each speaker and digit, of all splits

    Raises:
        BenchmarkError: if some are missing
    """
    files = sorted(path.name for path in audio.glob("*_*_*.wav"))
    if len(files) != _CLIPS:
        raise BenchmarkError(f"{audio}: {len(files)} recordings; expected {_CLIPS}")
    found = [_recording(file) for file in files]
    return [r for r in found if _index(r.file) in _FEW] if few else found


def _index(file: str) -> int:
    return int(file.removesuffix(".wav").rpartition("_")[2])


def _recording(file: str) -> Recording:
    label, speaker, _ = file.split("_")
    index = _index(file)
    split = "test" if index < 5 else "dev" if index < 10 else "train"
    return Recording(file, label, speaker, split)
