"""The AudioSet ontology: which sound is a kind of which other sound."""

import json
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Any, TypedDict

from rehear.errors import DataError, ParamsError, suggest

_CONTAINERS = frozenset({"abstract", "blacklist"})


class _Entry(TypedDict):
    id: str
    name: str
    child_ids: list[str]
    restrictions: list[str]


class Ontology:
    """The categories of AudioSet, by their ids such as ``/m/09x0r``.

    A category may have several parents. ``restrictions`` mark those that are no
    labels: ``abstract`` ones only hold others, and ``blacklist`` ones were not
    rated (README of the repository).

    Args:
        path: ``ontology.json`` of https://github.com/audioset/ontology

    Raises:
        DataError: if it is not that file
    """

    def __init__(self, path: Path) -> None:
        self._entries = {entry["id"]: entry for entry in _read(path)}
        self._parents: dict[str, list[str]] = {id_: [] for id_ in self._entries}
        for id_, entry in self._entries.items():
            for child in entry["child_ids"]:
                if child not in self._parents:
                    raise DataError(
                        f"{path}: '{child}', a child of '{entry['name']}', is not in "
                        "there; fetch the file again"
                    )
                self._parents[child].append(id_)

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def name(self, id_: str) -> str:
        """Return the name of a category."""
        return self._entries[id_]["name"]

    def is_label(self, id_: str) -> bool:
        """Say whether clips are labelled with a category, as far as is published."""
        return _CONTAINERS.isdisjoint(self._entries[id_]["restrictions"])

    def with_parents(self, ids: Iterable[str]) -> set[str]:
        """Return categories, and all that they are a kind of."""
        return _reached(ids, self._parents.__getitem__)

    def within(self, argument: str, names: Collection[str]) -> set[str]:
        """Return the ids of categories, and of all kinds of them.

        Args:
            argument: name of the argument, for the message
            names: of categories

        Raises:
            ParamsError: if there is no such category
        """
        known = {entry["name"]: id_ for id_, entry in self._entries.items()}
        for name in names:
            if name not in known:
                raise ParamsError(
                    f"dataset.{argument}: unknown category '{name}'."
                    f"{suggest(name, known)} Expected names of the ontology, such as "
                    "Speech or Bird"
                )
        ids = (known[name] for name in names)
        return _reached(ids, lambda id_: self._entries[id_]["child_ids"])


def _reached(
    ids: Iterable[str], neighbours: Callable[[str], Iterable[str]]
) -> set[str]:
    found: set[str] = set()
    waiting = list(ids)
    while waiting:
        id_ = waiting.pop()
        if id_ not in found:
            found.add(id_)
            waiting += neighbours(id_)
    return found


def _read(path: Path) -> list[_Entry]:
    try:
        entries: Any = json.loads(path.read_text("utf-8"))
        if not entries or any(
            _Entry.__required_keys__ - entry.keys() for entry in entries
        ):
            raise ValueError
    except (ValueError, TypeError, AttributeError):
        raise DataError(
            f"{path}: is not the AudioSet ontology; expected a JSON list of categories "
            f"with {', '.join(sorted(_Entry.__required_keys__))}, as in "
            "https://github.com/audioset/ontology"
        ) from None
    return list(entries)
