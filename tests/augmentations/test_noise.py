"""Signal-to-noise ratios, by definition."""

import numpy as np
import pytest

from rehear import audio
from rehear.augmentations import AUGMENTATIONS
from rehear.errors import DataError, ParamsError
from rehear.randomness import generator

RATE = 8000
X = 0.1 * np.random.default_rng(0).standard_normal((2, 4000)).astype(np.float32)


@pytest.fixture
def study(tmp_path):
    draws = np.random.default_rng(1)
    (tmp_path / "noise").mkdir()
    for name, shape in {"long": (1, 9000), "short": (3, 700)}.items():
        noise = 0.1 * draws.standard_normal(shape)
        audio.write(tmp_path / "noise" / f"{name}.wav", noise, RATE)
    (tmp_path / "snr.csv").write_text("clip,snr,worse\na,20,0\nb,5.5,-3\n")
    return tmp_path


def build(study, name="noise_at_snr", **spec):
    return AUGMENTATIONS.build({"name": name, **spec}, sample_rate=RATE, study=study)


def snr(changed, x=X):
    noise = changed.astype(np.float64) - x
    power = np.square(x, dtype=np.float64).mean()
    return 10 * np.log10(power / np.square(noise).mean())


@pytest.mark.parametrize("folder", ["", "noise"])
@pytest.mark.parametrize("wanted", [-10.0, 0.0, 17.5, 40.0])
def test_the_ratio_is_exact(study, folder, wanted):
    part = build(study, snr_low=wanted, snr_high=wanted, folder=folder)
    for seed in range(5):
        changed = part(X, generator(seed, "test"), "a")
        assert snr(changed) == pytest.approx(wanted, abs=1e-3)


def test_ratios_are_uniform_in_db(study):
    part = build(study, snr_low=0, snr_high=10)
    found = [snr(part(X, generator(seed, "test"), "a")) for seed in range(200)]
    assert min(found) > -0.01
    assert max(found) < 10.01
    assert np.mean(found) == pytest.approx(5, abs=0.6)


def test_noise_is_a_stretch_of_a_recording_and_short_ones_go_round(study):
    part = build(study, folder="noise")
    long = audio.read(study / "noise/long.wav")[0][0]
    short = audio.read(study / "noise/short.wav")[0].mean(axis=0)
    found = set()
    for seed in range(12):
        noise = (part(X, generator(seed, "test"), "a") - X).astype(np.float64)
        np.testing.assert_allclose(noise[0], noise[1], atol=1e-6)
        for name, recording in (("long", long), ("short", np.tile(short, 8))):
            match = np.correlate(recording, noise[0, :600])
            norm = np.linalg.norm(noise[0, :600]) * np.linalg.norm(recording[:600])
            if match.max() / norm > 0.8:
                found.add(name)
        if np.allclose(noise[0, :700], noise[0, 700:1400], atol=1e-5):
            found.add("round")
    assert found == {"long", "short", "round"}


def test_silent_clips_and_silent_noise_change_nothing(study, tmp_path):
    silence = np.zeros((1, 100), np.float32)
    part = build(study, folder="noise")
    assert np.array_equal(part(silence, generator(1, "test"), "a"), silence)
    (tmp_path / "quiet").mkdir()
    audio.write(tmp_path / "quiet" / "0.wav", np.zeros((1, 500)), RATE)
    part = build(study, folder="quiet")
    assert np.array_equal(part(X, generator(1, "test"), "a"), X)


def test_silent_stretches_are_drawn_again(study, tmp_path):
    (tmp_path / "some").mkdir()
    audio.write(tmp_path / "some" / "0.wav", np.zeros((1, 500)), RATE)
    audio.write(tmp_path / "some" / "1.wav", np.full((1, 500), 0.5), RATE)
    part = build(study, folder="some", snr_low=3, snr_high=3)
    for seed in range(9):
        assert snr(part(X, generator(seed, "test"), "a")) == pytest.approx(3, abs=1e-3)


@pytest.mark.parametrize("name", ["noise_at_snr", "noise_by_table"])
@pytest.mark.parametrize("folder", ["", "noise"])
def test_fixed_noise_follows_the_clip_only(study, name, folder):
    part = build(study, name, folder=folder, fixed=True)
    first = part(X, generator(1, "test"), "a")
    assert np.array_equal(part(X, generator(2, "test"), "a"), first)
    assert not np.array_equal(part(X, generator(1, "test"), "b"), first)
    loose = build(study, name, folder=folder)
    assert not np.array_equal(
        loose(X, generator(1, "test"), "a"), loose(X, generator(2, "test"), "a")
    )


def test_a_table_gives_each_clip_its_ratio(study):
    for column, wanted in {"snr": (20, 5.5), "worse": (0, -3)}.items():
        part = build(study, "noise_by_table", table="snr.csv", column=column)
        for clip, expected in zip("ab", wanted, strict=True):
            changed = part(X, generator(1, "test"), clip)
            assert snr(changed) == pytest.approx(expected, abs=1e-3)
    with pytest.raises(DataError, match="snr.csv has no row of the clip 'c'; add it"):
        part(X, generator(1, "test"), "c")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,snr\na,1\n", "has no column clip; expected clip and snr"),
        ("clip,db\na,1\n", "has no column snr"),
        ("", "has no column clip or snr"),
        ("clip,snr\na,loud\n", "line 2: snr: expected a number of dB, found 'loud'"),
        ("clip,snr\na,nan\n", "line 2: snr: expected a number"),
        ("clip,snr\na\n", "line 2: snr: expected a number of dB, found None"),
        ("clip,snr\na,1\na,2\n", "line 3: clip 'a' stands there twice"),
    ],
)
def test_tables_that_cannot_be_used(study, text, message):
    (study / "snr.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        build(study, "noise_by_table")


def test_refusals(study):
    with pytest.raises(DataError, match="no.csv does not exist; correct 'table'"):
        build(study, "noise_by_table", table="no.csv")
    with pytest.raises(ParamsError, match="snr_low 3 is above snr_high 1"):
        build(study, snr_low=3, snr_high=1)
    with pytest.raises(ParamsError, match="nowhere does not exist"):
        build(study, folder="nowhere")
    with pytest.raises(DataError, match="'noise_at_snr' takes a waveform"):
        build(study)(np.zeros((1, 2, 3), np.float32), generator(1, "test"), "a")
