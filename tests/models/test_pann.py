"""The PANNs against the authors' code, and against the paper where that is not had."""

import importlib
import importlib.util
import itertools
import sys
import types

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from rehear.errors import ModelError, ParamsError
from rehear.models import MODELS, structure
from rehear.transforms import TRANSFORMS

SHAPES = {
    "cnn10": (1, 64, 51),
    "cnn14": (1, 64, 51),
    "cnn6": (1, 64, 51),
    "resnet38": (1, 64, 51),
    "wavegram_logmel_cnn14": (1, 10500),
}
SIZES = {  # trainable parameters, as in the paper
    "cnn10": 5_219_279,
    "cnn14": 80_753_615,
    "cnn6": 4_837_455,
    "resnet38": 73_783_247,
    "wavegram_logmel_cnn14": 81_065_487,
}
FRONT_ENDS = [(16000, 512, 160, 8000), (32000, 1024, 320, 14000)]


@pytest.fixture(params=sorted(SHAPES))
def name(request):
    return request.param


def build(name, *, shape=None, num_outputs=5, rate=32000, **arguments):
    return MODELS.build(
        {"name": name, "width": 4, **arguments},
        num_outputs=num_outputs,
        input_shape=shape or SHAPES[name],
        sample_rate=rate,
    )


def randomised(model, seed=1):
    """Give every weight and statistic a value of its own, so that each counts."""
    generator = torch.Generator().manual_seed(seed)
    for key, value in model.state_dict().items():
        if "extractor" in key or "log_mel" in key or not value.is_floating_point():
            continue
        spread = torch.randn(value.shape, generator=generator)
        if value.ndim > 1:
            value.copy_(spread * (2 / value[0].numel()) ** 0.5)
        else:
            value.copy_(0.2 * spread.abs() + (0.7 if "bias" not in key else 0))
    return model.eval()


@pytest.fixture(scope="module")
def authors():
    """Give their module alone: the package downloads files when it is imported."""
    spec = importlib.util.find_spec("panns_inference")
    if spec is None:
        pytest.skip("panns-inference is not installed")
    package = types.ModuleType("authors_of_panns")
    package.__path__ = list(spec.submodule_search_locations)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, package.__name__, package)
        yield importlib.import_module(f"{package.__name__}.models")  # noqa: TID251


def full_cnn14(authors):
    """Return the authors' Cnn14 without memory, hence without their front end."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(authors, "Spectrogram", lambda **kwargs: nn.Identity())
        patch.setattr(authors, "LogmelFilterBank", lambda **kwargs: nn.Identity())
        with torch.device("meta"):
            return authors.Cnn14(32000, 1024, 320, 64, 50, 14000, 527)


def narrow_cnn14(authors, rate=16000, window=512, hop=160, f_max=8000):
    """Return the authors' Cnn14, a sixteenth as wide."""
    model = full_cnn14(authors)
    model.spectrogram_extractor = authors.Spectrogram(window, hop)
    model.logmel_extractor = authors.LogmelFilterBank(
        rate, window, 64, 50, f_max, top_db=None
    )
    model.bn0 = nn.BatchNorm2d(64)
    for number, pair in enumerate(itertools.pairwise((1, 4, 8, 16, 32, 64, 128)), 1):
        setattr(model, f"conv_block{number}", authors.ConvBlock(*pair))
    model.fc1, model.fc_audioset = nn.Linear(128, 128), nn.Linear(128, 5)
    return randomised(model)


def loaded(model, tensors):
    """Load what fits by name, and return what is missing."""
    adapted = model.adapted(tensors)
    heads = structure.head(model)
    kept = {k: v for k, v in adapted.items() if not structure.is_under(k, heads)}
    missing, unexpected = model.load_state_dict(kept, strict=False)
    assert not unexpected
    return missing


