"""Studies whose clips are arrays or images, stage by stage."""

import json

import numpy as np
import pytest
from PIL import Image
from ruamel.yaml import YAML

from rehear import audio, checking, manifest, params
from rehear.errors import DataError, ParamsError
from rehear.stages import evaluate, fetch, postprocess, preprocess, train
from rehear.store import Store

SETTINGS = {
    "seeds": [1],
    "dataset": {"name": "csv"},
    "preprocess": {"transforms": []},
    "model": {"name": "ffnn", "hidden_size": 16, "dropout": 0.0},
    "train": {
        "epochs": 20,
        "batch_size": 8,
        "lr": 0.01,
        "threads": 1,
        "device": "cpu",
        "patience": None,
    },
    "evaluate": {"metrics": ["uar"], "bootstrap": 100, "examples": 30},
}
CLASSES = ("high", "low")
CLIPS = 60


def array(path, number):
    """A vector of 64 features, whose first ones tell the class."""
    values = np.random.default_rng(number).normal(size=64)
    values[:8] += (3, -3)[number % 2]
    np.save(path, values)  # float64, as numpy users do


def image(path, number):
    """A grey picture with a bright stripe, high or low."""
    values = np.random.default_rng(number).integers(0, 100, (32, 32), np.uint8)
    values[(8, 24)[number % 2]] = 255
    Image.fromarray(values).save(path)


KINDS = {"npy": array, "png": image}


def make(study, ending, *, folders, count=CLIPS):
    """Write own files, one for each clip, and params.yaml."""
    own, rows = study / "data" / "own", ["path,label,group"]
    for number in range(count):
        label = CLASSES[number % 2]
        name = f"take-1.{number}-v2.{ending}"  # with dots, as versions have
        path = own / (f"{label}/{name}" if folders else name)
        path.parent.mkdir(parents=True, exist_ok=True)
        KINDS[ending](path, number)
        rows.append(f"{name},{label},site{number // 2}")
    if not folders:
        (own / "labels.csv").write_text("\n".join([*rows, ""]))
    write(study, SETTINGS | {"dataset": {"name": "folder" if folders else "csv"}})
    return study


def write(study, settings):
    with (study / "params.yaml").open("w") as stream:
        YAML().dump(settings, stream)


def change(study, **changes):
    tree = YAML().load(study / "params.yaml")
    write(study, tree | changes)
    return params.load(study / "params.yaml")


def run(study):
    """Run all stages, return scores and examples of the only run."""
    values = params.load(study / "params.yaml")
    fetch.run(values, study, processes=1)
    preprocess.run(values, study, processes=2)
    train.run(values, study, seed=1, fold="none")
    folder = evaluate.run(values, study, seed=1, fold="none")
    postprocess.run(values, study)
    return [
        json.loads((folder / f"{name}.json").read_text())
        for name in ("scores", "examples")
    ]


@pytest.mark.parametrize("folders", [False, True], ids=["csv", "folder"])
@pytest.mark.parametrize(
    ("ending", "model", "shape"),
    [
        ("npy", {"name": "ffnn", "hidden_size": 16, "dropout": 0.0}, (64,)),
        ("png", {"name": "cnn10", "width": 4, "head_dropout": 0.0}, (1, 32, 32)),
    ],
)
def test_all_stages_run(tmp_path, ending, model, shape, folders):
    study = make(tmp_path, ending, folders=folders)
    values = change(study, model=model)
    before = checking.dry_run(study, values)
    assert before[0] == f"features ({', '.join(map(str, shape))})"
    scores, examples = run(study)
    assert checking.dry_run(study, values) == before
    assert scores["test"]["uar"]["value"] > 0.8
    clips = manifest.read(study / "data/manifest.csv").clips
    assert {(c.sample_rate, c.duration, c.channels) for c in clips} == {(0, 0, 0)}
    assert len({clip.sha256 for clip in clips}) == CLIPS
    store = Store.open(study / "data/features")
    assert store.shape == shape
    for clip, features in zip(clips, store, strict=True):
        path = study / clip.file
        if ending == "npy":
            expected = np.load(path).astype(np.float32)
        else:
            expected = np.asarray(Image.open(path), np.float32)[np.newaxis] / 255
        np.testing.assert_array_equal(features, expected)
    for entry in examples:
        assert entry["audio"] is None
        assert entry["spectrogram"] is None
    assert (study / "reports/report.html").is_file()


def test_wrong_predictions_have_no_player(tmp_path):
    study = make(tmp_path, "npy", folders=False)
    rng = np.random.default_rng(0)
    for path in (study / "data/own").glob("*.npy"):
        np.save(path, rng.normal(size=64))
    _, examples = run(study)
    assert examples
    assert {entry["audio"] for entry in examples} == {None}


@pytest.mark.parametrize("ending", KINDS)
@pytest.mark.parametrize("name", ["mono", "log_mel"])
@pytest.mark.parametrize("online", [False, True])
def test_transform_of_waveforms_is_refused_at_once(tmp_path, ending, name, online):
    study = make(tmp_path, ending, folders=False)
    part = {"name": name, **({"online": True} if online else {})}
    values = change(study, preprocess={"transforms": [part]})
    message = rf"'{name}' takes a waveform .*, but data/own/.*\.{ending} holds an array"
    with pytest.raises(ParamsError, match=message):
        checking.dry_run(study, values)
    fetch.run(values, study, processes=1)
    with pytest.raises(ParamsError, match=message):
        preprocess.run(values, study)
    assert not (study / "data/features").exists()
    assert not (study / ".ckpt").exists()


def test_one_array_among_recordings_is_refused_at_once(tmp_path):
    study = make(tmp_path, "npy", folders=False)
    first, *others = sorted((study / "data/own").glob("*.npy"))
    for seed, path in enumerate(others):
        noise = np.random.default_rng(seed).normal(size=(1, 8000)) / 8
        audio.write(path.with_suffix(".wav"), noise, 8000)
    table = study / "data/own/labels.csv"
    text = table.read_text().replace(".npy", ".wav")
    table.write_text(text.replace(f"{first.stem}.wav", first.name))
    values = change(study, preprocess={"transforms": ["mono"], "on_error": "skip"})
    fetch.run(values, study, processes=1)
    message = rf"'mono' takes a waveform .*, but .*{first.name}"
    with pytest.raises(ParamsError, match=message):
        preprocess.run(values, study)


def test_array_of_another_shape_is_refused_with_its_reason(tmp_path):
    study = make(tmp_path, "npy", folders=False)
    np.save(study / "data/own/take-1.3-v2.npy", np.ones((2, 64)))
    values = params.load(study / "params.yaml")
    fetch.run(values, study, processes=1)
    preprocess.run(values, study)
    assert Store.open(study / "data/features").shape is None
    with pytest.raises(DataError, match="differ in length"):
        train.run(values, study, seed=1, fold="none")


def test_transforms_of_features_and_own_ones_run(tmp_path):
    study = make(tmp_path, "npy", folders=False)
    values = change(
        study, preprocess={"transforms": [{"name": "standardize", "online": True}]}
    )
    assert checking.dry_run(study, values)[:2] == ["features (64)", "standardize (64)"]
    scores, _ = run(study)
    assert scores["test"]["uar"]["value"] > 0.8


def test_the_check_does_without_files_that_are_not_there_yet(tmp_path):
    study = make(tmp_path, "npy", folders=False)
    for path in (study / "data/own").iterdir():
        path.unlink()
    values = change(
        study, preprocess={"transforms": ["mono", "log_mel"]}, model={"name": "cnn10"}
    )
    assert checking.dry_run(study, values)[0] == "waveform (1, 16000)"
