"""The documentation's fenced blocks, and what a test is to do with them.

Before a block, comments that no reader sees may say:

``<!-- test: skip (reason) -->``       leave the block out
``<!-- test: study key=value … -->``   answers of the study that the page runs in
``<!-- test: first COMMANDS -->``      run before the block
``<!-- test: then COMMANDS -->``       run after it, whatever its result
``<!-- test: as COMMANDS -->``         run instead of it, where it has a placeholder
``<!-- test: fails -->``               the commands must fail
``<!-- test: file PATH -->``           write the block there
``<!-- test: merge -->``               put the YAML block into params.yaml

A ``text`` block after commands is what they print: each of its lines has to be
there, where ``…`` stands for anything.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_ITEM = re.compile(
    r"<!-- test: (?P<kind>\w+)\s*(?P<value>.*?)\s*-->"
    r"|^```(?P<language>\w*)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
KINDS = {"skip", "study", "first", "then", "as", "fails", "file", "merge"}


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        page: file name
        line: of the opening fence
        language: after the fence
        text: between the fences
        marks: what a test is to do, by kind
    """

    page: str
    line: int
    language: str
    text: str
    marks: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(page: Path) -> list[Block]:
    """Return the blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    found, marks = [], {}
    for item in _ITEM.finditer(text):
        line = text.count("\n", 0, item.start()) + 1
        if item["kind"]:
            assert item["kind"] in KINDS, f"{page.name}:{line}: {item['kind']}"
            marks[item["kind"]] = item["value"]
        else:
            found.append(Block(page.name, line, item["language"], item["text"], marks))
            marks = {}
    return found


def merged(base: Any, more: Any) -> Any:
    """Return mappings merged; a part with another name replaces the old one."""
    if not isinstance(base, dict) or not isinstance(more, dict):
        return more
    if "name" in more and more["name"] != base.get("name"):
        return more
    return {**base, **{key: merged(base.get(key), more[key]) for key in more}}
