"""Reading every clip once: how long and loud it is, and what its samples are."""

import contextlib
import hashlib
import json
import math
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from rehear import archives, forks, inputs
from rehear.errors import AudioError, DataError
from rehear.manifest import Clip
from rehear.prints import Prints, spectral_print

_BLOCK = 64  # clips of one job; a process holds the samples of one clip at a time


@dataclass(frozen=True, slots=True)
class Fault:
    """A clip that cannot be used.

    Attributes:
        clip: its id
        file: its recording
        reason: one line, which names the file
    """

    clip: str
    file: str
    reason: str


@dataclass(frozen=True)
class Survey:
    """What reading all clips has shown.

    Attributes:
        clips: that can be read, in their order, with duration, rate, channels, level
            and digest
        prints: of these clips, see ``prints``
        faults: of the clips that cannot be read
        count: of the samples of these clips, all channels together
        mean: of these samples; ``None`` if there are none
        std: their standard deviation; ``None`` if there are none
        exact: whether all of them are those of integer PCM of up to 24 bits, which
            every decoder reads alike
    """

    clips: tuple[Clip, ...]
    prints: Prints
    faults: tuple[Fault, ...]
    count: int
    mean: float | None
    std: float | None
    exact: bool


def examine(
    clips: Sequence[Clip], root: Path, *, processes: int | None = None
) -> Survey:
    """Read clips and fill in duration, sample rate, channels, level and digest.

    The result does not depend on the number of processes. Sums of the samples are
    those of exact arithmetic for recordings of 16 bits, in any order.

    Args:
        clips: with ``file`` relative to ``root``
        root: folder of the recordings
        processes: how many read at a time; one for each core if not given
    """
    for archive in {c.file.partition(archives.SEPARATOR)[0] for c in clips}:
        # Read before forking, so that processes share the index.
        if archive.endswith((".tar", ".zip")):
            with contextlib.suppress(DataError):
                archives.members(root / archive)
    blocks = [clips[i : i + _BLOCK] for i in range(0, len(clips), _BLOCK)]
    with tempfile.TemporaryDirectory(prefix="rehear-") as name, _progress(clips) as bar:
        folder = Path(name)

        def work(number: int) -> None:
            _examine_block(blocks[number], root, folder / str(number))

        for number in forks.each(
            range(len(blocks)), work, processes=processes or forks.cores()
        ):
            bar(len(blocks[number]))
        return _gather(blocks, folder)


def _examine_block(clips: Sequence[Clip], root: Path, target: Path) -> None:
    """Write facts and prints of some clips beside ``target``."""
    found = [_facts(clip, root) for clip in clips]
    peaks = np.concatenate([peaks for _, _, peaks in found])
    np.save(target.with_suffix(".npy"), peaks)
    facts = [(reason, facts, len(peaks)) for reason, facts, peaks in found]
    target.with_suffix(".json").write_text(json.dumps(facts), "utf-8")


def _facts(clip: Clip, root: Path) -> tuple[str, dict[str, Any], np.ndarray]:
    """Return a reason against the clip, or its facts, and its print."""
    try:
        values, rate = _read(clip, root)
    except AudioError as error:
        # The folder may have a temporary name at this moment.
        return str(error).replace(f"{root}/", ""), {}, np.zeros(0, np.uint32)
    total, squares = _sums(values)
    facts = {
        "duration": values.shape[1] / rate if rate else 0.0,
        "sample_rate": rate,
        "channels": values.shape[0] if rate else 0,
        "level": _level(squares / values.size) if rate else None,
        "sha256": _digest(values),
        "samples": (values.size, total, squares),
        "exact": rate > 0 and _is_exact(values),
    }
    peaks = spectral_print(values, rate) if rate else np.zeros(0, np.uint32)
    return "", facts, peaks


def _read(clip: Clip, root: Path) -> tuple[np.ndarray, int]:
    """Return the samples of a clip and their rate, 0 for what is no sound."""
    return inputs.read(root / clip.file, clip.start, clip.end)


def _digest(values: np.ndarray) -> str:
    # The same samples are the same recording, in whichever container.
    return hashlib.sha256(np.ascontiguousarray(values, dtype="<f4").data).hexdigest()


def _is_exact(values: np.ndarray) -> bool:
    """Say whether all samples are multiples of a step of 24-bit PCM.

    What decoders of lossy formats give is not, except for silence.
    """
    steps = values * np.float32(2**23)
    return bool((steps == np.rint(steps)).all())


def _sums(values: np.ndarray) -> tuple[float, float]:
    """Return the sums of all values and of their squares.

    Samples of 16 bits are multiples of a power of 2, and so are the sums, which
    float64 holds exactly.
    """
    exact = values.astype(np.float64)
    total = float(exact.sum())
    return total, float(np.square(exact, out=exact).sum())


def _level(power: float) -> float | None:
    """Return a mean square in dB, rounded so that it is the same on all machines."""
    return round(10 * math.log10(power), 2) if power else None


def _gather(blocks: Sequence[Sequence[Clip]], folder: Path) -> Survey:
    good: list[Clip] = []
    faults: list[Fault] = []
    sizes: list[int] = []
    sums: list[tuple[int, float, float]] = []
    exact = True
    for number, block in enumerate(blocks):
        found = json.loads((folder / f"{number}.json").read_text("utf-8"))
        for clip, (reason, facts, size) in zip(block, found, strict=True):
            if reason:
                faults.append(Fault(clip.clip, clip.file, reason))
            else:
                sums.append(facts.pop("samples"))
                exact &= facts.pop("exact")
                good.append(replace(clip, **facts))
                sizes.append(size)
    # Clips that cannot be read have no peaks.
    parts = [np.load(folder / f"{number}.npy") for number in range(len(blocks))]
    peaks = np.concatenate([np.zeros(0, np.uint32), *parts])
    prints = Prints(peaks, np.cumsum(sizes, dtype=np.int64))
    return Survey(tuple(good), prints, tuple(faults), *_together(sums), exact)


def _together(
    sums: Sequence[tuple[int, float, float]],
) -> tuple[int, float | None, float | None]:
    """Return count, mean and standard deviation; the order does not matter."""
    count = sum(size for size, _, _ in sums)
    if not count:
        return 0, None, None
    # Fractions, since the difference below loses digits.
    mean = Fraction(math.fsum(total for _, total, _ in sums)) / count
    power = Fraction(math.fsum(squares for _, _, squares in sums)) / count
    return count, float(mean), math.sqrt(max(power - mean**2, Fraction(0)))


@contextlib.contextmanager
def _progress(clips: Sequence[Clip]) -> Iterator[Callable[[int], object]]:
    if not sys.stderr.isatty():
        yield lambda count: None
        return
    from tqdm import tqdm

    # Its monitor is a thread, and forking with threads about is not safe.
    tqdm.monitor_interval = 0
    with tqdm(total=len(clips), desc="read", unit="clip") as bar:
        yield bar.update
