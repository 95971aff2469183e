"""The stage preprocess."""

import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from rehear import audio, blas, ffmpeg, manifest, resume
from rehear.errors import DataError, ParamsError
from rehear.manifest import Clip, Manifest
from rehear.params import Params, Part, Preprocess
from rehear.stages import preprocess
from rehear.store import Store
from rehear.transforms import TRANSFORMS

LOG_MEL = (Part(name="mono"), Part(name="log_mel"))


@pytest.fixture(autouse=True)
def no_dvc(monkeypatch):
    monkeypatch.delenv("DVC_ROOT", raising=False)


def params(transforms=LOG_MEL, **settings):
    return Params(preprocess=Preprocess(transforms=tuple(transforms), **settings))


def study(folder: Path, count=40, rate=8000) -> Path:
    draws = np.random.default_rng(0)
    clips = []
    for i in range(count):
        samples = draws.uniform(-0.5, 0.5, (1, draws.integers(2000, 9000)))
        audio.write(folder / "data" / "raw" / f"{i}.wav", samples, rate)
        clips.append(Clip(f"clip-{i}", f"data/raw/{i}.wav", duration=1.0, sha256="0"))
    manifest.write(folder / "data" / "manifest.csv", Manifest(tuple(clips)))
    return folder


def forget(folder: Path) -> None:
    """Have nothing taken over from an earlier run."""
    shutil.rmtree(folder / ".rehear")


def contents(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir())}


def test_features_are_those_of_the_chain(tmp_path):
    folder = preprocess.run(params(), study(tmp_path), processes=2)
    assert folder == tmp_path / "data" / "features"
    store = Store.open(folder)
    assert store.ids == tuple(f"clip-{i}" for i in range(40))
    transform = TRANSFORMS.build("log_mel", sample_rate=16000)
    for i in (0, 17, 39):
        waveform, rate = audio.read(tmp_path / "data" / "raw" / f"{i}.wav")
        with blas.single_threaded():  # threads show in the last bit
            expected = transform(audio.resample(waveform, rate, 16000))
        np.testing.assert_array_equal(store[i], expected)
    assert store.meta["sample_rate"] == 16000
    assert store.meta["transforms"][1]["n_mels"] == 64  # defaults are written out
    assert (tmp_path / ".ckpt").exists() is False


def test_the_number_of_processes_changes_no_byte(tmp_path):
    study(tmp_path)
    stores = []
    for processes in (1, 2, 3):
        preprocess.run(params(), tmp_path, processes=processes)
        stores.append(contents(tmp_path / "data" / "features"))
    assert stores[0] == stores[1] == stores[2]


@pytest.mark.parametrize(
    "parts",
    [
        [Part(name="torchaudio", transform="MFCC", n_mfcc=13)],
        [Part(name="torchaudio", transform="LFCC", n_lfcc=20)],
        [Part(name="feature_extractor", max_length=64)],
        [Part(name="feature_extractor", model="whisper", chunk_length=1)],
    ],
    ids=["mfcc", "lfcc", "ast", "whisper"],
)
def test_parts_that_call_torch_work_in_forked_processes(tmp_path, parts):
    torch = pytest.importorskip("torch")
    if parts[0]["name"] == "feature_extractor":
        pytest.importorskip("transformers", reason="needs the extra transformers")
    study(tmp_path)
    before, stores = torch.get_num_threads(), []
    torch.set_num_threads(2)
    # Starts the threads that a forked process would wait for in vain.
    torch.ones(500, 500) @ torch.ones(500, 500)
    torch.fft.rfft(torch.ones(64, 4096)).abs().log()
    try:
        for processes in (1, 2):
            preprocess.run(params((LOG_MEL[0], *parts)), tmp_path, processes=processes)
            stores.append(contents(tmp_path / "data" / "features"))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert stores[0] == stores[1]


def test_online_transforms_are_left_to_training(tmp_path):
    online = Part(name="standardize", online=True)
    preprocess.run(params((*LOG_MEL, online)), study(tmp_path, 9), processes=1)
    store = Store.open(tmp_path / "data" / "features")
    assert store[0].min() < -10
    assert store.meta["transforms"][2] == {"name": "standardize", "online": True}


