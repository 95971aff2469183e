"""Where a model is trained: device, precision, several processes.

One process on one device needs nothing but torch. Accelerate, whose import
costs seconds, is loaded where a run asks for what it gives: fp16 with gradient
scaling, or several processes (``accelerate launch``, ``torchrun``).
"""

import contextlib
import ctypes
import os
import sys
from collections.abc import Iterable
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from rehear.errors import ModelError, ParamsError
from rehear.params import Train

T = TypeVar("T")


class Local:
    """One process on one device, with the methods of an ``Accelerator``.

    Args:
        device: of the model
        precision: ``fp32`` or ``bf16``
    """

    num_processes = 1
    process_index = 0
    is_main_process = True

    def __init__(self, device: torch.device, precision: str) -> None:
        self.device = device
        self.precision = precision

    def prepare(self, model: nn.Module, optimizer: Any) -> tuple[nn.Module, Any]:
        """Return both as they are; the model is on its device already."""
        return model, optimizer

    def unwrap_model(self, model: nn.Module) -> nn.Module:
        """Return the model itself."""
        return model

    def autocast(self) -> contextlib.AbstractContextManager[Any]:
        """Run in bf16 where that is asked for."""
        if self.precision == "bf16":
            return torch.autocast(self.device.type, dtype=torch.bfloat16)
        return contextlib.nullcontext()

    def backward(self, loss: Tensor) -> None:
        """Compute gradients."""
        loss.backward()  # type: ignore[no-untyped-call]

    def clip_grad_norm_(self, parameters: Iterable[Tensor], norm: float) -> None:
        """Scale gradients down to a norm."""
        torch.nn.utils.clip_grad_norm_(parameters, norm)


def pick(device: str, precision: str) -> Any:
    """Return a ``Local`` engine, or an ``Accelerator`` where one is needed.

    Raises:
        ParamsError: if the device does not exist or cannot do the precision
    """
    chosen = pick_device(device)
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 and precision != "fp16":
        return Local(chosen, precision)
    if precision == "fp16" and chosen.type != "cuda":
        raise ParamsError(
            f"train.precision: fp16 needs a CUDA device, not {chosen}; use bf16 or fp32"
        )
    from accelerate import Accelerator

    mixed = {"fp32": "no"}.get(precision, precision)
    threads = torch.get_num_threads()
    # Accelerate sets threads of its own, and says so, where nobody has set this.
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    run = Accelerator(mixed_precision=mixed, cpu=chosen.type == "cpu")
    torch.set_num_threads(threads)
    return run


def from_main(run: Any, value: T) -> T:
    """Return the main process's value in every process.

    What decides over the course of a run must come from one of them: they would
    wait for each other forever if they did not agree on when it ends.
    """
    if run.num_processes == 1:
        return value
    from accelerate.utils import broadcast_object_list

    received: list[T] = [value]
    broadcast_object_list(received)
    return received[0]


def pick_device(device: str) -> torch.device:
    """Return the device called so; ``auto`` is CUDA, MPS or CPU.

    Raises:
        ParamsError: if there is no such device here
    """
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        chosen = torch.device(device)
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError) as error:
        raise ParamsError(
            f"train.device: '{device}' cannot be used here "
            f"({str(error).splitlines()[0]}); use auto or cpu"
        ) from None
    return chosen


def place(model: nn.Module, device: torch.device, settings: Train) -> nn.Module:
    """Move a model to its device and memory layout."""
    if settings.channels_last:
        model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return model.to(device)


def to_device(
    features: Tensor,
    device: torch.device,
    settings: Train,
    front: nn.Module | None = None,
) -> Tensor:
    """Move features to the model's device and memory layout.

    Args:
        features: of a batch
        device: of the model
        settings: the ``train`` section
        front: what is left to be done with the features there
    """
    features = features.to(device, non_blocking=True)
    if front is not None:
        with torch.no_grad():
            features = front.to(device)(features)
    if settings.channels_last and features.ndim == 4:
        return features.contiguous(memory_format=torch.channels_last)
    return features


def set_up(*, threads: int, deterministic: bool) -> None:
    """Set threads, determinism and memory allocation of this process.

    Args:
        threads: CPU threads within one operation
        deterministic: refuse algorithms that may differ between equal runs
    """
    _keep_memory()
    torch.set_num_threads(threads)
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.backends.cudnn.deterministic = True
        torch.backends.cudnn.benchmark = False
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False
        # Uninitialised memory is never read here, so filling it buys nothing.
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
        # torch.use_deterministic_algorithms(True) without its import of torch's
        # compiler, which takes as long as that of torch itself.
        torch.set_deterministic_debug_mode("error")


def _keep_memory() -> None:
    """Keep freed memory instead of returning it to the kernel (glibc only).

    A step frees and asks for the same large tensors again and again; with
    glibc's defaults a fifth of a convolutional network's CPU time on Linux goes
    into mapping the pages anew. The arithmetic does not change.
    """
    if not sys.platform.startswith("linux"):
        return
    m_trim_threshold, m_top_pad, m_mmap_max = -1, -2, -4
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL("libc.so.6").mallopt
        mallopt(m_mmap_max, 0)
        mallopt(m_trim_threshold, 2**31 - 1)
        mallopt(m_top_pad, 256 * 2**20)


def sum_loss(run: Any, total: Tensor, *, epoch: int) -> float:
    """Return the loss summed over all processes as a number.

    Raises:
        ModelError: if it is not finite
    """
    several = run.num_processes > 1
    value = float(run.reduce(total, reduction="sum") if several else total)
    if value != value or value in (float("inf"), float("-inf")):
        raise ModelError(
            f"epoch {epoch + 1}: the training loss is not a number any more; lower "
            "train.lr, set train.clip_norm, or use train.precision: fp32"
        )
    return value


def check_outputs(logits: np.ndarray, *, epoch: int) -> None:
    """Refuse a model whose last step has made it useless.

    Raises:
        ModelError: if an output is not finite
    """
    if not np.isfinite(logits).all():
        raise ModelError(
            f"epoch {epoch + 1}: outputs for the dev split are not numbers any more; "
            "lower train.lr, set train.clip_norm, or use train.precision: fp32"
        )
