"""Write docs/params.md from the schema and the catalogues.

``python docs/make_params.py`` writes the page; ``--check`` only says whether it
is up to date.
"""

import ast
import inspect
import re
import sys
import textwrap
import types
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from rehear import metrics
from rehear.catalogue import Catalogue
from rehear.checking import GIVEN
from rehear.inspection import catalogues, default_of
from rehear.params import Params, Part

PAGE = Path(__file__).with_name("params.md")
PLACEMENT = {
    ("order", "transforms, augmentations"): "a number that moves the part. Transforms "
    "count from 0 in their list, so an augmentation with `order: 2.5` runs behind the "
    "third transform. Without it the order of the list holds, transforms first.",
    ("online", "transforms"): "`true` runs it while training and evaluating, instead "
    "of once in `preprocess`. What follows it must be online, too.",
    ("splits", "augmentations, online transforms"): "list of the splits in which the "
    "part runs. Augmentations run on `train` alone unless you say otherwise.",
}
HEAD = """\
# params.yaml: every key and every part

<!-- Written by `python docs/make_params.py`; edit the docstrings in src/rehear. -->

`params.yaml` holds everything that can change a number. A key that you leave
out has the default given here. A key that does not exist, or a value that does
not fit, is refused with its line, what was expected and the likely spelling.
`rehear show` prints all parameters of a study with their defaults, and
`rehear show cnn10` prints one part.

A **part** is a name with arguments. Each argument has a default, and a bare
name stands for a part with all of them:

```yaml
preprocess:
  transforms:
    - mono
    - name: log_mel
      n_mels: 64
model: cnn10
```

Three more keys say where and when a part of a list runs:

{placement}

A value may refer to another one, as in `seconds: ${dataset.seconds}`.
Numbers in powers of ten are written as `1e-4` or `0.0001`.

## Keys
"""
NAMES = {int: "whole number", float: "number", bool: "`true` or `false`", str: "text"}
KINDS = {
    "task": "tasks",
    "dataset": "datasets",
    "preprocess.transforms": "transforms",
    "model": "models",
    "augment": "augmentations",
    "train.optimizer": "optimizers",
    "train.scheduler": "schedulers",
    "train.loss": "losses",
}
INTROS = {
    "datasets": "Name one in `dataset`. [Data sets](data_sets.md) has an overview.",
    "cuts": "How clips are made of [annotated recordings](annotations.md): name one "
    "in `dataset.cut` of `raven` and `audacity`.",
    "tasks": "Name one in `task`. Labels and the scale of targets are learnt from "
    "the training split.",
    "transforms": "List them in `preprocess.transforms`.",
    "augmentations": "List them in `augment`. Every draw comes from a generator "
    "keyed by seed, epoch and clip.",
    "models": "Name one in `model`.",
    "losses": "Name one in `train.loss`; without it the task chooses.",
    "optimizers": "Name one in `train.optimizer`. The learning rate is `train.lr`.",
    "schedulers": "Name one in `train.scheduler`.",
    "metrics": "Name them in `evaluate.metrics`, and one in `train.track`. A metric "
    "that is undefined is `null`, and never counts as best.",
}


def page() -> str:
    """Return the page as Markdown."""
    placement = _table(
        ("key", "where", "meaning"),
        [(f"`{key}`", where, text) for (key, where), text in PLACEMENT.items()],
    )
    head = HEAD.rstrip().replace("{placement}", placement)
    blocks = [head, *_schema(Params, "")]
    for kind, catalogue in catalogues().items():
        blocks += [f"## {kind.capitalize()}", INTROS[kind]]
        if kind == "metrics":
            blocks.append(_metrics(catalogue))
        else:
            blocks += [
                block
                for name in catalogue.names()
                for block in _part(catalogue, kind, name)
            ]
    return "\n\n".join(blocks) + "\n"


def _schema(cls: type, prefix: str) -> Iterator[str]:
    meanings = section(inspect.getdoc(cls) or "", "Attributes")
    hints = typing.get_type_hints(cls)
    nested = {entry.name for entry in fields(cls) if is_dataclass(hints[entry.name])}
    rows = [
        (
            f"`{prefix}{entry.name}`",
            _type(hints[entry.name], prefix + entry.name),
            _default(default_of(cls, entry.name)),
            meanings[entry.name],
        )
        for entry in fields(cls)
        if entry.name not in nested
    ]
    if prefix:
        first = (inspect.getdoc(cls) or "").splitlines()[0]
        yield f"### `{prefix.rstrip('.')}`\n\n{first}"
    yield _table(("key", "type", "default", "meaning"), rows)
    for entry in fields(cls):
        if entry.name in nested:
            yield from _schema(hints[entry.name], f"{prefix}{entry.name}.")


