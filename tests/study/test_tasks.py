"""Every task has an instant example, and every path from recording to number."""

import pytest
from ruamel.yaml import YAML

pytestmark = pytest.mark.slow
FUNCTIONALS = ["mono", {"name": "opensmile"}, {"name": "standardize", "online": True}]


@pytest.mark.parametrize("task", ["tagging", "regression"])
def test_tasks_run_with_the_embedded_data(study, task):
    track, metrics = {
        "tagging": ("map_macro", ["map_macro", "f1_macro"]),
        "regression": ("ccc", ["ccc", "mae"]),
    }[task]
    study.change(seeds=[1], task=task, train__track=track, evaluate__metrics=metrics)
    said = study.rehear("run")
    summary = study.json("metrics/summary.json")
    assert next(iter(summary)) == track
    assert "report.html" in said
    assert (study.folder / "reports/report.html").is_file()


def test_functionals_and_feed_forward_network(study):
    pytest.importorskip("opensmile")
    study.change(seeds=[1], preprocess__transforms=FUNCTIONALS, model={"name": "ffnn"})
    study.change(train__epochs=30, train__lr=0.005)
    study.rehear("run")
    config = study.json("models/1-none/config.json")
    assert config["input_shape"] == [88]
    assert len(config["online"][0]["state"]["mean"]) == 88
    scores = study.json("predictions/1-none/scores.json")
    assert scores["dev"]["uar"] > 0.25


def test_folds_cross_validate(study):
    study.change(seeds=[1], folds=["1", "2", "3"], model={"name": "cnn10", "width": 2})
    study.change(train__epochs=1)
    study.dvc("repro")
    assert study.json("metrics/summary.json")["runs"] == 3
    tested = [
        line.split(",")[0]
        for fold in "123"
        for line in (study.folder / f"predictions/1-{fold}/test.csv")
        .read_text()
        .splitlines()[1:]
    ]
    assert len(tested) == len(set(tested))


def watch_own_recordings(study):
    """Do to dvc.yaml what the message says."""
    yaml, path = YAML(), study.folder / "dvc.yaml"
    tree = yaml.load(path)
    stages = tree["stages"]
    for name in ("fetch", "preprocess", "evaluate"):
        deps = [d for d in stages[name]["deps"] if d != "data/raw"]
        stages[name]["deps"] = ["${fetch.source}", *deps]
    stages["fetch"]["outs"] = ["data/manifest.csv", "data/card.json"]
    yaml.dump(tree, path)


def test_own_recordings_need_no_python(study, recordings):
    import csv
    import shutil

    own = study.folder / "data" / "own"
    own.mkdir(parents=True)
    with (recordings / "fsdd/labels.csv").open() as stream:
        rows = [r for r in csv.DictReader(stream) if r["label"] in "012"]
    rows = [r for r in rows if r["path"].rsplit("_", 1)[1][:-4] in "123456"]
    with (own / "labels.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["path", "label", "group"])
        for row in rows:
            name = row["path"].split("/")[1]
            shutil.copy(recordings / "fsdd" / row["path"], own / name)
            writer.writerow([name, f"digit {row['label']}", row["speaker"]])
    study.change(seeds=[1], dataset={"name": "csv", "file": "labels.csv"})
    said = study.dvc("repro", code=255)
    assert "add the line '- ${fetch.source}' to its deps" in said
    watch_own_recordings(study)
    study.dvc("repro")
    card = study.json("data/card.json")
    assert card["clips"] == len(rows)
    assert not card["leaks"]
    assert study.json("metrics/summary.json")["runs"] == 1
