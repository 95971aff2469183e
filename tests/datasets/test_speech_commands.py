import gzip
import hashlib
import io
import json
import tarfile
import wave
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from loopback import Page, serve
from rehear import archives, audio
from rehear.catalogue import Catalogue
from rehear.datasets import speech_commands
from rehear.datasets.speech_commands import COMMANDS, RELEASES, SpeechCommands
from rehear.errors import DataError, ParamsError
from rehear.params import Fetch, Params, Part
from rehear.stages import fetch as stage

LISTS = {
    "0.02": "speechcommands_v2_{}_list.txt",
    "0.01": "speechcommands_v1_{}_list.txt",
}
# Digests of the lists in the published archive; the copies at hand lack the last
# line break.
DIGESTS = {
    "validation": "5747407275538b4056e823982f0db1fc993776ab532048196a19be701bdc87d2",
    "testing": "2d17c6b3faf63be43eda93cfeb0c747cfd79b7b236282039dbac65a2cb5f1df5",
}
DIGITS = (
    *("zero", "one", "two", "three", "four"),
    *("five", "six", "seven", "eight", "nine"),
)
# Of the published recordings, in samples.
NOISES = {
    "doing_the_dishes": 1522930,
    "dude_miaowing": 988891,
    "exercise_bike": 980062,
    "pink_noise": 960000,
    "running_tap": 978488,
    "white_noise": 960000,
}


def which_set(speaker):
    """Assign a speaker as the paper and the data set's README say."""
    most = 2**27 - 1
    digest = int(hashlib.sha1(speaker.encode()).hexdigest(), 16)
    percentage = digest % (most + 1) * (100.0 / most)
    return "dev" if percentage < 10 else "test" if percentage < 20 else "train"


def identity(speaker, split):
    """Return an anonymous name of a speaker that the hash puts in ``split``."""
    names = (
        hashlib.sha1(f"{speaker} {number}".encode()).hexdigest()[:8]
        for number in range(1000)
    )
    return next(name for name in names if which_set(name) == split)


