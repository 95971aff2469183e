"""A study's own transform, model, loss and metric, without touching the toolkit."""

import pytest

pytestmark = pytest.mark.slow

PARTS = '''
"""Parts of this study."""
import numpy as np
from rehear.losses import LOSSES
from rehear.metrics import METRICS, Metric
from rehear.models import MODELS
from rehear.transforms import TRANSFORMS


class PreEmphasis:
    """x[n] - a * x[n - 1]."""

    def __init__(self, *, coefficient: float = 0.97):
        self.coefficient = coefficient

    def __call__(self, x):
        return np.diff(x, prepend=0.0).astype(np.float32) * self.coefficient


def worst_recall(predictions):
    found = [
        (predictions.predictions[predictions.targets == c] == c).mean()
        for c in np.unique(predictions.targets)
    ]
    return float(min(found)) if found else None


TRANSFORMS.add("pre_emphasis", PreEmphasis)
METRICS.add("worst_recall", Metric(worst_recall, tasks=("classification",)))
MODELS.add("mean_net", "mine.nets:MeanNet")
LOSSES.add("focal", "mine.nets:Focal")
'''

NETS = '''
import torch
from torch import nn


class MeanNet(nn.Module):
    """Means over time, and a linear layer."""

    def __init__(self, *, num_outputs, input_shape):
        super().__init__()
        self.head = nn.Linear(input_shape[1], num_outputs)

    def embed(self, features):
        return features.mean(dim=(1, 3))

    def forward(self, features):
        return self.head(self.embed(features))


class Focal(nn.Module):
    """Focal loss."""

    def __init__(self, *, gamma: float = 2.0):
        super().__init__()
        self.gamma = gamma

    def forward(self, logits, targets):
        log_p = torch.log_softmax(logits, 1).gather(1, targets[:, None])
        return -((1 - log_p.exp()) ** self.gamma * log_p).mean()
'''


def test_own_parts_need_no_change_of_the_toolkit(study):
    package = study.folder / "src" / "mine"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "parts.py").write_text(PARTS)
    (package / "nets.py").write_text(NETS)
    study.change(
        seeds=[1],
        model={"name": "mean_net"},
        train__loss={"name": "focal", "gamma": 1.0},
        train__track="worst_recall",
        evaluate__metrics=["worst_recall", "uar"],
    )
    study.change(
        preprocess__transforms=[
            "mono",
            {"name": "fit", "seconds": 1.0},
            {"name": "pre_emphasis", "coefficient": 0.9},
            {"name": "log_mel", "hop_length": 320},
        ]
    )
    study.commit("own parts")
    said = study.rehear("check")
    assert "pre_emphasis (1, 16000) → log_mel (1, 64, 51) → mean_net → logits" in said
    assert "pre_emphasis" in study.rehear("list", "transforms")
    study.dvc("repro")
    summary = study.json("metrics/summary.json")
    assert next(iter(summary)) == "worst_recall"
    config = study.json("models/1-none/config.json")
    assert config["model"] == {"name": "mean_net"}
    assert config["parameters"] == 64 * 12 + 12


def test_a_broken_part_names_its_line(study):
    package = study.folder / "src" / "mine"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "parts.py").write_text("import rehear\nrehear.nothing()\n")
    said = study.rehear("check", code=1)
    assert "src/mine/parts.py line 2: AttributeError" in said
    assert "Traceback" not in said
