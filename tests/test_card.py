import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from rehear import card, fingerprint
from rehear.card import Findings
from rehear.cautions import Caution
from rehear.errors import DataError
from rehear.leakage import Leak
from rehear.manifest import Clip, Manifest
from rehear.shortcuts import Shortcut
from rehear.survey import Fault

DATASET = SimpleNamespace(
    title="Dogs", licence="CC0", citation="Me", url="https://x", size="3 clips"
)


def clip(name, split, label, **fields):
    facts = {"duration": 1.8, "sample_rate": 8000, "sha256": f"sha of {name}", **fields}
    return Clip(clip=name, file=f"{name}.wav", labels=(label,), split=split, **facts)


def describe(manifest, **fields):
    found = fingerprint.of(manifest, mean=0.01, std=0.2)
    given = {"task": "classification", "fingerprint": found, **fields}
    described = card.describe(manifest, given.pop("dataset", DATASET), **given)
    json.dumps(described, allow_nan=False)
    return described


@pytest.fixture
def manifest():
    return Manifest(
        (
            clip("b", "train", "cat", group="1", channels=1, level=-20.0),
            clip("a", "train", "dog", group="1", channels=1, duration=3.6, level=-10.0),
            clip("c", "test", "dog", group="2", channels=2, sample_rate=16000),
        )
    )


def test_card_counts_by_split(manifest):
    described = describe(manifest)
    assert described["splits"]["train"] == {
        "clips": 2,
        "hours": 0.0015,
        "groups": 1,
        "labels": {"cat": 1, "dog": 1},
    }
    assert described["splits"]["dev"]["clips"] == 0
    assert described["labels"] == {
        "cat": {"clips": 1, "train": 1, "dev": 0, "test": 0},
        "dog": {"clips": 2, "train": 1, "dev": 0, "test": 1},
    }
    assert described["sample_rates"] == {"16000": 1, "8000": 2}
    assert described["channels"] == {"1": 2, "2": 1}
    assert described["durations"] == {"min": 1.8, "median": 1.8, "max": 3.6}
    assert described["levels"] == {"min": -20.0, "median": -15.0, "max": -10.0}
    assert (described["title"], described["licence"]) == ("Dogs", "CC0")
    assert (described["size"], described["samples"]) == (
        "3 clips",
        {"mean": 0.01, "std": 0.2},
    )


def test_card_of_a_data_set_that_says_nothing_of_itself(manifest):
    described = describe(manifest, dataset=object())
    assert (described["title"], described["size"]) == ("", "")


def test_fingerprint_and_its_entry_are_named(manifest):
    described = describe(manifest, recorded_as="dogs, classification")
    assert described["fingerprint"] == fingerprint.digest(manifest)
    assert described["recorded_as"] == "dogs, classification"


def test_folds_and_groups_are_counted():
    rows = [
        clip(f"{i}", "", "xy"[i % 2], fold=str(i % 3), group=f"g{i % 7}")
        for i in range(20)
    ]
    described = describe(Manifest(tuple(rows)))
    assert described["folds"] == {"0": 7, "1": 7, "2": 6}
    assert described["by_fold"]["2"] == {
        "clips": 6,
        "hours": 0.003,
        "groups": 6,
        "labels": {"x": 3, "y": 3},
    }
    assert described["groups"] == 7
    assert described["by_group"]["g6"]["clips"] == 2
    assert described["splits"]["train"]["clips"] == 0


