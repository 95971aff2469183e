"""Replacing values in the text of a YAML file, and nothing else of it.

Values are cut out and put in where ruamel says that they stand: comments, order
and formatting of the rest stay byte for byte. What comes out is read again and
compared with what it should hold, so that an unusual layout is refused, not
damaged.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from rehear.errors import ParamsError

Keys = tuple[str, ...]
_COMMENT = re.compile(r"[ \t]+(#.*)")
_MISSING = object()


class Entry(NamedTuple):
    """A key and its value in a block mapping.

    Attributes:
        key: ruamel's node of the key
        value: and of the value
        first: where the key's line starts
        last: where the value's last line ends, before the line break
    """

    key: Any
    value: Any
    first: int
    last: int


def merge(text: str, fragment: str) -> str:
    """Write the values of a fragment into the text of a YAML file.

    Sections are merged key by key; a part (a mapping with a ``name``), a list or
    a number is replaced as a whole. A value that is there already stays as it is
    written. New keys stand behind the others of their section.

    Args:
        text: of the file
        fragment: YAML too, in block style

    Raises:
        ParamsError: if the layout of the file does not allow it
    """
    old, new = values(text), values(fragment)
    for keys, value in leaves(new):
        if _at(old, keys) != value:
            text = _with(text, keys, fragment)
    return _checked(text, _merged(old, new))


def append(text: str, key: str, fragment: str) -> str:
    """Add the items of a fragment's list to the same list of a file.

    Items that are in the list already are not added again.

    Args:
        text: of the file
        key: of the list, at the top of both
        fragment: YAML too, in block style

    Raises:
        ParamsError: if the layout of the file does not allow it
    """
    old, new = values(text), values(fragment)
    there = list(old.get(key) or [])
    if not there:
        return merge(text, fragment)
    added = [item for item in new[key] if item not in there]
    if not added:
        return text
    text = _in_block_style(text, (key,))
    source = _found(fragment, (key,))
    entry = _found(text, (key,))
    lines: list[str] = []
    start = _line_end(fragment, source.key.end_mark.index) + 1
    for node, item in zip(source.value.value, new[key], strict=True):
        end = _line_end(fragment, _end(fragment, node))
        if item in added:
            lines += fragment[start:end].split("\n")
        start = end + 1
    shift = entry.value.start_mark.column - source.value.start_mark.column
    lines = _moved(lines, shift)
    text = _spliced(text, entry.last, entry.last, ["", *lines])
    return _checked(text, {**old, key: [*there, *added]})


def values(text: str) -> Any:
    """Return what a YAML text holds; an empty one an empty mapping.

    Raises:
        ParamsError: if it is not YAML
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        return YAML(typ="safe", pure=True).load(text) or {}
    except YAMLError as error:
        raise _refused() from error


def leaves(tree: Mapping[str, Any], keys: Keys = ()) -> Iterator[tuple[Keys, Any]]:
    """Yield keys and value of everything that is replaced as a whole."""
    for key, value in tree.items():
        if _is_section(value):
            yield from leaves(value, (*keys, key))
        else:
            yield (*keys, key), value


def _is_section(value: Any) -> bool:
    return isinstance(value, Mapping) and "name" not in value


def _at(tree: Any, keys: Keys) -> Any:
    for key in keys:
        if not isinstance(tree, Mapping) or key not in tree:
            return _MISSING
        tree = tree[key]
    return tree


def _merged(base: Any, new: Any) -> Any:
    if not (_is_section(base) and _is_section(new)):
        return new
    return {**base, **{key: _merged(base.get(key), new[key]) for key in new}}


def _checked(text: str, expected: Any) -> str:
    if values(text) != expected:
        raise _refused()
    return text


def _refused() -> ParamsError:
    return ParamsError(
        "params.yaml: its layout is too unusual to be edited by a program (anchors, "
        "or braces over several lines?); write the lines by hand, as `rehear presets "
        "NAME` shows them"
    )


def _with(text: str, keys: Keys, fragment: str) -> str:
    """Return the text with one value of the fragment."""
    depth = len(keys)
    while depth and _find(text, keys[:depth]) is None:
        depth -= 1
    for parent in range(min(depth, len(keys) - 1) + 1):
        text = _in_block_style(text, keys[:parent])
    source = _found(fragment, keys)
    lines = fragment[source.first : source.last].split("\n")
    column = source.key.start_mark.column
    if depth == len(keys):
        entry = _found(text, keys)
        lines = _moved(lines, entry.key.start_mark.column - column)
        lines[0] = _with_comment(lines[0], text, entry)
        return _spliced(text, entry.first, entry.last, lines)
    around = _mapping(text, keys[:depth])
    if not around:
        return _appended(text, keys[:-1], lines)
    place, last = around[0].key.start_mark.column, around[-1].last
    lines = _moved(lines, place + 2 * (len(keys) - 1 - depth) - column)
    above = [
        f"{' ' * (place + 2 * level)}{key}:" for level, key in enumerate(keys[depth:-1])
    ]
    return _spliced(text, last, last, ["", *above, *lines])


