"""Weights that training starts from: found, checked, and fitted, strictly.

They are published ones, by a name that a model's ``sources`` list, or a file or
folder of the study: a model of ours, or a checkpoint of somebody else.
"""

import contextlib
import itertools
import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from rehear import checkpoint, paths, transforms
from rehear.catalogue import PLACEMENT, Spec, name_of
from rehear.errors import ModelError, ParamsError, suggest
from rehear.models import GIVEN, MODELS, structure
from rehear.models.sources import Source
from rehear.params import Params
from rehear.signals import Signal

KEY = "pretrained.weights"
_COUNTER = "num_batches_tracked"  # older checkpoints lack it, and nothing reads it
_NAMED = 4
# What the program gives to transforms.
_OF_TRANSFORMS = ("sample_rate", "study")
# Transforms that leave features as they are: clips may have another length, and
# the rate that they arrive with is compared by itself.
_NEUTRAL = ("fit", "mono", "resample")
_WRAPPER = "module."  # in front of all names, where a torch.nn.DataParallel was saved


def find(weights: str, study: Path, *, model: str) -> Source | Path:
    """Return where weights are.

    Args:
        weights: ``pretrained.weights``
        study: folder that a path is relative to
        model: name of the model, which is asked first

    Raises:
        ParamsError: if there is no such name and no such file
    """
    mine = sources_of(model)
    if weights in mine:
        return mine[weights]
    if (study / weights).exists():
        return study / weights
    known = [*mine]
    # Asking all models takes seconds, for the libraries that it loads.
    for name in MODELS.names():
        with contextlib.suppress(ParamsError):  # a library that is not installed
            sources = sources_of(name)
            if weights in sources:
                return sources[weights]
            known += sources
    listed = f" Known for '{model}': {', '.join([*mine][:_NAMED])}" if mine else ""
    more = ", …" if len(mine) > _NAMED else ""
    raise ParamsError(
        f"{KEY}: no published weights are called '{weights}', and no file or folder "
        f"of the study is.{suggest(weights, known)}{listed}{more}"
    )


def sources_of(name: str) -> Mapping[str, Source]:
    """Return the published weights of a model by name.

    Raises:
        ParamsError: if the library of the model is not installed
    """
    part: Any = MODELS.get(name)
    return part.sources() if hasattr(part, "sources") else {}


def check(params: Params, study: Path, *, arriving: Signal) -> None:
    """Refuse weights that are not for the model or the front end of a study.

    Args:
        params: of the study
        study: its folder
        arriving: what comes to the model

    Raises:
        ParamsError: if so
        ModelError: if a model of one's own cannot be used
    """
    weights, name = params.pretrained.weights, name_of(params.model)
    if not weights:
        return
    mine = sources_of(name)
    found = mine.get(weights) or find(weights, study, model=name)
    if isinstance(found, Path):
        if (found / checkpoint.WEIGHTS).exists():
            _check_own(params, _config(found), arriving)
        return
    if weights not in mine:
        raise ParamsError(
            f"{KEY}: '{weights}' are not for the model '{name}'; choose others, or "
            "another model"
        )
    asked = MODELS.resolve(params.model, given=GIVEN)
    for key, value in found.arguments.items():
        if asked.get(key) != value:
            raise ParamsError(
                f"{KEY}: '{weights}' need model.{key}: {value}, but it is "
                f"{asked.get(key)}"
            )
    _check_rate(weights, found.rate, arriving)
    _check_front_end(params, found)


def _check_rate(weights: str, rate: int, arriving: Signal) -> None:
    if rate and arriving.rate and rate != arriving.rate:
        raise ParamsError(
            f"{KEY}: '{weights}' were trained on {rate} Hz, but sound comes with "
            f"{arriving.rate} Hz; set preprocess.sample_rate to {rate}"
        )


def _check_front_end(params: Params, source: Source) -> None:
    """Compare the transforms with those that the weights were trained on."""
    wanted = dict(source.front_end)
    if not wanted:
        return
    name = wanted.pop("name")
    written = ", ".join(f"{key}: {value}" for key, value in wanted.items())
    same = [s for s in params.preprocess.transforms if name_of(s) == name]
    if not same:
        raise ParamsError(
            f"{KEY}: '{source.name}' need the transform '{name}' in "
            f"preprocess.transforms, with {written or 'its defaults'}"
        )
    given = transforms.TRANSFORMS.resolve(same[-1], given=_OF_TRANSFORMS)
    for key, value in wanted.items():
        if given.get(key) != value:
            raise ParamsError(
                f"{KEY}: '{source.name}' were trained with {name}.{key}: {value}, but "
                f"preprocess.transforms have {given.get(key)}; all of it: {written}"
            )