def test_order_moves_a_transform(tmp_path):
    parts = (Part(name="log_mel"), Part(name="fit", seconds=0.5, order=-1))
    preprocess.run(params(parts), study(tmp_path, 9), processes=1)
    assert Store.open(tmp_path / "data" / "features").shape == (1, 64, 51)


def test_a_study_own_transform_runs_in_the_workers(tmp_path, monkeypatch):
    class Peak:
        def __call__(self, x):
            return np.abs(x).max(axis=1)

    monkeypatch.setattr(TRANSFORMS, "_table", dict(TRANSFORMS._table))
    TRANSFORMS.add("peak", Peak)
    preprocess.run(params([Part(name="peak")]), study(tmp_path, 9), processes=2)
    store = Store.open(tmp_path / "data" / "features")
    assert store.shape == (1,)


def test_parts_of_recordings_and_archives(tmp_path):
    study(tmp_path, 3)
    with tarfile.open(tmp_path / "data" / "raw.tar", "w") as stream:
        stream.add(tmp_path / "data" / "raw" / "1.wav", "1.wav")
    clips = (
        Clip("whole", "data/raw.tar::1.wav"),
        Clip("part", "data/raw.tar::1.wav", start=0.1, end=0.2),
    )
    manifest.write(tmp_path / "data" / "manifest.csv", Manifest(clips))
    preprocess.run(params([Part(name="mono")], sample_rate=8000), tmp_path)
    store = Store.open(tmp_path / "data" / "features")
    np.testing.assert_array_equal(store[1], store[0][:, 800:1600])


