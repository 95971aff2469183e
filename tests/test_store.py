"""The packed store."""

import json
import time
from pathlib import Path

import numpy as np
import pytest

from rehear import packing
from rehear.errors import DataError
from rehear.extraction import Extraction, plan
from rehear.manifest import Clip
from rehear.store import Store
from rehear.transforms import Chain


class Made(Extraction):
    """Features without audio: clip 3 holds its number as many times as it says."""

    def features(self, clip):
        return SHAPES[clip.file](int(clip.clip))


SHAPES = {
    "image": lambda i: np.full((1, 2, 3), i % 256, np.uint8),
    "mixed": lambda i: np.full(6, 1, np.float32 if i % 2 else np.uint8),
    "parted": lambda i: np.full(6, 1, np.float32 if i > 150 else np.uint8),
    "smooth": lambda i: np.float32(i) + np.linspace(0, 1, 6, dtype=np.float32),
    "huge": lambda i: np.full(6, 1e4 * i, np.float32),
    "equal": lambda i: np.full((1, 2, 3), i, np.float32),
    "ragged": lambda i: np.full((1, 2, 1 + i % 5), i, np.float32),
    "large": lambda i: np.full((1, 64, 101), i, np.float32),
}


def make(folder: Path, kind="equal", count=300, dtype="float32"):
    clips = [Clip(str(i), kind, duration=1.0) for i in range(count)]
    blocks = plan(clips, sample_rate=100)
    work = Made(clips, blocks, folder, 100, Chain([]), folder, dtype)
    store = folder / "store"
    store.mkdir(parents=True)
    for number in work.missing():
        work.work(number)
    blocks = [work.read(number) for number in range(len(work.blocks))]
    packing.assemble(work, store, blocks, description={"sample_rate": 100})
    return store


@pytest.mark.parametrize("in_memory", [False, True])
@pytest.mark.parametrize("kind", ["equal", "ragged"])
def test_every_clip_gets_its_own_features_back(tmp_path, kind, in_memory):
    store = Store.open(make(tmp_path, kind), in_memory=in_memory)
    assert len(store) == 300
    assert store.ids == tuple(map(str, range(300)))
    for i, features in enumerate(store):
        np.testing.assert_array_equal(features, SHAPES[kind](i))
    assert store.shape == ((1, 2, 3) if kind == "equal" else None)


def test_features_are_many_clips_in_few_files(tmp_path):
    files = sorted(p.name for p in make(tmp_path).iterdir())
    assert files == ["failed.csv", "features-000.npy", "index.csv", "meta.json"]


@pytest.mark.parametrize("in_memory", [False, True])
def test_gather_takes_clips_in_the_given_order(tmp_path, in_memory):
    store = Store.open(make(tmp_path), in_memory=in_memory)
    got = store.gather([7, 0, 7, 299])
    assert got.shape == (4, 1, 2, 3)
    np.testing.assert_array_equal(got[:, 0, 0, 0], [7, 0, 7, 299])
    got[:] = 0  # a copy: the store keeps its own
    assert store[7].max() == 7


def test_gather_of_nothing_is_empty(tmp_path):
    assert Store.open(make(tmp_path)).gather([]).shape == (0, 1, 2, 3)


def test_gather_refuses_clips_of_different_shapes(tmp_path):
    with pytest.raises(DataError, match="differ in length"):
        Store.open(make(tmp_path, "ragged")).gather([0])


def test_clips_cannot_be_changed_in_the_store(tmp_path):
    with pytest.raises(ValueError, match="read-only"):
        Store.open(make(tmp_path))[0][:] = 1


