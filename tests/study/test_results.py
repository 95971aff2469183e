"""Equal studies give equal bytes, whatever happens to them on the way."""

import os
import signal
import subprocess
import time

import pytest

from study.conftest import environment, make

pytestmark = pytest.mark.slow


def test_twice_from_scratch_gives_the_same_bytes(finished, tmp_path):
    again = make(tmp_path / "elsewhere", train__workers=2)
    again.dvc("repro")
    first, second = finished.results(), again.results()
    assert first.keys() == second.keys()
    assert "models/1-none/weights.safetensors" in first
    assert "predictions/2-none/test.csv" in first
    # The number of workers is recorded, and changes nothing else.
    assert {name for name in first if first[name] != second[name]} == {
        "models/1-none/config.json",
        "models/2-none/config.json",
    }


def test_stages_run_without_dvc_and_give_the_same_bytes(finished, tmp_path):
    alone = make(tmp_path / "alone")
    alone.rehear("run")
    assert alone.results() == finished.results()


def test_repro_side_by_side_gives_the_same_bytes_and_lock(finished, tmp_path):
    parallel = make(tmp_path / "parallel")
    parallel.rehear("repro", "-j", "2")
    assert parallel.results() == finished.results()
    lock = (parallel.folder / "dvc.lock").read_bytes()
    assert lock == (finished.folder / "dvc.lock").read_bytes()
    assert "up to date" in parallel.dvc("status")


def start(study, *command):
    return subprocess.Popen(
        command,
        cwd=study.folder,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def wait_for(condition, process, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, "ended before it could be killed"
        assert time.monotonic() < end
        time.sleep(0.02)


def test_killed_training_continues_to_the_same_bytes(finished, tmp_path):
    study = make(tmp_path / "killed", train__epochs=60)
    for stage in ("fetch", "preprocess"):
        study.rehear(stage)
    whole = make(tmp_path / "whole", train__epochs=60)
    for stage in ("fetch", "preprocess"):
        whole.rehear(stage)
    process = start(study, "rehear", "train", "--seed", "1")
    wait_for(lambda: list(study.folder.glob(".ckpt/train-*/state.*")), process)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    kept = study.folder.glob(".ckpt/train-*/state.*")
    assert next(kept, None) is not None
    assert not (study.folder / "models" / "1-none").exists()
    study.rehear("train", "--seed", "1")
    whole.rehear("train", "--seed", "1")
    assert study.bytes_of("models/*/*") == whole.bytes_of("models/*/*")
    assert not list(study.folder.glob(".ckpt/train-*"))


def test_checkpoints_of_other_parameters_are_never_used(tmp_path):
    study = make(tmp_path / "study", train__epochs=60)
    for stage in ("fetch", "preprocess"):
        study.rehear(stage)
    process = start(study, "rehear", "train", "--seed", "1")
    wait_for(lambda: list(study.folder.glob(".ckpt/train-*/state.*")), process)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    study.change(train__epochs=2, train__lr=0.01)
    study.rehear("train", "--seed", "1")
    history = (study.folder / "models/1-none/history.csv").read_text().splitlines()
    assert len(history) == 3
    assert history[1].startswith("1,")


@pytest.mark.parametrize("stage", ["fetch", "preprocess", "train", "evaluate"])
def test_interrupted_stages_leave_nothing_half_written(tmp_path, finished, stage):
    outputs = {
        "fetch": "data/manifest.csv",
        "preprocess": "data/features",
        "train": "models/1-none",
        "evaluate": "predictions/1-none",
    }
    expected = finished.bytes_of(f"{outputs[stage]}*", f"{outputs[stage]}/*")
    study = make(tmp_path / "interrupted")
    before = list(outputs)[: list(outputs).index(stage)]
    study.rehear("run", *before, *(["--seed", "1"] if before else [])) if before else 0
    run = [stage, "--seed", "1"] if stage in ("train", "evaluate") else [stage]
    for delay in (0.3, 0.8, 1.6):
        process = start(study, "rehear", *run)
        time.sleep(delay)
        os.killpg(process.pid, signal.SIGINT)
        code = process.wait(timeout=60)
        assert code in (0, 130, -2, 1), code
        found = study.bytes_of(f"{outputs[stage]}*", f"{outputs[stage]}/*")
        assert found in ({}, expected)
    study.rehear(*run)
    assert study.bytes_of(f"{outputs[stage]}*", f"{outputs[stage]}/*") == expected
    left = [p.name for p in study.folder.rglob("*.tmp")]
    assert left == []
