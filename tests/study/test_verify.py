"""`rehear verify`: a result that comes back, and results that do not."""

import json
import subprocess

import numpy as np
import pytest
import soundfile
from ruamel.yaml import YAML

from study.conftest import ROOT, Study, environment, make

pytestmark = pytest.mark.slow


def verify(study, code):
    said = study.rehear("verify", "--env", "current", code=code)
    return said, (study.folder / "REPRODUCED.md").read_text(encoding="utf-8")


def test_a_finished_study_comes_back_bit_by_bit(finished):
    said, page = verify(finished, code=0)
    assert "bit-identical" in said
    assert "bit-identical" in page
    assert finished.git("status", "--porcelain", "--untracked-files=no") == ""


def test_an_edited_metric_is_found(finished):
    path = finished.folder / "metrics/summary.json"
    summary = json.loads(path.read_text())
    summary["uar"]["mean"] = 0.99
    path.write_text(json.dumps(summary, indent=2) + "\n")
    finished.commit("a better number")
    said, page = verify(finished, code=1)
    assert "metrics/summary.json" in said
    assert "different" in page


def tone(path, frequency, number):
    draws = np.random.default_rng([frequency, number])
    time = np.arange(8000) / 16000
    wave = 0.3 * np.sin(2 * np.pi * frequency * (1 + draws.random() / 5) * time)
    soundfile.write(path, wave + 0.05 * draws.standard_normal(len(time)), 16000)


@pytest.fixture
def own(tmp_path):
    """A study on own recordings that lie in git."""
    study = make(tmp_path / "own", dataset={"name": "csv", "file": "labels.csv"})
    folder = study.folder / "data" / "own"
    folder.mkdir(parents=True)
    rows = ["path,label"]
    for label, frequency in (("low", 300), ("high", 2000)):
        for number in range(14):
            tone(folder / f"{label}-{number}.wav", frequency, number)
            rows.append(f"{label}-{number}.wav,{label}")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    ignored = study.folder / ".gitignore"
    ignored.write_text(ignored.read_text().replace("/data\n", _OUTPUTS))
    yaml, path = YAML(), study.folder / "dvc.yaml"
    tree = yaml.load(path)
    for name in ("fetch", "preprocess", "evaluate"):
        deps = [d for d in tree["stages"][name]["deps"] if d != "data/raw"]
        tree["stages"][name]["deps"] = ["${fetch.source}", *deps]
    tree["stages"]["fetch"]["outs"] = ["data/manifest.csv", "data/card.json"]
    last = tree["stages"]["postprocess"]
    last["outs"] = [o for o in last["outs"] if "metrics/per_group.csv" not in o]
    yaml.dump(tree, path)
    study.change(seeds=[1])
    study.commit("own recordings")
    study.dvc("repro")
    study.commit("results")
    return study


_OUTPUTS = "/data/manifest.csv\n/data/card.json\n/data/features\n"


def test_a_flipped_label_is_found_and_its_stage_named(own):
    said, _ = verify(own, code=0)
    assert "bit-identical" in said
    labels = own.folder / "data/own/labels.csv"
    labels.write_text(labels.read_text().replace("low-3.wav,low", "low-3.wav,high"))
    own.commit("flip a label, keep the results")
    said, page = verify(own, code=1)
    assert "different" in said
    assert "fetch" in page


def test_the_reference_study_comes_back(tmp_path):
    """Takes minutes: it runs the whole reference study again."""
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
    done = subprocess.run(
        ["rehear", "verify", "--env", "current"],
        cwd=clone,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "within tolerance" in done.stdout or "bit-identical" in done.stdout
    assert (clone / "REPRODUCED.md").is_file()
    assert Study(clone).git("status", "--porcelain", "--untracked-files=no") == ""
