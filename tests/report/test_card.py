import json

import pytest

from fake_runs import fake_study
from rehear.report.card import _lowest
from rehear.stages import postprocess


@pytest.fixture
def study(tmp_path):
    params = fake_study(tmp_path, leaks=["speaker '<i>3</i>' is in train and test"])
    postprocess.run(params, tmp_path)
    return tmp_path


def test_model_card_says_what_it_is_and_how_good(study):
    text = (study / "reports" / "model_card.md").read_text()
    assert text.startswith("# Model card: cnn10 on Made-up speech\n")
    assert "- **Parameters**: 312,345\n" in text
    assert "- **Licence**: CC0-1.0\n" in text
    assert "| UAR | 0." in text
    assert "**Weakest label**" in text
    assert "**Weakest group**: speaker-" in text
    assert "3 runs with different seeds" in text


def test_model_card_warns_of_a_leak_and_gives_the_reason(study):
    text = (study / "reports" / "model_card.md").read_text()
    assert "**Warning: the split leaks.**" in text
    assert "the official split of the data set" in text
    assert "<i>" not in text.replace(r"\<i\>", "")


def test_model_card_names_cautions(tmp_path):
    cautions = ["few <i>clips</i>", "level alone tells the classes apart"]
    params = fake_study(tmp_path, cautions=cautions, seeds=(1,), sounds=0)
    postprocess.run(params, tmp_path)
    text = (tmp_path / "reports" / "model_card.md").read_text()
    assert (
        "> **Before these scores are believed:**\n>\n"
        "> - few \\<i\\>clips\\</i\\>\n"
        "> - level alone tells the classes apart\n"
    ) in text


def test_one_run_is_said_to_be_one(tmp_path):
    params = fake_study(tmp_path, "tagging", seeds=(4,), sounds=0, groups=0)
    postprocess.run(params, tmp_path)
    text = (tmp_path / "reports" / "model_card.md").read_text()
    assert "One run: nothing is known about the spread over seeds." in text
    assert "Weakest group" not in text


def test_the_weakest_of_a_metric_where_less_is_better_is_the_highest():
    rows = [{"mae": 0.1}, {"mae": 0.4}, {"mae": None}]
    assert _lowest(rows, "mae", higher=False) == {"mae": 0.4}
    assert _lowest(rows, "mae", higher=True) == {"mae": 0.1}
    assert _lowest(rows[:1], "mae", higher=True) is None


def test_model_card_says_what_training_started_from(tmp_path):
    params = fake_study(tmp_path, seeds=(1,), sounds=0)
    file = tmp_path / "models/1-none/config.json"
    config = json.loads(file.read_text())
    start = {"weights": "panns/cnn10", "licence": "CC BY 4.0", "citation": "K. et al."}
    file.write_text(json.dumps({**config, "pretrained": start}))
    postprocess.run(params, tmp_path)
    text = (tmp_path / "reports" / "model_card.md").read_text()
    assert "- **Pretrained weights**: panns/cnn10 (K. et al.; CC BY 4.0)\n" in text
    page = (tmp_path / "reports" / "report.html").read_text()
    assert "panns/cnn10 (K. et al.; CC BY 4.0)" in page