def _check_own(params: Params, config: Mapping[str, Any], arriving: Signal) -> None:
    """Compare a study with what a model of ours was trained on."""
    weights = params.pretrained.weights
    _check_rate(weights, config.get("sample_rate", 0), arriving)
    if "preprocess" not in config:
        return
    specs = config["preprocess"]["transforms"], params.preprocess.transforms
    theirs, ours = map(_decisive, specs)
    if [*map(name_of, theirs)] != [*map(name_of, ours)]:
        then, now = (", ".join(map(name_of, listed)) or "none" for listed in specs)
        raise ParamsError(
            f"{KEY}: '{weights}' were trained with the transforms {then}, but "
            f"preprocess.transforms have {now}; only {', '.join(_NEUTRAL)} may differ"
        )
    for part, given in zip(map(_settings, theirs), map(_settings, ours), strict=True):
        for key in itertools.chain(part, given.keys() - part.keys()):
            if part.get(key) != given.get(key):
                raise ParamsError(
                    f"{KEY}: '{weights}' were trained with {part['name']}.{key}: "
                    f"{part.get(key)}, but preprocess.transforms have {given.get(key)}"
                )


def _decisive(specs: Sequence[Spec]) -> list[Spec]:
    """Return the transforms that decide on features."""
    return [s for s in transforms.ordered(specs) if name_of(s) not in _NEUTRAL]


def _settings(spec: Spec) -> dict[str, Any]:
    """Return all arguments of a transform, as JSON has them.

    Files are left out, since their names do not tell whether they are the same.
    """
    files = getattr(transforms.TRANSFORMS.get(name_of(spec)), "reads", ())
    left_out = (PLACEMENT - {"name"}).union(files)
    part = transforms.TRANSFORMS.resolve(spec, given=_OF_TRANSFORMS)
    part = {key: value for key, value in part.items() if key not in left_out}
    return dict(json.loads(json.dumps(part, default=str)))


