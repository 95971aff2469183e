import csv
import hashlib
import re

import numpy as np
import pytest

from rehear import audio, ffmpeg
from rehear.manifest import Clip
from rehear.survey import examine

READABLE = {  # sample rate in Hz, where the name or soundfile says it
    "mp3_in_wav.wav": 16000,
    "alaw_8kHz.wav": 8000,
    "u8_11025Hz.wav": 11025,
    "stereo_float_48kHz.wav": 48000,
    "wav_4000Hz.wav": 4000,
    "wav_500kHz.wav": 500000,
    "s24_44k.wav": 44100,
    "opus_48k.opus": 48000,
    "six_channel.wav": None,
    "vorbis_128kHz.ogg": 128000,
    "flac_24bit.flac": None,
    "very_short_19ms.flac": None,
    **({"aac.m4a": None} if ffmpeg.program() else {}),
}
REASONS = {
    "truncated_126.flac": "damaged|truncated",
    "truncated_142.flac": "damaged|truncated",
    "truncated_144.flac": "damaged|truncated",
    "empty_0_frames.wav": "holds no samples",
    "zero_bytes.wav": r"empty \(0 bytes\)",
    "undecodable.mp3": "damaged|no audio",
    **({} if ffmpeg.program() else {"aac.m4a": "m4a|MP4"}),
}


@pytest.fixture
def tones(tmp_path):
    for number in range(5):
        time = np.arange(800 + number) / 8000
        tone = 0.5 * np.sin(2 * np.pi * (200 + number) * time)
        audio.write(tmp_path / f"{number}.wav", tone[None], 8000)
    return [Clip(clip=str(n), file=f"{n}.wav") for n in range(5)]


def test_awkward_recordings_are_read_or_refused_with_a_reason(recordings):
    folder = recordings / "edge_cases"
    with (folder / "index.csv").open(encoding="utf-8") as stream:
        names = [row["file"] for row in csv.DictReader(stream)]
    clips = [Clip(clip=name, file=name) for name in names]
    seen = examine(clips, folder, processes=2)
    assert {clip.file for clip in seen.clips} == set(READABLE)
    for clip in seen.clips:
        assert READABLE[clip.file] in (None, clip.sample_rate)
        assert clip.duration > 0
        assert len(clip.sha256) == 64
    assert {fault.file for fault in seen.faults} == set(REASONS)
    for fault in seen.faults:
        assert fault.reason.startswith(fault.file)
        assert re.search(REASONS[fault.file], fault.reason)


@pytest.mark.parametrize("processes", [1, 2, 5])
def test_number_of_processes_does_not_matter(tones, tmp_path, processes):
    clips = [
        Clip(clip=f"{c.clip}-{i}", file=c.file, start=i * 1e-4)
        for c in tones
        for i in range(40)
    ]
    one, many = (examine(clips, tmp_path, processes=n) for n in (1, processes))
    assert (one.clips, one.faults) == (many.clips, many.faults)
    assert one.prints.peaks.tobytes() == many.prints.peaks.tobytes()
    assert one.prints.ends.tolist() == many.prints.ends.tolist()
    assert (one.count, one.mean, one.std) == (many.count, many.mean, many.std)


def test_digest_is_that_of_the_decoded_samples(tones, tmp_path):
    (clip,) = examine([Clip(clip="a", file="3.wav", end=0.05)], tmp_path).clips
    waveform, rate = audio.read(tmp_path / "3.wav", None, 0.05)
    expected = hashlib.sha256(waveform.astype("<f4").tobytes()).hexdigest()
    assert (clip.sha256, clip.sample_rate) == (expected, rate)
    assert clip.duration == 0.05


def test_same_samples_in_another_container_have_the_same_digest(tones, tmp_path):
    audio.write(tmp_path / "0.flac", *audio.read(tmp_path / "0.wav"))
    seen = examine([tones[0], Clip(clip="f", file="0.flac")], tmp_path)
    assert seen.clips[0].sha256 == seen.clips[1].sha256


def test_order_is_kept_and_faults_are_separate(tones, tmp_path):
    (tmp_path / "2.wav").write_bytes(b"")
    seen = examine(tones, tmp_path, processes=2)
    assert [clip.clip for clip in seen.clips] == ["0", "1", "3", "4"]
    assert [(f.clip, f.reason.partition(":")[0]) for f in seen.faults] == [
        ("2", "2.wav")
    ]


def test_level_channels_and_statistics_are_those_of_numpy(tmp_path):
    generator = np.random.Generator(np.random.Philox(1))
    waves = [0.1 * generator.standard_normal((c, 700 + c)) for c in (1, 2, 6)]
    for number, wave in enumerate(waves):
        audio.write(tmp_path / f"{number}.wav", wave, 8000)
    audio.write(tmp_path / "silent.wav", np.zeros((1, 100)), 8000)
    names = ["0.wav", "1.wav", "2.wav", "silent.wav"]
    seen = examine([Clip(clip=n, file=n) for n in names], tmp_path, processes=2)
    read = [audio.read(tmp_path / name)[0].astype(np.float64) for name in names]
    assert [clip.channels for clip in seen.clips] == [1, 2, 6, 1]
    for clip, wave in zip(seen.clips[:3], read, strict=False):
        assert clip.level == pytest.approx(10 * np.log10(np.mean(wave**2)), abs=0.006)
    assert seen.clips[3].level is None
    everything = np.concatenate([wave.ravel() for wave in read])
    assert seen.count == everything.size
    assert seen.mean == pytest.approx(everything.mean(), abs=1e-15)
    assert seen.std == pytest.approx(everything.std(), rel=1e-12)


@pytest.mark.parametrize(
    ("name", "subtype", "exact"),
    [
        ("a.wav", "PCM_16", True),
        ("a.wav", "PCM_24", True),
        ("a.flac", "PCM_24", True),
        ("a.aiff", "PCM_16", True),
        ("a.wav", "FLOAT", False),
        ("a.ogg", "VORBIS", False),
        ("a.mp3", "MPEG_LAYER_III", False),
    ],
)
def test_samples_of_integers_are_known_to_be_exact(tmp_path, name, subtype, exact):
    import soundfile

    noise = 0.3 * np.random.default_rng(0).standard_normal(16000).clip(-3, 3)
    soundfile.write(tmp_path / name, noise, 16000, subtype=subtype)
    found = examine([Clip("a", name)], tmp_path, processes=1)
    assert found.exact == exact
