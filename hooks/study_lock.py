"""Cut a study's ``requirements.lock`` out of the toolkit's.

The toolkit's lock covers every extra and the tools of its developers. A study
needs the part that its answers need: it is found by following the ``# via``
comments that uv writes, so neither a network nor a resolver takes part, and a
study gets exactly the versions that the toolkit was tested with.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

LOCK = "requirements.lock"
ROOT = "rehear (pyproject.toml)"
#: What a study itself asks for, beside the toolkit.
OWN = ("pytest",)


@dataclass(frozen=True)
class Entry:
    """One package at one version in a lock.

    Attributes:
        name: of the package
        lines: name, version, marker and hashes, as they stand in the lock
        via: who asks for it
    """

    name: str
    lines: tuple[str, ...]
    via: tuple[str, ...]


def write(template: Path, study: Path, *, extras: Collection[str], name: str) -> None:
    """Write the lock of a study.

    Args:
        template: root of the template's repository
        study: root of the study
        extras: extras of the toolkit that the study asks for
        name: of the study's project in its pyproject.toml
    """
    lock = (template / LOCK).read_text(encoding="utf-8")
    project = (template / "pyproject.toml").read_text(encoding="utf-8")
    text = cut(lock, project, extras=extras, name=name)
    # newline: the bytes are hashed by DVC, on Windows too.
    with (study / LOCK).open("w", encoding="utf-8", newline="\n") as stream:
        stream.write(text)


def cut(lock: str, project: str, *, extras: Collection[str], name: str) -> str:
    """Return the part of a lock that a study needs.

    Args:
        lock: the toolkit's requirements.lock
        project: the toolkit's pyproject.toml
        extras: extras of the toolkit that the study asks for
        name: of the study's project
    """
    entries = list(parse(lock))
    toolkit = requirements(project, "dependencies")
    for extra in extras:
        toolkit |= requirements(project, extra)
    kept = _needed(entries, toolkit | set(OWN))
    found = []
    for entry in entries:
        if entry.name not in kept:
            continue
        via = {parent for parent in entry.via if parent in kept}
        via |= {"rehear"} if entry.name in toolkit else set()
        via |= {f"{name} (pyproject.toml:dev)"} if entry.name in OWN else set()
        # uv lists projects first, which have a blank in their names.
        order = sorted(via, key=lambda parent: (" " not in parent, parent))
        found.append(replace(entry, via=tuple(order)))
    return "".join(map(render, found))


def _needed(entries: Collection[Entry], roots: Collection[str]) -> set[str]:
    """Return all names that roots reach, from asking to asked."""
    kept = set(roots)
    while True:
        more = {
            entry.name
            for entry in entries
            if entry.name not in kept and kept.intersection(entry.via)
        }
        if not more:
            return kept
        kept |= more


def parse(lock: str) -> Iterator[Entry]:
    """Yield the entries of a lock."""
    blocks = re.split(r"^(?=[a-z0-9])", lock, flags=re.MULTILINE | re.IGNORECASE)
    for block in filter(str.strip, blocks):
        lines = block.splitlines()
        comments = [line.strip() for line in lines if line.startswith("    #")]
        stripped = (c.removeprefix("# via").removeprefix("#").strip() for c in comments)
        yield Entry(
            name=_name(lines[0]),
            lines=tuple(line for line in lines if not line.startswith("    #")),
            via=tuple(filter(None, stripped)),
        )


def render(entry: Entry) -> str:
    """Return an entry as uv writes it."""
    if len(entry.via) == 1:
        comments = [f"    # via {entry.via[0]}"]
    else:
        comments = ["    # via", *(f"    #   {parent}" for parent in entry.via)]
    return "\n".join([*entry.lines, *comments]) + "\n"


def requirements(project: str, key: str) -> set[str]:
    """Return the names in a list of requirements in a pyproject.toml.

    The standard library reads TOML from Python 3.11 on; the hooks run on older
    ones, too, and this list is all that they need.

    Args:
        project: text of the file
        key: ``dependencies`` or the name of an extra
    """
    found = re.search(
        rf'^{re.escape(key)} = \[\n?((?:\s*"[^"]*",?)*)\s*\]', project, re.MULTILINE
    )
    if not found:
        raise ValueError(f"pyproject.toml has no list '{key}'")
    return {_name(text) for text in re.findall(r'"([^"]*)"', found[1])}


def _name(requirement: str) -> str:
    """Return the normalised name at the start of a requirement."""
    name = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert name is not None
    return re.sub(r"[._-]+", "-", name[0]).lower()
