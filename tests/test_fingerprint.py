import hashlib
import json
from dataclasses import asdict, replace

import pytest

from rehear import fingerprint
from rehear.errors import DataError
from rehear.fingerprint import Fingerprint
from rehear.manifest import Clip, Manifest

KNOWN = Fingerprint(clips=535, hours=0.41, mean=1e-4, std=0.07, sha256="ab" * 32)
NAME = "emodb split=official, classification"
FILE = "data/fingerprint.json"


def manifest(count=3, *, seconds=36.0):
    return Manifest(
        tuple(
            Clip(clip=f"c{i}", file=f"{i}", duration=seconds, sha256=f"sha of {i}")
            for i in range(count)
        )
    )


@pytest.fixture
def study(tmp_path):
    fingerprint.record(tmp_path, NAME, KNOWN, published=True)
    return tmp_path


def entries(study):
    return json.loads((study / FILE).read_text())


def test_fingerprint_is_of_names_and_samples_in_any_order():
    lines = "c0 sha of 0\nc1 sha of 1\nc2 sha of 2\n"
    found = fingerprint.of(manifest(), mean=1 / 3, std=2.0)
    assert found == Fingerprint(
        clips=3,
        hours=0.03,
        mean=0.333333,
        std=2.0,
        sha256=hashlib.sha256(lines.encode()).hexdigest(),
        parts=found.parts,
    )
    backwards = Manifest(manifest().clips[::-1])
    assert fingerprint.of(backwards, mean=1 / 3, std=2.0) == found


def test_record_is_small_sorted_and_names_the_data_set(study):
    fingerprint.record(study, "audioset, tagging", KNOWN, published=False)
    assert list(entries(study)) == ["audioset, tagging", NAME]
    assert entries(study)[NAME] == {"published": True, **asdict(KNOWN)}
    before = (study / FILE).read_bytes()
    assert not fingerprint.record(study, NAME, KNOWN, published=True)
    assert (study / FILE).read_bytes() == before


def test_name_holds_what_decides_on_the_recordings():
    spec = {
        "name": "csv",
        "targets": ("b", "a"),
        "mirror": "file:///somewhere",
        "citation": "Me, 2026",
        "file": "labels.csv",
        "columns": {"path": "f"},
        "kinds": frozenset("cab"),
        "url": "",
        "deep": False,
        "version": 2,
    }
    assert fingerprint.name_of(spec, "tagging") == (
        'csv columns={"path": "f"} deep=false file=labels.csv kinds=["a", "b", "c"] '
        'targets=["b", "a"] version=2, tagging'
    )


def test_same_recordings_are_no_news(study):
    assert fingerprint.check(study, NAME, KNOWN) == ""
    moved = replace(KNOWN, mean=5.0)  # equal digests: equal samples
    assert fingerprint.check(study, NAME, moved) == ""


def test_without_a_record_nothing_is_compared(tmp_path, study):
    assert fingerprint.check(study, "other, classification", KNOWN) == ""
    assert fingerprint.check(tmp_path / "elsewhere", NAME, KNOWN) == ""


OTHER = "cd" * 32
CHANGES = [
    ({"clips": 530, "hours": 0.4}, "5 clips fewer, 0.01 h less"),
    ({"clips": 537}, "2 clips more"),
    ({"hours": 0.42}, "0.01 h more"),
    ({"std": 0.08}, "standard deviation 0.08 instead of 0.0001 and 0.07"),
    ({"mean": 0.002}, "samples with mean 0.002"),
]


@pytest.mark.parametrize(("change", "said"), CHANGES)
def test_other_published_recordings_are_refused(study, change, said):
    found = replace(KNOWN, sha256=OTHER, **change)
    with pytest.raises(DataError) as caught:
        fingerprint.check(study, NAME, found)
    text = str(caught.value)
    assert said in text
    assert f"{FILE}: '{NAME}' is recorded with 535 clips, 0.41 h" in text
    assert f"here are {found.clips} clips" in text
    assert f"remove that entry from {FILE} and say so in the commit" in text
    assert "\n" not in text
    assert entries(study)[NAME]["clips"] == 535


def test_clips_that_cannot_be_read_are_said(study):
    found = replace(KNOWN, sha256=OTHER, clips=530)
    with pytest.raises(DataError, match=r"5 clips fewer \(5 cannot be read\)"):
        fingerprint.check(study, NAME, found, left_out=5)


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"mean": 1e-4 + 6e-6},
        {"std": 0.070006},
        {"hours": 0.410003},
        {"mean": None, "std": None},
    ],
)
def test_other_last_bits_are_a_warning(study, change):
    found = replace(KNOWN, sha256=OTHER, **change)
    text = fingerprint.check(study, NAME, found)
    assert "decoded with other last bits (another libsndfile or MP3 decoder?)" in text
    assert not fingerprint.record(study, NAME, found, published=True)
    assert entries(study)[NAME]["sha256"] == KNOWN.sha256


def exchanged(clips, count):
    """Return a manifest of which some clips have other samples."""
    others = [replace(clip, sha256="other " + clip.sha256) for clip in clips]
    return Manifest((*others[:count], *clips.clips[count:]))


