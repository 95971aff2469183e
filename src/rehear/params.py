"""The schema of ``params.yaml``, and its only reader.

Every number that can change a result stands in ``params.yaml``. This module
turns it into frozen dataclasses; whatever does not fit is refused with its key,
its line, what was expected and the likely spelling. A *part* (``model``,
``dataset``, an entry of ``transforms`` …) is a name with arguments, which the
catalogue of its kind checks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from rehear.catalogue import misplaced
from rehear.errors import ParamsError
from rehear.reader import Part, Reader

__all__ = ["Part"]

FILE = "params.yaml"
NO_FOLD = "none"


@dataclass(frozen=True)
class Split:
    """How splits are drawn where the data set does not give them.

    Attributes:
        dev: share of the clips for the dev split
        test: share of the clips for the test split
        seed: seed of the draw
        folds: number of cross-validation folds to draw; 0 draws none
    """

    dev: float = 0.15
    test: float = 0.15
    seed: int = 0
    folds: int = 0


@dataclass(frozen=True)
class Fetch:
    """Where recordings come from and what is refused.

    Attributes:
        source: folder of your own recordings and labels; used by the data sets
            ``csv`` and ``folder``
        on_error: ``stop`` at recordings that cannot be used, or ``skip`` them
        allow_leak: reason why a leaking split is used all the same; it goes
            into every report
        split: how splits are drawn where the data set does not give them
    """

    source: str = "data/own"
    on_error: Literal["stop", "skip"] = "stop"
    allow_leak: str = ""
    split: Split = field(default_factory=Split)


@dataclass(frozen=True)
class Preprocess:
    """From recordings to stored features.

    Attributes:
        sample_rate: sound is resampled to this rate, in Hz, by torchaudio's sinc
        transforms: applied in this order; one with ``online: true`` runs while
            training instead
        dtype: of stored features, ``float32``, or ``float16`` for half the space;
            images stay ``uint8``
        on_error: ``stop`` at clips without usable features, or ``skip`` them
    """

    sample_rate: int = 16000
    transforms: tuple[Part, ...] = ()
    dtype: Literal["float32", "float16"] = "float32"
    on_error: Literal["stop", "skip"] = "stop"


@dataclass(frozen=True)
class Pretrained:
    """What training starts from.

    Attributes:
        weights: published ones by name (``rehear show cnn14`` lists those of a
            model), or a file or folder of the study: a model trained before, or
            somebody else's checkpoint; empty to start from scratch
        keep_head: take the last layers, too, which fit the same labels only
    """

    weights: str = ""
    keep_head: bool = False


@dataclass(frozen=True)
class Train:
    """How a model is trained.

    Attributes:
        epochs: passes through the training split
        batch_size: clips in a batch
        lr: learning rate
        optimizer: part of kind optimizer
        scheduler: part of kind scheduler; null keeps the rate constant
        loss: part of kind loss; null takes the task's default
        track: metric on the dev split that picks the best epoch; empty takes
            the task's default
        patience: epochs without a better tracked metric before training
            stops; null never stops early
        precision: ``fp32``, ``bf16`` or ``fp16``
        accumulate: batches whose gradients are added up before a step
        clip_norm: largest norm of the gradient; null does not clip
        freeze: what does not learn: the first so many groups of the model's layers,
            ``extractor`` (the front end), or ``all`` but the head, as a probe
        unfreeze_every: epochs after which one more group learns, from the head
            on; null keeps ``freeze`` to the end
        lr_body: everything but the head learns at this share of ``lr``
        lr_decay: and each group of layers at this share of the next one's rate
        channels_last: memory layout for models of two-dimensional features
        threads: CPU threads of one run; part of the result, since sums are
            taken in another order with another number
        workers: processes that load batches; 0 gathers them in process; does
            not change results
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps`` …
        deterministic: only deterministic algorithms
    """

    epochs: int = 10
    batch_size: int = 32
    lr: float = 0.001
    optimizer: Part = field(default_factory=lambda: Part(name="adamw"))
    scheduler: Part | None = None
    loss: Part | None = None
    track: str = ""
    patience: int | None = None
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    accumulate: int = 1
    clip_norm: float | None = None
    freeze: int | Literal["extractor", "all"] = 0
    unfreeze_every: int | None = None
    lr_body: float = 1.0
    lr_decay: float = 1.0
    channels_last: bool = True
    threads: int = 2
    workers: int = 0
    device: str = "auto"
    deterministic: bool = True


@dataclass(frozen=True)
class Evaluate:
    """How a trained model is scored.

    Attributes:
        metrics: names of metrics; empty takes the task's defaults
        confidence: level of the intervals
        bootstrap: number of bootstrap replicates
        batch_size: clips in a batch
        examples: number of worst errors kept with their audio
    """

    metrics: tuple[str, ...] = ()
    confidence: float = 0.95
    bootstrap: int = 2000
    batch_size: int = 32
    examples: int = 12


@dataclass(frozen=True)
class Postprocess:
    """How all runs are summarised.

    Attributes:
        examples: number of worst errors in the report
        decimals: digits after the point in tables
    """

    examples: int = 12
    decimals: int = 3


@dataclass(frozen=True)
class Params:
    """All parameters of a study.

    Attributes:
        seeds: one run is trained for each seed
        folds: one run is trained for each fold; ``none`` uses the splits
        task: ``classification``, ``tagging`` or ``regression``
        dataset: part of kind data set
        fetch: where recordings come from and what is refused
        preprocess: from recordings to stored features
        model: part of kind model
        pretrained: what training starts from
        augment: parts of kind augmentation, on the training split only
        train: how a model is trained
        evaluate: how a trained model is scored
        postprocess: how all runs are summarised
    """

    seeds: tuple[int, ...] = (1,)
    folds: tuple[str, ...] = (NO_FOLD,)
    task: Part = field(default_factory=lambda: Part(name="classification"))
    dataset: Part = field(default_factory=lambda: Part(name="embedded"))
    fetch: Fetch = field(default_factory=Fetch)
    preprocess: Preprocess = field(default_factory=Preprocess)
    model: Part = field(default_factory=lambda: Part(name="cnn10"))
    pretrained: Pretrained = field(default_factory=Pretrained)
    augment: tuple[Part, ...] = ()
    train: Train = field(default_factory=Train)
    evaluate: Evaluate = field(default_factory=Evaluate)
    postprocess: Postprocess = field(default_factory=Postprocess)

    def runs(self) -> list[tuple[int, str]]:
        """Return the ``(seed, fold)`` of every run of the study."""
        return [(seed, fold) for seed in self.seeds for fold in self.folds]


def run_name(seed: int, fold: str) -> str:
    """Return the name of a run, as in ``models/1-none``."""
    return f"{seed}-{fold}"


def load(path: Path) -> Params:
    """Read and check ``params.yaml``.

    Raises:
        ParamsError: if the file is missing or not YAML, or a key or value does
            not fit; the text names line and key
    """
    tree = read_tree(path)
    reader = Reader(path, tree)
    params: Params = reader.build(Params, _resolved(path, tree), ())
    _check_ranges(reader, params)
    return params


def read_tree(path: Path) -> Any:
    """Return ``params.yaml`` as ruamel's round-trip tree (YAML 1.2).

    Raises:
        ParamsError: if the file is missing or not YAML
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    try:
        tree = YAML().load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ParamsError(
            f"{path} does not exist; run this in the folder of a study"
        ) from None
    except MarkedYAMLError as error:
        mark = error.problem_mark
        line = f" line {mark.line + 1}" if mark else ""
        problem = (error.problem or "cannot be read").replace("\n", " ")
        raise ParamsError(
            f"{path.name}{line}: not valid YAML: {problem}; "
            "check indentation, colons and brackets there"
        ) from None
    except (UnicodeDecodeError, YAMLError) as error:
        problem = str(error).splitlines()[0]
        raise ParamsError(f"{path.name}: save it as UTF-8: {problem}") from None
    if not isinstance(tree, Mapping):
        raise ParamsError(f"{path.name}: expected keys and values, found {tree!r}")
    return tree


