"""The embedded data set: reproducible, balanced, disjoint, and true targets."""

import subprocess
import sys
from collections import Counter, defaultdict

import numpy as np
import pytest

from rehear import audio
from rehear.datasets import DATASETS
from rehear.datasets.embedded import Embedded
from rehear.datasets.recorder import CEILING
from rehear.datasets.sounds import PITCHED, SOUNDS
from rehear.datasets.synthesis import rms
from rehear.errors import ParamsError

SMALL = {"clips_per_class": 6, "recorders": 3, "seconds": 0.25}


def fetch(folder, *, task="classification", **arguments):
    folder.mkdir()
    data = Embedded(**{**SMALL, **arguments})
    return data.fetch(folder, task=task, source=folder, downloads=folder)


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    folder = tmp_path_factory.mktemp("embedded") / "raw"
    return folder, fetch(folder)


def test_equal_arguments_give_equal_bytes(small, tmp_path):
    folder, manifest = small
    assert fetch(tmp_path / "again") == manifest
    assert contents(tmp_path / "again") == contents(folder)


def test_another_seed_gives_other_bytes(small, tmp_path):
    folder, _ = small
    fetch(tmp_path / "other", seed=1)
    other = contents(tmp_path / "other")
    assert other.keys() == contents(folder).keys()
    assert all(other[name] != data for name, data in contents(folder).items())


def test_one_large_file_for_each_recorder(small):
    folder, manifest = small
    assert list(contents(folder)) == [f"recorder-0{n}.wav" for n in (1, 2, 3)]
    facts = audio.facts(folder / "recorder-01.wav")
    assert (facts.sample_rate, facts.channels) == (16000, 1)
    assert facts.samples == 4000 * len(manifest) / 3


def test_clips_are_whole_segments_that_cover_their_file(small):
    _, manifest = small
    following = defaultdict(float)
    for clip in manifest:
        assert clip.start == following[clip.file]
        assert (clip.start * 16000).is_integer()
        assert (clip.end - clip.start) * 16000 == 4000
        assert (clip.duration, clip.sample_rate) == (0.25, 16000)
        following[clip.file] = clip.end


def test_more_clips_do_not_change_the_earlier_ones(small, tmp_path):
    folder, manifest = small
    larger = fetch(tmp_path / "larger", clips_per_class=9)
    assert set(manifest) < set(larger)
    for name in contents(folder):
        few, _ = audio.read(folder / name)
        many, _ = audio.read(tmp_path / "larger" / name)
        assert (many[:, : few.shape[1]] == few).all()
        assert many.shape[1] == 1.5 * few.shape[1]


def test_a_clip_sounds_alone_as_in_the_file(small):
    folder, manifest = small
    for clip in manifest.clips[::17]:
        alone = Embedded(**SMALL).scene(clip.clip).recording.waveform
        written, _ = audio.read(folder / clip.file, clip.start, clip.end)
        assert np.abs(written[0] - alone).max() <= 0.51 / 32768


def test_no_two_clips_are_alike(small):
    folder, manifest = small
    clips = {
        audio.read(folder / clip.file, clip.start, clip.end)[0].tobytes()
        for clip in manifest
    }
    assert len(clips) == len(manifest) == len({clip.clip for clip in manifest})


@pytest.mark.parametrize("task", Embedded.tasks)
def test_every_class_is_in_every_split_fold_and_recorder(task, tmp_path):
    manifest = fetch(tmp_path / "raw", task=task, recorders=4, clips_per_class=8)
    pitched = task == "regression"
    heard = defaultdict(set)
    for clip in manifest:
        for place in (clip.split, "fold " + clip.fold, clip.group):
            heard[place].update(clip.labels)
    assert len(heard) == 3 + 4 + 4
    for labels in heard.values():
        assert labels == set(PITCHED if pitched else SOUNDS)


def test_groups_do_not_cross_splits_or_folds(tmp_path):
    manifest = fetch(tmp_path / "raw", recorders=12, clips_per_class=12)
    splits = {(clip.group, clip.split) for clip in manifest}
    folds = {(clip.group, clip.fold) for clip in manifest}
    assert len(splits) == len(folds) == 12
    assert Counter(split for _, split in splits) == {"train": 8, "dev": 2, "test": 2}
    assert Counter(fold for _, fold in folds) == dict.fromkeys("1234", 3)
    assert Counter(clip.labels for clip in manifest if clip.split == "test") == {
        (label,): 2 for label in SOUNDS
    }


