"""Parts of long recordings are honoured by every stage that reads a clip."""

import base64
import io
import shutil
import subprocess
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from rehear import audio, checking, evaluation, ffmpeg, manifest, similarity
from rehear.errors import DataError
from rehear.params import Fetch, Params, Part, Preprocess
from rehear.prints import Prints, spectral_print
from rehear.stages import fetch, preprocess
from rehear.store import Store

RATE = 44100
SECONDS = 8
# Beginnings and ends that are no whole samples, out of order, and overlapping.
PARTS = ((6.00001, 7.3), (0.0, 1.00002), (2.333, 3.5), (3.0, 4.5), (7.4, 8.0))
LOSSLESS, LOSSY = ("wav", "flac"), ("mp3", "ogg", "opus", "m4a")


def sounds():
    """Noise whose loudness changes ten times a second, so that no parts are alike."""
    draws = np.random.default_rng(0)
    levels = np.repeat(draws.uniform(0.02, 0.3, SECONDS * 10), RATE // 10)
    noise = np.clip(draws.normal(0, 0.4, (2, SECONDS * RATE)), -1, 1)
    return (np.rint(levels * noise * 32768) / 32768).astype(np.float32)


def encode(path, waveform, rate):
    if path.suffix != ".m4a":
        if path.suffix == ".opus":
            waveform, rate = audio.resample(waveform, rate, 48000), 48000
        audio.write(path, waveform, rate)
        return
    audio.write(path.with_suffix(".tmp.wav"), waveform, rate)
    command = [ffmpeg.program(), "-v", "error", "-i", path.with_suffix(".tmp.wav")]
    subprocess.run([*command, "-b:a", "160k", path], check=True, timeout=60)
    path.with_suffix(".tmp.wav").unlink()


def cut(path, start, end):
    """Return a part of a whole decode, and the rate."""
    whole, rate = audio.read(path)
    return whole[:, round(start * rate) : round(end * rate)], rate


@pytest.fixture(scope="module", params=[*LOSSLESS, *LOSSY])
def made(request, tmp_path_factory):
    """A long recording, its parts in a table, and each as a file of its own."""
    if request.param == "m4a" and not ffmpeg.program():
        pytest.skip("no ffmpeg; pip install 'rehear[ffmpeg]'")
    own = tmp_path_factory.mktemp(request.param) / "data" / "own"
    own.mkdir(parents=True)
    long = own / f"long.{request.param}"
    encode(long, sounds(), RATE)
    whole, rate = audio.read(long)
    rows = ["path,start,end,label,split"]
    for number, (start, end) in enumerate(PARTS):
        rows.append(f"{long.name},{start},{end},x,train")
        part = whole[:, round(start * rate) : round(end * rate)]
        soundfile.write(own / f"{number}.wav", part.T, rate, subtype="FLOAT")
        rows.append(f"{number}.wav,,,x,train")
    for seed, (label, split) in enumerate(
        [("x", "dev"), ("x", "test"), ("y", "train")]
    ):
        noise = np.random.default_rng(seed).normal(size=(1, 8000)) / 8
        audio.write(own / f"{split}.wav", noise, 8000)
        rows.append(f"{split}.wav,,,{label},{split}")
    (own / "labels.csv").write_text("\n".join([*rows, ""]))
    return own.parents[1], request.param


@pytest.fixture
def study(made, tmp_path):
    """A copy of that, before the stage ``fetch``."""
    shutil.copytree(made[0], tmp_path, dirs_exist_ok=True)
    own = tmp_path / "data" / "own"
    long = own / f"long.{made[1]}"
    return SimpleNamespace(folder=tmp_path, own=own, long=long, kind=made[1])


def params(*names):
    return Params(
        dataset=Part(name="csv"),
        fetch=Fetch(),
        preprocess=Preprocess(transforms=tuple(Part(name=name) for name in names)),
    )


def pairs(study):
    """Return ``(the clip that is a part, the same as a file)`` for each part."""
    clips = manifest.read(study.folder / "data/manifest.csv").clips[: 2 * len(PARTS)]
    return list(zip(clips[::2], clips[1::2], strict=True))


def tolerance(study):
    # Decoders of libsndfile differ in the last bit after a seek; what ffmpeg
    # decodes is cut out of the whole.
    return 1e-6 if study.kind in ("mp3", "ogg", "opus") else 0


def test_fetch_describes_the_part(study):
    fetch.run(params(), study.folder, processes=1)
    for part, file in pairs(study):
        assert part.file == f"data/own/long.{study.kind}"
        assert (part.duration, part.sample_rate) == (file.duration, file.sample_rate)
        assert (part.sha256 == file.sha256) or tolerance(study)
    assert len({part.sha256 for part, _ in pairs(study)}) == len(PARTS)


def test_features_are_those_of_the_part_alone(study):
    fetch.run(params(), study.folder, processes=1)
    preprocess.run(params("mono", "log_mel"), study.folder, processes=2)
    store = Store.open(study.folder / "data/features")
    for row in range(0, 2 * len(PARTS), 2):
        assert store[row].shape == store[row + 1].shape
        np.testing.assert_allclose(
            store[row], store[row + 1], rtol=0, atol=1e3 * tolerance(study)
        )


def test_samples_are_those_of_a_whole_decode(study):
    for start, end in PARTS:
        expected, rate = cut(study.long, start, end)
        got, found = audio.read(study.long, start, end)
        assert found == rate
        assert (
            got.shape == expected.shape == (2, round(end * rate) - round(start * rate))
        )
        np.testing.assert_allclose(got, expected, rtol=0, atol=tolerance(study))


def test_the_check_sends_the_part_through(study):
    for _ in ("before fetch", "after it"):
        path = checking.dry_run(
            study.folder,
            Params(
                dataset=Part(name="csv"),
                preprocess=Preprocess(
                    transforms=(Part(name="mono"), Part(name="log_mel"))
                ),
                model=Part(name="cnn10", width=2),
                augment=(Part(name="random_crop", size=16),),  # parts differ in length
            ),
        )
        rate = 48000 if study.kind == "opus" else RATE
        samples = round(PARTS[0][1] * rate) - round(PARTS[0][0] * rate)
        assert path[0] == f"waveform (2, {-(-samples * 16000 // rate)})"
        fetch.run(params(), study.folder, processes=1)


def test_the_player_plays_the_part(study):
    fetch.run(params(), study.folder, processes=1)
    clips = manifest.read(study.folder / "data/manifest.csv")
    chosen = [part for part, _ in pairs(study)]
    predictions = SimpleNamespace(
        task="classification",
        clips=np.array([clip.clip for clip in chosen]),
        targets=np.zeros(len(chosen), int),
        predictions=np.zeros(len(chosen), int),
        scores=np.ones((len(chosen), 1)),
        text=str,
    )
    rows = range(len(chosen))
    entries = evaluation.examples(rows, predictions, clips, study.folder)
    for (start, end), entry in zip(PARTS, entries, strict=True):
        data = base64.b64decode(entry["audio"].partition(",")[2])
        heard, rate = soundfile.read(io.BytesIO(data), dtype="float32")
        waveform, found = cut(study.long, start, end)
        expected = audio.resample(waveform.mean(axis=0, keepdims=True), found, rate)[0]
        # MP3 adds up to two of its frames.
        assert 0 <= len(heard) - len(expected) < 2 * 1152
        assert agreement(heard, expected) > 0.8


def agreement(one, other):
    """Return the largest correlation over all shifts."""
    size = 1 << (len(one) + len(other)).bit_length()
    product = np.fft.rfft(one, size) * np.conj(np.fft.rfft(other, size))
    return np.fft.irfft(product, size).max() / (
        np.linalg.norm(one) * np.linalg.norm(other)
    )


def test_a_part_in_another_split_as_a_file_is_a_leak(study):
    table = study.own / "labels.csv"
    table.write_text(table.read_text().replace("2.wav,,,x,train", "2.wav,,,x,test"))
    with pytest.raises(DataError, match=r"the splits leak.*2\.wav") as caught:
        fetch.run(params(), study.folder, processes=1)
    for other in (0, 1, 3, 4):
        assert f"{other}.wav" not in str(caught.value)


def test_copies_are_looked_for_in_the_part(study):
    fetch.run(params(), study.folder, processes=1)
    clips = manifest.read(study.folder / "data/manifest.csv").clips[: 2 * len(PARTS)]
    # Changed a little, so that digests tell nothing.
    for number, (start, end) in enumerate(PARTS):
        waveform, rate = cut(study.long, start, end)
        audio.write(study.own / f"{number}.wav", waveform / 2, rate)
    reads = [audio.read(study.folder / c.file, c.start, c.end) for c in clips]
    prints = Prints.of([spectral_print(waveform, rate) for waveform, rate in reads])
    unlike = [
        manifest.Clip(
            *(c.clip, c.file, c.start, c.end),
            duration=c.duration,
            sample_rate=c.sample_rate,
            sha256=str(i),
        )
        for i, c in enumerate(clips)
    ]
    found = similarity.find(unlike, prints, study.folder, processes=1)
    expected = {
        tuple(sorted((clips[i].clip, clips[i + 1].clip)))
        for i in range(0, len(clips), 2)
    }
    assert {tuple(sorted(pair)) for pair in found} == expected
