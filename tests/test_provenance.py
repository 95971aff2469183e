import json
import subprocess

import pytest

from rehear import provenance
from rehear.params import Params

LOCK = """\
schema: '2.0'
stages:
  train@1-none:
    cmd: rehear train --seed 1 --fold none
    deps:
    - path: data/features
      hash: md5
      md5: 00ff.dir
      size: 3
    outs:
    - path: models/1-none
      hash: md5
      md5: abcd.dir
"""


def git(folder, *arguments):
    identity = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True)


@pytest.fixture
def study(tmp_path):
    git(tmp_path, "init", "-q")
    (tmp_path / "params.yaml").write_text("seeds: [1]\n")
    (tmp_path / "metrics").mkdir()
    (tmp_path / "metrics" / "summary.json").write_text("{}")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-q", "-m", "one")
    return tmp_path


def test_a_clean_commit(study):
    state = provenance.git_state(study)
    assert len(state["commit"]) == 40
    assert (state["dirty"], state["changed"]) == (False, [])


def test_what_the_pipeline_writes_is_no_change_and_the_rest_is(study):
    (study / "metrics" / "summary.json").write_text("{} ")
    (study / "dvc.lock").write_text(LOCK)
    assert provenance.git_state(study)["dirty"] is False
    (study / "params.yaml").write_text("seeds: [2]\n")
    (study / "new name ü.py").write_text("")
    state = provenance.git_state(study)
    assert state["dirty"] is True
    assert state["changed"] == ["new name ü.py", "params.yaml"]


def test_a_study_inside_a_larger_repository_counts_its_own_files_only(study):
    inner = study / "studies" / "one"
    inner.mkdir(parents=True)
    (study / "elsewhere.py").write_text("")
    (inner / "params.yaml").write_text("")
    git(study, "add", "studies")
    assert provenance.git_state(inner)["changed"] == ["params.yaml"]


def test_without_git_and_dvc_there_is_provenance_all_the_same(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    found = provenance.collect(Params(seeds=(1, 2)), tmp_path)
    assert found["git"] is None
    assert found["dvc"] is None
    assert found["seeds"] == [1, 2]
    assert found["environment"]["packages"]["numpy"]
    assert "host" not in found["environment"]
    json.dumps(found, allow_nan=False)


def test_hashes_come_from_dvc_lock(tmp_path):
    (tmp_path / "dvc.lock").write_text(LOCK)
    assert provenance.locked(tmp_path) == {
        "train@1-none": {
            "cmd": "rehear train --seed 1 --fold none",
            "deps": {"data/features": "md5:00ff.dir"},
            "outs": {"models/1-none": "md5:abcd.dir"},
        }
    }


@pytest.mark.parametrize("text", ["", "<<<<<<< HEAD\n: :", "stages:\n"])
def test_an_unusable_lock_has_no_hashes(text, tmp_path):
    (tmp_path / "dvc.lock").write_text(text)
    assert not provenance.locked(tmp_path)


def test_durations_are_those_of_this_study_only(tmp_path):
    folder = tmp_path / ".rehear" / "runs"
    folder.mkdir(parents=True)
    record = {"started": "2026-01-01T00:00:00", "seconds": 2.5, "environment": {}}
    for name in ("fetch", "train-1-none", "train-9-none"):
        (folder / f"{name}.json").write_text(json.dumps(record))
    (folder / "preprocess.json").write_text("{half")
    found = provenance.durations(Params(seeds=(1,)), tmp_path)
    assert list(found) == ["fetch", "train-1-none"]
    assert found["fetch"]["seconds"] == 2.5


def test_gpus_are_hidden_where_none_is_used(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert provenance.gpus() == []