def read(
    path: Path, *, entry: str = "", name: str = ""
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the tensors of a file or folder, and the record of a model of ours.

    Args:
        path: of the file or folder
        entry: under which the file holds the tensors; looked for if empty
        name: of the weights, for messages; the path if empty

    Raises:
        ModelError: if there are no tensors, or a model of ours is not complete
    """
    if not path.is_dir():
        return checkpoint.read_foreign(path, entry=entry, name=name), {}
    if (path / checkpoint.WEIGHTS).exists():
        config = _config(path)
        return checkpoint.read_foreign(path / checkpoint.WEIGHTS), config
    files = ("model.safetensors", "pytorch_model.bin")
    for file in files:
        if (path / file).exists():
            return checkpoint.read_foreign(path / file, entry=entry), {}
    raise ModelError(
        f"{path} holds no weights; expected {checkpoint.WEIGHTS} of a model of rehear, "
        f"or {' or '.join(files)} of the Hugging Face hub"
    )


def _config(folder: Path) -> dict[str, Any]:
    """Return the configuration of a model of ours that somebody has copied."""
    advice = (
        f"copy the whole folder of the model again, or set {KEY} to the file "
        f"{checkpoint.WEIGHTS} in it if it is somebody else's"
    )
    return checkpoint.read_config(folder, missing=advice, damaged=advice)


def start(
    model: nn.Module, params: Params, study: Path, *, labels: Sequence[str] = ()
) -> dict[str, Any]:
    """Put a study's pretrained weights into its model.

    Args:
        model: as built, with first weights
        params: of the study
        study: its folder, after the stage ``pretrained``
        labels: of the study's task

    Returns:
        The record of the weights; empty where training starts from scratch.

    Raises:
        ModelError: if the stage has not run, or the weights do not fit
    """
    weights = params.pretrained.weights
    if not weights:
        return {}
    folder = study / paths.PRETRAINED
    try:
        record = json.loads((folder / paths.RECORD).read_text(encoding="utf-8"))
    except FileNotFoundError:
        record = {}
    if record.get("weights") != weights:
        raise ModelError(
            f"{folder} does not hold {KEY} '{weights}'; run `rehear pretrained` first"
        )
    tensors = checkpoint.read_tensors(folder / checkpoint.WEIGHTS)
    _put(model, tensors, params, learnt=record.get("labels"), labels=labels)
    return dict(record)


def try_out(
    model: nn.Module, params: Params, study: Path, *, labels: Sequence[str] | None
) -> None:
    """Put files of the study into its model as the stages will, before they run.

    Published weights are left to the stages, which download them.

    Args:
        model: as built
        params: of the study
        study: its folder
        labels: of the study's task; ``None`` where they are not known yet, and so
            nothing is said about the head

    Raises:
        ModelError: if they cannot be read, or do not fit
    """
    weights = params.pretrained.weights
    found = find(weights, study, model=name_of(params.model)) if weights else None
    if not isinstance(found, Path):
        return
    tensors, config = read(found)
    learnt = config["task"]["labels"] if config else None
    _put(model, tensors, params, learnt=learnt, labels=labels)


def _put(
    model: nn.Module,
    tensors: Mapping[str, Tensor],
    params: Params,
    *,
    learnt: Sequence[str] | None,
    labels: Sequence[str] | None,
) -> None:
    """Fit weights into a study's model, its head included where that is asked for.

    Args:
        model: as built
        tensors: of the weights
        params: of the study
        learnt: labels that a model of ours was trained on; ``None`` of any other
        labels: of the study's task; ``None`` to leave the head out
    """
    weights = params.pretrained.weights
    keep_head = params.pretrained.keep_head and labels is not None
    if keep_head and learnt is not None and list(learnt) != list(labels or ()):
        raise ModelError(
            f"pretrained.keep_head: the last layer of '{weights}' is for the labels "
            f"{', '.join(learnt)}, but the study has {', '.join(labels or ())}; set it "
            "false"
        )
    ours = learnt is not None
    fit(model, tensors, name=weights, ours=ours, keep_head=keep_head)


def fit(
    model: nn.Module,
    tensors: Mapping[str, Tensor],
    *,
    name: str,
    ours: bool = False,
    keep_head: bool = False,
) -> None:
    """Put weights into a model, all of them but those of the head.

    Args:
        model: whose head keeps its first weights
        tensors: by the names of whoever saved them
        name: of the weights, for messages
        ours: whether a model of ours has saved them
        keep_head: put the head's weights in, too

    Raises:
        ModelError: if anything else is missing, is left over or has another shape
    """
    own = model.state_dict()
    adapted: Any = getattr(model, "adapted", None)
    if not ours and _wrapped(tensors) and not _wrapped(own):
        tensors = {k.removeprefix(_WRAPPER): v for k, v in tensors.items()}
    if adapted and not ours:
        tensors = adapted(tensors)
    head = () if keep_head else structure.head(model)
    fresh = () if ours else tuple(getattr(model, "fresh", ()))
    allowed = {key for key in own if structure.is_under(key, (*head, *fresh))}
    taken = {key: value for key, value in tensors.items() if key not in allowed}
    taken = {k: v for k, v in taken.items() if not structure.is_under(k, head)}
    missing = [k for k in own if k not in taken and k not in allowed]
    missing = [key for key in missing if not key.endswith(_COUNTER)]
    problems = [
        *_listed("it lacks", missing),
        *_listed("it has besides", taken.keys() - own.keys()),
        *_listed("of other shapes are", _misshapen(own, taken)),
    ]
    if problems:
        raise ModelError(
            f"{KEY}: '{name}' does not fit the model: {'; '.join(problems)}; choose "
            f"the weights of this architecture{_about_head(model, keep_head)}"
        )
    model.load_state_dict({**own, **taken})


def _wrapped(names: Collection[str]) -> bool:
    return all(name.startswith(_WRAPPER) for name in names)


def _misshapen(own: Mapping[str, Tensor], taken: Mapping[str, Tensor]) -> list[str]:
    return [
        f"{key} {tuple(value.shape)}, not {tuple(own[key].shape)}"
        for key, value in taken.items()
        if key in own and value.shape != own[key].shape
    ]


def _listed(what: str, names: Collection[str]) -> list[str]:
    if not names:
        return []
    ordered = sorted(names)
    more = f" and {len(ordered) - _NAMED} more" if len(ordered) > _NAMED else ""
    return [f"{what} {', '.join(ordered[:_NAMED])}{more}"]


def _about_head(model: nn.Module, keep_head: bool) -> str:
    if not keep_head:
        return ""
    return f", or set pretrained.keep_head: false ({', '.join(structure.head(model))})"
