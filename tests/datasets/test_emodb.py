import csv
import io
import json
import shutil
import wave
import zipfile
from collections import Counter

import numpy as np
import pytest

from loopback import Page, serve
from rehear import archives, audio, manifest, paths
from rehear.catalogue import Catalogue
from rehear.datasets.emodb import EMOTIONS, RECORDINGS, SPEAKERS, EmoDB
from rehear.errors import DataError, ParamsError
from rehear.params import Params, Part
from rehear.stages import fetch as stage

# All recordings of the archive: speaker, then sentence with emotion and version.
PUBLISHED = """
03 a01 Fa Nc Wa a02 Fc Nc Ta Wb Wc a04 Ad Fd Lc Nc Ta Wc a05 Aa Fc Nd Tc Wa Wb
03 a07 Fa Fb La Nc Wc b01 Fa Lb Nb Td Wa Wc b02 Aa La Na Tb Wb b03 Nb Tc Wc
03 b09 La Nc Tc Wa b10 Ab Ec Na Nc Wb Wc
08 a01 Ab Fd Lc Na Wa Wc a02 Ab Ac Fe La Na Tb Wc a04 Ff La Nc Tb Wc
08 a05 Fe Lc Nb Ta Wa a07 Fd La Na Ta Tb Wc b01 Aa Fd Fe Lb Na Wa b02 Ff La Nb Tc Wd
08 b03 Fe Lc Nb Tc Wd b09 Ab Fd Lc Nb Tb Wa Wc b10 Aa Fd La Nc Tc Wa
09 a01 Ea Fa Nb Wb a02 Ea Eb La Wb a04 Fd La Nb Wa a05 Ed Lc Nb Tb Wb Wc
09 a07 Eb Na Ta Wb Wd b01 Ea Na Wb b02 Na Tb Wc Wd b03 Ed Fa Fd Lb Nb Ta Wb
09 b09 Ea Nd Wa b10 Aa Nd Wa
10 a01 Ac Nb Wa a02 Ab Fa Lb Na Wa a04 Fd Nb Wa Wb a05 Aa Ld Tb Wb a07 Aa Ad La Ta Wb
10 b01 Aa Ea Fa Lb b02 Aa La Na Wb b03 La Tb Wb b09 Ad Lb Wb b10 Fc Lc Wa
11 a01 Aa Ab Ld Nd Wc a02 Ec Fb Ld Nc Tc Wc a04 Ac Fd Nd Wc a05 Ad Fb Fc Lc Na Td Wd
11 a07 Ac Ld Ta Wc b01 Ab Eb Fc Lb Nc Wd b02 Ab Fd Na Td Wb b03 Fc Lc Nb Td Wa Wb
11 b09 Ad Fd Ld Na Td Wa b10 Ad Ae Ld Nc Td Wa
12 a01 Fb Lb Nb Wc a02 Ac Ec Nb Wa Wc a04 Wc a05 Ab Lb Nd Ta Wb a07 Ac La Wa
12 b01 Ta Wa b02 Ad Ea Fb Na Wa Wb Wd b03 La Ta b09 Ac Td Wc b10 Ac Ld Wa
13 a01 Ac Ea Ec Fd Lb Nb Wb a02 Ad Ec Fa Lc Nc Ta Wa a04 Ac Fc Lb Ta Wc
13 a05 Aa Ea Lc Nb Tc Wa Wc a07 Fd Lb Na Tc Wb b01 Ab Ec Fc Ld Nc Wa b02 Fb Lc Nb Wa
13 b03 Ac Ed Fd Lb Na Td Wc b09 Ab Ec Fb Fc La Na Wa b10 Ec Fa La Nc Wa Wc
14 a01 Aa Ac Ea Na Wa Wc a02 Ab Ea Fd La Nc Tb Wa Wc a04 Aa Ed Lb Tb Tc Wb Wc
14 a05 Aa Ac Fa Fb Lb Na Ta Tc Wa Wb a07 Aa Eb Fd Lc Ld Na Tc Wc b01 Ac Eb Fa Fc Na Wc
14 b02 Aa Fb Na Tc Wb Wd b03 Ad Ed Lb Ta Wb b09 Ac Ea Fc Lb Td Wa Wc
14 b10 Ad Eb Lb Nb Tc Wc
15 a01 Ea Fb La Nb Wa a02 Ac Ea La Na Ta Wb Wd a04 Ab Ac Fd Nc Wa Wb
15 a05 Eb Fb Lb Na Wa a07 Ac Eb Fa Fb Ld Nc b01 Ec Lb Na Wc b02 Aa Lb Nd Tc Wa Wc
15 b03 Aa Lc Nb Tc Wa Wb b09 Ac Fa La Nb Ta Wb b10 Ac Lc Nb Nc Wa
16 a01 Ec Fc Lb Nc Tb Wb a02 Ea Ec Lb Nb Tc Wb a04 Ab Ea Fa La Lc Nc Tc Wb Wc
16 a05 Ab Ea Fc La Tb Wb Wc a07 Ea Fa Fb La Lb Nb Td Wa b01 Aa Eb Fa La Lc Tb Wa Wb
16 b02 Aa Eb Fd Lb Wb b03 Ad Ea Fa Fd La Nb Ta Wb b09 Ab Eb Fb La Lb Wb
16 b10 Aa Eb Fb Lb Tb Td Wa Wb
"""
FOUR = ["anger", "happiness", "neutral", "sadness"]


def published():
    for line in PUBLISHED.split("\n"):
        speaker, *codes = line.split() or [""]
        for code in codes:
            if len(code) == 3:
                sentence = code
            else:
                yield speaker + sentence + code


def noise(number):
    """Return a short recording that no other is like."""
    generator = np.random.default_rng(number)
    envelope = np.repeat(generator.uniform(0, 0.3, 30), 160)
    samples = envelope * generator.standard_normal(4800)
    stream = io.BytesIO()
    with wave.open(stream, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(16000)
        out.writeframes((samples * 32767).clip(-32768, 32767).astype("<i2").tobytes())
    return stream.getvalue()


def packed(files):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as out:
        for name, data in files.items():
            out.writestr(name, data)
    return stream.getvalue()


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
