import io

import numpy as np
import pytest
import soundfile

from rehear import audio
from rehear.errors import AudioError

SAMPLES = 176_400


def encoded(form, subtype=None, **options):
    noise = 0.3 * np.random.default_rng(0).standard_normal(SAMPLES)
    stream = io.BytesIO()
    rate = 48000 if subtype == "OPUS" else 44100
    soundfile.write(stream, noise, rate, format=form, subtype=subtype, **options)
    return stream.getvalue()


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
@pytest.mark.parametrize("lost", [1, 300, 15_000])
def test_ogg_file_without_its_end_is_refused(tmp_path, subtype, lost):
    whole, path = encoded("OGG", subtype), tmp_path / "a.ogg"
    path.write_bytes(whole)
    assert audio.read(path)[0].shape == (1, SAMPLES)
    path.write_bytes(whole[:-lost])
    for read in (audio.read, audio.facts):
        with pytest.raises(AudioError, match=r"a\.ogg: truncated: the page that ends"):
            read(path)


@pytest.mark.parametrize("mode", ["CONSTANT", "VARIABLE", "AVERAGE"])
def test_mp3_file_without_its_end_is_refused(tmp_path, mode):
    whole, path = encoded("MP3", bitrate_mode=mode), tmp_path / "a.mp3"
    path.write_bytes(whole)
    assert audio.read(path)[0].shape == (1, SAMPLES)
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(AudioError, match=r"truncated: \d+ of 176400 samples"):
        audio.read(path)
    # Part of what is there can still be read.
    assert audio.read(path, 0.5, 1.0)[0].shape == (1, 22050)


def test_mp3_file_without_a_count_of_frames_may_be_shorter_than_guessed(tmp_path):
    path = tmp_path / "a.mp3"
    for whole in (encoded("MP3", bitrate_mode=m) for m in ("CONSTANT", "VARIABLE")):
        path.write_bytes(whole.replace(b"Xing", b"\0" * 4))
        assert audio.read(path)[0].size > 0
