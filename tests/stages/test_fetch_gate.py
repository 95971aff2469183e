"""What fetch refuses, what it warns about, and what it puts on record in git."""

import json
import logging

import numpy as np
import pytest

from rehear import audio, manifest, similarity, survey
from rehear.catalogue import Catalogue
from rehear.errors import DataError, ParamsError
from rehear.manifest import Clip, Manifest
from rehear.params import Fetch, Params, Part, Split
from rehear.stages import fetch

RECORD = "data/fingerprint.json"


def tone(path, number, *, seconds=0.1, gain=0.5):
    time = np.arange(round(8000 * seconds)) / 8000
    wave = gain * np.sin(2 * np.pi * (100 + 7 * number) * time)
    audio.write(path, wave[None], 8000)


class Tones:
    """Twelve tones of two classes and six speakers, the same for everyone."""

    title, licence, citation, url = "Tones", "CC0-1.0", "Nobody", "https://x"
    tasks = ("classification",)
    needs_source = False
    published = True
    count, gain, offset = 12, 0.5, 0

    def __init__(self, *, mirror: str = "", part: str = "all") -> None:
        self.mirror = mirror

    def fetch(self, raw, *, task, source, downloads):
        names = []
        for number in range(self.count):
            tone(raw / f"{number}.wav", number + self.offset, gain=self.gain)
            names.append(f"{number}.wav")
        return Manifest(
            tuple(self.clip(name, i) for i, name in enumerate(names)),
            attributes=("device",),
        )

    def clip(self, name, i):
        return Clip(
            clip=name.removesuffix(".wav"),
            file=name,
            labels=("ab"[i % 2],),
            group=f"s{i // 2}",
            attributes=(f"device of {i}",),
        )


@pytest.fixture
def tones(monkeypatch):
    """The class, of which a test may change what it gives."""
    monkeypatch.setattr(fetch, "DATASETS", Catalogue("data set", {}))
    own = type("Own", (Tones,), {})
    fetch.DATASETS.add("tones", own)
    return own


def values(*, split=None, **arguments):
    part = Part(name="tones", **arguments)
    return Params(dataset=part, fetch=Fetch(split=split or Split()))


def record(study):
    return json.loads((study / RECORD).read_text())


def test_first_fetch_puts_the_recordings_on_record(tones, tmp_path, caplog):
    with caplog.at_level(logging.INFO):
        fetch.run(values(mirror="file:///somewhere"), tmp_path)
    ((name, entry),) = record(tmp_path).items()
    assert name == "tones part=all, classification"
    card = json.loads((tmp_path / "data" / "card.json").read_text())
    assert entry["published"] is True
    assert entry["clips"] == 12
    assert entry["hours"] == pytest.approx(12 * 0.1 / 3600, rel=1e-5)
    assert (entry["sha256"], name) == (card["fingerprint"], card["recorded_as"])
    samples = np.concatenate(
        [audio.read(path)[0].ravel() for path in (tmp_path / "data/raw").iterdir()]
    )
    assert entry["mean"] == pytest.approx(samples.mean(dtype=np.float64), abs=1e-7)
    assert entry["std"] == pytest.approx(samples.std(dtype=np.float64), rel=1e-5)
    assert f"{RECORD} says what was got; add it to git" in caplog.text


def test_second_fetch_finds_the_same(tones, tmp_path, caplog):
    fetch.run(values(), tmp_path)
    before = (tmp_path / RECORD).read_bytes()
    caplog.clear()
    fetch.run(values(mirror="elsewhere"), tmp_path)
    assert (tmp_path / RECORD).read_bytes() == before
    assert RECORD not in caplog.text


def test_other_published_recordings_are_refused_and_the_old_ones_stay(tones, tmp_path):
    fetch.run(values(), tmp_path)
    before = {p: p.read_bytes() for p in (tmp_path / "data").rglob("*") if p.is_file()}
    tones.count = 10
    with pytest.raises(DataError, match=r"12 clips.*here are 10 clips.*2 clips fewer"):
        fetch.run(values(), tmp_path)
    after = {p: p.read_bytes() for p in (tmp_path / "data").rglob("*") if p.is_file()}
    assert after == before


def test_entries_of_other_arguments_stand_beside_each_other(tones, tmp_path):
    fetch.run(values(), tmp_path)
    tones.count = 10
    fetch.run(values(part="small"), tmp_path)
    assert [entry["clips"] for entry in record(tmp_path).values()] == [12, 10]


def test_own_recordings_may_change_and_it_is_said(tones, tmp_path, caplog):
    tones.published = False
    fetch.run(values(), tmp_path)
    tones.count = 10
    fetch.run(values(), tmp_path)
    assert "2 clips fewer" in caplog.text
    ((_, entry),) = record(tmp_path).items()
    assert entry["clips"] == 10


def test_other_samples_of_integers_are_refused(tones, tmp_path):
    fetch.run(values(), tmp_path)
    tones.gain = 0.500001
    with pytest.raises(DataError, match="though every decoder reads them alike"):
        fetch.run(values(), tmp_path)


