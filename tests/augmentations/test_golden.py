"""What parts draw under one key, so that a change of a stream is noticed.

These numbers are no reference: the other tests compare with one. A change of
them changes the results of every study that uses the part, and belongs into the
CHANGELOG. Run this file to print them.
"""

import tempfile
from pathlib import Path

import numpy as np
import pytest

from rehear import audio
from rehear.augmentations import AUGMENTATIONS
from rehear.randomness import generator

RATE = 8000
WAVEFORM = np.sin(np.arange(60, dtype=np.float32) / 7)[None]
SPECTROGRAM = np.cos(np.arange(240, dtype=np.float32) / 9).reshape(1, 8, 30)
WAVEFORMS = {
    *("gain", "gaussian_noise", "impulse_response", "noise_at_snr"),
    *("noise_by_table", "polarity", "random_crop", "time_shift"),
}
PARTS = [{"name": "time_mask", "fill": "zero"}, {"name": "gain", "low_db": -20.0}]
ARGUMENTS = {
    "choice": {"parts": PARTS},
    "impulse_response": {"folder": "noise", "align": False},
    "mixup": {"alpha": 1.0},
    "noise_at_snr": {"folder": "noise"},
    "random_crop": {"size": 20},
    "sequence": {"parts": PARTS},
    "time_shift": {"seconds": 0.002},
}
# Three values and the sum of what comes out; of mixes, weights of targets.
GOLDEN = {
    "choice": [0, 0.720022, 0.462946, 2.9484],
    "cutmix": [0.533333, 0.533333, 0.533333, 0.533333, 0.533333, -1.08677],
    "frequency_mask": [0.944957, 0.720022, 0.462946, 5.91438],
    "gain": [0.314183, -0.688246, 0.74798, 8.47184],
    "gaussian_noise": [0.415137, -0.912118, 0.990246, 11.2123],
    "impulse_response": [0.0372733, 0.671513, -0.44279, 1.22081],
    "mixup": [0.520233, 0.520233, 0.520233, 0.520233, 0.520233, 5.3077],
    "noise_at_snr": [0.078648, -0.586184, 0.671825, 13.8486],
    "noise_by_table": [0.268718, -1.50922, 1.28942, 13.3998],
    "polarity": [-0.415572, 0.910347, -0.989358, -11.2058],
    "random_crop": [-0.143623, -0.910347, -0.908771, -12.185],
    "sequence": [0.484766, 0.369373, 0.237493, 4.74046],
    "spec_augment": [0.878885, 0.719906, 0.372186, 4.43576],
    "time_mask": [0.944957, 0.720022, 0.462946, 7.99475],
    "time_shift": [0.841471, -0.989541, 0, 10.366],
    "time_warp": [0.878885, 0.719906, 0.372186, 6.2576],
}


def make(name, study):
    """Return a few numbers of what a part gives: three values, and the sum."""
    waveform = name in WAVEFORMS
    spec = {"name": name, **ARGUMENTS.get(name, {})}
    part = AUGMENTATIONS.build(spec, sample_rate=RATE, study=study)
    x, draw = WAVEFORM if waveform else SPECTROGRAM, generator(7, "golden")
    if getattr(part, "batch", False):
        batch = np.stack([x, 2 * x, -x, x**2, x**3])
        x, targets = part(batch, np.eye(5, dtype=np.float32), draw)
        return [*targets.max(axis=1), x[1].sum()]
    named = ("a",) if getattr(part, "by_clip", False) else ()
    flat = part(x, draw, *named).astype(np.float64).ravel()
    return [flat[3], flat[len(flat) // 2], flat[-4], flat.sum()]


def prepare(study):
    """Write the files that parts read."""
    (study / "noise").mkdir()
    noise = np.sin(np.arange(100) ** 1.5)[None] / 2
    audio.write(study / "noise" / "0.wav", noise, RATE)
    audio.write(study / "noise" / "1.wav", noise[:, ::-1], RATE)
    (study / "snr.csv").write_text("clip,snr\na,6\n")
    return study


@pytest.mark.parametrize("name", GOLDEN)
def test_draws_under_a_fixed_key(name, tmp_path):
    found = make(name, prepare(tmp_path))
    np.testing.assert_allclose(found, GOLDEN[name], rtol=1e-4, atol=1e-5)


def test_every_native_part_has_numbers():
    native = {
        name
        for name in AUGMENTATIONS.names()
        if "transform" not in AUGMENTATIONS.signature(name)  # wraps a library
    }
    assert native == set(GOLDEN)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        study = prepare(Path(folder))
        for name in AUGMENTATIONS.names():
            numbers = ", ".join(f"{number:.6g}" for number in make(name, study))
            print(f'    "{name}": [{numbers}],')
