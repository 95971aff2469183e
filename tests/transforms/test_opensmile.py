"""openSMILE against its own Python package."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from rehear import transforms
from rehear.errors import DataError, ParamsError
from rehear.signals import FEATURES, SPECTROGRAM
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


def expected_table(opensmile, waveform, feature_set, level):
    smile = opensmile.Smile(
        opensmile.FeatureSet[feature_set], opensmile.FeatureLevel[level]
    )
    return smile.process_signal(waveform, 16000)


def expected_functionals(opensmile, waveform, feature_set, level):
    return expected_table(opensmile, waveform, feature_set, level).to_numpy()


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


LEVELS = {
    "functionals": "Functionals",
    "lld": "LowLevelDescriptors",
    "lld_de": "LowLevelDescriptors_Deltas",
}


def every_set_and_level():
    opensmile = pytest.importorskip("opensmile")
    for feature_set in opensmile.FeatureSet.__members__:
        for level in LEVELS:
            if level != "lld_de" or "GeMAPS" not in feature_set:
                yield feature_set, level


@pytest.mark.filterwarnings("ignore:Feature set .* is deprecated")
def test_every_set_and_level_equals_process_signal(opensmile):
    for feature_set, level in every_set_and_level():
        transform = OpenSmile(sample_rate=16000, feature_set=feature_set, level=level)
        for clip in (voiced(0.3), voiced(0.8, 1)):
            expected = expected_functionals(opensmile, clip, feature_set, LEVELS[level])
            got = transform(clip)
            if level == "functionals":
                assert transform.gives == FEATURES
                np.testing.assert_array_equal(got, expected[0])
            else:
                assert transform.gives == SPECTROGRAM
                np.testing.assert_array_equal(got, expected.T[None])
            assert got.dtype == np.float32


def test_a_set_that_is_replaced_says_so_in_the_log(opensmile, caplog):
    OpenSmile(sample_rate=16000, feature_set="GeMAPS")
    assert "GeMAPSv01b" in caplog.text


@pytest.mark.parametrize(
    ("feature_set", "features"), [("ComParE_2016", 65), ("emobase", 26), ("IS09", 16)]
)
@pytest.mark.parametrize("seconds", [0.07, 0.5, 1.0])
def test_deltas_stand_behind_their_descriptors(
    opensmile, feature_set, features, seconds
):
    transform = OpenSmile(
        sample_rate=16000, feature_set=feature_set, level="lld", deltas=True
    )
    got, clip = transform(voiced(seconds)), voiced(seconds)
    low = expected_table(opensmile, clip, feature_set, LEVELS["lld"])
    deltas = expected_table(opensmile, clip, feature_set, LEVELS["lld_de"])
    assert transform.names == (*low.columns, *deltas.columns)
    low, deltas = low.to_numpy().T, deltas.to_numpy().T
    np.testing.assert_array_equal(got[0, :features], low)
    np.testing.assert_array_equal(got[0, features:], deltas[:, : low.shape[1]])


def test_a_delta_is_the_slope_of_its_descriptor(opensmile):
    transform = OpenSmile(
        sample_rate=16000, feature_set="emobase", level="lld", deltas=True
    )
    # Regression over two frames on either side, as HTK defines it. A delta that
    # stood one frame beside its descriptor would be off by its whole size.
    low, deltas = np.split(transform(voiced(1.0))[0], 2)
    steps = [
        n * (low[:, 2 + n : -2 + n or None] - low[:, 2 - n : -2 - n]) for n in (1, 2)
    ]
    np.testing.assert_allclose(deltas[:, 2:-2], sum(steps) / 10, rtol=1e-3, atol=1e-4)


def own_config(opensmile, folder):
    """Write a config for a set that openSMILE has not: six instead of twelve MFCC."""
    root = Path(opensmile.Smile().default_config_root)
    text = (root / "emobase" / "emobase.conf").read_text("latin-1")
    assert text.count("lastMfcc =  12") == 1
    text = text.replace("lastMfcc =  12", "lastMfcc =  6")
    (folder / "own.conf").write_text(text, "latin-1")
    return str(folder / "own.conf")


@pytest.mark.parametrize("level", ["func", "lld"])
def test_an_own_config_equals_process_signal(opensmile, tmp_path, level):
    config = own_config(opensmile, tmp_path)
    transform = OpenSmile(sample_rate=16000, config=config, level=level)
    expected = opensmile.Smile(config, level).process_signal(voiced()[0], 16000)
    expected = expected.to_numpy()
    expected = expected[0] if level == "func" else expected.T[None]
    for _ in range(2):
        np.testing.assert_array_equal(transform(voiced()), expected)
    assert transform.gives == (FEATURES if level == "func" else SPECTROGRAM)
    assert len(transform.names) == (988 - 6 * 2 * 19 if level == "func" else 26 - 6)


def test_an_own_config_that_opensmile_refuses_is_named(opensmile, tmp_path):
    config = own_config(opensmile, tmp_path)
    for spec in ({"config": config, "level": "nope"}, {"config": str(tmp_path / "x")}):
        (tmp_path / "x").write_text("rubbish\n")
        with pytest.raises(ParamsError, match="openSMILE refuses .* with level"):
            TRANSFORMS.build({"name": "opensmile", **spec}, sample_rate=16000)


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
        ({"level": "lld", "deltas": True}, "eGeMAPSv02 has no deltas"),
        ({"deltas": True}, "deltas: true goes with level 'lld'"),
        (
            {"level": "lld", "deltas": True, "config": "x.conf"},
            "let the level of your config hold them",
        ),
        ({"config": "nowhere/x.conf"}, "there is no file nowhere/x.conf"),
    ],
)
def test_unknown_set_or_level_is_refused(opensmile, arguments, reason):
    with pytest.raises(ParamsError, match=reason):
        TRANSFORMS.build({"name": "opensmile", **arguments}, sample_rate=16000)


def test_a_missing_package_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "opensmile", None)
    with pytest.raises(ParamsError, match=r"pip install 'rehear\[opensmile\]'"):
        TRANSFORMS.build("opensmile", sample_rate=16000)