@pytest.mark.parametrize(("rate", "window", "hop", "f_max"), FRONT_ENDS)
def test_cnn14_on_log_mel_equals_the_original_on_waveforms(
    authors, rate, window, hop, f_max
):
    original = narrow_cnn14(authors, rate, window, hop, f_max)
    waveforms = np.random.default_rng(0).normal(0, 0.1, (2, rate)).astype(np.float32)
    source = MODELS.get("cnn14").sources()[f"panns/cnn14-{rate // 1000}k"]
    log_mel = TRANSFORMS.build(dict(source.front_end), sample_rate=rate)
    features = torch.from_numpy(np.stack([log_mel(clip[None]) for clip in waveforms]))
    model = build("cnn14", shape=tuple(features.shape[1:])).eval()
    model.load_state_dict(model.adapted(original.state_dict()))
    expected = original(torch.from_numpy(waveforms))
    torch.testing.assert_close(
        model(features).sigmoid(), expected["clipwise_output"], rtol=1e-4, atol=1e-4
    )
    torch.testing.assert_close(
        model.embed(features), expected["embedding"], rtol=1e-4, atol=1e-4
    )


def test_cnn14_equals_the_original_on_the_same_spectrogram(authors):
    original = narrow_cnn14(authors)
    model = build("cnn14").eval()
    model.load_state_dict(model.adapted(original.state_dict()))
    original.spectrogram_extractor = original.logmel_extractor = nn.Identity()
    features = torch.randn(3, *SHAPES["cnn14"], generator=torch.Generator())
    expected = original(features.transpose(2, 3))
    torch.testing.assert_close(
        model(features).sigmoid(), expected["clipwise_output"], rtol=1e-5, atol=1e-5
    )
    torch.testing.assert_close(
        model.embed(features), expected["embedding"], rtol=1e-5, atol=1e-5
    )


def test_a_file_of_cnn14_in_the_authors_format_fits_all_but_the_head(authors, tmp_path):
    path = tmp_path / "Cnn14.pth"
    original = narrow_cnn14(authors)
    torch.save(
        {"iteration": 1, "model": original.state_dict()},
        path,
        _use_new_zipfile_serialization=False,  # as in 2019
    )
    tensors = torch.load(path, weights_only=True)["model"]  # noqa: TID251
    model = build("cnn14", num_outputs=3)
    assert loaded(model, tensors) == ["fc_audioset.weight", "fc_audioset.bias"]
    torch.testing.assert_close(model.fc1.weight, original.fc1.weight)


def test_cnn14_has_the_tensors_of_the_original_at_full_size(authors):
    original = full_cnn14(authors)
    with torch.device("meta"):
        model = build("cnn14", width=64, num_outputs=527)
    shapes = {k: v.shape for k, v in model.state_dict().items()}
    assert shapes == {k: v.shape for k, v in original.state_dict().items()}


def test_models_have_the_size_of_the_paper_and_take_no_memory(name):
    with torch.device("meta"):
        model = build(name, width=64, num_outputs=527)
    assert sum(p.numel() for p in model.parameters()) == SIZES[name]
    assert all(p.is_meta for p in model.parameters())


class Paper:
    """The operations of the paper in evaluation mode, on weights by their names."""

    def __init__(self, weights):
        self.weights = weights

    def norm(self, x, name):
        keys = ("running_mean", "running_var", "weight", "bias")
        return functional.batch_norm(x, *(self.weights[f"{name}.{k}"] for k in keys))

    def conv(self, x, name, **kwargs):
        kernel = self.weights[f"{name}.weight"]
        operation = functional.conv1d if kernel.ndim == 3 else functional.conv2d
        return operation(x, kernel, **kwargs)

    def bands(self, x):
        return self.norm(x.transpose(1, 3), "bn0").transpose(1, 3)

    def block(self, x, name):
        for number in (1, 2):
            x = self.conv(x, f"{name}.conv{number}", padding=1)
            x = self.norm(x, f"{name}.bn{number}").relu()
        return x

    def residual(self, x, name, *, halved):
        main = functional.avg_pool2d(x, 2) if halved else x
        main = self.norm(self.conv(main, f"{name}.conv1", padding=1), f"{name}.bn1")
        main = self.conv(main.relu(), f"{name}.conv2", padding=1)
        main = self.norm(main, f"{name}.bn2")
        if halved:
            x = self.conv(functional.avg_pool2d(x, 2), f"{name}.downsample.1")
            x = self.norm(x, f"{name}.downsample.2")
        return (main + x).relu()

    def linear(self, x, name):
        weights = self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]
        return functional.linear(x, *weights)

    def layers(self, x):
        x = x.mean(dim=3)
        x = x.max(dim=2).values + x.mean(dim=2)
        return self.linear(self.linear(x, "fc1").relu(), "fc_audioset")


