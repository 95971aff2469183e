"""What the measurements ran on."""

import importlib.metadata
import os
import subprocess
from pathlib import Path
from typing import Any

import rehear
from rehear import environment

_PACKAGES = ("torch", "torchaudio", "numpy", "opensmile")
_QUESTION = (
    "import importlib.metadata as m, json; print(json.dumps({n: m.version(n) "
    "for n in ('autrainer', 'torch', 'torchaudio', 'numpy', 'opensmile')}))"
)


def describe(peer: Path | None) -> dict[str, Any]:
    """Return processor, memory, load and versions.

    Args:
        peer: Python of the peer's environment, if it is there
    """
    facts = environment.describe()
    ours = {"rehear": rehear.__version__}
    ours |= {name: importlib.metadata.version(name) for name in _PACKAGES}
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "processor": facts["processor"],
        "cores": facts["cores"],
        "memory_gib": round(memory, 1),
        "system": facts["system"],
        "python": facts["python"],
        "load_at_start": [round(value, 2) for value in os.getloadavg()],
        "rehear_environment": ours,
        "peer_environment": _ask(peer) if peer else None,
    }


def _ask(python: Path) -> Any:
    import json

    answer = subprocess.run(
        [python, "-c", _QUESTION], capture_output=True, text=True, check=True
    )
    return json.loads(answer.stdout)


def line(facts: dict[str, Any]) -> str:
    """Return the facts in a few lines of text."""
    versions = " ".join(f"{k} {v}" for k, v in facts["rehear_environment"].items())
    peer = facts["peer_environment"] or {}
    others = " ".join(f"{k} {v}" for k, v in peer.items())
    load = " ".join(map(str, facts["load_at_start"]))
    return (
        f"{facts['cores']} cores of {facts['processor']}, {facts['memory_gib']} GiB, "
        f"{facts['system']}, Python {facts['python']}; load average at start {load}\n"
        f"rehear: {versions}\nautrainer: {others or 'not used'}"
    )
