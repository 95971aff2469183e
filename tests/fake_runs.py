"""Predictions as a model could have made them, without training one."""

from dataclasses import replace

import numpy as np

from rehear import atomic, audio, evaluation, metrics, params, predictions
from rehear.manifest import Clip, Manifest
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


def fake_study(
    folder,
    task="classification",
    *,
    seeds=(1, 2, 3),
    folds=("none",),
    n=200,
    groups=8,
    labels=None,
    epochs=12,
    leaks=(),
    cautions=(),
    sounds=8,
):
    """Write what the stages before ``postprocess`` leave in a study's folder.

    Returns:
        its params
    """
    tests = {}
    for fold in folds:
        names = [f"{fold}-{i}" for i in range(n)] if fold != "none" else None
        for seed in seeds:
            test = fake_predictions(
                task, n=n, seed=seed, groups=groups, labels=labels, split=f"test{fold}"
            )
            if names:
                test = replace(test, clips=np.array(names))
            tests[seed, fold] = test
    manifest = _recordings(folder, list(tests.values()), sounds)
    for (seed, fold), test in tests.items():
        _fake_run(folder, seed, fold, test, manifest, epochs)
    _fake_card(folder, task, tests, list(leaks), list(cautions))
    text = f"seeds: {list(seeds)}\nfolds: {list(folds)}\ntask: {task}\n"
    (folder / "params.yaml").write_text(text + "evaluate: {bootstrap: 200}\n")
    return params.load(folder / "params.yaml")


def _recordings(folder, tests, sounds):
    """Write one short sound that all clips share, as the manifest says."""
    rate = 8000
    seconds = np.arange(int(1.2 * rate)) / rate
    glide = 0.4 * np.sin(2 * np.pi * (300 + 500 * seconds) * seconds)
    glide *= 0.5 + 0.5 * np.sin(2 * np.pi * 3 * seconds)
    glide += generator(0, "hiss").normal(0, 0.004, len(glide))
    if sounds:
        audio.write(folder / "data" / "raw" / "glide.flac", glide[np.newaxis], rate)
    clips = {
        str(clip): Clip(
            str(clip), "data/raw/glide.flac", group=str(group), duration=1.2
        )
        for test in tests
        for clip, group in zip(test.clips, test.groups, strict=True)
    }
    return Manifest(tuple(clips.values()))


def _fake_run(folder, seed, fold, test, manifest, epochs):
    name = f"{seed}-{fold}"
    chosen = metrics.choose([], task=test.task)
    dev = fake_predictions(test.task, n=80, seed=seed, split="dev", labels=test.labels)
    out, model = folder / "predictions" / name, folder / "models" / name
    predictions.write(out / "test.csv", test)
    predictions.write(out / "dev.csv", dev)
    scores = evaluation.score(dev, test, metrics=chosen, confidence=0.95, bootstrap=200)
    head = {"run": name, "seed": seed, "fold": fold}
    atomic.write_json(out / "scores.json", head | scores)
    rows = evaluation.worst(test, 6)
    examples = evaluation.examples(rows, test, manifest, folder)
    atomic.write_json(out / "examples.json", examples)
    atomic.write_json(
        model / "config.json",
        {
            "run": name,
            "model": {"name": "cnn10", "width": 16, "dropout": 0.2},
            "input_shape": [1, 64, 101],
            "parameters": 312_345,
        },
    )
    atomic.write_text(model / "history.csv", _history(seed, epochs, chosen))


def _history(seed, epochs, chosen):
    draw = generator(seed, "history")
    lines = [f"epoch,train_loss,dev_loss,{','.join(chosen)},lr,best"]
    for epoch in range(1, epochs + 1):
        loss = 1.6 * np.exp(-epoch / 4) + 0.05
        dev = loss + 0.02 * epoch + draw.normal(0, 0.03)
        values = [0.8 - 0.6 * np.exp(-epoch / 3) + draw.normal(0, 0.02) for _ in chosen]
        cells = ",".join(repr(float(v)) for v in (loss, dev, *values, 1e-3))
        lines.append(f"{epoch},{cells},{int(epoch == epochs)}")
    return "\n".join(lines) + "\n"


def _fake_card(folder, task, tests, leaks, cautions):
    test = next(iter(tests.values()))
    part = {"clips": 600, "hours": 0.2, "groups": 12}
    labels = {
        name: {"clips": 60, "train": 40, "dev": 8, "test": 12} for name in test.labels
    }
    targets = {name: {"min": -1.0, "mean": 0.03, "max": 1.0} for name in test.labels}
    card = {
        "title": "Made-up speech",
        "licence": "CC0-1.0",
        "citation": "Nobody, 2026",
        "url": "https://example.org/data",
        "task": task,
        "clips": 1000,
        "hours": 0.33,
        "splits": dict.fromkeys(("train", "dev", "test"), part),
        "folds": {},
        "labels": {} if task == "regression" else labels,
        "targets": targets if task == "regression" else {},
        "sample_rates": {"16000": 1000},
        "durations": {"min": 0.4, "median": 1.2, "max": 3.9},
        "fingerprint": "ab" * 32,
        "skipped_clips": 0,
        "skipped": [],
        "leak_count": len(leaks),
        "leaks": leaks,
        "allow_leak": "the official split of the data set" if leaks else "",
        "caution_count": len(cautions),
        "cautions": cautions,
    }
    atomic.write_json(folder / "data" / "card.json", card)
