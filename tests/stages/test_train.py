"""The stage as one process and as several, and what it leaves behind."""

import dataclasses
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from ruamel.yaml import YAML
from safetensors.numpy import load_file

from rehear import (
    atomic,
    blas,
    checkpoint,
    fingerprint,
    manifest,
    params,
    resume,
    training,
)
from rehear.errors import DataError, ModelError
from rehear.manifest import Clip, Manifest
from rehear.stages import evaluate, train
from rehear.store import INDEX_COLUMNS, Store

SETTINGS = {
    "preprocess": {"transforms": [{"name": "opensmile"}]},
    "model": {"name": "ffnn", "hidden_size": 16, "dropout": 0.0},
    "train": {
        "epochs": 3,
        "batch_size": 8,
        "lr": 0.01,
        "clip_norm": 1.0,
        "threads": 1,
        "device": "cpu",
        "patience": 2,
    },
    "evaluate": {"bootstrap": 100, "examples": 0},
}


@pytest.fixture
def study(tmp_path):
    """A study behind the stage ``preprocess``: 51 clips to train on."""
    draws = np.random.default_rng(1)
    clips = tuple(
        Clip(clip=f"c{i}", file=f"{i}.wav", labels=("ab"[i % 2],), split=split)
        for i, split in enumerate(["train"] * 51 + ["dev"] * 12 + ["test"] * 12)
    )
    (tmp_path / "data/features").mkdir(parents=True)
    manifest.write(tmp_path / "data/manifest.csv", Manifest(clips))
    values = draws.standard_normal((75, 6)).astype(np.float32)
    values[::2] += 1
    np.save(tmp_path / "data/features/features-000.npy", values.ravel())
    rows = [f"{clip.clip},0,{6 * i},6,,0,," for i, clip in enumerate(clips)]
    index = "\n".join([",".join(INDEX_COLUMNS), *rows, ""])
    atomic.write_text(tmp_path / "data/features/index.csv", index)
    meta = {"version": 2, "shards": [75 * 6], "count": 75, "sample_rate": 16000}
    meta |= {"kind": "features", "rate": 16000, "failed": 3}
    atomic.write_json(tmp_path / "data/features/meta.json", {**meta, "transforms": []})
    with (tmp_path / "params.yaml").open("w") as stream:
        YAML().dump(SETTINGS, stream)
    return tmp_path


def run(study, seed=1):
    values = params.load(study / "params.yaml")
    return train.run(values, study, seed=seed, fold="none")


def launch(study, *command):
    environment = {
        key: value
        for key, value in os.environ.items()
        if key not in ("DVC_STAGE", "RANK", "WORLD_SIZE")
    }
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=study,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


TORCHRUN = ("torch.distributed.run", "--standalone", "--nproc_per_node=2", "-m")


@pytest.mark.slow
def test_two_processes_give_the_weights_of_one(study):
    one = run(study)
    alone = load_file(one / "weights.safetensors")
    history = (one / "history.csv").read_text().splitlines()
    done = launch(study, *TORCHRUN, "rehear", "train", "--seed", "1")
    assert done.returncode == 0, done.stderr
    together = load_file(one / "weights.safetensors")
    for name, values in alone.items():
        np.testing.assert_allclose(together[name], values, atol=1e-5)
    again = (one / "history.csv").read_text().splitlines()
    assert again != history, "two processes did not train"
    for row, other in zip(history[1:], again[1:], strict=True):
        numbers = [[float(cell) for cell in line.split(",")] for line in (row, other)]
        np.testing.assert_allclose(*numbers, atol=1e-5)
    assert done.stderr.count("best dev uar") == 1
    assert not (study / ".ckpt").exists()


@pytest.mark.slow
def test_several_processes_are_for_training_only(study):
    done = launch(study, *TORCHRUN, "rehear", "evaluate")
    assert done.returncode != 0
    assert "2 processes (WORLD_SIZE) are for `rehear train` alone" in done.stderr
    assert not (study / "predictions").exists()


class Killed(BaseException):
    pass


def interrupt(study, monkeypatch):
    """Leave the state of a run that was killed after its first epoch."""
    write = checkpoint.write_tensors

    def write_and_die(path, tensors, *, record=None):
        write(path, tensors, record=record)
        if record is not None:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(training, "SECONDS_BETWEEN_SAVES", 0.0)
        patch.setattr(checkpoint, "write_tensors", write_and_die)
        with pytest.raises(Killed):
            run(study)


def test_a_killed_run_continues_and_writes_the_same_bytes(study, monkeypatch):
    whole = (run(study) / "weights.safetensors").read_bytes()
    interrupt(study, monkeypatch)
    epochs = []
    finish = training.Trainer._finish_epoch
    monkeypatch.setattr(
        training.Trainer,
        "_finish_epoch",
        lambda self, *rest: epochs.append(self.progress.epoch) or finish(self, *rest),
    )
    assert (run(study) / "weights.safetensors").read_bytes() == whole
    assert epochs == [1, 2]
    assert not (study / ".ckpt").exists()


