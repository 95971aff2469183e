"""openSMILE against its own Python package."""

import os
import sys

import numpy as np
import pytest

from rehear import transforms
from rehear.errors import DataError, ParamsError
from rehear.transforms import TRANSFORMS
from rehear.transforms.opensmile import OpenSmile


@pytest.fixture(scope="module")
def opensmile():
    return pytest.importorskip("opensmile", reason="needs the extra opensmile")


def voiced(seconds=1.0, seed=0):
    time = np.arange(int(16000 * seconds)) / 16000
    noise = np.random.default_rng(seed).normal(size=time.size) / 50
    pitch = 120 + 20 * seed
    tone = sum(np.sin(2 * np.pi * pitch * k * time) / k for k in range(1, 8))
    return (tone * 0.2 + noise).astype(np.float32)[None]


def expected_functionals(opensmile, waveform, feature_set, level):
    smile = opensmile.Smile(
        opensmile.FeatureSet[feature_set], opensmile.FeatureLevel[level]
    )
    return smile.process_signal(waveform, 16000).to_numpy()


@pytest.mark.parametrize("feature_set", ["eGeMAPSv02", "ComParE_2016"])
def test_functionals_equal_process_signal(opensmile, feature_set):
    transform = OpenSmile(sample_rate=16000, feature_set=feature_set)
    for seed in range(3):  # the engine is reset between clips
        waveform = voiced(0.5 + seed / 2, seed)
        got = transform(waveform)
        expected = expected_functionals(opensmile, waveform, feature_set, "Functionals")
        np.testing.assert_array_equal(got, expected[0])
        assert got.dtype == np.float32
        assert got.shape == (len(transform.names),)


def test_descriptors_equal_process_signal(opensmile):
    got = OpenSmile(sample_rate=16000, level="lld")(voiced())
    expected = expected_functionals(
        opensmile, voiced(), "eGeMAPSv02", "LowLevelDescriptors"
    )
    np.testing.assert_array_equal(got, expected.T[None])
    assert got.shape[:2] == (1, 25)


def test_functionals_of_speech_equal_process_signal(opensmile, recordings):
    from rehear import audio

    transform = OpenSmile(sample_rate=16000)
    for path in sorted((recordings / "emodb4" / "audio").iterdir())[:3]:
        waveform, _ = audio.read(path)
        expected = expected_functionals(
            opensmile, waveform, "eGeMAPSv02", "Functionals"
        )
        np.testing.assert_array_equal(transform(waveform), expected[0])


def test_a_forked_process_gets_its_own_engine(opensmile):
    transform = OpenSmile(sample_rate=16000)
    expected = transform(voiced())
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(writer, transform(voiced()).tobytes())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as stream:
        got = np.frombuffer(stream.read(), np.float32)
    os.waitpid(pid, 0)
    np.testing.assert_array_equal(got, expected)


def test_full_scale_is_clipped_and_does_not_wrap(opensmile):
    loud = np.clip(voiced() * 100, -1.5, 1.5)
    transform = OpenSmile(sample_rate=16000)
    np.testing.assert_array_equal(transform(loud), transform(np.clip(loud, -1, 1)))


def test_a_clip_without_a_frame_is_refused(opensmile):
    chain = transforms.build([{"name": "opensmile", "level": "lld"}], sample_rate=16000)
    with pytest.raises(DataError, match="'opensmile': 10 samples .* too short"):
        chain(voiced()[:, :10])


def test_two_channels_are_refused(opensmile):
    chain = transforms.build(["opensmile"], sample_rate=16000)
    with pytest.raises(DataError, match="takes one channel, got 2; put 'mono' before"):
        chain(np.repeat(voiced(), 2, axis=0))


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"feature_set": "eGeMAPSv2"}, "Did you mean 'eGeMAPSv02'"),
        ({"level": "func"}, "unknown level 'func'"),
        ({"level": "lld_de"}, "eGeMAPSv02 has no deltas"),
    ],
)
def test_unknown_set_or_level_is_refused(opensmile, arguments, reason):
    with pytest.raises(ParamsError, match=reason):
        TRANSFORMS.build({"name": "opensmile", **arguments}, sample_rate=16000)


def test_a_missing_package_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "opensmile", None)
    with pytest.raises(ParamsError, match=r"pip install 'rehear\[opensmile\]'"):
        TRANSFORMS.build("opensmile", sample_rate=16000)