@pytest.mark.parametrize("kind", ["equal", "ragged"])
def test_large_stores_are_cut_into_shards(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(packing, "SHARD_BYTES", 4 * 500)
    store = Store.open(make(tmp_path, kind))
    assert len(store.meta["shards"]) > 3
    assert max(store.meta["shards"]) <= 500
    for i, features in enumerate(store):
        np.testing.assert_array_equal(features, SHAPES[kind](i))
    if kind == "equal":
        got = store.gather([299, 0, 150, 83, 82])
        np.testing.assert_array_equal(got[:, 0, 1, 2], [299, 0, 150, 83, 82])


def test_a_clip_larger_than_a_shard_gets_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr(packing, "SHARD_BYTES", 4 * 5)
    store = Store.open(make(tmp_path, count=10))
    assert store.meta["shards"] == [6] * 10


def test_images_keep_their_bytes(tmp_path):
    store = Store.open(make(tmp_path, "image", dtype="float16"))
    assert store.meta["dtype"] == "uint8"
    assert store[255].dtype == store.gather([3]).dtype == np.uint8
    assert (store[255] == 255).all()
    assert store.meta["statistics"]["max"] == 255
    assert "rms_error" not in store.meta["statistics"]


def test_half_precision_takes_half_the_space_and_tells_its_error(tmp_path):
    whole = make(tmp_path / "whole", "smooth")
    store = Store.open(half := make(tmp_path / "half", "smooth", dtype="float16"))
    sizes = [(f / "features-000.npy").stat().st_size - 128 for f in (half, whole)]
    assert 2 * sizes[0] == sizes[1]
    exact = np.concatenate(list(Store.open(whole)))
    errors = np.abs(np.concatenate(list(store)).astype(np.float64) - exact)
    said = store.meta["statistics"]
    assert said["largest_error"] == errors.max() > 0
    assert said["rms_error"] == pytest.approx(np.sqrt(np.square(errors).mean()))


def test_numbers_beyond_half_precision_are_refused_by_clip(tmp_path):
    store = make(tmp_path, "huge", count=9, dtype="float16")
    failed = (store / "failed.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in failed[1:]] == ["7", "8"]
    assert "70000 is beyond float16; set preprocess.dtype: float32" in failed[1]


def test_whole_numbers_among_others_are_refused(tmp_path):
    store = make(tmp_path, "mixed", count=4)
    failed = (store / "failed.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in failed[1:]] == ["1", "3"]
    assert "its features are float32, but others are uint8" in failed[1]
    with pytest.raises(DataError, match=r"several types \(.*uint8.*to_float"):
        make(tmp_path / "more", "parted", count=304)


def test_statistics_are_those_of_all_values(tmp_path):
    store = Store.open(make(tmp_path, "ragged"))
    values = np.concatenate([features.ravel() for features in store])
    statistics = store.meta["statistics"]
    assert statistics["mean"] == pytest.approx(values.mean(dtype=float), rel=1e-12)
    assert statistics["std"] == pytest.approx(values.std(dtype=float), rel=1e-7)
    assert (statistics["min"], statistics["max"]) == (0, 299)


def test_gather_is_fast(tmp_path):
    store = Store.open(make(tmp_path, "large", 600), in_memory=True)
    order = np.random.default_rng(0).permutation(600)
    best = 0.0
    for _ in range(20):
        start = time.perf_counter()
        for first in range(0, 600, 30):
            store.gather(order[first : first + 30])
        best = max(best, 600 / (time.perf_counter() - start))
    # 100,000 a second on an idle core; a tenth of it on a crowded one
    assert best > 10_000


def test_a_missing_store_is_refused(tmp_path):
    with pytest.raises(DataError, match="run `rehear preprocess`"):
        Store.open(tmp_path / "no")


@pytest.mark.parametrize("name", ["features-000.npy", "index.csv", "meta.json"])
def test_a_truncated_store_is_refused(tmp_path, name):
    file = make(tmp_path) / name
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(DataError, match="run `rehear preprocess`"):
        Store.open(file.parent)


def test_a_store_of_another_format_is_refused(tmp_path):
    folder = make(tmp_path)
    meta = json.loads((folder / "meta.json").read_text())
    (folder / "meta.json").write_text(json.dumps({**meta, "version": 99}))
    with pytest.raises(DataError, match="written in format 99, expected 2"):
        Store.open(folder)
