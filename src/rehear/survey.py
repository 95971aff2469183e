"""Reading every clip once: how long it is, at which rate, what its samples are."""

import contextlib
import hashlib
import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from rehear import archives, audio, forks
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


def examine(
    clips: Sequence[Clip], root: Path, *, processes: int | None = None
) -> tuple[list[Clip], list[Fault]]:
    """Read clips and fill in their duration, sample rate and digest.

    The result does not depend on the number of processes.

    Args:
        clips: with ``file`` relative to ``root``
        root: folder of the recordings
        processes: how many read at a time; one for each core if not given

    Returns:
        The clips that can be read, in their order, and the faults of the others.
    """
    for archive in {c.file.partition(archives.SEPARATOR)[0] for c in clips}:
        # Read before forking, so that processes share the index.
        if archive.endswith((".tar", ".zip")):
            with contextlib.suppress(DataError):
                archives.members(root / archive)
    blocks = [clips[i : i + _BLOCK] for i in range(0, len(clips), _BLOCK)]
    good: list[Clip] = []
    faults: list[Fault] = []
    with tempfile.TemporaryDirectory(prefix="rehear-") as name, _progress(clips) as bar:

        def work(number: int) -> None:
            found = [_facts(clip, root) for clip in blocks[number]]
            Path(name, f"{number}.json").write_text(json.dumps(found), "utf-8")

        for number in forks.each(
            range(len(blocks)), work, processes=processes or forks.cores()
        ):
            bar(len(blocks[number]))
        for number, block in enumerate(blocks):
            text = Path(name, f"{number}.json").read_text(encoding="utf-8")
            for clip, (reason, duration, rate, digest) in zip(
                block, json.loads(text), strict=True
            ):
                if reason:
                    faults.append(Fault(clip.clip, clip.file, reason))
                    continue
                facts = {"duration": duration, "sample_rate": rate, "sha256": digest}
                good.append(replace(clip, **facts))
    return good, faults


def _facts(clip: Clip, root: Path) -> tuple[str, float, int, str]:
    """Return a reason against the clip, or its duration, rate and digest."""
    try:
        waveform, rate = audio.read(root / clip.file, clip.start, clip.end)
    except AudioError as error:
        # The folder may have a temporary name at this moment.
        return str(error).replace(f"{root}/", ""), 0.0, 0, ""
    # The same samples are the same recording, in whichever container.
    samples = np.ascontiguousarray(waveform, dtype="<f4")
    digest = hashlib.sha256(samples.data).hexdigest()
    return "", waveform.shape[1] / rate, rate, digest


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
