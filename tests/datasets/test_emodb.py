import csv
import json
import shutil
from collections import Counter

import numpy as np
import pytest

from emotions import noise, packed, published
from loopback import Page, serve
from rehear import archives, audio, manifest, paths
from rehear.catalogue import Catalogue
from rehear.datasets.emodb import EMOTIONS, RECORDINGS, SPEAKERS, EmoDB
from rehear.errors import DataError, ParamsError
from rehear.params import Params, Part
from rehear.stages import fetch as stage

FOUR = ["anger", "happiness", "neutral", "sadness"]


@pytest.fixture(scope="module")
def files(recordings):
    """The archive: real recordings, and noise in place of those not at hand."""
    audio = recordings / "emodb4" / "audio"
    real = {path.stem: path.read_bytes() for path in audio.glob("*.wav")}
    assert len(real) == 308
    found = {
        "erkennung.txt": "Satz erkannt natürlich\r\n".encode("latin-1"),
        "lablaut/03a01Faxx.lablaut": b"",
        "labsilb/03a01Fa.labsilb": b"",
        "silb/03a01Fa.silb": b"",
        "wav/": b"",
    }
    for number, name in enumerate(published()):
        found[f"wav/{name}.wav"] = real.pop(name, None) or noise(number)
    assert not real
    return found


@pytest.fixture(scope="module")
def server(files):
    with serve() as loopback:
        loopback.pages["/download.zip"] = Page(packed(files))
        yield loopback


@pytest.fixture
def fetch(server, tmp_path):
    def run(**arguments):
        raw = tmp_path / "raw"
        raw.mkdir(exist_ok=True)
        part = EmoDB(**{"mirror": server.url, **arguments})
        return part.fetch(
            raw, task="classification", source=raw, downloads=tmp_path / "parts"
        )

    return run


def test_every_recording_has_its_emotion(fetch):
    clips = fetch().clips
    assert [clip.clip for clip in clips] == sorted(published())
    assert Counter(clip.labels[0] for clip in clips) == RECORDINGS
    assert sum(RECORDINGS.values()) == 535
    assert set(EMOTIONS.values()) == set(RECORDINGS)


def test_labels_splits_and_speakers_are_those_of_the_real_table(fetch, recordings):
    with (recordings / "emodb4" / "labels.csv").open() as stream:
        rows = {row["path"][6:-4]: row for row in csv.DictReader(stream)}
    found = fetch()
    assert found.attributes == ("gender", "age", "sentence", "version")
    clips = {clip.clip: clip for clip in found if clip.clip in rows}
    assert len(clips) == 308
    for name, row in rows.items():
        clip = clips[name]
        assert clip.labels == (row["label"],)
        assert (clip.split, clip.group, clip.fold) == (row["split"], *[name[:2]] * 2)
        # Not the gender, which that table has wrong for four speakers.
        assert clip.attributes[1:] == (row["age"], row["sentence"], name[-1])


def pitch(waveform, rate):
    """Return the pitch of all voiced frames, the largest autocorrelation."""
    samples = waveform[0] / np.abs(waveform).max()
    frames = np.lib.stride_tricks.sliding_window_view(samples, 1024)[::512]
    frames = frames - frames.mean(axis=1, keepdims=True)
    power = np.abs(np.fft.rfft(frames, 2048)) ** 2
    correlation = np.fft.irfft(power)[:, :1024]
    first, last = rate // 400, rate // 70
    lags = first + correlation[:, first:last].argmax(axis=1)
    peaks = correlation[np.arange(len(lags)), lags]
    voiced = (peaks > 0.5 * correlation[:, 0]) & (correlation[:, 0] > 1)
    return rate / lags[voiced]


def test_voices_agree_with_the_gender(recordings):
    folder = recordings / "emodb4" / "audio"
    for speaker, (gender, _) in SPEAKERS.items():
        neutral = sorted(folder.glob(f"{speaker}???N?.wav"))
        heard = np.concatenate([pitch(*audio.read(path)) for path in neutral])
        assert (np.median(heard) < 155) == (gender == "male"), speaker