def expected_cnn6(paper, x):
    x = paper.bands(x)
    for number in range(1, 5):
        x = paper.conv(x, f"conv_block{number}.conv1", padding=2)
        x = paper.norm(x, f"conv_block{number}.bn1").relu()
        x = functional.avg_pool2d(x, 2)
    return paper.layers(x)


def expected_resnet38(paper, x):
    x = functional.avg_pool2d(paper.block(paper.bands(x), "conv_block1"), 2)
    for layer, depth in enumerate((3, 4, 6, 3), 1):
        for index in range(depth):
            halved = layer > 1 and index == 0
            x = paper.residual(x, f"resnet.layer{layer}.{index}", halved=halved)
    x = paper.block(functional.avg_pool2d(x, 2), "conv_block_after1")
    return paper.layers(x)


@pytest.mark.parametrize(
    ("name", "expected"), [("cnn6", expected_cnn6), ("resnet38", expected_resnet38)]
)
def test_models_compute_what_the_paper_says(name, expected):
    model = randomised(build(name))
    features = torch.randn(2, 1, 64, 75, generator=torch.Generator())
    torch.testing.assert_close(
        model(features),
        expected(Paper(model.state_dict()), features.transpose(2, 3)),
        rtol=1e-5,
        atol=1e-5,
    )


def expected_wavegram(paper, waveforms, log_mel):
    x = paper.conv(waveforms, "pre_conv0", stride=5, padding=5)
    x = paper.norm(x, "pre_bn0").relu()
    for number in (1, 2, 3):
        block = f"pre_block{number}"
        for layer in (1, 2):
            x = paper.conv(x, f"{block}.conv{layer}", dilation=layer, padding=layer)
            x = paper.norm(x, f"{block}.bn{layer}").relu()
        x = functional.max_pool1d(x, 4)
    x = x.reshape(len(x), 4, 32, x.shape[-1]).transpose(2, 3)
    learnt = functional.avg_pool2d(paper.block(x, "pre_block4"), (2, 1))
    x = functional.avg_pool2d(paper.block(paper.bands(log_mel), "conv_block1"), 2)
    x = torch.cat([x, learnt], dim=1)
    for number in range(2, 6):
        x = functional.avg_pool2d(paper.block(x, f"conv_block{number}"), 2)
    return paper.layers(paper.block(x, "conv_block6"))


def test_wavegram_computes_what_the_paper_says():
    from torchlibrosa.stft import LogmelFilterBank, Spectrogram

    model = randomised(build("wavegram_logmel_cnn14", shape=(1, 12800)))
    waveforms = torch.randn(2, 1, 12800, generator=torch.Generator()) / 10
    power = Spectrogram(n_fft=1024, hop_length=320)(waveforms[:, 0])
    log_mel = LogmelFilterBank(
        sr=32000, n_fft=1024, n_mels=64, fmin=50, fmax=14000, top_db=None
    )(power)
    torch.testing.assert_close(
        model(waveforms),
        expected_wavegram(Paper(model.state_dict()), waveforms, log_mel),
        rtol=1e-4,
        atol=1e-4,
    )


