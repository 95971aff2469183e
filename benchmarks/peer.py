"""The peer, autrainer from the package index, in an environment of its own.

Configurations are written here in its documented format; they use its packaged
presets ``log_mel_16k``, ``eGeMAPSv02`` and ``Cnn10``.
"""

import csv
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.fsdd import Recording
from benchmarks.measure import BenchmarkError, Cost, command, environment

REQUIREMENTS = (
    "autrainer[opensmile]==0.10.0",
    "torch==2.11.0",
    "torchaudio==2.11.0",
    "torchvision==0.26.0",
    "setuptools<81",
    "omegaconf<2.4",
)

_DATASET = """\
id: {id}
_target_: autrainer.datasets.BaseClassificationDataset
path: data/fsdd
features_subdir: {features}
index_column: file
target_column: label
file_type: npy
file_handler: autrainer.datasets.utils.NumpyFileHandler
criterion: autrainer.criterions.CrossEntropyLoss
metrics:
  - autrainer.metrics.Accuracy
  - autrainer.metrics.UAR
  - autrainer.metrics.F1
tracking_metric: autrainer.metrics.Accuracy
transform:
{transform}
"""
_TABULAR = """\
  type: tabular
  base:
    - autrainer.transforms.Standardizer
"""
_FRAMES = """\
  type: grayscale
  base:
    - autrainer.transforms.Expand:
        size: 101
        axis: -2
    - autrainer.transforms.RandomCrop:
        size: 101
        axis: -2
"""
_FFNN = """\
id: FFNN
_target_: autrainer.models.FFNN
input_size: 88
hidden_size: 64
num_layers: 2
dropout: 0.5
transform:
  type: tabular
"""
_CONFIG = """\
defaults:
  - _autrainer_
  - _self_
results_dir: results
experiment_id: benchmark
iterations: {iterations}
device: cpu
hydra:
  sweeper:
    params:
      +seed: 1
      +batch_size: 32
      +learning_rate: 0.001
      dataset: {dataset}
      model: {model}
      optimizer: Adam
"""
#: With these, operations on small data do not wait for threads of theirs that
#: other processes keep from running.
ALONE = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}
#: All that its configuration can switch off without changing the training.
LEAN = {
    "save_train_outputs": "false",
    "save_dev_outputs": "false",
    "save_test_outputs": "false",
    "save_frequency": "${iterations}",
    "progress_bar": "false",
    "plotting.filetypes": "[]",
}


def install(place: Path) -> Path:
    """Install the peer, if it is not there yet, and return its ``bin``.

    Raises:
        BenchmarkError: if that fails
    """
    done = place / ".installed"
    wanted = "\n".join(REQUIREMENTS)
    if not done.is_file() or done.read_text(encoding="utf-8") != wanted:
        print(f"installing {', '.join(REQUIREMENTS)} into {place}", flush=True)
        # Without compiled bytecode its imports would take three times as long.
        env = environment(UV_COMPILE_BYTECODE="1")
        python = place / "bin" / "python"
        venv = ["uv", "venv", "-q", "--clear", "--python", "3.11", place]
        packages = ["uv", "pip", "install", "-q", "--python", python, *REQUIREMENTS]
        try:
            command(venv, cwd=place.parent, env=env)
            command(packages, cwd=place.parent, env=env)
        except FileNotFoundError:
            raise BenchmarkError("uv is missing; pip install uv") from None
        done.write_text(wanted, encoding="utf-8")
    return place / "bin"


@dataclass(frozen=True)
class Peer:
    """The peer's workspace: configurations, data and results.

    Attributes:
        folder: the workspace
        bin: of its environment
        busy: the machine has other work; variables are set with which it slows
            the peer down least
    """

    folder: Path
    bin: Path
    busy: bool = False

    def set_up(self, audio: Path, recordings: Sequence[Recording]) -> None:
        """Write configurations, and the data set in the peer's layout."""
        conf, data = self.folder / "conf", self.folder / "data" / "fsdd"
        datasets = {
            "FSDD-mel": ("log_mel_16k", _FRAMES),
            "FSDD-egemaps": ("eGeMAPSv02", _TABULAR),
        }
        for name, (features, transform) in datasets.items():
            text = _DATASET.format(id=name, features=features, transform=transform)
            _write(conf / "dataset" / f"{name}.yaml", text)
        _write(conf / "model" / "FFNN.yaml", _FFNN)
        for name, (dataset, model) in {
            "mel": ("FSDD-mel", "Cnn10"),
            "egemaps": ("FSDD-egemaps", "FFNN"),
        }.items():
            text = _CONFIG.format(iterations=20, dataset=dataset, model=model)
            _write(conf / f"{name}.yaml", text)
        data.mkdir(parents=True, exist_ok=True)
        (data / "default").unlink(missing_ok=True)
        (data / "default").symlink_to(audio)
        for split in ("train", "dev", "test"):
            rows = [(r.file, r.label) for r in recordings if r.split == split]
            with (data / f"{split}.csv").open("w", newline="") as stream:
                csv.writer(stream).writerows([("file", "label"), *rows])

    def extract(
        self, config: str, features: str, *, workers: int = 0, **variables: str
    ) -> Cost:
        """Extract features anew with the preset of a configuration."""
        shutil.rmtree(self.features(features), ignore_errors=True)
        return self.preprocess(config, workers=workers, **variables)

    def preprocess(self, config: str, *, workers: int = 0, **variables: str) -> Cost:
        """Extract features with the preset of a configuration."""
        options = ("-n", str(workers), "-u", "0", "-cn", config)
        return self.run("preprocess", *options, **variables)

    def features(self, name: str) -> Path:
        """Return the folder where the peer's features of a preset are."""
        return self.folder / "data" / "fsdd" / name

    def run(
        self,
        subcommand: str,
        *options: str,
        settings: Mapping[str, str] | None = None,
        **variables: str,
    ) -> Cost:
        """Run one of the peer's commands.

        Args:
            subcommand: such as ``train``
            *options: words behind it
            settings: overrides of its configuration
            **variables: of the environment
        """
        words = self.words(subcommand, *options, settings=settings)
        return command(words, cwd=self.folder, env=self.environment(**variables))

    def words(
        self, subcommand: str, *options: str, settings: Mapping[str, str] | None = None
    ) -> list[str]:
        """Return the words of one of the peer's commands."""
        overrides = [f"{key}={value}" for key, value in (settings or {}).items()]
        return [str(self.bin / "autrainer"), subcommand, *options, *overrides]

    def environment(self, **variables: str) -> dict[str, str]:
        """Return the variables of the peer's commands."""
        path = os.environ.get("PATH", "")
        threads = ALONE if self.busy else {}
        return environment(**{"PATH": f"{self.bin}:{path}", **threads, **variables})


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
