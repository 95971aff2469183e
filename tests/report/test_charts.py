import re
from xml.etree import ElementTree

import pytest

from rehear.report import charts

CURVES = [
    {"run": f"{seed}-none", "epoch": e, "train_loss": 1 / e, "dev_loss": 1.1 / e}
    for seed in (1, 2)
    for e in (1.0, 2.0, 3.0)
]
BARS = [
    {"label": "<b>a</b>", "recall": 0.5, "low": 0.4, "high": 0.6},
    {"label": "b", "recall": None, "low": None, "high": None},
]
BINS = [
    {"confidence": 0.55, "accuracy": 0.5, "n": 10},
    {"confidence": 0.95, "accuracy": 0.9, "n": 200},
]
RUNS = [
    {"run": "seed 1", "value": 0.7, "low": 0.6, "high": 0.8},
    {"run": "seed 2", "value": 0.72, "low": None, "high": None},
]
SPECS = {
    "curves": charts.curves(CURVES, {"train_loss": "train"}, title="loss"),
    "one epoch": charts.curves(CURVES[:1], {"train_loss": "train"}, title="loss"),
    "no epoch": charts.curves([], {"train_loss": "train"}, title="loss"),
    "runs": charts.runs(RUNS, title="UAR"),
    "bars": charts.bars(BARS, [], value="recall", title="Recall"),
    "confusion": charts.confusion(["<b>", "b"], [[3, 1], [0, 0]]),
    "large": charts.confusion([str(i) for i in range(60)], [[1] * 60] * 60),
    "calibration": charts.calibration(BINS, sure="score", right="right"),
    "scatter": charts.scatter([{"actual": 1.0, "predicted": 0.5}], title="x"),
    "no scatter": charts.scatter([], title="x"),
}


@pytest.mark.parametrize("name", SPECS)
def test_every_figure_is_drawn_as_well_formed_svg(name):
    text = charts.svg(SPECS[name], name="fig", description='a "b" <c>')
    root = ElementTree.fromstring(text)
    assert root.get("aria-label") == 'a "b" <c>'
    assert float(root.get("width")) > 100
    assert len(list(root.iter())) > 10
    assert "NaN" not in text
    assert "http" not in text.replace("http://www.w3.org/", "")


def test_names_inside_a_figure_are_its_own():
    clipped = charts.scoped('<clipPath id="clip0"/><g clip-path="url(#clip0)"/>', "a")
    assert clipped == '<clipPath id="a-clip0"/><g clip-path="url(#a-clip0)"/>'


def test_figures_take_their_colours_from_the_page():
    text = charts.svg(SPECS["curves"], name="x", description="y")
    colours = set(re.findall(r'(?:fill|stroke)="([^"]+)"', text))
    fixed = {c for c in colours if not c.startswith("var(") and c != "none"}
    assert fixed <= {"transparent", "#000", "black"}, fixed


def test_long_labels_are_cut_only_where_they_stay_different():
    same_beginning = [
        "a label that is far too long 1",
        "a label that is far too long 2",
    ]
    assert len(set(charts._short(same_beginning))) == 2
    assert all(len(label) <= 22 for label in charts._short(same_beginning))
    same_ends = ["12345678901 x 1234567890", "12345678901 y 1234567890"]
    assert charts._short(same_ends) == same_ends


def test_runs_draw_their_mean_only_where_there_are_several():
    assert len(charts.runs(RUNS, title="UAR")["layer"]) == 3
    assert len(charts.runs(RUNS[:1], title="UAR")["layer"]) == 2
