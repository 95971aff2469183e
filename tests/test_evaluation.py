import base64
import io
import json
import logging

import numpy as np
import pytest
import soundfile

from fake_runs import fake_predictions
from rehear import audio
from rehear.evaluation import calibration, examples, score, worst
from rehear.manifest import Clip, Manifest
from rehear.metrics import METRICS, choose
from rehear.predictions import Predictions

TASKS = ("classification", "tagging", "regression")


def scored(task="classification", **options):
    dev = fake_predictions(task, n=60, split="dev")
    test = fake_predictions(task, **options)
    metrics = choose([], task=task)
    return test, score(dev, test, metrics=metrics, confidence=0.95, bootstrap=200)


@pytest.mark.parametrize("task", TASKS)
def test_scores_are_json_and_hold_every_metric_with_its_interval(task):
    test, scores = scored(task)
    assert json.loads(json.dumps(scores, allow_nan=False)) == scores
    assert list(scores["test"]) == list(choose([], task=task))
    for name, cell in scores["test"].items():
        assert cell["value"] == METRICS.get(name)(test)
        assert cell["low"] < cell["value"] < cell["high"]
    assert scores["n"] == {"dev": 60, "test": 200}
    assert scores["clustered"] is True


@pytest.mark.parametrize("task", TASKS)
def test_every_class_has_its_numbers(task):
    test, scores = scored(task)
    assert [row["label"] for row in scores["per_class"]] == list(test.labels)
    for row in scores["per_class"]:
        assert row["low"] < row[scores["interval_of"]] < row["high"]


def test_the_mean_of_class_recalls_is_the_uar():
    _, scores = scored()
    recalls = [row["recall"] for row in scores["per_class"]]
    assert np.mean(recalls) == pytest.approx(scores["test"]["uar"]["value"])
    assert sum(row["n"] for row in scores["per_class"]) == 200
    assert np.sum(scores["confusion"]) == 200


def test_a_class_without_test_clips_is_null():
    test = fake_predictions()
    test = test.take((test.targets != 2) & (test.predictions != 2))
    metrics = choose([], task="classification")
    scores = score(test, test, metrics=metrics, confidence=0.95, bootstrap=100)
    row = scores["per_class"][2]
    assert (row["n"], row["recall"], row["f1"], row["low"]) == (0, None, None, None)


def test_groups_add_up():
    _, scores = scored(groups=8)
    assert len(scores["per_group"]) == 8
    assert sum(row["n"] for row in scores["per_group"]) == 200
    right = sum(row["n"] * row["accuracy"] for row in scores["per_group"])
    assert right / 200 == pytest.approx(scores["test"]["accuracy"]["value"])
    assert scored(groups=0)[1]["per_group"] == []


def test_an_empty_test_split_is_null_everywhere():
    empty = fake_predictions().take(np.arange(0))
    metrics = choose([], task="classification")
    scores = score(empty, empty, metrics=metrics, confidence=0.95, bootstrap=100)
    assert scores["test"]["uar"] == {"value": None, "low": None, "high": None}
    assert scores["calibration"]["ece"] is None


def predicted(targets, scores):
    scores = np.array(scores)
    n = len(targets)
    return Predictions(
        "classification",
        ("a", "b"),
        [f"c{i}" for i in range(n)],
        [""] * n,
        targets,
        scores.argmax(axis=1),
        scores,
    )


def test_calibration_by_hand():
    p = predicted(
        [0, 0, 1, 0], [[0.95, 0.05], [0.92, 0.08], [0.98, 0.02], [0.58, 0.42]]
    )
    found = calibration(p)
    last = found["bins"][-1]
    assert last["n"] == 3
    assert last["confidence"] == pytest.approx(0.95)
    assert last["accuracy"] == pytest.approx(2 / 3)
    assert found["bins"][5]["n"] == 1  # 0.58 belongs to (0.5, 0.6]
    expected = (3 * abs(0.95 - 2 / 3) + abs(0.58 - 1)) / 4
    assert found["ece"] == pytest.approx(expected, abs=1e-6)