def test_other_last_bits_are_let_pass_with_a_warning(
    tones, tmp_path, caplog, monkeypatch
):
    monkeypatch.setattr(survey, "_is_exact", lambda values: False)
    fetch.run(values(), tmp_path)
    before = (tmp_path / RECORD).read_bytes()
    tones.gain = 0.500001
    fetch.run(values(), tmp_path)
    assert "decoded with other last bits" in caplog.text
    assert (tmp_path / RECORD).read_bytes() == before


def test_folds_are_not_drawn_where_there_are_official_ones(tones, tmp_path):
    tones.folds = ("1", "2")
    tones.folds_note = (
        "Its authors warn that other folds give scores that are too good."
    )
    with pytest.raises(ParamsError) as caught:
        fetch.run(values(split=Split(folds=5)), tmp_path)
    assert str(caught.value) == (
        "fetch.split.folds: 5 folds would be drawn, but data set 'tones' has its own "
        "(1, 2). Its authors warn that other folds give scores that are too good. Set "
        "fetch.split.folds: 0 and name the folds in 'folds'"
    )
    assert not (tmp_path / "data").exists()


def test_attributes_stay_with_their_clips(tones, tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    write, tones.count = tones.fetch, 12

    def with_a_broken_one(self, raw, **options):
        found = write(self, raw, **options)
        (raw / "5.wav").write_bytes(b"")
        return found

    tones.fetch = with_a_broken_one
    skipping = Params(dataset=Part(name="tones"), fetch=Fetch(on_error="skip"))
    fetch.run(skipping, tmp_path)
    read = manifest.read(tmp_path / "data" / "manifest.csv")
    assert read.attributes == ("device",)
    assert len(read) == 11
    assert all(c.attributes == (f"device of {c.clip}",) for c in read)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"attributes": ()}, r"'0' has 0 attributes; expected 1 \(device\)"),
        ({"targets": (1.0,)}, r"'0' has 1 targets; expected 0 \(none\)"),
        ({"labels": ("a;b",)}, "'0': a label holds ';', which separates labels"),
        ({"labels": ("a\rb",)}, r"'0': the label 'a\\rb' holds a control character"),
        ({"group": "a\x00"}, r"'0': the group 'a\\x00' holds a control character"),
    ],
)
def test_columns_that_do_not_fit_are_refused(tones, tmp_path, change, said):
    plain = tones.clip
    tones.clip = lambda self, name, i: _changed(plain(self, name, i), change)
    with pytest.raises(DataError, match=said):
        fetch.run(values(), tmp_path)


def _changed(clip, change):
    from dataclasses import replace

    return replace(clip, **change)


def test_cautions_are_logged_and_on_the_card_but_refuse_nothing(
    tones, tmp_path, caplog
):
    fetch.run(values(), tmp_path)
    card = json.loads((tmp_path / "data" / "card.json").read_text())
    assert any("with fewer than 5 clips in train" in text for text in card["cautions"])
    assert card["caution_count"] == len(card["cautions"])
    for text in card["cautions"]:
        assert f"fetch: note: {text}" in caplog.text


def test_planted_shortcut_is_on_the_card(tones, tmp_path, caplog):
    tones.count = 60
    plain = tones.clip
    # class b is as loud as a, but twice as long
    tones.clip = lambda self, name, i: _changed(
        plain(self, name, i), {"end": None if i % 2 else 0.05}
    )
    fetch.run(values(), tmp_path)
    card = json.loads((tmp_path / "data" / "card.json").read_text())
    text = "duration alone tells the classes apart: UAR 1.00 where chance is 0.50"
    assert any(text in caution for caution in card["cautions"])
    assert text in caplog.text
    assert {s["number"] for s in card["shortcuts"]} >= {"duration"}


def test_id_with_a_control_character_is_refused(tones, tmp_path):
    plain = tones.clip
    tones.clip = lambda self, name, i: _changed(
        plain(self, name, i), {"clip": f"{i}\r"}
    )
    with pytest.raises(DataError, match=r"clip '0.+r': the id '0.+r' holds a control"):
        fetch.run(values(), tmp_path)


def test_folds_are_not_drawn_where_the_clips_have_some(tones, tmp_path):
    plain = tones.clip
    tones.clip = lambda self, name, i: _changed(
        plain(self, name, i), {"fold": str(i // 6 + 1)}
    )
    with pytest.raises(ParamsError, match=r"3 folds .* folds already \(1, 2\)"):
        fetch.run(values(split=Split(folds=3)), tmp_path)


def test_folds_that_share_a_copy_are_refused(tones, tmp_path, monkeypatch):
    plain = tones.clip
    tones.clip = lambda self, name, i: _changed(
        plain(self, name, i), {"fold": str(i // 6 + 1)}
    )
    monkeypatch.setattr(similarity, "find", lambda *_, **__: [("0", "11")])
    with pytest.raises(DataError, match=r"'0' \(fold 1\), '11' \(fold 2\) are cop"):
        fetch.run(values(), tmp_path)
