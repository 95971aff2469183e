"""Features of an earlier run."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rehear import audio, earlier, extraction, manifest
from rehear.manifest import Clip, Manifest
from rehear.params import Params, Part, Preprocess
from rehear.stages import preprocess
from rehear.store import Store

PARTS = (Part(name="mono"), Part(name="log_mel"))


def params(**settings):
    return Params(preprocess=Preprocess(transforms=PARTS, **settings))


def contents(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir())}


def study(folder: Path, numbers) -> Path:
    clips = []
    for i in numbers:
        noise = np.random.default_rng(i).uniform(-0.5, 0.5, (1, 4000 + 100 * i))
        audio.write(folder / "data" / "raw" / f"{i}.wav", noise, 8000)
        facts = {"duration": noise.size / 8000, "sample_rate": 8000, "channels": 1}
        clips.append(Clip(f"{i}", f"data/raw/{i}.wav", sha256=f"{i:064}", **facts))
    manifest.write(folder / "data" / "manifest.csv", Manifest(tuple(clips)))
    return folder


@pytest.fixture
def made(monkeypatch):
    """Names of the files of which features are made."""
    monkeypatch.delenv("DVC_ROOT", raising=False)
    names = []
    make = extraction.Extraction.features

    def spy(self, clip):
        names.append(clip.clip)
        return make(self, clip)

    monkeypatch.setattr(extraction.Extraction, "features", spy)
    return names


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_only_added_clips_are_made_and_no_byte_tells(tmp_path, made, dtype):
    study(tmp_path / "a", range(20))
    preprocess.run(params(dtype=dtype), tmp_path / "a", processes=1)
    made.clear()
    # one in front, one in between, one gone
    study(tmp_path / "a", [30, *range(9), 31, *range(10, 20)])
    preprocess.run(params(dtype=dtype), tmp_path / "a", processes=1)
    assert made == ["30", "31"]
    study(tmp_path / "b", [30, *range(9), 31, *range(10, 20)])
    preprocess.run(params(dtype=dtype), tmp_path / "b", processes=1)
    stores = [contents(tmp_path / name / "data" / "features") for name in "ab"]
    assert stores[0] == stores[1]


def test_renamed_clips_are_known_by_their_samples(tmp_path, made):
    study(tmp_path, range(5))
    preprocess.run(params(), tmp_path, processes=1)
    made.clear()
    path = tmp_path / "data" / "manifest.csv"
    clips = [replace(clip, clip=f"new{clip.clip}") for clip in manifest.read(path)]
    manifest.write(path, Manifest(tuple(clips)))
    preprocess.run(params(), tmp_path, processes=1)
    assert made == []


@pytest.mark.parametrize(
    "change",
    [
        {"dtype": "float16"},
        {"sample_rate": 22050},
        {"transforms": PARTS[:1]},
    ],
)
def test_another_recipe_makes_all_anew(tmp_path, made, change):
    study(tmp_path, range(5))
    preprocess.run(params(), tmp_path, processes=1)
    made.clear()
    settings = Preprocess(**{"transforms": PARTS, **change})
    preprocess.run(Params(preprocess=settings), tmp_path, processes=1)
    assert len(made) == 5


def test_other_samples_rate_or_channels_are_another_content():
    clip = Clip("a", "a.wav", sha256="1", sample_rate=8000, channels=1, duration=1.0)
    changes = [
        {},
        {"sha256": "2"},
        {"sample_rate": 16000},
        {"channels": 2},
        {"duration": 2.0},
    ]
    found = {earlier.content(replace(clip, **change)) for change in changes}
    assert len(found) == len(changes)
    assert earlier.content(replace(clip, clip="b", file="b.wav")) in found
    assert earlier.content(replace(clip, sha256="")) == ""
    # arrays and images, whose shape is not in the manifest
    array = replace(clip, sample_rate=0)
    assert earlier.content(array) != earlier.content(replace(array, file="b.npy"))


def test_damaged_features_are_made_anew(tmp_path, made):
    study(tmp_path, range(5))
    preprocess.run(params(), tmp_path, processes=1)
    features = tmp_path / "data" / "features"
    expected = contents(features)
    made.clear()
    store = Store.open(features)
    place = 128 + 4 * sum(int(np.prod(store[i].shape)) for i in range(2))
    data = bytearray((features / "features-000.npy").read_bytes())
    data[place + 40] ^= 1
    (features / "features-000.npy").write_bytes(data)
    preprocess.run(params(), tmp_path, processes=1)
    assert made == ["2"]
    assert contents(features) == expected


@pytest.mark.parametrize("damage", ["index.csv", "meta.json", "features-000.npy"])
def test_a_damaged_store_costs_only_time(tmp_path, made, damage):
    study(tmp_path, range(5))
    features = preprocess.run(params(), tmp_path, processes=1)
    expected = contents(features)
    made.clear()
    (features / damage).write_bytes(b"{}")
    preprocess.run(params(), tmp_path, processes=1)
    assert len(made) == 5
    assert contents(features) == expected


@pytest.mark.slow
def test_dvc_removes_features_but_its_cache_gives_them_back(tmp_path, monkeypatch):
    monkeypatch.delenv("DVC_ROOT", raising=False)
    folder = study(tmp_path / "study", range(9))
    script = folder / "stage.py"
    script.write_text(
        "import logging\n"
        "from pathlib import Path\n"
        "from rehear.params import Params, Part, Preprocess\n"
        "from rehear.stages import preprocess\n"
        "logging.basicConfig(level=logging.INFO, format='%(message)s')\n"
        "parts = (Part(name='mono'), Part(name='log_mel'))\n"
        "preprocess.run(Params(preprocess=Preprocess(transforms=parts)), Path())\n"
    )
    stage = {
        "cmd": f"{sys.executable} stage.py",
        "deps": ["stage.py", "data/manifest.csv", "data/raw"],
        "outs": ["data/features"],
    }
    (folder / "dvc.yaml").write_text(json.dumps({"stages": {"preprocess": stage}}))

    def dvc(*words):
        command = [sys.executable, "-m", "dvc", *words]
        answer = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, check=False
        )
        assert answer.returncode == 0, answer.stdout + answer.stderr
        return answer.stdout + answer.stderr

    dvc("init", "--no-scm", "-q")
    assert "were known" not in dvc("repro")
    study(folder, range(11))
    assert "9 of 11 clips were known" in dvc("repro")
    shutil.rmtree(folder / ".rehear")
    study(folder, range(12))
    assert "were known" not in dvc("repro")
