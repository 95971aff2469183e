"""Training steps of models beside the libraries that they come from, in one process.

Both sides get the same batch, and do forward and backward without an optimiser.
"""

from collections.abc import Callable
from typing import Any

from benchmarks.measure import BenchmarkError, Clock, Cost, interleave
from benchmarks.results import Comparison, Finding
from benchmarks.workspace import Workspace

_TURNS, _WARM, _OUTPUTS, _RATE = 7, 2, 10, 16000
_THREADS = 2
Step = Callable[[], Any]


def run(workspace: Workspace) -> Finding:
    """Measure a step of every family that another package has, too."""
    import torch

    from rehear import engine

    engine.set_up(threads=_THREADS, deterministic=False)
    torch.manual_seed(0)
    comparisons = []
    for name, pair in _PAIRS.items():
        theirs, ours = pair()
        sides = {"original": _timed(theirs), "rehear": _timed(ours)}
        for _ in range(1 if workspace.quick else _WARM):
            theirs(), ours()
        costs = interleave(sides, workspace.repeats(_TURNS))
        comparisons.append(
            Comparison(name, costs["original"], costs["rehear"], 0.95, "ms")
        )
    note = (
        f"the other side is the original implementation in the same process, "
        f"{_THREADS} threads, float32, forward and backward; Whisper without decoder"
    )
    return Finding("models", comparisons, [note])


def _timed(step: Step) -> Callable[[int], Cost]:
    import time

    def turn(_: int) -> Cost:
        clock, before = Clock(), time.process_time()
        step()
        return clock.stop(time.process_time() - before)

    return turn


def _step(forward: Callable[..., Any], *inputs: Any) -> Step:
    def step() -> None:
        forward(*inputs).float().square().mean().backward()

    return step


def _ours(name: str, shape: tuple[int, ...], **arguments: Any) -> Any:
    from rehear.models import MODELS

    spec = {"name": name, **arguments}
    given = {"input_shape": shape, "num_outputs": _OUTPUTS, "sample_rate": _RATE}
    return MODELS.build(spec, **given).train()


def _cnn14() -> tuple[Step, Step]:
    import torch

    theirs = _authors_of_panns().Cnn14(_RATE, 512, 160, 64, 50, 8000, _OUTPUTS).train()
    ours = _ours("cnn14", (1, 64, 200))
    x = torch.randn(8, 1, 64, 200)

    def forward(x: Any) -> Any:
        x = theirs.bn0(x.transpose(1, 2)).permute(0, 2, 3, 1)
        for number in range(1, 7):
            block = getattr(theirs, f"conv_block{number}")
            pool = (2, 2) if number < 6 else (1, 1)
            x = block(x, pool_size=pool, pool_type="avg")
            x = torch.nn.functional.dropout(x, 0.2, training=True)
        x = x.mean(dim=3)
        x = x.max(dim=2).values + x.mean(dim=2)
        x = torch.nn.functional.dropout(x, 0.5, training=True)
        x = torch.relu_(theirs.fc1(x))
        return theirs.fc_audioset(torch.nn.functional.dropout(x, 0.5, training=True))

    return _step(forward, x), _step(ours, x)


def _authors_of_panns() -> Any:
    """Return their module alone: the package downloads files when it is imported."""
    import importlib.util
    import sys
    import types

    spec = importlib.util.find_spec("panns_inference")
    if spec is None or spec.submodule_search_locations is None:
        raise BenchmarkError("panns-inference is not installed: run make install")
    package = types.ModuleType("authors_of_panns")
    package.__path__ = list(spec.submodule_search_locations)
    sys.modules[package.__name__] = package
    return importlib.import_module(f"{package.__name__}.models")  # noqa: TID251