def test_numbers_are_those_of_counting_by_hand():
    draws = np.random.default_rng(0)
    rows = tuple(
        Clip(
            clip=str(i),
            file=str(i),
            labels=tuple(sorted({f"t{k}" for k in draws.integers(0, 9, 3)})),
            split=str(draws.choice(["train", "dev", "test"])),
            group=f"g{draws.integers(8)}" if i % 5 else "",
            duration=float(draws.exponential()),
        )
        for i in range(400)
    )
    described = describe(Manifest(rows))
    for split, found in described["splits"].items():
        mine = [c for c in rows if c.split == split]
        assert found["clips"] == len(mine)
        assert found["hours"] == pytest.approx(
            sum(c.duration for c in mine) / 3600, abs=1e-6
        )
        assert found["groups"] == len({c.group for c in mine if c.group})
        assert found["labels"]["t3"] == sum("t3" in c.labels for c in mine)
        assert described["labels"]["t3"][split] == found["labels"]["t3"]
    assert described["groups"] == 8
    assert "" not in described["by_group"]


def test_long_tables_hold_the_largest():
    rows = [
        clip(f"{g}-{i}", "train", f"l{i}", group=f"g{g:03}")
        for g in range(150)
        for i in range(1 + (g == 149) * 120)
    ]
    described = describe(Manifest(tuple(rows)))
    assert described["groups"] == 150
    assert len(described["by_group"]) == 100
    assert described["by_group"]["g149"]["clips"] == 121
    assert len(described["by_group"]["g149"]["labels"]) == 100
    assert len(described["labels"]) == 121


def test_attributes_are_counted_and_the_unknown_apart(manifest):
    values = [("ann", "a"), ("", "b"), ("ann", "c")]
    rows = zip(manifest, values, strict=True)
    clips = tuple(replace(c, attributes=v) for c, v in rows)
    described = describe(Manifest(clips, attributes=("who", "what")))
    assert described["attributes"]["who"] == {
        "unknown": 1,
        "values": 1,
        "counts": {"ann": 2},
    }
    assert described["attributes"]["what"]["values"] == 3
    many = [
        replace(manifest.clips[0], clip=str(i), attributes=(f"v{i}",))
        for i in range(150)
    ]
    entry = describe(Manifest(tuple(many), attributes=("x",)))["attributes"]["x"]
    assert (entry["values"], len(entry["counts"])) == (150, 100)


def test_targets_have_a_range():
    clips = tuple(
        Clip(clip=str(v), file="", targets=(v,), duration=1.0) for v in (0.0, 1.0, 5.0)
    )
    described = describe(Manifest(clips, ("snr",)), task="regression")
    assert described["targets"] == {"snr": {"min": 0.0, "mean": 2.0, "max": 5.0}}
    assert described["labels"] == {}


def test_leaks_stand_beside_their_reason(manifest):
    found = Findings(
        skipped=[Fault("x", "x.wav", "x.wav: empty")],
        leaks=[Leak("group", f"group {n}") for n in range(150)],
        cautions=[Caution("few", "few clips")],
        shortcuts=[Shortcut("level", "", "uar", 0.3, 0.25, strong=False)],
    )
    described = describe(manifest, findings=found, allow_leak="as published")
    assert described["leaks"][:2] == ["group 0", "group 1"]
    assert (described["leak_count"], len(described["leaks"])) == (150, 100)
    assert described["allow_leak"] == "as published"
    assert described["skipped"][0]["reason"] == "x.wav: empty"
    assert (described["cautions"], described["caution_count"]) == (["few clips"], 1)
    assert described["shortcuts"][0]["score"] == 0.3
    clean = describe(manifest, allow_leak="as published")
    assert clean["allow_leak"] == ""


def test_card_that_is_missing_or_damaged_says_what_to_run(tmp_path, manifest):
    with pytest.raises(
        DataError, match=r"card\.json does not exist; run `rehear fetch`"
    ):
        card.read(tmp_path)
    (tmp_path / "data").mkdir()
    for text in ("{half", "[]"):
        (tmp_path / "data" / "card.json").write_text(text)
        with pytest.raises(
            DataError, match=r"card\.json: not valid JSON.*fetch` again"
        ):
            card.read(tmp_path)
    (tmp_path / "data" / "card.json").write_text(json.dumps(describe(manifest)))
    assert card.read(tmp_path)["clips"] == 3