@pytest.mark.parametrize("samples", [10236, 10240, 10560, 10879, 10880])
def test_wavegram_takes_every_length_from_the_shortest_on(samples):
    model = randomised(build("wavegram_logmel_cnn14", shape=(1, samples)))
    assert model(torch.zeros(1, 1, samples)).isfinite().all()


def norm(at, *size):
    yield from ((f"{at}.{key}", size) for key in ("weight", "bias"))
    yield from ((f"{at}.running_{key}", size) for key in ("mean", "var"))
    yield f"{at}.num_batches_tracked", ()


def block(at, *channels, kernel=(3, 3)):
    for number, (narrow, wide) in enumerate(itertools.pairwise(channels), 1):
        yield f"{at}.conv{number}.weight", (wide, narrow, *kernel)
        yield from norm(f"{at}.bn{number}", wide)


def cnn6():
    for number, (a, b) in enumerate(itertools.pairwise((1, 4, 8, 16, 32)), 1):
        yield from block(f"conv_block{number}", a, b, kernel=(5, 5))


def cnn10():
    for number, (a, b) in enumerate(itertools.pairwise((1, 4, 8, 16, 32)), 1):
        yield from block(f"conv_block{number}", a, b, b)


def resnet38():
    yield from block("conv_block1", 1, 4, 4)
    narrow = 4
    for layer, (depth, wide) in enumerate([(3, 4), (4, 8), (6, 16), (3, 32)], 1):
        for index in range(depth):
            at = f"resnet.layer{layer}.{index}"
            yield from block(at, narrow, wide, wide)
            if narrow != wide:
                yield f"{at}.downsample.1.weight", (wide, narrow, 1, 1)
                yield from norm(f"{at}.downsample.2", wide)
            narrow = wide
    yield from block("conv_block_after1", 32, 128, 128)


def wavegram():
    yield "pre_conv0.weight", (4, 1, 11)
    yield from norm("pre_bn0", 4)
    for number, (a, b) in enumerate([(4, 4), (4, 8), (8, 128)], 1):
        yield from block(f"pre_block{number}", a, b, b, kernel=(3,))
    yield from block("pre_block4", 4, 4, 4)
    yield from block("conv_block1", 1, 4, 4)
    for number, (a, b) in enumerate(itertools.pairwise((8, 8, 16, 32, 64, 128)), 2):
        yield from block(f"conv_block{number}", a, b, b)


def official(body, *, size):
    """Yield names and shapes of the authors' tensors, at a sixteenth of the width."""
    yield "spectrogram_extractor.stft.conv_real.weight", (513, 1, 1024)
    yield "spectrogram_extractor.stft.conv_imag.weight", (513, 1, 1024)
    yield "logmel_extractor.melW", (513, 64)
    yield from norm("bn0", 64)
    yield from body()
    yield from (("fc1.weight", (size, size)), ("fc1.bias", (size,)))
    yield from (("fc_audioset.weight", (527, size)), ("fc_audioset.bias", (527,)))


@pytest.mark.parametrize(
    ("name", "body", "size"),
    [
        ("cnn10", cnn10, 32),
        ("cnn6", cnn6, 32),
        ("resnet38", resnet38, 128),
        ("wavegram_logmel_cnn14", wavegram, 128),
    ],
)
def test_weights_under_the_authors_names_fit_all_but_the_head(name, body, size):
    tensors = {key: torch.ones(shape) for key, shape in official(body, size=size)}
    model = build(name, num_outputs=2)
    window = getattr(model, "log_mel", None) and model.log_mel.window.clone()
    assert loaded(model, tensors) == ["fc_audioset.weight", "fc_audioset.bias"]
    if window is not None:
        assert torch.equal(model.log_mel.window, window)


def test_only_the_front_end_is_dropped_from_weights(name):
    model = build(name)
    odd = {"conv_block9.conv1.weight": torch.zeros(1), "logmel": torch.zeros(1)}
    assert odd.keys() <= model.adapted(odd).keys()
    assert "spec_augmenter.x" not in model.adapted({"spec_augmenter.x": odd})