def _resolved(path: Path, tree: Any) -> Any:
    plain = _plain(tree)
    if "${" not in repr(plain):
        return plain
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        return OmegaConf.to_container(OmegaConf.create(plain), resolve=True)
    except OmegaConfBaseException as error:
        first = str(error).splitlines()[0]
        raise ParamsError(f"{path.name}: interpolation failed: {first}") from None


def _plain(node: Any) -> Any:
    """Strip ruamel's types, which carry formatting that values do not need."""
    if isinstance(node, Mapping):
        return {str(key): _plain(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_plain(value) for value in node]
    for kind in (bool, int, float, str):
        if isinstance(node, kind):
            return kind(node)
    return node


def _check_ranges(reader: Reader, params: Params) -> None:
    for keys, low, high in _RANGES:
        value: Any = params
        for key in keys:
            value = getattr(value, key)
        if value is not None and not low <= value <= high:
            reader.fail(keys, f"expected {low:g} to {high:g}, found {value!r}")
    for key in ("seeds", "folds"):
        values = getattr(params, key)
        if not values or len(set(values)) != len(values):
            reader.fail((key,), "expected a list of different values, at least one")
    if min(params.seeds) < 0:
        reader.fail(("seeds",), "expected whole numbers from 0")
    if params.fetch.split.dev + params.fetch.split.test >= 1:
        reader.fail(("fetch", "split"), "dev and test together must stay below 1")
    _check_places(reader, ("preprocess", "transforms"), params.preprocess.transforms)
    _check_places(reader, ("augment",), params.augment)


def _check_places(reader: Reader, keys: tuple[str, ...], parts: Sequence[Part]) -> None:
    for index, part in enumerate(parts):
        if wrong := misplaced(part):
            reader.fail((*keys, index, wrong[0]), wrong[1])


_MANY = 1e12
_RANGES: tuple[tuple[tuple[str, ...], float, float], ...] = (
    (("fetch", "split", "dev"), 0, 0.9),
    (("fetch", "split", "test"), 0, 0.9),
    (("fetch", "split", "folds"), 0, 1000),
    (("preprocess", "sample_rate"), 100, 1_000_000),
    (("train", "epochs"), 1, _MANY),
    (("train", "batch_size"), 1, _MANY),
    (("train", "lr"), 0, 1000),
    (("train", "patience"), 1, _MANY),
    (("train", "accumulate"), 1, _MANY),
    (("train", "clip_norm"), 1e-12, _MANY),
    (("train", "unfreeze_every"), 1, _MANY),
    (("train", "lr_body"), 0, 1000),
    (("train", "lr_decay"), 0, 1),
    (("train", "threads"), 1, 1024),
    (("train", "workers"), 0, 1024),
    (("evaluate", "confidence"), 0.5, 0.9999),
    (("evaluate", "bootstrap"), 100, 1_000_000),
    (("evaluate", "batch_size"), 1, _MANY),
    (("evaluate", "examples"), 0, 1000),
    (("postprocess", "examples"), 0, 1000),
    (("postprocess", "decimals"), 0, 12),
)
