"""Models on disk: safetensors for numbers, JSON for everything else.

Nothing is ever unpickled, so that loading somebody's model cannot run code.
"""

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rehear import atomic
from rehear.catalogue import is_spec
from rehear.errors import ModelError
from rehear.models import MODELS

WEIGHTS = "weights.safetensors"
CONFIG = "config.json"
_RECORD = "record"
_ENTRIES = ("model", "state_dict", "model_state_dict")
_ZIP, _PICKLE = b"PK", b"\x80"  # what files of torch.save begin with, new and old
_INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
_FLOATS = ("float16", "bfloat16", "float32", "float64", "complex64")
_KINDS = {getattr(torch, name) for name in ("bool", *_INTEGERS, *_FLOATS)}


def write_tensors(
    path: Path, tensors: Mapping[str, Tensor], *, record: Any = None
) -> None:
    """Write tensors; equal tensors give equal bytes.

    Args:
        path: of the file
        tensors: by name
        record: what belongs to them, ready for JSON; kept in the same file, so
            that neither can be there without the other
    """
    from safetensors.numpy import save

    arrays = {name: _array(tensor) for name, tensor in tensors.items()}
    note = None if record is None else {_RECORD: json.dumps(record, allow_nan=False)}
    with atomic.file(path) as stream:
        stream.write(save(arrays, metadata=note))


def _array(tensor: Tensor) -> np.ndarray:
    tensor = tensor.detach().cpu()
    if tensor.dtype == torch.bfloat16:  # numpy has no such type
        tensor = tensor.float()
    return np.asarray(tensor.numpy(), order="C")  # of no dimension, too


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read tensors.

    Raises:
        ModelError: if the file is missing or damaged
    """
    from safetensors import SafetensorError

    try:
        return _load(path)
    except FileNotFoundError:
        raise ModelError(f"{path} does not exist; train the model first") from None
    except (OSError, SafetensorError) as error:
        raise ModelError(
            f"{path} is damaged ({error}); delete it and train again"
        ) from None


def _load(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file, one tensor at a time; none keeps the file open."""
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118


def read_foreign(path: Path, *, entry: str = "", name: str = "") -> dict[str, Tensor]:
    """Read tensors that somebody else has saved, by their names there.

    Args:
        path: of a safetensors file, or of one that ``torch.save`` wrote
        entry: under which the file holds them; looked for if empty
        name: of the weights, for messages; the path if empty

    Raises:
        ModelError: if there are none, the file holds code, or tensors of a kind
            that ``write_tensors`` cannot keep
    """
    name = name or str(path)
    with _reading(name):
        with path.open("rb") as stream:
            head = stream.read(9)
        # A safetensors file begins with the length of its header, which is JSON.
        if head[8:] == b"{":
            return _kept(_load(path), name)
        if not head.startswith((_ZIP, _PICKLE)):
            raise ValueError(
                f"it begins {head!r}, as neither safetensors nor files of torch.save do"
            )
        with (
            torch.serialization.safe_globals(_numbers()),
            # Without them, torch warns, a sparse tensor may crash the process.
            torch.sparse.check_sparse_tensor_invariants(),  # type: ignore[no-untyped-call]
        ):
            saved: Any = torch.load(path, "cpu", weights_only=True)  # noqa: TID251
    for key in (entry,) if entry else ("", *_ENTRIES):
        found = saved.get(key) if key and isinstance(saved, Mapping) else saved
        if isinstance(found, Mapping):
            tensors = {str(k): v for k, v in found.items() if isinstance(v, Tensor)}
            if tensors:
                return _kept(tensors, name)
    held = ", ".join(map(str, saved)) if isinstance(saved, Mapping) else type(saved)
    raise ModelError(
        f"{name} holds no tensors by name, but {held}; save a model's state_dict()"
    )


@contextlib.contextmanager
def _reading(name: str) -> Iterator[None]:
    """Say which weights cannot be read, and why."""
    from pickle import UnpicklingError  # noqa: TID251 - only to catch it

    from safetensors import SafetensorError

    try:
        yield
    except UnpicklingError as error:
        raise ModelError(
            f"{name} holds more than tensors, which is never run here "
            f"({_line(error)}); save its state_dict() alone"
        ) from None
    except (
        *(OSError, EOFError, SafetensorError, RuntimeError),
        *(ValueError, TypeError, LookupError, AttributeError),
    ) as error:
        raise ModelError(
            f"{name} cannot be read ({_line(error)}); it may be damaged, or not hold "
            "weights"
        ) from None