def test_classification_has_one_label_and_no_target(small):
    _, manifest = small
    assert manifest.targets == ()
    assert all(len(clip.labels) == 1 and not clip.targets for clip in manifest)
    assert Counter(clip.labels[0] for clip in manifest) == dict.fromkeys(SOUNDS, 6)


def test_tagging_mixes_one_to_three_classes(tmp_path):
    manifest = fetch(tmp_path / "raw", task="tagging")
    assert {len(clip.labels) for clip in manifest} == {1, 2, 3}
    for clip in manifest:
        assert list(clip.labels) == sorted(set(clip.labels))
        assert clip.clip.split("-")[1] in clip.labels


@pytest.mark.parametrize(
    ("targets", "classes"),
    [(("snr",), 12), (("pitch",), 8), (("pitch", "snr"), 8), ("snr", 12)],
)
def test_regression_targets_come_in_the_order_asked_for(targets, classes, tmp_path):
    manifest = fetch(tmp_path / "raw", task="regression", targets=targets)
    names = (targets,) if isinstance(targets, str) else targets
    assert manifest.targets == names
    assert len(manifest) == 6 * classes
    for clip in manifest:
        values = dict(zip(names, clip.targets, strict=True))
        assert -3 <= values.get("snr", 0) <= 20
        assert 20 < values.get("pitch", 60) < 115  # semitones


def test_snr_target_is_the_one_in_the_recording(tmp_path):
    manifest = fetch(tmp_path / "raw", task="regression", snr_low=-10, snr_high=30)
    for clip in manifest.clips[::5]:
        scene = Embedded(**SMALL, snr_low=-10, snr_high=30).scene(clip.clip)
        recording = scene.recording
        measured = 20 * np.log10(rms(recording.source) / rms(recording.noise))
        assert measured == pytest.approx(clip.targets[0], abs=1e-9)
    values = [clip.targets[0] for clip in manifest]
    assert min(values) < -4
    assert max(values) > 24


def test_pitch_target_is_in_semitones():
    scene = Embedded().scene("bell-0000")
    spectrum = np.abs(np.fft.rfft(scene.recording.source))
    prime = 440 * 2 ** ((scene.pitch - 69) / 12)
    near = spectrum[round(0.985 * prime) : round(1.015 * prime)].max()
    assert near > 20 * np.median(spectrum)


def test_nothing_is_clipped_and_nothing_is_silent(small):
    folder, manifest = small
    for clip in manifest:
        waveform, _ = audio.read(folder / clip.file, clip.start, clip.end)
        assert np.abs(waveform).max() <= CEILING + 1e-4
        assert rms(waveform) > 10 ** (-55 / 20)


def test_catalogue_builds_it_from_its_name():
    data = DATASETS.build("embedded")
    assert isinstance(data, Embedded)
    assert not data.needs_source
    assert len(SOUNDS) >= 10


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"sample_rate": 8000}, "dataset.sample_rate is 8000; expected at least 16000"),
        ({"recorders": 2}, "dataset.recorders is 2; expected at least 3"),
        ({"clips_per_class": 5}, "dataset.clips_per_class is 5; .* 12, one for each"),
        ({"seconds": 0.1}, "dataset.seconds is 0.1; expected at least 0.25"),
        ({"snr_low": 9, "snr_high": 3}, "dataset.snr_high is 3; expected at least 9"),
        ({"seconds": 1.00001}, "dataset.seconds: .* 16000.2 samples .* whole number"),
        ({"targets": ["snrr"]}, "unknown target 'snrr'. Did you mean 'snr'"),
        ({"targets": []}, "expected one or both of snr, pitch"),
        ({"targets": ["snr", "snr"]}, "expected one or both of snr, pitch"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments, text):
    with pytest.raises(ParamsError, match=text):
        Embedded(**arguments)


def test_unknown_task_is_refused(tmp_path):
    with pytest.raises(ParamsError, match="no task 'taging'. Did you mean 'tagging'"):
        fetch(tmp_path / "raw", task="taging")
    assert not contents(tmp_path / "raw")


def test_it_needs_no_heavy_library():
    code = (
        "import sys, rehear.datasets.embedded as e; e.Embedded().scene('bell-0000');"
        "print(*{'torch', 'scipy', 'pandas', 'librosa'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    assert done.stdout.strip() == ""