def test_recordings_are_read_from_the_archive(fetch, files, tmp_path):
    for clip in fetch():
        archive, _, member = clip.file.partition("::")
        assert archive == "download.zip"
        place = archives.locate(tmp_path / "raw" / clip.file)
        assert place.read(0, place.size) == files[member]


def test_each_speaker_is_a_fold(fetch):
    assert {clip.fold for clip in fetch()} == set(EmoDB.folds) == set(SPEAKERS)


def test_emotions_can_be_chosen(fetch):
    clips = fetch(emotions=FOUR).clips
    assert Counter(clip.labels[0] for clip in clips) == {
        emotion: RECORDINGS[emotion] for emotion in FOUR
    }


def test_speakers_can_be_chosen(fetch):
    # The split that audb publishes; without dev, the stage draws it from train.
    clips = fetch(dev_speakers=[], test_speakers=[12, "14", 15, 16]).clips
    speakers = {}
    for clip in clips:
        speakers.setdefault(clip.split, set()).add(clip.group)
    assert speakers == {
        "train": {"03", "08", "09", "10", "11", "13"},
        "test": {"12", "14", "15", "16"},
    }


def test_one_digit_names_a_speaker_as_well():
    assert EmoDB(test_speakers=[3, "8"]).test == {"03", "08"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dev_speakers": [7]}, r"dataset\.dev_speakers: unknown '07'.*Known: 03"),
        ({"test_speakers": [13]}, r"speaker 13 is in dataset\.dev_speakers"),
        ({"emotions": ["angry"]}, r"unknown 'angry'\. Did you mean 'anger'\?"),
    ],
)
def test_what_cannot_be_chosen_is_named(arguments, message):
    with pytest.raises(ParamsError, match=message):
        EmoDB(**arguments)


def test_missing_recording_is_refused(fetch, server, files):
    fewer = {k: v for k, v in files.items() if k != "wav/16b10Wb.wav"}
    server.pages["/fewer/download.zip"] = Page(packed(fewer))
    with pytest.raises(DataError, match=r"126 of anger \(expected 127\)"):
        fetch(mirror=f"{server.url}/fewer")


def test_members_of_other_folders_are_no_recordings(fetch, server, files):
    more = {**files, "wav_laryng/03a01Fa.wav": b"x", "../wav/03a01Fz.wav": b"x"}
    server.pages["/more/download.zip"] = Page(packed(more))
    assert len(fetch(mirror=f"{server.url}/more")) == 535


def run(server, study, **arguments):
    part = Part(name="emodb", mirror=server.url, **arguments)
    stage.run(Params(dataset=part), study)
    return json.loads((study / "data" / "card.json").read_text())


@pytest.fixture
def catalogue(monkeypatch):
    table = {"emodb": "rehear.datasets.emodb:EmoDB"}
    monkeypatch.setattr(stage, "DATASETS", Catalogue("data set", table))


def test_stage_finds_no_leak_between_the_speakers(catalogue, server, tmp_path):
    card = run(server, tmp_path, emotions=FOUR)
    assert (card["clips"], card["leak_count"]) == (339, 0)
    assert [card["splits"][s]["groups"] for s in ("train", "dev", "test")] == [6, 2, 2]
    clips = manifest.read(tmp_path / "data" / "manifest.csv").clips
    assert {clip.sample_rate for clip in clips} == {16000}
    assert clips[0].file.startswith("data/raw/download.zip::wav/")


def test_first_checksum_is_recorded_and_enforced(catalogue, server, files, tmp_path):
    run(server, tmp_path, emotions=["sadness"])
    table = tmp_path / paths.CHECKSUMS
    assert "sha256" in next(iter(json.loads(table.read_text()).values()))
    shutil.rmtree(tmp_path / paths.DOWNLOADS)
    page = server.pages["/download.zip"]
    server.pages["/download.zip"] = Page(packed({**files, "wav/x.txt": b"changed"}))
    try:
        with pytest.raises(DataError, match="expected"):
            run(server, tmp_path, emotions=["fear"])
    finally:
        server.pages["/download.zip"] = page