def test_a_model_that_is_always_right_and_sure_is_calibrated():
    p = predicted([0, 1], [[1.0, 0.0], [0.0, 1.0]])
    assert calibration(p)["ece"] == 0


def test_worst_of_a_classification_are_the_surest_mistakes():
    p = predicted([0, 1, 1, 1], [[0.9, 0.1], [0.7, 0.3], [0.95, 0.05], [0.2, 0.8]])
    assert worst(p, 5) == [2, 1]
    assert worst(p, 1) == [2]
    assert worst(p, 0) == []


def test_worst_of_a_regression_are_the_largest_standardised_errors():
    targets = np.array([[0.0, 0.0], [1.0, 100.0]])
    said = np.array([[0.4, 0.0], [1.0, 110.0]])
    p = Predictions("regression", ("x", "y"), ["a", "b"], ["", ""], targets, said, said)
    assert worst(p, 2) == [0, 1]


def test_worst_of_a_tagging_have_a_wrong_tag():
    test = fake_predictions("tagging")
    rows = worst(test, 200)
    wrong = (test.targets != test.predictions).any(axis=1)
    assert sorted(rows) == np.flatnonzero(wrong).tolist()


@pytest.fixture
def study(tmp_path):
    """A study with two recordings, one of which is gone."""
    seconds = np.arange(3 * 44100) / 44100
    tone = 0.4 * np.sin(2 * np.pi * 1000 * seconds)
    audio.write(tmp_path / "data" / "raw" / "tone.wav", np.stack([tone, tone]), 44100)
    clips = (
        Clip("c0", "data/raw/tone.wav", 0.5, 2.0, ("a",), duration=1.5),
        Clip("c1", "data/raw/gone.wav", labels=("b",), duration=1.0),
    )
    return tmp_path, Manifest(clips)


def test_examples_can_be_heard_and_seen(study):
    folder, manifest = study
    p = predicted([0, 1], [[0.1, 0.9], [0.8, 0.2]])
    first = examples([0], p, manifest, folder)[0]
    assert (first["target"], first["prediction"]) == ("a", "b")
    assert first["score"] == pytest.approx(0.9)
    head, _, body = first["audio"].partition(",")
    assert head == "data:audio/mpeg;base64"
    waveform, rate = soundfile.read(io.BytesIO(base64.b64decode(body)))
    assert (rate, waveform.ndim) == (32000, 1)
    assert len(waveform) / rate == pytest.approx(1.5, abs=0.1)
    mels, frames = first["spectrogram"]["shape"]
    values = base64.b64decode(first["spectrogram"]["values"])
    assert mels == 64
    assert frames <= 200
    assert len(values) == mels * frames
    json.dumps(first, allow_nan=False)


def test_an_example_without_its_recording_stays_in_the_list(study, caplog):
    folder, manifest = study
    p = predicted([0, 1], [[0.1, 0.9], [0.8, 0.2]])
    with caplog.at_level(logging.WARNING):
        entry = examples([1], p, manifest, folder)[0]
    assert entry["clip"] == "c1"
    assert entry["audio"] is None
    assert "gone.wav" in caplog.text


def test_long_recordings_are_cut(tmp_path):
    audio.write(tmp_path / "long.wav", np.full((1, 16000 * 14), 0.1), 16000)
    manifest = Manifest((Clip("c0", "long.wav", duration=14.0),))
    p = predicted([0], [[0.1, 0.9]])
    entry = examples([0], p, manifest, tmp_path)[0]
    mp3 = base64.b64decode(entry["audio"].partition(",")[2])
    waveform, rate = soundfile.read(io.BytesIO(mp3))
    assert len(waveform) / rate == pytest.approx(10, abs=0.2)