@pytest.mark.parametrize("rate", [4000, 500000])
def test_rates_of_insects_and_bats_are_resampled(tmp_path, rate):
    preprocess.run(params(), study(tmp_path, 3, rate), processes=1)
    store = Store.open(tmp_path / "data" / "features")
    samples = audio.facts(tmp_path / "data" / "raw" / "0.wav").samples
    assert store[0].shape == (1, 64, 1 + -(-samples * 16000 // rate) // 160)


def spoil(folder: Path) -> None:
    """Make clips 3 and 5 unreadable, and clip 7 hold a NaN."""
    raw = folder / "data" / "raw"
    (raw / "3.wav").write_bytes(b"")
    soundfile.write(raw / "5.wav", np.zeros(0), 8000)
    soundfile.write(raw / "7.wav", np.full(900, np.nan), 8000, subtype="FLOAT")


def test_bad_clips_stop_the_stage_and_are_all_named(tmp_path):
    spoil(study(tmp_path, 12))
    with pytest.raises(DataError) as caught:
        preprocess.run(params(), tmp_path, processes=2)
    text = str(caught.value)
    assert text.startswith("3 of 12 clips gave no features (set preprocess.on_error")
    for part in ("clip-3: ", "clip-5: ", "clip-7: ", "0 bytes", "no samples", "NaN"):
        assert part in text
    assert "\n" not in text
    assert not (tmp_path / "data" / "features").exists()


def test_bad_clips_can_be_skipped(tmp_path):
    spoil(study(tmp_path, 12))
    preprocess.run(params(on_error="skip"), tmp_path, processes=2)
    store = Store.open(tmp_path / "data" / "features")
    assert store.ids == tuple(f"clip-{i}" for i in range(12) if i not in (3, 5, 7))
    assert (store.meta["count"], store.meta["failed"]) == (9, 3)
    lines = (tmp_path / "data" / "features" / "failed.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in lines] == ["clip"] + [
        f"clip-{i}" for i in (3, 5, 7)
    ]


def test_more_than_ten_bad_clips_are_counted(tmp_path):
    study(tmp_path, 20)
    for i in range(15):
        (tmp_path / "data" / "raw" / f"{i}.wav").write_bytes(b"")
    with pytest.raises(DataError, match="and 5 more$"):
        preprocess.run(params(), tmp_path, processes=1)


def test_no_clip_left_is_refused_even_when_skipping(tmp_path):
    study(tmp_path, 2)
    for file in (tmp_path / "data" / "raw").iterdir():
        file.write_bytes(b"")
    with pytest.raises(DataError, match="no clip is left"):
        preprocess.run(params(on_error="skip"), tmp_path, processes=1)


def test_a_transform_that_gives_nan_is_named(tmp_path, monkeypatch):
    class Broken:
        def __call__(self, x):
            return x * np.float32("nan")

    monkeypatch.setattr(TRANSFORMS, "_table", dict(TRANSFORMS._table))
    TRANSFORMS.add("broken", Broken)
    parts = (Part(name="mono"), Part(name="broken"), Part(name="log_mel"))
    with pytest.raises(DataError, match="transform 'broken' gave NaN"):
        preprocess.run(params(parts), study(tmp_path, 2), processes=1)


def test_transforms_in_a_wrong_order_are_refused_before_any_work(tmp_path):
    with pytest.raises(ParamsError, match="'mono' takes a waveform"):
        preprocess.run(params(reversed(LOG_MEL)), tmp_path)


def test_an_empty_manifest_is_refused(tmp_path):
    manifest.write(tmp_path / "data" / "manifest.csv", Manifest(()))
    with pytest.raises(DataError, match="lists no clips"):
        preprocess.run(params(), tmp_path)


def test_an_earlier_store_survives_a_failure(tmp_path):
    preprocess.run(params(), study(tmp_path, 12), processes=1)
    before = contents(tmp_path / "data" / "features")
    spoil(tmp_path)
    with pytest.raises(DataError):
        preprocess.run(params(sample_rate=32000), tmp_path, processes=1)
    assert contents(tmp_path / "data" / "features") == before


def test_finished_blocks_serve_another_try(tmp_path):
    spoil(study(tmp_path, 40))
    with pytest.raises(DataError):
        preprocess.run(params(), tmp_path, processes=1)
    (checkpoints,) = (tmp_path / ".ckpt").iterdir()
    kept = {p.name: p.stat().st_mtime_ns for p in checkpoints.iterdir()}
    assert len(kept) == 11  # two files for each of five blocks, and the lock
    for path in (tmp_path / "data" / "raw").iterdir():
        path.unlink()  # nothing is read again
    preprocess.run(params(on_error="skip"), tmp_path, processes=1)
    assert len(Store.open(tmp_path / "data" / "features")) == 37
    assert not (tmp_path / ".ckpt").exists()


def test_a_damaged_block_is_made_again(tmp_path):
    study(tmp_path)
    preprocess.run(params(), tmp_path, processes=1)
    expected = contents(tmp_path / "data" / "features")
    forget(tmp_path)
    spoiled = (tmp_path / "data" / "raw" / "39.wav").rename(tmp_path / "39.wav")
    with pytest.raises(DataError):
        preprocess.run(params(), tmp_path, processes=1)
    (checkpoints,) = (tmp_path / ".ckpt").iterdir()
    (checkpoints / "000000.values").write_bytes(bytes(100))
    data = bytearray((checkpoints / "000001.values").read_bytes())
    data[99] ^= 1
    (checkpoints / "000001.values").write_bytes(data)
    (checkpoints / "000002.json").write_text('{"shapes": [')
    (checkpoints / "000004.json").unlink()  # it says that clip 39 failed
    spoiled.rename(tmp_path / "data" / "raw" / "39.wav")
    preprocess.run(params(), tmp_path, processes=1)
    assert contents(tmp_path / "data" / "features") == expected


STAGE = """
import sys, time
from pathlib import Path
from rehear import extraction
from rehear.params import Params, Part, Preprocess
from rehear.stages import preprocess
read = extraction.audio.read
def slow(*arguments):
    time.sleep(float(sys.argv[2]))
    return read(*arguments)
extraction.audio.read = slow
parts = (Part(name="mono"), Part(name="log_mel"))
preprocess.run(
    Params(preprocess=Preprocess(transforms=parts)), Path(sys.argv[1]), processes=2
)
"""


def test_a_killed_stage_continues_and_writes_the_same_bytes(tmp_path):
    study(tmp_path, 64)
    preprocess.run(params(), tmp_path, processes=1)
    expected = contents(tmp_path / "data" / "features")
    forget(tmp_path)
    command = [sys.executable, "-c", STAGE, str(tmp_path)]
    with subprocess.Popen([*command, "0.05"]) as process:
        deadline = time.monotonic() + 60
        while len(list(tmp_path.glob(".ckpt/*/*.json"))) < 3:
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    blocks = {p: p.stat().st_mtime_ns for p in tmp_path.glob(".ckpt/*/*.json")}
    assert 3 <= len(blocks) < 8
    # The earlier store is whole: nothing half-written took its place.
    assert contents(tmp_path / "data" / "features") == expected
    for path in blocks:
        for clip in range(int(path.stem) * 8, int(path.stem) * 8 + 8):
            (tmp_path / "data" / "raw" / f"{clip}.wav").unlink()  # not read again
    subprocess.run([*command, "0"], check=True)
    assert contents(tmp_path / "data" / "features") == expected
    assert not (tmp_path / ".ckpt").exists()


def test_resume_state_is_found_where_dvc_keeps_it(tmp_path, monkeypatch):
    root = tmp_path / "repository"
    monkeypatch.setenv("DVC_ROOT", str(root))
    spoil(study(tmp_path / "copy", 12))
    with pytest.raises(DataError):
        preprocess.run(params(), tmp_path / "copy", processes=1)
    assert len(list((root / ".ckpt").glob("*/*.values"))) == 2
    assert not (tmp_path / "copy" / ".ckpt").exists()


def test_a_full_disk_leaves_nothing_half_written(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a small disk needs root")
    try:
        study(disk, 40)
        (disk / "ballast").write_bytes(bytes(1_800_000))
        for processes in (1, 2):
            with pytest.raises(DataError, match="No space left on device.*free some"):
                preprocess.run(params(), disk, processes=processes)
            assert [p.name for p in (disk / "data").iterdir()] in (
                ["manifest.csv", "raw"],
                ["raw", "manifest.csv"],
            )
            assert not list(disk.glob(".ckpt/*/.*"))
        (disk / "ballast").unlink()
        preprocess.run(params(), disk, processes=2)
        assert len(Store.open(disk / "data" / "features")) == 40
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_fingerprint_tells_apart_all_that_features_depend_on(tmp_path):
    from rehear import transforms

    study(tmp_path, 3)
    clips = manifest.read(tmp_path / "data" / "manifest.csv").clips

    def key(specs=("mono",), settings=None, clips=clips):
        chain = transforms.build(specs, sample_rate=8000)
        recipe = resume.recipe(chain, settings, study=tmp_path)
        return resume.fingerprint(recipe, clips, root=tmp_path)

    changed = [Clip(c.clip, c.file, sha256="1") for c in clips]
    unknown = [Clip(c.clip, c.file) for c in clips]
    keys = [key(), key(settings=[16000]), key(clips=changed), key(clips=unknown)]
    keys.append(key(clips=clips[::-1]))
    (tmp_path / "data" / "raw" / "0.wav").write_bytes(b"other")
    keys.append(key(clips=unknown))
    (tmp_path / "requirements.lock").write_text("numpy==1")
    keys.append(key())
    assert len(set(keys)) == len(keys)
    assert key() == keys[-1]


def test_resampler_and_decoder_are_part_of_the_fingerprint(tmp_path, monkeypatch):
    study(tmp_path, 3)
    seen = []
    make = resume.recipe

    def spy(chain, settings, **options):
        seen.append(make(chain, settings, **options))
        return seen[-1]

    monkeypatch.setattr(resume, "recipe", spy)
    preprocess.run(params(), tmp_path, processes=1)
    store = Store.open(tmp_path / "data" / "features")
    assert store.meta["resampler"] == "sinc_interp_hann 1"
    monkeypatch.setattr(preprocess, "_RESAMPLER", "sinc_interp_hann 2")
    preprocess.run(params(), tmp_path, processes=1)
    store = Store.open(tmp_path / "data" / "features")
    assert store.meta["resampler"] == "sinc_interp_hann 2"
    monkeypatch.setattr(ffmpeg, "version_for", lambda files: "9.9")
    preprocess.run(params(), tmp_path, processes=1)
    assert len(set(seen)) == 3


def test_abandoned_states_go_and_busy_ones_stay(tmp_path):
    with resume.folder(tmp_path, "busy") as busy:
        with resume.folder(tmp_path, "busy") as mine:
            assert mine != busy
        old = tmp_path / "old"
        old.mkdir()
        (old / resume._MARK).touch()
        os.utime(old, (0, 0))
        training = tmp_path / "training"
        training.mkdir()
        os.utime(training, (0, 0))
        with resume.folder(tmp_path, "new"):
            pass
        assert sorted(p.name for p in tmp_path.iterdir()) == ["busy", "training"]