def test_the_embedding_is_what_the_head_sees(name):
    model = randomised(build(name))
    features = torch.randn(2, *SHAPES[name], generator=torch.Generator())
    hidden = model.embed(features)
    assert hidden.shape == (2, model.fc_audioset.in_features)
    torch.testing.assert_close(model.fc_audioset(hidden), model(features))


def test_each_parameter_is_of_one_block_and_learns(name):
    model = randomised(build(name)).train()
    groups = [*structure.blocks(model), structure.head(model)]
    names = [key for group in groups for key, _ in structure.parameters(model, group)]
    assert sorted(names) == sorted(key for key, _ in model.named_parameters())
    features = torch.randn(3, *SHAPES[name], generator=torch.Generator())
    torch.use_deterministic_algorithms(True)
    try:
        model(features).square().sum().backward()
    finally:
        torch.use_deterministic_algorithms(False)
    still = [key for key, p in model.named_parameters() if not p.grad.any()]
    assert not still


def test_a_clip_gives_the_same_among_others(name):
    model = randomised(build(name))
    features = torch.randn(3, *SHAPES[name], generator=torch.Generator())
    torch.testing.assert_close(
        model(features)[1:2], model(features[1:2]), rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize("name", ["cnn10", "cnn14", "cnn6", "resnet38"])
def test_spectrograms_that_do_not_fit_are_refused(name):
    least = 16 if name in ("cnn6", "cnn10") else 32
    features = torch.zeros(1, 1, least, least)
    model = build(name, shape=(1, least, least)).eval()
    assert model(features).isfinite().all()
    for shape in [(1, least, least - 1), (1, least - 1, 99), (2, 64, 99), (64, 99)]:
        with pytest.raises(
            ModelError,
            match=rf"model '{name}' takes a spectrogram .* of at least {least} by "
            rf"{least}, but features are .*; end preprocess.transforms with log_mel",
        ):
            build(name, shape=shape)


@pytest.mark.parametrize("shape", [(1, 10235), (2, 32000), (1, 64, 101), (32000,)])
def test_waveforms_that_do_not_fit_are_refused(shape):
    with pytest.raises(
        ModelError, match=r"takes a waveform .* 10236 samples, .*; end .* mono and fit"
    ):
        build("wavegram_logmel_cnn14", shape=shape)


def test_a_log_mel_spectrogram_beyond_half_the_sample_rate_is_refused():
    with pytest.raises(ParamsError, match="'wavegram_logmel_cnn14': expected .* 8000"):
        build("wavegram_logmel_cnn14", rate=16000)
    build("wavegram_logmel_cnn14", rate=16000, f_max=8000.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"width": 0}, "width must be 1 or more, got 0"),
        ({"dropout": 1.5}, "must be from 0 to 1, got 1.5 and 0.5"),
        ({"head_dropout": -0.1}, "must be from 0 to 1, got 0.2 and -0.1"),
    ],
)
def test_arguments_out_of_range_are_refused(name, arguments, message):
    with pytest.raises(ParamsError, match=f"model '{name}': .*{message}"):
        build(name, **arguments)


def test_residual_dropout_is_a_probability():
    with pytest.raises(ParamsError, match="residual_dropout must be from 0 to 1"):
        build("resnet38", residual_dropout=2.0)


def test_published_weights_say_what_they_need(name):
    sources = MODELS.get(name).sources()
    assert sources
    for key, source in sources.items():
        assert key == source.name
        assert source.url.startswith("https://zenodo.org/records/3987831/files/")
        assert source.entry == "model"
        assert source.licence == "CC BY 4.0"
        arguments = {"name": name, **source.arguments}
        with torch.device("meta"):
            build(**arguments, rate=source.rate)
        if source.front_end:
            TRANSFORMS.build(dict(source.front_end), sample_rate=source.rate)
        assert bool(source.front_end) == (name != "wavegram_logmel_cnn14")