def compared(tmp_path, clips, other, **fields):
    known = fingerprint.of(clips, mean=0.0, std=0.1, **fields)
    fingerprint.record(tmp_path, NAME, known, published=True)
    found = fingerprint.of(other, mean=0.0, std=0.1, **fields)
    return fingerprint.check(tmp_path, NAME, found)


@pytest.mark.parametrize(("count", "about"), [(1, "1"), (2, "2"), (40, r"[34]\d")])
def test_a_few_exchanged_recordings_are_refused(tmp_path, count, about):
    clips = manifest(500)
    said = f"about {about} of 500 clips have other samples or names, though"
    with pytest.raises(DataError, match=said):
        compared(tmp_path, clips, exchanged(clips, count))


@pytest.mark.parametrize("size", [3, 64, 500])
def test_all_clips_with_other_last_bits_are_a_warning(tmp_path, size):
    clips = manifest(size)
    assert "last bits" in compared(tmp_path, clips, exchanged(clips, size))


@pytest.mark.parametrize("count", [1, 500])
def test_exact_samples_leave_no_excuse(tmp_path, count):
    clips = manifest(500)
    with pytest.raises(DataError, match=r"though every decoder reads them alike; get"):
        compared(tmp_path, clips, exchanged(clips, count), exact=True)


def test_record_of_an_older_version_is_read_and_stays(tmp_path):
    found = fingerprint.of(manifest(), mean=0.0, std=0.1, exact=True)
    old = {"published": False, **asdict(found)}
    del old["exact"], old["parts"]
    (tmp_path / "data").mkdir()
    (tmp_path / FILE).write_text(json.dumps({NAME: old}))
    assert fingerprint.check(tmp_path, NAME, found) == ""
    assert not fingerprint.record(tmp_path, NAME, found, published=False)
    assert entries(tmp_path) == {NAME: old}
    other = fingerprint.of(exchanged(manifest(), 1), mean=0.0, std=0.1)
    assert "last bits" in fingerprint.check(tmp_path, NAME, other)


@pytest.mark.parametrize(("change", "said"), CHANGES)
def test_own_recordings_may_change_and_the_record_follows(tmp_path, change, said):
    fingerprint.record(tmp_path, NAME, KNOWN, published=False)
    found = replace(KNOWN, sha256=OTHER, **change)
    assert said in fingerprint.check(tmp_path, NAME, found)
    assert fingerprint.record(tmp_path, NAME, found, published=False)
    assert fingerprint.check(tmp_path, NAME, found) == ""


def test_removing_the_entry_accepts_other_recordings(study):
    found = replace(KNOWN, sha256=OTHER, clips=530)
    (study / FILE).write_text("{}")
    assert fingerprint.check(study, NAME, found) == ""
    assert fingerprint.record(study, NAME, found, published=True)
    with pytest.raises(DataError, match="5 clips more"):
        fingerprint.check(study, NAME, KNOWN)


@pytest.mark.parametrize("text", ["{half", "[]", '{"a": {"clips": 3}}', '{"a": 3}'])
def test_damaged_record_says_how_to_restore_it(study, text):
    (study / FILE).write_text(text)
    with pytest.raises(
        DataError, match=r"fingerprint\.json: cannot be read.* git chec"
    ):
        fingerprint.check(study, NAME, KNOWN)


def described(study, clips, **fields):
    card = {"recorded_as": NAME, "fingerprint": fingerprint.digest(clips), **fields}
    (study / "data" / "card.json").write_text(json.dumps(card))


def test_manifest_is_compared_by_the_entry_that_the_card_names(tmp_path):
    clips = manifest()
    found = fingerprint.of(clips, mean=0.0, std=0.1)
    fingerprint.record(tmp_path, NAME, found, published=True)
    described(tmp_path, clips, samples={"mean": 0.0, "std": 0.1})
    assert fingerprint.check_manifest(tmp_path, clips) == ""
    shorter = Manifest(clips.clips[:2])
    with pytest.raises(DataError, match="1 clips fewer, 0.01 h less"):
        fingerprint.check_manifest(tmp_path, shorter)


def test_manifest_of_the_same_size_is_compared_by_what_the_card_knows(tmp_path):
    clips = manifest()
    found = replace(fingerprint.of(clips, mean=0.0, std=0.1), sha256=OTHER)
    fingerprint.record(tmp_path, NAME, found, published=True)
    described(tmp_path, clips, samples={"mean": 0.0, "std": 0.2})
    with pytest.raises(DataError, match=r"standard deviation 0\.2"):
        fingerprint.check_manifest(tmp_path, clips)
    # A card of another manifest does not know the samples of this one.
    described(tmp_path, Manifest(()), samples={"mean": 0.0, "std": 0.2})
    assert "last bits" in fingerprint.check_manifest(tmp_path, clips)


@pytest.mark.parametrize("card", [None, "{half", "{}", '{"recorded_as": "other"}'])
def test_manifest_without_a_card_or_a_record_is_not_compared(study, card):
    if card is not None:
        (study / "data" / "card.json").write_text(card)
    assert fingerprint.check_manifest(study, manifest()) == ""
