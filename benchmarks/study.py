"""Studies of Rehear, written for the measurements."""

import csv
import json
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.fsdd import Recording
from benchmarks.measure import Cost, command, environment

_REASON = "official split of the data set, in which speakers are shared"
_LOG_MEL = {
    "name": "log_mel",
    "n_fft": 512,
    "hop_length": 160,
    "n_mels": 64,
    "f_min": 50,
    "f_max": 8000,
}
LOG_MEL = ["mono", _LOG_MEL]
FRAMES = ["mono", {"name": "fit", "seconds": 1.0}, _LOG_MEL]
EGEMAPS = [
    "mono",
    {"name": "opensmile", "feature_set": "eGeMAPSv02", "level": "functionals"},
    {"name": "standardize", "online": True},
]


@dataclass(frozen=True)
class Study:
    """A study in a folder of its own."""

    folder: Path

    @classmethod
    def write(
        cls,
        folder: Path,
        audio: Path,
        recordings: Sequence[Recording],
        *,
        transforms: Sequence[Any],
        **sections: Any,
    ) -> "Study":
        """Write a study of the recordings.

        Args:
            folder: becomes the study
            audio: folder of the recordings
            recordings: those to take
            transforms: of the section ``preprocess``
            **sections: others of ``params.yaml``
        """
        own = folder / "data" / "own"
        own.mkdir(parents=True)
        (own / "audio").symlink_to(audio)
        rows = [(f"audio/{r.file}", r.label, r.split, r.speaker) for r in recordings]
        with (own / "labels.csv").open("w", newline="") as stream:
            header = ("path", "label", "split", "group")
            csv.writer(stream).writerows([header, *rows])
        study = cls(folder)
        study.set(
            task="classification",
            dataset={"name": "csv"},
            fetch={"allow_leak": _REASON},
            preprocess={"sample_rate": 16000, "transforms": list(transforms)},
            **sections,
        )
        return study

    def set(self, **sections: Any) -> None:
        """Write ``params.yaml``; JSON is YAML."""
        text = json.dumps(sections, indent=1)
        (self.folder / "params.yaml").write_text(text + "\n", encoding="utf-8")

    def run(self, *words: str, **variables: str) -> Cost:
        """Run ``rehear`` in the study."""
        return command(
            [*rehear(), *words], cwd=self.folder, env=environment(**variables)
        )

    def add_pipeline(self) -> None:
        """Make the study one of DVC, with the stages that need no model."""
        fetch = {
            "cmd": "rehear fetch",
            "deps": ["data/own"],
            "params": ["task", "dataset", "fetch"],
            "outs": ["data/manifest.csv", "data/card.json"],
        }
        preprocess = {
            "cmd": "rehear preprocess",
            "deps": ["data/own", "data/manifest.csv"],
            "params": ["preprocess"],
            "outs": ["data/features"],
        }
        stages = {"fetch": fetch, "preprocess": preprocess}
        text = json.dumps({"stages": stages}, indent=1)
        (self.folder / "dvc.yaml").write_text(text, encoding="utf-8")
        self.dvc("init", "--no-scm", "-q")

    def dvc(self, *words: str) -> Cost:
        """Run DVC in the study, with the ``rehear`` of this process."""
        tools = Path(sys.executable).parent
        path = f"{tools}{os.pathsep}{os.environ.get('PATH', '')}"
        env = environment(PATH=path, DVC_NO_ANALYTICS="1")
        return command([tools / "dvc", *words], cwd=self.folder, env=env)

    def forget(self, *names: str) -> None:
        """Delete outputs, and what a stage could resume from."""
        for name in (*names, ".ckpt"):
            shutil.rmtree(self.folder / name, ignore_errors=True)


def rehear() -> list[str]:
    """Return the command line's words, in the environment of this process."""
    script = Path(sys.executable).parent / "rehear"
    return [str(script)] if script.is_file() else [sys.executable, "-m", "rehear"]
