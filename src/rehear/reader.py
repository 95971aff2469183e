"""From YAML to frozen dataclasses, with an error that says where and what."""

import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any, Literal, NoReturn, TypeVar

from rehear.catalogue import EXPECTED
from rehear.errors import ParamsError, suggest

T = TypeVar("T")


class Part(dict[str, Any]):
    """A named part and its arguments, as ``{name: log_mel, n_mels: 64}``."""


class Reader:
    """Builds dataclasses from YAML, and knows the line of every key.

    Args:
        path: of the file, for messages
        tree: of the file, as ruamel reads it
    """

    def __init__(self, path: Path, tree: Any) -> None:
        self.path = path
        self.tree = tree

    def fail(self, keys: Sequence[str | int], problem: str) -> NoReturn:
        """Raise the error of a key.

        Raises:
            ParamsError: with its line
        """
        line, node = None, self.tree
        for key in keys:
            try:
                line = node.lc.data[key][0] + 1
                node = node[key]
            except (AttributeError, KeyError, TypeError, IndexError):
                break
        place = f" line {line}" if line else ""
        dotted = ".".join(map(str, keys))
        raise ParamsError(f"{self.path.name}{place}: {dotted}: {problem}")

    def build(self, cls: type[T], node: Any, keys: tuple[str | int, ...]) -> T:
        """Return an instance of a dataclass.

        Args:
            cls: with type hints for all fields, and defaults
            node: what YAML has there
            keys: that lead there

        Raises:
            ParamsError: at the first key or value that does not fit
        """
        if not isinstance(node, Mapping):
            self.fail(keys, f"expected keys and values, found {node!r}")
        hints = typing.get_type_hints(cls)
        for key in node:
            if key not in hints:
                self.fail(
                    (*keys, key),
                    f"unknown key.{suggest(key, hints)} Known: {', '.join(hints)}",
                )
        values = {
            key: self._value(hints[key], value, (*keys, key))
            for key, value in node.items()
        }
        return cls(**values)

    def _value(self, hint: Any, node: Any, keys: tuple[str | int, ...]) -> Any:
        if typing.get_origin(hint) in (types.UnionType, typing.Union):
            return self._one_of(typing.get_args(hint), node, keys)
        if hint is Part:
            return self._part(node, keys)
        if is_dataclass(hint) and isinstance(hint, type):
            return self.build(hint, node, keys)
        if typing.get_origin(hint) is tuple:
            return self._items(typing.get_args(hint)[0], node, keys)
        if typing.get_origin(hint) is Literal:
            return self._choice(typing.get_args(hint), node, keys)
        return self._scalar(hint, node, keys)

    def _one_of(
        self, kinds: Sequence[Any], node: Any, keys: tuple[str | int, ...]
    ) -> Any:
        """Return a value of one of some types, or one of some words."""
        words = [
            word
            for kind in kinds
            if typing.get_origin(kind) is Literal
            for word in typing.get_args(kind)
        ]
        if node in words or type(node) in kinds:
            return node
        several = [kind for kind in kinds if kind is not type(None)]
        if len(several) == 1:
            return self._value(several[0], node, keys)
        expected = " or ".join([*(EXPECTED[k] for k in kinds if k in EXPECTED), *words])
        hint = suggest(node, words) if isinstance(node, str) else ""
        return self.fail(keys, f"expected {expected}, found {node!r}.{hint}")

    def _part(self, node: Any, keys: tuple[str | int, ...]) -> Part:
        if isinstance(node, str):
            return Part(name=node)
        if not isinstance(node, Mapping) or not isinstance(node.get("name"), str):
            self.fail(
                keys,
                f"expected a name, or {{name: …}} with arguments, found {node!r}",
            )
        return Part(node)

    def _items(
        self, hint: Any, node: Any, keys: tuple[str | int, ...]
    ) -> tuple[Any, ...]:
        if not isinstance(node, list):
            self.fail(keys, f"expected a list, found {node!r}; write [{node}]")
        if hint is str:
            node = [str(v) if type(v) is int else v for v in node]
        return tuple(self._value(hint, v, (*keys, i)) for i, v in enumerate(node))

    def _choice(
        self, known: Sequence[str], node: Any, keys: tuple[str | int, ...]
    ) -> str:
        if node not in known:
            self.fail(
                keys,
                f"expected {' or '.join(known)}, found {node!r}."
                f"{suggest(str(node), known)}",
            )
        return str(node)

    def _scalar(self, hint: type, node: Any, keys: tuple[str | int, ...]) -> Any:
        if hint is float and type(node) is int:
            return float(node)
        if type(node) is not hint:
            self.fail(keys, f"expected {EXPECTED[hint]}, found {node!r}")
        return node