def _type(hint: Any, key: str) -> str:
    arguments = typing.get_args(hint)
    if hint is Part:
        kind = KINDS[key]
        return f"one of the [{kind}](#{kind})"
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        words = ("`null`" if a is type(None) else _type(a, key) for a in arguments)
        return ", or ".join(words)
    if typing.get_origin(hint) is tuple:
        if arguments[0] is Part:
            return f"list of [{KINDS[key]}](#{KINDS[key]})"
        return f"list of {NAMES[arguments[0]]}s".replace("texts", "names")
    if typing.get_origin(hint) is typing.Literal:
        return " or ".join(f"`{value}`" for value in arguments)
    return NAMES[hint]


def _default(value: Any) -> str:
    if isinstance(value, Mapping):
        value = value["name"]
    return f"`{_yaml(value)}`"


def _yaml(value: Any) -> str:
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(_yaml, value))}]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return "''" if value == "" else str(value)


def _part(catalogue: Catalogue, kind: str, name: str) -> Iterator[str]:
    part = catalogue.get(name)
    text = inspect.getdoc(part) or ""
    given = (*GIVEN.get(catalogue.kind, ()), "counts")
    meanings = section(text, "Args")
    rows = [
        (f"`{key}`", f"`{_yaml(entry.default)}`", meanings.get(key, ""))
        for key, entry in catalogue.signature(name).items()
        if key not in given and entry.default is not entry.empty
    ]
    prose = _prose(text)
    yield f"### {name}"
    yield prose
    if kind == "datasets" and "Tasks: " not in prose:
        yield f"Tasks: {', '.join(part.tasks)}."  # type: ignore[attr-defined]
    if rows:
        yield _table(("argument", "default", "meaning"), rows)
    shape = re.search(r"^Shape:\n((?:    .*\n?)+)", text, re.MULTILINE)
    if shape:
        yield "Shape: " + _code(" ".join(shape[1].split())) + "."


def _prose(text: str) -> str:
    """Return a docstring without its sections, in Markdown."""
    body = re.split(r"^(?:Args|Shape|Raises|Attributes|Example):$", text, flags=re.M)[0]
    return _code(body.strip())


def _code(text: str) -> str:
    return text.replace("``", "`")


def section(text: str, title: str) -> dict[str, str]:
    """Return the entries of a section of a Google docstring, each in one line."""
    found = re.search(rf"^{title}:\n((?:(?: {{4}}.*)?\n?)+)", text, re.MULTILINE)
    entries: dict[str, str] = {}
    name = ""
    for line in textwrap.dedent(found[1]).splitlines() if found else ():
        match = re.match(r"(\w+): (.*)", line)
        if match:
            name = match[1]
            entries[name] = match[2]
        elif line.strip():
            entries[name] += f" {line.strip()}"
    return {key: _code(value) for key, value in entries.items()}


def _metrics(catalogue: Catalogue) -> str:
    comments = _comments(metrics)
    rows = []
    for name in catalogue.names():
        metric: Any = catalogue.get(name)
        better = "higher" if metric.higher_is_better else "lower"
        meaning = " ".join(_code(comments[name.upper()]).split())
        rows.append((f"`{name}`", ", ".join(metric.tasks), better, meaning))
    return _table(("name", "tasks", "better", "meaning"), rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _comments(module: types.ModuleType) -> dict[str, str]:
    """Return the texts that stand below a module's constants."""
    tree = ast.parse(inspect.getsource(module))
    found = {}
    for node, below in zip(tree.body, tree.body[1:], strict=False):
        if (
            isinstance(node, ast.Assign)
            and isinstance(node.targets[0], ast.Name)
            and isinstance(below, ast.Expr)
            and isinstance(below.value, ast.Constant)
        ):
            found[node.targets[0].id] = inspect.cleandoc(str(below.value.value))
    return found


def main() -> int:
    """Write the page, or check it."""
    if "--check" in sys.argv[1:]:
        return int(PAGE.read_text(encoding="utf-8") != page())
    PAGE.write_text(page(), encoding="utf-8", newline="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
