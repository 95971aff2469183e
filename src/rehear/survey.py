"""Reading every clip once: how long it is, at which rate, what its samples are."""

import contextlib
import hashlib
import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from rehear import archives, audio, forks, similarity
from rehear.errors import AudioError, DataError
from rehear.manifest import Clip

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
        clips: that can be read, in their order, with duration, rate and digest
        prints: ``(clips, 128)``, see ``similarity.loudness_print``
        faults: of the clips that cannot be read
    """

    clips: tuple[Clip, ...]
    prints: np.ndarray
    faults: tuple[Fault, ...]


def examine(
    clips: Sequence[Clip], root: Path, *, processes: int | None = None
) -> Survey:
    """Read clips and fill in their duration, sample rate and digest.

    The result does not depend on the number of processes.

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
    prints = np.zeros((len(clips), similarity.SIZE), np.float32)
    found = [_facts(clip, root, prints[row]) for row, clip in enumerate(clips)]
    np.save(target.with_suffix(".npy"), prints)
    target.with_suffix(".json").write_text(json.dumps(found), "utf-8")


def _facts(clip: Clip, root: Path, loudness: np.ndarray) -> tuple[str, dict[str, Any]]:
    """Return a reason against the clip, or its facts; fill in its print."""
    try:
        waveform, rate = audio.read(root / clip.file, clip.start, clip.end)
    except AudioError as error:
        # The folder may have a temporary name at this moment.
        return str(error).replace(f"{root}/", ""), {}
    loudness[:] = similarity.loudness_print(waveform)
    # The same samples are the same recording, in whichever container.
    samples = np.ascontiguousarray(waveform, dtype="<f4")
    return "", {
        "duration": waveform.shape[1] / rate,
        "sample_rate": rate,
        "sha256": hashlib.sha256(samples.data).hexdigest(),
    }


def _gather(blocks: Sequence[Sequence[Clip]], folder: Path) -> Survey:
    good: list[Clip] = []
    faults: list[Fault] = []
    prints = [np.zeros((0, similarity.SIZE), np.float32)]
    for number, block in enumerate(blocks):
        found = json.loads((folder / f"{number}.json").read_text("utf-8"))
        for clip, (reason, facts) in zip(block, found, strict=True):
            if reason:
                faults.append(Fault(clip.clip, clip.file, reason))
            else:
                good.append(replace(clip, **facts))
        readable = np.array([not reason for reason, _ in found], dtype=bool)
        prints.append(np.load(folder / f"{number}.npy")[readable])
    return Survey(tuple(good), np.concatenate(prints), tuple(faults))


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