def _kept(tensors: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    """Return tensors, if all are of kinds that can be written again.

    Raises:
        ModelError: if one is not
    """
    for key, tensor in tensors.items():
        plain = tensor.layout == torch.strided and not tensor.is_nested
        if tensor.is_meta or not plain or tensor.dtype not in _KINDS:
            kind = tensor.dtype if plain else tensor.layout
            found = "torch.meta" if tensor.is_meta else kind
            raise ModelError(
                f"{name}: {key} is {found}, which is not taken; save it as a plain "
                "tensor, of float32"
            )
    return tensors


def _line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:200]


def _numbers() -> list[Any]:
    """Return what numpy's numbers in a checkpoint, such as a score, are made of."""
    core: Any = np._core.multiarray  # type: ignore[attr-defined]
    kinds = {type(np.dtype(code)) for code in "?bhilqBHILQefd"}
    made = [np.dtype, np.ndarray, *kinds]
    return [
        *made,
        *((core.scalar, f"numpy.{c}.multiarray.scalar") for c in ("core", "_core")),
        *(
            (core._reconstruct, f"numpy.{c}.multiarray._reconstruct")
            for c in ("core", "_core")
        ),
    ]


def read_record(path: Path) -> Any:
    """Return the record that ``write_tensors`` put beside the tensors.

    Raises:
        ModelError: if the file has none
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            return json.loads((file.metadata() or {})[_RECORD])
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise ModelError(
            f"{path} is damaged ({error}); delete it and train again"
        ) from None


def save(folder: Path, state: Mapping[str, Tensor], config: dict[str, Any]) -> None:
    """Write a model's weights and configuration into ``folder``."""
    write_tensors(folder / WEIGHTS, state)
    atomic.write_json(folder / CONFIG, config)


def read_config(folder: Path, *, missing: str, damaged: str) -> dict[str, Any]:
    """Return the configuration of a trained model.

    Args:
        folder: of the model
        missing: what to do where there is none
        damaged: what to do where it cannot be used

    Raises:
        ModelError: if it is missing or damaged
    """
    file = folder / CONFIG
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(f"{folder} holds no model ({CONFIG}); {missing}") from None
    except (OSError, ValueError) as error:
        raise ModelError(f"{file} is damaged ({error}); {damaged}") from None
    if problem := _unusable(config):
        raise ModelError(f"{file} is damaged ({problem}); {damaged}")
    return dict(config)


def _unusable(config: Any) -> str:
    """Return what a configuration lacks that every model of ours has, or nothing."""
    if not isinstance(config, dict):
        return "it is no mapping"
    if not is_spec(config.get("model")):
        return "it names no model"
    task, made = config.get("task"), config.get("preprocess", {"transforms": []})
    labels = task.get("labels") if isinstance(task, dict) else None
    if not isinstance(labels, list):
        return "it names no task with labels"
    listed = made.get("transforms") if isinstance(made, dict) else None
    usable = isinstance(listed, list) and all(map(is_spec, listed))
    return "" if usable else "it lists no transforms in preprocess"


def load(folder: Path) -> tuple[nn.Module, dict[str, Any]]:
    """Rebuild a trained model, in evaluation mode, and its configuration.

    Raises:
        ModelError: if a file is missing or damaged, or the weights do not fit
    """
    config = read_config(
        folder,
        missing="run `rehear train` first",
        damaged=f"delete {folder} and train again",
    )
    model = MODELS.build(
        config["model"],
        num_outputs=len(config["task"]["labels"]),
        input_shape=tuple(config["input_shape"]),
        sample_rate=config.get("sample_rate", 0),
    )
    try:
        model.load_state_dict(read_tensors(folder / WEIGHTS), strict=True)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise ModelError(
            f"{folder / WEIGHTS} does not fit the model in {CONFIG}: {reason}; "
            "train again"
        ) from None
    model.eval()
    return model, config
