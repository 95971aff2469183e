import hashlib
import json
from types import SimpleNamespace

import pytest

from rehear import card
from rehear.leakage import Leak
from rehear.manifest import Clip, Manifest
from rehear.survey import Fault

DATASET = SimpleNamespace(title="Dogs", licence="CC0", citation="Me", url="https://x")


def clip(name, split, label, **fields):
    facts = {"duration": 1.8, "sample_rate": 8000, "sha256": f"sha of {name}", **fields}
    return Clip(clip=name, file=f"{name}.wav", labels=(label,), split=split, **facts)


@pytest.fixture
def manifest():
    return Manifest(
        (
            clip("b", "train", "cat", group="1"),
            clip("a", "train", "dog", group="1", duration=3.6),
            clip("c", "test", "dog", group="2", sample_rate=16000),
        )
    )


def test_card_counts_by_split(manifest):
    described = card.describe(manifest, DATASET, task="classification")
    assert described["splits"]["train"] == {"clips": 2, "hours": 0.0015, "groups": 1}
    assert described["labels"] == {
        "cat": {"clips": 1, "train": 1, "dev": 0, "test": 0},
        "dog": {"clips": 2, "train": 1, "dev": 0, "test": 1},
    }
    assert described["sample_rates"] == {"16000": 1, "8000": 2}
    assert described["durations"] == {"min": 1.8, "median": 1.8, "max": 3.6}
    assert (described["title"], described["licence"]) == ("Dogs", "CC0")
    json.dumps(described, allow_nan=False)


def test_fingerprint_is_of_names_and_samples_in_any_order(manifest):
    lines = "a sha of a\nb sha of b\nc sha of c\n"
    expected = hashlib.sha256(lines.encode()).hexdigest()
    assert card.fingerprint(manifest) == expected
    assert card.fingerprint(Manifest(manifest.clips[::-1])) == expected


def test_targets_have_a_range():
    clips = tuple(
        Clip(clip=str(v), file="", targets=(v,), duration=1.0) for v in (0.0, 1.0, 5.0)
    )
    described = card.describe(Manifest(clips, ("snr",)), DATASET, task="regression")
    assert described["targets"] == {"snr": {"min": 0.0, "mean": 2.0, "max": 5.0}}


def test_leaks_stand_beside_their_reason(manifest):
    described = card.describe(
        manifest,
        DATASET,
        task="classification",
        skipped=[Fault("x", "x.wav", "x.wav: empty")],
        leaks=[Leak("group", f"group {n}") for n in range(150)],
        allow_leak="as published",
    )
    assert described["leaks"][:2] == ["group 0", "group 1"]
    assert (described["leak_count"], len(described["leaks"])) == (150, 100)
    assert described["allow_leak"] == "as published"
    assert described["skipped"][0]["reason"] == "x.wav: empty"
    clean = card.describe(manifest, DATASET, task="x", allow_leak="as published")
    assert clean["allow_leak"] == ""
