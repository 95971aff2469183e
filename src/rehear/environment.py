"""What a stage ran on: Python, packages, processor, system."""

import functools
import importlib.metadata
import os
import platform
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

#: Packages whose version can change a number.
PACKAGES = (
    "rehear",
    "numpy",
    "torch",
    "torchaudio",
    "soundfile",
    "accelerate",
    "safetensors",
    "opensmile",
    "pandas",
    "audformat",
    "audb",
    "imageio-ffmpeg",
    "pillow",
    "dvc",
)


def describe() -> dict[str, Any]:
    """Return facts about this process's environment, ready for JSON.

    Nothing is imported for it, so it costs a few milliseconds.
    """
    return {
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "system": platform.platform(),
        "machine": platform.machine(),
        "processor": processor(),
        "cores": os.cpu_count(),
        "host": platform.node(),
        "packages": dict(versions()),
    }


@functools.cache
def versions() -> Mapping[str, str]:
    """Return the installed versions of ``PACKAGES``, absent ones left out.

    They are looked up once in a process: it takes longer than a short stage's
    other bookkeeping together.
    """
    found = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def processor() -> str:
    """Return the model of the processor, as far as the system tells."""
    if sys.platform == "linux":
        try:
            lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        except OSError:
            lines = []
        for line in lines:
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def differences(recorded: Any, now: Any) -> dict[str, tuple[Any, Any]]:
    """Return ``{"packages.numpy": (recorded, now)}`` for all that differs.

    Args:
        recorded: nested mappings, as in ``provenance.json``
        now: the same of another run
    """
    before, after = _flat(recorded), _flat(now)
    return {
        key: (before.get(key), after.get(key))
        for key in sorted(before.keys() | after.keys())
        if before.get(key) != after.get(key)
    }


def _flat(node: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(node, dict):
        return {prefix: node} if prefix else {}
    flat: dict[str, Any] = {}
    for key, value in node.items():
        flat.update(_flat(value, f"{prefix}.{key}" if prefix else str(key)))
    return flat