def _appended(text: str, sections: Keys, lines: Sequence[str]) -> str:
    """Return a text that has no keys yet with the first ones."""
    above = [f"{'  ' * level}{key}:" for level, key in enumerate(sections)]
    text = text.rstrip()
    return _spliced(
        text, len(text), len(text), [*[""][: len(text)], *above, *lines, ""]
    )


def _with_comment(line: str, text: str, entry: Entry) -> str:
    """Keep the comment behind a key whose value is replaced."""
    old = text[entry.first : _line_end(text, entry.first)]
    is_block = getattr(entry.value, "flow_style", None) is False
    end = entry.key.end_mark.index + 1 if is_block else _end(text, entry.value)
    match = _COMMENT.fullmatch(old, end - entry.first)
    if match is None or "#" in line:
        return line
    return f"{line.ljust(match.start(1) - 2)}  {match[1]}"


def _in_block_style(text: str, keys: Keys) -> str:
    """Return the text with ``key: {…}`` or ``key: […]`` written line by line."""
    node = _root(text) if not keys else _found(text, keys).value
    if not getattr(node, "flow_style", False):
        return text
    first, last = node.start_mark.index, node.end_mark.index
    if "#" in text[first:last]:
        raise _refused()
    pairs = isinstance(node.value, list) and node.id == "mapping"
    lines = [
        f"{_slice(text, item[0])}: {_slice(text, item[1])}"
        if pairs
        else f"- {_slice(text, item)}"
        for item in node.value
    ]
    if not keys:
        return _spliced(text, first, last, lines)
    entry = _found(text, keys)
    indent = " " * (entry.key.start_mark.column + 2)
    head = _with_comment(
        text[entry.first : entry.key.end_mark.index] + ":", text, entry
    )
    body = [indent + line for line in lines]
    return _spliced(text, entry.first, entry.last, [head, *body])


def _slice(text: str, node: Any) -> str:
    return text[node.start_mark.index : node.end_mark.index]


def _root(text: str) -> Any:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        return YAML(typ="safe", pure=True).compose(text)
    except YAMLError as error:
        raise _refused() from error


def _mapping(text: str, keys: Keys) -> list[Entry]:
    """Return the entries of the mapping that the keys lead to."""
    node = _root(text)
    for key in keys:
        node = next((v for k, v in _pairs(node) if k.value == key), None)
    entries = []
    for key_node, value in _pairs(node):
        first = text.rfind("\n", 0, key_node.start_mark.index) + 1
        last = _line_end(text, _end_of_pair(text, key_node, value))
        entries.append(Entry(key_node, value, first, last))
    return entries


def _pairs(node: Any) -> list[tuple[Any, Any]]:
    return node.value if getattr(node, "id", "") == "mapping" else []


def _find(text: str, keys: Keys) -> Entry | None:
    entries = _mapping(text, keys[:-1])
    return next((entry for entry in entries if entry.key.value == keys[-1]), None)


def _found(text: str, keys: Keys) -> Entry:
    entry = _find(text, keys)
    if entry is None:
        raise _refused()
    return entry


def _end(text: str, node: Any) -> int:
    """Return where the content of a node ends, without what follows it."""
    if getattr(node, "flow_style", None) is False and node.value:
        last = node.value[-1]
        pair = isinstance(last, tuple)
        return _end_of_pair(text, *last) if pair else _end(text, last)
    if getattr(node, "style", None) in ("|", ">"):
        return len(text[: node.end_mark.index].rstrip())
    return int(node.end_mark.index)


def _end_of_pair(text: str, key: Any, value: Any) -> int:
    """Return where a key's value ends; what stands elsewhere or nowhere has no end."""
    colon = int(key.end_mark.index)
    return max(colon, _end(text, value)) if _slice(text, value) else colon


def _line_end(text: str, index: int) -> int:
    end = text.find("\n", index)
    end = len(text) if end < 0 else end
    return end - 1 if text[:end].endswith("\r") and end > index else end


def _moved(lines: Sequence[str], columns: int) -> list[str]:
    """Return lines moved to the right, or to the left."""
    if columns < 0:
        return [line[-columns:] if line.strip() else line for line in lines]
    return [" " * columns + line if line.strip() else line for line in lines]


def _spliced(text: str, first: int, last: int, lines: Sequence[str]) -> str:
    line_break = "\r\n" if "\r\n" in text else "\n"
    return text[:first] + line_break.join(lines) + text[last:]
