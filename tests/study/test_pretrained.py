"""Training that starts from other weights, under DVC."""

import shutil

import pytest
from ruamel.yaml import YAML

pytestmark = pytest.mark.slow


def test_other_weights_rerun_what_learns_from_them(finished):
    folder = finished.folder
    shutil.copytree(folder / "models/1-none", folder / "before")
    yaml, path = YAML(), folder / "dvc.yaml"
    pipeline = yaml.load(path)
    pipeline["stages"]["pretrained"].setdefault("deps", []).append("before")
    yaml.dump(pipeline, path)
    finished.change(pretrained__weights="before", train__freeze="all")
    ran = finished.stages_run()
    assert ran == [
        "pretrained",
        *("train@1-none", "train@2-none", "evaluate@1-none", "evaluate@2-none"),
        "postprocess",
    ]
    card = (folder / "reports/model_card.md").read_text()
    assert "- **Pretrained weights**: before" in card
    assert finished.stages_run() == []
    finished.change(train__lr=0.01)
    assert "pretrained" not in finished.stages_run()


def test_weights_that_dvc_does_not_watch_are_refused(finished):
    shutil.copytree(finished.folder / "models/1-none", finished.folder / "before")
    finished.change(pretrained__weights="before")
    said = finished.rehear("check", code=1)
    assert "dvc.yaml: stage 'pretrained' reads before" in said
    finished.change(pretrained__weights="befor")
    assert "no file or folder of the study" in finished.rehear("check", code=1)