def _ecapa() -> tuple[Step, Step]:
    import torch
    from torch import nn

    ours = _ours("ecapa_tdnn", (1, 2 * _RATE))
    from speechbrain.lobes.features import Fbank
    from speechbrain.lobes.models.ECAPA_TDNN import ECAPA_TDNN
    from speechbrain.processing.features import InputNormalization

    bands = Fbank(n_mels=80)
    norm = InputNormalization(norm_type="sentence", std_norm=False)
    channels = [1024, 1024, 1024, 1024, 3072]
    body = ECAPA_TDNN(80, channels=channels, lin_neurons=192).train()
    head = nn.Sequential(nn.Linear(192, 32), nn.ReLU(), nn.Linear(32, _OUTPUTS))
    x = torch.randn(8, 1, 2 * _RATE) / 10
    whole = torch.ones(8)

    def forward(x: Any) -> Any:
        return head(body(norm(bands(x[:, 0]), whole)).squeeze(1))

    return _step(forward, x), _step(ours, x)


def _wav2vec2() -> tuple[Step, Step]:
    import torch
    import transformers

    config = transformers.Wav2Vec2Config(mask_time_prob=0.0, layerdrop=0.0)
    theirs = transformers.Wav2Vec2Model(config).train()
    ours = _ours("wav2vec2", (1, _RATE))
    x = torch.randn(4, 1, _RATE)
    original = _step(lambda x: theirs(x[:, 0]).last_hidden_state.mean(dim=1), x)
    return original, _step(ours, x)


def _ast() -> tuple[Step, Step]:
    import torch
    import transformers

    config = transformers.ASTConfig(max_length=256)
    theirs = transformers.ASTModel(config).train()
    ours = _ours("ast", (256, 128))
    x = torch.randn(4, 256, 128)
    original = _step(lambda x: theirs(x).last_hidden_state.mean(dim=1), x)
    return original, _step(ours, x)


def _whisper() -> tuple[Step, Step]:
    import torch
    import transformers
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

    sizes = {"d_model": 384, "encoder_layers": 4, "encoder_attention_heads": 6}
    config = transformers.WhisperConfig(**sizes, encoder_ffn_dim=1536)
    theirs = WhisperEncoder(config).train()
    ours = _ours("whisper", (80, 3000), architecture="tiny")
    x = torch.randn(2, 80, 3000)
    original = _step(lambda x: theirs(x).last_hidden_state.mean(dim=1), x)
    return original, _step(ours, x)


def _torchvision() -> tuple[Step, Step]:
    import torch
    import torchvision

    theirs = torchvision.models.resnet18(num_classes=_OUTPUTS).train()
    ours = _ours("torchvision", (3, 128, 128), architecture="resnet18")
    x = torch.randn(8, 3, 128, 128)
    return _step(theirs, x), _step(ours, x)


def _timm() -> tuple[Step, Step]:
    import timm
    import torch

    theirs = timm.create_model("efficientnet_b0", in_chans=1, num_classes=_OUTPUTS)
    ours = _ours("timm", (1, 128, 128), architecture="efficientnet_b0")
    x = torch.randn(8, 1, 128, 128)
    return _step(theirs.train(), x), _step(ours, x)


def _leaf() -> tuple[Step, Step]:
    import timm
    import torch

    from rehear.models.ecapa import import_speechbrain

    import_speechbrain()
    from speechbrain.lobes.features import Leaf

    front = Leaf(out_channels=40, in_channels=1, sample_rate=_RATE)
    body = timm.create_model("efficientnet_b0", in_chans=1, num_classes=_OUTPUTS)
    ours = _ours("leaf", (1, 2 * _RATE))
    x = torch.randn(4, 1, 2 * _RATE)

    def forward(x: Any) -> Any:
        return body(front(x.transpose(1, 2)).transpose(1, 2)[:, None])

    return _step(forward, x), _step(ours, x)


_PAIRS: dict[str, Callable[[], tuple[Step, Step]]] = {
    "Cnn14, 8 × (64, 200), beside panns_inference": _cnn14,
    "ECAPA-TDNN, 8 × 2 s, beside SpeechBrain": _ecapa,
    "wav2vec 2.0 base, 4 × 1 s, beside transformers": _wav2vec2,
    "AST, 4 × (256, 128), beside transformers": _ast,
    "Whisper tiny, 2 × 30 s, beside transformers": _whisper,
    "resnet18, 8 × (3, 128, 128), beside torchvision": _torchvision,
    "efficientnet_b0, 8 × (1, 128, 128), beside timm": _timm,
    "LEAF and efficientnet_b0, 4 × 2 s, beside SpeechBrain's LEAF": _leaf,
}
