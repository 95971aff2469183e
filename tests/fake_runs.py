"""Predictions as a model could have made them, without training one."""

import numpy as np

from rehear.predictions import Predictions
from rehear.randomness import generator

CLASSES = ("anger", "boredom", "happiness", "neutral", "sadness")
TAGS = ("bird", "insect", "rain", "wind")
NUMBERS = ("arousal", "valence")


def fake_predictions(
    task="classification", *, n=200, seed=1, split="test", groups=8, labels=None
):
    """Return predictions of a decent model: right more often than not."""
    draw = generator(seed, "fake", task, split)
    # clips, groups and targets are the data's: the same for every seed
    data = generator(0, "fake data", task, split)
    make = {
        "classification": _classification,
        "tagging": _tagging,
        "regression": _regression,
    }[task]
    targets, predictions, scores, labels = make(draw, data, n, labels)
    member = data.integers(groups, size=n) if groups else np.zeros(n, dtype=int)
    return Predictions(
        task=task,
        labels=labels,
        clips=np.array([f"{split}-{i:04d}" for i in range(n)]),
        groups=np.array([f"speaker-{m:02d}" if groups else "" for m in member]),
        targets=targets,
        predictions=predictions,
        scores=scores,
    )


def _classification(draw, data, n, labels):
    labels = labels or CLASSES
    weights = np.linspace(2, 1, len(labels))
    targets = data.choice(len(labels), size=n, p=weights / weights.sum())
    logits = draw.normal(size=(n, len(labels)))
    logits[np.arange(n), targets] += np.linspace(2.6, 1.2, len(labels))[targets]
    scores = np.exp(1.5 * logits)
    scores /= scores.sum(axis=1, keepdims=True)
    return targets, scores.argmax(axis=1), scores, labels


def _tagging(draw, data, n, labels):
    labels = labels or TAGS
    targets = (data.random((n, len(labels))) < 0.3).astype(int)
    scores = 1 / (1 + np.exp(-(4 * targets - 2 + draw.normal(0, 1.5, targets.shape))))
    return targets, (scores > 0.5).astype(int), scores, labels


def _regression(draw, data, n, labels):
    labels = labels or NUMBERS
    targets = data.uniform(-1, 1, (n, len(labels)))
    predictions = 0.7 * targets + draw.normal(0, 0.25, targets.shape)
    return targets, predictions, predictions, labels
