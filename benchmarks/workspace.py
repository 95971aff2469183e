"""What all benchmarks share: data, the peer, folders, how often to repeat."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.fsdd import Recording
from benchmarks.peer import Peer
from benchmarks.study import Study


@dataclass(frozen=True)
class Workspace:
    """Where and on what to measure.

    Attributes:
        scratch: temporary folder
        audio: folder of the recordings
        recordings: those to take
        quick: measure a tenth of the work once, to see that all of it runs
        repeated: how often to repeat; ``None`` leaves it to each benchmark
        peer: its workspace
    """

    scratch: Path
    audio: Path
    recordings: list[Recording]
    peer: Peer
    quick: bool = False
    repeated: int | None = None

    def study(self, name: str, *, transforms: list[Any], **sections: Any) -> Study:
        """Write a study of the recordings."""
        return Study.write(
            self.scratch / name,
            self.audio,
            self.recordings,
            transforms=transforms,
            **sections,
        )

    def repeats(self, usual: int) -> int:
        """Return how often to repeat a measurement."""
        return self.repeated or (1 if self.quick else usual)
