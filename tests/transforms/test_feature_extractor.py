"""Feature extractors against direct calls of transformers."""

import json
import sys

import numpy as np
import pytest

from rehear import audio, resampling
from rehear import transforms as chains
from rehear.errors import DataError, ParamsError
from rehear.signals import FEATURES, WAVEFORM
from rehear.transforms import TRANSFORMS
from rehear.transforms.feature_extractor import FeatureExtractor

transformers = pytest.importorskip(
    "transformers", reason="needs the extra transformers"
)
CLASSES = {
    "ast": transformers.ASTFeatureExtractor,
    "wav2vec2": transformers.Wav2Vec2FeatureExtractor,
    "whisper": transformers.WhisperFeatureExtractor,
}


def noise(samples=16000, channels=1):
    draws = np.random.default_rng(0).normal(size=(channels, samples)) / 10
    return draws.astype(np.float32)


def called(extractor, clip):
    out = extractor(clip[0].copy(), sampling_rate=16000, return_tensors="np")
    return out.get("input_values", out.get("input_features"))


@pytest.fixture
def checkpoint(tmp_path):
    def make(model, **config):
        CLASSES[model](**config).save_pretrained(tmp_path)
        return str(tmp_path)

    return make


@pytest.mark.parametrize(
    ("model", "shape", "gives"),
    [
        ("ast", (1024, 128), FEATURES),
        ("wav2vec2", (1, 16000), WAVEFORM),
        ("whisper", (80, 3000), FEATURES),
    ],
)
def test_defaults_equal_transformers(model, shape, gives):
    part = FeatureExtractor(sample_rate=16000, model=model)
    got = part(noise())
    expected = called(CLASSES[model](), noise())
    np.testing.assert_array_equal(got, expected.reshape(shape))
    assert got.shape == shape
    assert got.dtype == np.float32
    assert part.gives == gives


@pytest.mark.parametrize(
    ("model", "config", "arguments"),
    [
        ("ast", {"max_length": 200, "mean": -4.0}, {"num_mel_bins": 64}),
        ("ast", {}, {"max_length": 50}),
        ("wav2vec2", {"do_normalize": False}, {}),
        ("wav2vec2", {"do_normalize": False}, {"do_normalize": True}),
        ("whisper", {"feature_size": 128}, {"chunk_length": 5}),
    ],
)
def test_a_checkpoint_equals_transformers(checkpoint, model, config, arguments):
    folder = checkpoint(model, **config)
    part = FeatureExtractor(
        sample_rate=16000, model=model, checkpoint=folder, **arguments
    )
    expected = called(CLASSES[model](**{**config, **arguments}), noise(32000))
    got = part(noise(32000))
    np.testing.assert_array_equal(got.reshape(-1), expected.reshape(-1))
    if not arguments:
        loaded = CLASSES[model].from_pretrained(folder, local_files_only=True)
        expected = called(loaded, noise(32000))
        np.testing.assert_array_equal(got.reshape(-1), expected.reshape(-1))


@pytest.mark.parametrize("model", CLASSES)
def test_features_of_speech_equal_transformers(model, recordings):
    part = FeatureExtractor(sample_rate=16000, model=model)
    path = min((recordings / "fsdd").rglob("*.wav"))
    clip, rate = audio.read(path)
    clip = resampling.resample(clip, rate, 16000)
    expected = called(CLASSES[model](), clip)
    np.testing.assert_array_equal(part(clip).reshape(-1), expected.reshape(-1))


def test_models_take_what_it_gives():
    torch = pytest.importorskip("torch")
    config = transformers.ASTConfig(
        hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8
    )
    features = FeatureExtractor(sample_rate=16000)(noise())
    model = transformers.ASTModel(config).eval()
    with torch.no_grad():
        out = model(torch.from_numpy(features)[None])
    assert out.pooler_output.shape == (1, 8)


def test_another_sample_rate_is_refused_and_resampling_helps():
    spec = {"name": "feature_extractor", "model": "whisper"}
    with pytest.raises(ParamsError, match="16000 Hz, but .* preprocess.sample_rate to"):
        chains.build([spec], sample_rate=8000)
    resample = {"name": "resample", "rate": 16000}
    chain = chains.build([resample, spec], sample_rate=8000)
    assert chain(noise(4000)).shape == (80, 3000)


def test_two_channels_and_short_clips_are_refused():
    chain = chains.build(["feature_extractor"], sample_rate=16000)
    with pytest.raises(DataError, match="one channel, got 2; put 'mono'"):
        chain(noise(channels=2))
    with pytest.raises(DataError, match="ast refuses a clip of 100 samples"):
        chain(noise(100))


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"model": "wav2vec"}, "Did you mean 'wav2vec2'"),
        ({"num_mel_bin": 64}, "Did you mean 'num_mel_bins'"),
        ({"checkpoint": "MIT/ast-finetuned"}, "cannot be read"),
        ({"model": "whisper", "dither": 0.1}, "dither draws at random"),
        ({"sampling_rate": 8000}, "ast takes 8000 Hz"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(arguments, reason):
    with pytest.raises(ParamsError, match=reason):
        TRANSFORMS.build({"name": "feature_extractor", **arguments}, sample_rate=16000)


def test_a_warning_of_transformers_goes_to_the_log(caplog):
    FeatureExtractor(sample_rate=8000, model="whisper", sampling_rate=8000)
    assert "mel filter has all zero values" in caplog.text


def test_a_checkpoint_of_another_model_is_refused(checkpoint):
    folder = checkpoint("whisper")
    with pytest.raises(ParamsError, match="not ast; set model to whisper"):
        TRANSFORMS.build(
            {"name": "feature_extractor", "checkpoint": folder}, sample_rate=16000
        )


@pytest.mark.parametrize("text", ["", "[]", "{", json.dumps("x")])
def test_a_damaged_checkpoint_is_refused(tmp_path, text):
    (tmp_path / "preprocessor_config.json").write_text(text)
    with pytest.raises(ParamsError, match="is no JSON object"):
        TRANSFORMS.build(
            {"name": "feature_extractor", "checkpoint": str(tmp_path)},
            sample_rate=16000,
        )


def test_a_missing_package_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ParamsError, match=r"pip install 'rehear\[transformers\]'"):
        TRANSFORMS.build("feature_extractor", sample_rate=16000)
