"""What parts there are, what they take, and what params.yaml amounts to."""

import inspect
from dataclasses import MISSING, asdict, fields
from typing import Any

from rehear.catalogue import Catalogue
from rehear.errors import ParamsError, suggest
from rehear.params import Params

_MOST = 12  # names of weights


def catalogues() -> dict[str, Catalogue]:
    """Return all catalogues by the plural of their kind."""
    from rehear.augmentations import AUGMENTATIONS
    from rehear.datasets import DATASETS
    from rehear.datasets.cuts import CUTS
    from rehear.losses import LOSSES
    from rehear.metrics import METRICS
    from rehear.models import MODELS
    from rehear.optim import OPTIMIZERS, SCHEDULERS
    from rehear.tasks import TASKS
    from rehear.transforms import TRANSFORMS

    return {
        "datasets": DATASETS,
        "cuts": CUTS,
        "tasks": TASKS,
        "transforms": TRANSFORMS,
        "augmentations": AUGMENTATIONS,
        "models": MODELS,
        "losses": LOSSES,
        "optimizers": OPTIMIZERS,
        "schedulers": SCHEDULERS,
        "metrics": METRICS,
    }


def list_parts(kind: str | None = None) -> str:
    """Return a listing of all parts, or of those of one kind.

    Raises:
        ParamsError: if there is no such kind
    """
    every = catalogues()
    if kind is None:
        width = max(map(len, every))
        return "\n".join(
            f"{name:{width}}  {', '.join(parts.names())}"
            for name, parts in every.items()
        )
    parts = every.get(kind, every.get(kind + "s"))
    if parts is None:
        raise ParamsError(
            f"unknown kind '{kind}'.{suggest(kind, every)} Known: {', '.join(every)}"
        )
    width = max(map(len, parts.names()))
    return "\n".join(
        f"{name:{width}}  {_summary(parts.get(name))}" for name in parts.names()
    )


def describe(name: str) -> str:
    """Return what a part is, its arguments with defaults, and its source.

    Raises:
        ParamsError: if there is no such part
    """
    every = catalogues()
    found = [parts for parts in every.values() if name in parts.names()]
    if not found:
        known = [part for parts in every.values() for part in parts.names()]
        raise ParamsError(
            f"unknown part '{name}'.{suggest(name, known)} See `rehear list`"
        )
    return "\n\n".join(_description(parts, name) for parts in found)


def _description(parts: Catalogue, name: str) -> str:
    part: Any = parts.get(name)
    lines = [f"{parts.kind} {name}", ""]
    title = getattr(part, "title", "")
    if title and not inspect.getdoc(part):
        lines += [title, ""]
    lines += [_document(part), "", "in params.yaml:", f"  name: {name}"]
    if not _is_instance(part):
        lines += [
            f"  {key}: {_yaml(value.default)}"
            for key, value in parts.signature(name).items()
            if value.default is not value.empty and value.kind is not value.VAR_KEYWORD
        ]
    return "\n".join([*lines, *_weights(part)])


def _weights(part: Any) -> list[str]:
    """Return the names of a model's published weights, the first of many.

    Where its library, which knows them, is not installed, say so.
    """
    if not hasattr(part, "sources"):
        return []
    try:
        names = list(part.sources())
    except ParamsError as error:
        return ["", f"published weights cannot be listed: {error}"]
    more = [f"  … {len(names) - _MOST} more"] if len(names) > _MOST else []
    listed = [f"  {name}" for name in names[:_MOST]]
    return ["", "published weights, for pretrained.weights:", *listed, *more]


def _is_instance(part: Any) -> bool:
    """Say whether a part is an object, such as a metric, not a class or function."""
    return not (inspect.isclass(part) or inspect.isroutine(part))


def _document(part: Any) -> str:
    return inspect.getdoc(getattr(part, "function", part)) or ""


def _summary(part: Any) -> str:
    title = getattr(part, "title", "") if _is_instance(part) else ""
    return title or _document(part).split("\n", 1)[0]


def _yaml(value: Any) -> str:
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(_yaml, value))}]"
    if value is None or isinstance(value, bool):
        return str(value).lower().replace("none", "null")
    return "''" if value == "" else str(value)


def resolved(params: Params) -> str:
    """Return all parameters with their defaults, as YAML."""
    import io

    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.default_flow_style = False
    stream = io.StringIO()
    yaml.dump(_plain(asdict(params)), stream)
    return stream.getvalue().rstrip()


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value


def default_of(cls: type, name: str) -> Any:
    """Return the default of a dataclass's field, for the reference of parameters."""
    for entry in fields(cls):
        if entry.name == name:
            if entry.default is not MISSING:
                return entry.default
            if entry.default_factory is not MISSING:
                return entry.default_factory()
    raise KeyError(name)
