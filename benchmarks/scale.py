"""How the cost of a study grows with the number of its clips."""

import csv
import io
import tarfile
import wave
from pathlib import Path

import numpy as np

from benchmarks.measure import Cost, program
from benchmarks.results import Finding
from benchmarks.study import Study
from benchmarks.workspace import Workspace

ROOT = Path(__file__).resolve().parents[1]
RATE, SITES, CLASSES = 8000, 200, 10
_ARCHIVE = 10_000  # clips in a tar
_MEL = {"name": "log_mel", "n_fft": 256, "hop_length": 128, "n_mels": 32, "f_max": 4000}
_STAGES = ("fetch", "preprocess")


def run(workspace: Workspace) -> Finding:
    """Measure ``fetch`` and ``preprocess`` of 1,000 to 100,000 clips.

    Clips are coloured noise of one second, 8 kHz. Then the steps that have no
    audio in them are measured on a manifest of a million rows.
    """
    counts = [100, 1000] if workspace.quick else [1000, 10_000, 100_000]
    rows = 10_000 if workspace.quick else 1_000_000
    facts: dict[str, object] = {}
    notes = []
    for count in counts:
        study = _study(workspace.scratch / f"scale-{count}", count)
        costs = {stage: study.run(stage) for stage in _STAGES}
        facts[f"{count} clips"] = {s: cost.wall for s, cost in costs.items()}
        notes.append(f"{count:,} clips: {_text(costs, count)}")
    found = program("benchmarks.rows", rows, workspace.scratch)
    facts[f"{rows} rows"] = found
    named = ", ".join(f"{step} {s:.1f} s" for step, s in found["seconds"].items())
    notes.append(
        f"a manifest of {rows:,} rows: {named}, peak {found['peak_gib']:.2f} GiB"
    )
    return Finding("scale", [], notes, facts)


def _text(costs: dict[str, Cost], count: int) -> str:
    return ", ".join(
        f"{stage} {cost.wall:.1f} s ({1000 * cost.wall / count:.2f} ms a clip, peak "
        f"{cost.peak:.0f} MiB)"
        for stage, cost in costs.items()
    )


def _study(folder: Path, count: int) -> Study:
    """Write a study whose recordings lie in a few archives."""
    own = folder / "data" / "own"
    own.mkdir(parents=True)
    with (own / "labels.csv").open("w", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(("path", "label", "group"))
        for first in range(0, count, _ARCHIVE):
            numbers = range(first, min(first + _ARCHIVE, count))
            name = f"{first:06}.tar"
            _pack(own / name, numbers)
            table.writerows(
                (f"{name}::{n:06}.wav", f"class{n % CLASSES}", f"site{n // 7 % SITES}")
                for n in numbers
            )
    study = Study(folder)
    study.set(
        task="classification",
        dataset={"name": "csv"},
        preprocess={"sample_rate": RATE, "transforms": ["mono", _MEL]},
    )
    return study


def _pack(path: Path, numbers: range) -> None:
    with tarfile.open(path, "w") as tar:
        for number in numbers:
            data = _wav(number)
            entry = tarfile.TarInfo(f"{number:06}.wav")
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))


def _wav(number: int) -> bytes:
    generator = np.random.default_rng(number)
    noise = generator.standard_normal(RATE)
    # Loudness varies within a clip, as that of real recordings does.
    slow = np.interp(
        np.arange(RATE), np.linspace(0, RATE, 20), generator.uniform(0.02, 1, 20)
    )
    samples = np.clip(3000 * slow * (noise + np.roll(noise, 1)), -32768, 32767)
    stream = io.BytesIO()
    with wave.open(stream, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE)
        out.writeframes(samples.astype("<i2").tobytes())
    return stream.getvalue()