def test_two_copies_of_a_study_train_side_by_side(study, monkeypatch):
    """Queued experiments share the folder of resume states."""
    interrupt(study, monkeypatch)
    [state] = (study / ".ckpt").glob("train-1-none-*")
    with resume.folder(study / ".ckpt", state.name) as other:
        assert other == state
        run(study)
        assert (state / train.STATE).exists(), "took away what another one uses"


def test_a_damaged_state_says_what_to_delete(study, monkeypatch):
    interrupt(study, monkeypatch)
    [state] = (study / ".ckpt").glob(f"*/{train.STATE}")
    state.write_bytes(state.read_bytes()[:100])
    with pytest.raises(ModelError, match=r"is damaged .*; delete it and train again"):
        run(study)


def test_a_damaged_configuration_says_what_to_delete(study):
    target = run(study)
    (target / "config.json").write_text("{")
    with pytest.raises(ModelError, match=r"config.json is damaged .*; delete"):
        checkpoint.load(target)


@pytest.mark.parametrize("stage", [train, evaluate])
def test_numpy_takes_one_thread_whatever_the_machine_has(study, monkeypatch, stage):
    """The number of threads shows in the last bit of online log-mels."""
    if not list(blas._controls()):
        pytest.skip("numpy was not built on OpenBLAS")
    run(study)
    seen, build = [], Store.open

    def watched(folder):
        seen.extend(threads() for threads, _ in blas._controls())
        return build(folder)

    monkeypatch.setattr(Store, "open", watched)
    before = [(threads(), limit) for threads, limit in blas._controls()]
    for _, limit in before:
        limit(2)
    try:
        values = params.load(study / "params.yaml")
        stage.run(values, study, seed=1, fold="none")
        assert set(seen) == {1}
        assert {threads() for threads, _ in blas._controls()} == {2}
    finally:
        for threads, limit in before:
            limit(threads)


def recorded(study, *, published, **changes):
    """Put a record beside the manifest, and a card that names its entry."""
    clips = manifest.read(study / "data/manifest.csv")
    found = fingerprint.of(clips, mean=0.0, std=0.1)
    card = {"recorded_as": "x", "fingerprint": found.sha256}
    card["samples"] = {"mean": 0.0, "std": 0.1}
    atomic.write_json(study / "data/card.json", card)
    found = dataclasses.replace(found, sha256="ab" * 32, **changes)
    fingerprint.record(study, "x", found, published=published)


def test_published_recordings_that_are_not_those_on_record_are_refused(study):
    recorded(study, published=True, clips=80)
    with pytest.raises(DataError, match=r"80 clips.*here are 75.*5 clips fewer"):
        run(study)
    assert not (study / "models").exists()


def test_own_recordings_that_have_changed_are_trained_with_a_warning(study, caplog):
    plain = (run(study) / "weights.safetensors").read_bytes()
    recorded(study, published=False, clips=80)
    before = (study / "data/fingerprint.json").read_bytes()
    assert (run(study) / "weights.safetensors").read_bytes() == plain
    assert "train: data/fingerprint.json: 'x' is recorded with 80 clips" in caplog.text
    assert (study / "data/fingerprint.json").read_bytes() == before


def test_only_the_main_process_warns_of_changed_recordings(study, caplog, monkeypatch):
    recorded(study, published=False, clips=80)
    monkeypatch.setenv("RANK", "1")
    train._check_recordings(study, manifest.read(study / "data/manifest.csv"))
    assert caplog.text == ""


def test_the_configuration_holds_every_default(study):
    config = json.loads((run(study) / "config.json").read_text())
    assert config["train"]["precision"] == "fp32"
    assert config["model"]["num_layers"] == 2
    assert config["clips"] == {"train": 51, "dev": 12}
    assert config["without_features"] == 3


def test_online_transforms_learn_from_half_precision_as_from_float32(study):
    path = study / "params.yaml"
    tree = YAML().load(path)
    tree["preprocess"]["transforms"] = [{"name": "standardize", "online": True}]
    with path.open("w") as stream:
        YAML().dump(tree, stream)
    meta = json.loads((study / "data/features/meta.json").read_text())
    meta["transforms"] = [{"name": "standardize", "online": True}]
    atomic.write_json(study / "data/features/meta.json", meta)
    values = np.load(study / "data/features/features-000.npy").astype(np.float16)
    scales = []
    for kind in (np.float16, np.float32):
        np.save(study / "data/features/features-000.npy", values.astype(kind))
        config = json.loads((run(study) / "config.json").read_text())
        scales.append(config["online"][0]["state"])
    assert scales[0] == scales[1]


def test_statistics_leave_out_what_is_for_other_splits():
    from rehear import building
    from rehear.signals import UNKNOWN

    specs = [
        {"name": "normalize", "mean": 100.0, "online": True, "splits": ["dev"]},
        {"name": "standardize", "online": True},
    ]
    online = building.build_online(specs, UNKNOWN)
    store = [np.float32([number]) for number in range(5)]
    building.learn_online(online, store, range(5))
    assert online[1].apply.mean == pytest.approx(2.0)