def wav(samples):
    stream = io.BytesIO()
    with wave.open(stream, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(16000)
        out.writeframes(np.asarray(samples, "<i2").tobytes())
    return stream.getvalue()


def packed(files):
    """Pack as the published archives are: members begin with ``./``."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name, data in files.items():
            entry = tarfile.TarInfo(f"./{name}")
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return gzip.compress(stream.getvalue(), compresslevel=1, mtime=0)


def listed(recordings, version, kind):
    path = recordings / "metadata_fixtures" / LISTS[version].format(kind)
    return path.read_text().split()


def lists_of(names):
    """Return the two lists for some recordings, by the rule of the hash."""
    of = {split: [] for split in ("train", "dev", "test")}
    for name in names:
        of[which_set(name.partition("/")[2].partition("_")[0])].append(name)
    return {
        "validation_list.txt": "".join(f"{n}\n" for n in of["dev"]).encode(),
        "testing_list.txt": "".join(f"{n}\n" for n in of["test"]).encode(),
    }


@pytest.fixture
def publish(tmp_path, monkeypatch):
    """Serve archives in place of the published ones, and pin these instead."""

    def run(version="0.02", *, tested=(), **archive):
        release, folder = RELEASES[version], tmp_path / "mirror"
        folder.mkdir()
        remotes = {}
        for key, files in (("archive", archive["files"]), ("test", dict(tested))):
            remote, body = getattr(release, key), packed(files)
            (folder / remote.name).write_bytes(body)
            remotes[key] = replace(
                remote, size=len(body), sha256=hashlib.sha256(body).hexdigest()
            )
        words = [n for n in archive["files"] if "_nohash_" in n]
        count = {"recordings": len(words), "tested": len(tested)}
        monkeypatch.setitem(RELEASES, version, replace(release, **remotes, **count))
        return folder.as_uri()

    return run


@pytest.fixture
def fetch(tmp_path):
    def run(**arguments):
        raw = tmp_path / "raw"
        raw.mkdir(exist_ok=True)
        return SpeechCommands(**arguments).fetch(
            raw, task="classification", source=raw, downloads=tmp_path / "parts"
        )

    return run


@pytest.fixture(scope="module")
def digits(recordings):
    """Real recordings of digits, at the rate and under the names of this set."""
    found = {}
    splits = {"nicolas": "dev", "theo": "test", "lucas": "test"}
    for path in sorted((recordings / "fsdd" / "audio").glob("*.wav")):
        digit, speaker, number = path.stem.split("_")
        if int(number) < 3:
            waveform, rate = audio.read(path)
            samples = audio.resample(waveform, rate, 16000)[0] * 32767
            name = identity(speaker, splits.get(speaker, "train"))
            found[f"{DIGITS[int(digit)]}/{name}_nohash_{number}.wav"] = wav(samples)
    assert len(found) == 180
    return found


@pytest.mark.parametrize("version", LISTS)
def test_published_lists_follow_from_the_hash_of_the_speaker(recordings, version):
    for kind, split in (("validation", "dev"), ("testing", "test")):
        names = listed(recordings, version, kind)
        speakers = {name.partition("/")[2].partition("_nohash_")[0] for name in names}
        assert {which_set(speaker) for speaker in speakers} == {split}
        assert {name.partition("/")[0] for name in names} == {*RELEASES[version].words}


def test_lists_at_hand_are_the_published_ones(recordings):
    for kind, digest in DIGESTS.items():
        path = recordings / "metadata_fixtures" / LISTS["0.02"].format(kind)
        assert hashlib.sha256(path.read_bytes() + b"\n").hexdigest() == digest


@pytest.mark.parametrize(
    ("version", "counts"),
    [("0.02", (84843, 9981, 11005)), ("0.01", (51088, 6798, 6835))],
)
def test_published_counts_agree(recordings, version, counts):
    release = RELEASES[version]
    assert sum(counts) == release.recordings
    dev, test = (listed(recordings, version, k) for k in ("validation", "testing"))
    assert (len(dev), len(test)) == counts[1:]
    # The test archive: all listed commands, and a tenth of it unknown and silent.
    commands = sum(name.partition("/")[0] in COMMANDS for name in test)
    assert commands + 2 * -(-commands // 10) == release.tested


def test_all_listed_recordings_are_in_their_split(fetch, publish, recordings):
    names = {
        "dev": listed(recordings, "0.02", "validation"),
        "test": listed(recordings, "0.02", "testing"),
        "train": ["bed/00176480_nohash_0.wav", "wow/fffcabd1_nohash_2.wav"],
    }
    data = wav([0, 1])
    files = {name: data for split in names.values() for name in split}
    assert len(files) == 20988
    for kind, split in (("validation", "dev"), ("testing", "test")):
        files[f"{kind}_list.txt"] = "\n".join(names[split]).encode()
    files["README.md"] = files["LICENSE"] = b"# Speech Commands Data Set v0.02"
    files["_background_noise_/README.md"] = b"#"
    files["_background_noise_/white_noise.wav"] = data
    found = fetch(mirror=publish(files=files))
    of = {split: {c.clip for c in found if c.split == split} for split in names}
    assert of == {
        split: {name.removesuffix(".wav") for name in listing}
        for split, listing in names.items()
    }
    assert {clip.labels[0] for clip in found} == set(RELEASES["0.02"].words)
    assert all(which_set(clip.group) == clip.split for clip in found)
    assert found.attributes == ("word", "utterance")
    clip = next(c for c in found if c.clip == "wow/fffcabd1_nohash_2")
    assert (clip.group, clip.attributes) == ("fffcabd1", ("wow", "2"))
    assert [clip.clip for clip in found] == sorted(clip.clip for clip in found)


def test_torchaudio_reads_the_archive_alike(fetch, publish, digits, tmp_path):
    from torchaudio.datasets import SPEECHCOMMANDS

    files = {**digits, **lists_of(digits)}
    expected = set()
    for name, data in files.items():
        path = tmp_path / "SpeechCommands" / "speech_commands_v0.02" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    for subset, split in (
        *(("training", "train"), ("validation", "dev"), ("testing", "test")),
    ):
        spoken = SPEECHCOMMANDS(tmp_path, subset=subset)
        for number in range(len(spoken)):
            _, _, word, speaker, utterance = spoken.get_metadata(number)
            expected.add((split, word, speaker, str(utterance)))
    assert len(expected) == 180
    found = fetch(mirror=publish(files=files))
    assert {(c.split, c.labels[0], c.group, c.attributes[1]) for c in found} == expected


def test_words_can_be_chosen(fetch, publish, digits):
    mirror = publish(files={**digits, **lists_of(digits)})
    found = fetch(mirror=mirror, words=["two", "one"])
    assert Counter(c.labels[0] for c in found) == {"one": 18, "two": 18}


def test_recordings_are_read_from_the_archive(fetch, publish, digits, tmp_path):
    mirror = publish("0.01", files={**digits, **lists_of(digits)})
    for clip in fetch(mirror=mirror, version="0.01"):
        place = archives.locate(tmp_path / "raw" / clip.file)
        assert clip.file == f"speech_commands_v0.01.tar::./{clip.clip}.wav"
        assert place.read(0, place.size) == digits[f"{clip.clip}.wav"]
    assert not (tmp_path / "raw" / "speech_commands_test_set_v0.01.tar").exists()


@pytest.fixture
def keywords(publish, digits):
    """Archives for the protocol ``commands``; digits 1 and 2 are called yes and no."""
    names = {"one": "yes", "two": "no"}
    spoken = {}
    for name, data in digits.items():
        word, _, rest = name.partition("/")
        spoken[f"{names.get(word, word)}/{rest}"] = data
    noise = np.random.default_rng(1)
    files = {
        f"_background_noise_/{name}.wav": wav(noise.integers(-999, 999, samples))
        for name, samples in NOISES.items()
    }
    listed = lists_of(spoken)
    clips = {}
    for name in listed["testing_list.txt"].decode().split():
        word, _, rest = name.partition("/")
        place = name if word in COMMANDS else f"_unknown_/{word}_{rest}.wav"
        clips[place] = spoken[name]
    clips["_silence_/27.wav"] = wav(noise.integers(-99, 99, 16000))
    clips["_silence_/5.wav"] = wav(noise.integers(-99, 99, 16000))
    return publish(files={**spoken, **files, **listed}, tested=clips)


def test_twelve_classes(fetch, keywords, digits):
    found = fetch(mirror=keywords, protocol="commands")
    assert {c.labels[0] for c in found} == {"yes", "no", "_unknown_", "_silence_"}
    spoken = [c for c in found if c.labels[0] != "_silence_"]
    # Every recording once: those that are listed for test, from the test archive.
    assert len(spoken) == len(digits)
    for clip in spoken:
        archive = "test_set_v0.02" if clip.split == "test" else "v0.02"
        assert clip.file.startswith(f"speech_commands_{archive}.tar::")
        assert which_set(clip.group) == clip.split
        word = clip.attributes[0]
        assert clip.labels[0] == (word if word in COMMANDS else "_unknown_")
    assert {c.split for c in spoken if c.labels == ("_unknown_",)} == {
        *("train", "dev", "test")
    }


def test_silence_is_cut_as_in_tensorflow_datasets(fetch, keywords):
    silent = [
        c
        for c in fetch(mirror=keywords, protocol="commands")
        if c.labels == ("_silence_",)
    ]
    counts = Counter(c.split for c in silent)
    # As many as make up its published 85,511 and 10,102 clips with the words.
    assert counts == {"train": 85511 - 84843, "dev": 10102 - 9981, "test": 2}
    cut = [c for c in silent if c.split != "test"]
    assert {c.group for c in cut} == set(NOISES)
    assert {c.group for c in cut if c.split == "dev"} == {"running_tap"}
    for clip in cut:
        assert clip.end - clip.start == 1
        assert (clip.start * 2) % 1 == 0
        assert clip.end * 16000 < NOISES[clip.group]
    assert "_background_noise_/pink_noise[0.5-1.5]" in {c.clip for c in cut}
    assert {c.group for c in silent if c.split == "test"} == {""}


def test_names_in_the_test_archive():
    # As published: words in _unknown_ come first, and the ending stands twice.
    match = speech_commands._TESTED.fullmatch
    name = "./_unknown_/bed_3ff840aa_nohash_0.wav.wav"
    assert match(name).groups()[1:] == ("_unknown_", "bed", "3ff840aa", "0")
    assert match("down/0c40e715_nohash_0.wav").groups()[1:] == (
        *("down", None, "0c40e715", "0"),
    )
    assert match("_silence_/1035.wav").groups()[1:] == (
        *("_silence_", None, None, "1035"),
    )
    assert match("README.md") is None


def test_stage_finds_no_leak(keywords, monkeypatch, tmp_path):
    table = {"sc": "rehear.datasets.speech_commands:SpeechCommands"}
    monkeypatch.setattr(stage, "DATASETS", Catalogue("data set", table))
    part = Part(name="sc", mirror=keywords, protocol="commands")
    stage.run(Params(dataset=part, fetch=Fetch()), tmp_path)
    card = json.loads((tmp_path / "data" / "card.json").read_text())
    assert (card["clips"], card["leak_count"]) == (180 + 668 + 121 + 2, 0)
    assert card["labels"]["_silence_"]["dev"] == 121
    assert card["sample_rates"] == {"16000": 971}


def test_published_archive_is_pinned(fetch, publish, digits, monkeypatch):
    pinned = RELEASES["0.02"]
    mirror = publish(files={**digits, **lists_of(digits)})
    monkeypatch.setitem(RELEASES, "0.02", pinned)
    with pytest.raises(DataError, match=r"expected .*2,428,923,189"):
        fetch(mirror=mirror)


def test_missing_recording_of_a_list_is_named(fetch, publish, digits):
    lists = lists_of(digits)
    lists["testing_list.txt"] += b"wow/0c40e715_nohash_9.wav\n"
    mirror = publish(files={**digits, **lists})
    with pytest.raises(DataError, match="lacks 1 .*wow/0c40e715_nohash_9.wav"):
        fetch(mirror=mirror)


def test_missing_list_is_named(fetch, publish, digits):
    mirror = publish(files=dict(digits))
    with pytest.raises(DataError, match=r"no member 'validation_list\.txt'"):
        fetch(mirror=mirror)


def test_other_number_of_recordings_is_refused(fetch, publish, digits, monkeypatch):
    mirror = publish(files={**digits, **lists_of(digits)})
    release = replace(RELEASES["0.02"], recordings=181)
    monkeypatch.setitem(RELEASES, "0.02", release)
    with pytest.raises(DataError, match="holds 180 recordings, expected 181"):
        fetch(mirror=mirror)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"version": "0.2"}, r"dataset\.version: unknown '0\.2'.*mean '0\.02'"),
        ({"protocol": "comands"}, "mean 'commands'"),
        ({"words": ["yess"]}, r"unknown 'yess'\. Did you mean 'yes'"),
        ({"words": ["learn"], "version": "0.01"}, "unknown 'learn'"),
        ({"words": ["yes"], "protocol": "commands"}, "has its own words"),
    ],
)
def test_what_cannot_be_chosen_is_named(arguments, message):
    with pytest.raises(ParamsError, match=message):
        SpeechCommands(**arguments)


def test_archive_is_fetched_from_a_server(fetch, publish, digits, tmp_path):
    publish(files={**digits, **lists_of(digits)})
    name = RELEASES["0.02"].archive.name
    with serve() as loopback:
        body = (tmp_path / "mirror" / name).read_bytes()
        loopback.pages[f"/{name}"] = Page(body)
        assert len(fetch(mirror=loopback.url)) == 180
    assert [path.name for path in (tmp_path / "raw").iterdir()] == [
        "speech_commands_v0.02.tar"
    ]
