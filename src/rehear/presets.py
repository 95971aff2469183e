"""Presets: named, complete, commented fragments of params.yaml.

A fragment sets any keys of params.yaml, so that a preset of any kind is written
by the same few lines. Presets stand in ``presets_data/``, a file for each kind;
those of models are made from tables there. No stage reads them: what a study uses
is written out in its own params.yaml.
"""

import difflib
import functools
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rehear import atomic, params, presets_models, yaml_edit
from rehear.errors import ParamsError, suggest
from rehear.params import FILE, Params

KINDS = ("preprocess", "augmentation", "model")
_FOLDER = Path(__file__).parent / "presets_data"
_LIST = "augment"  # the list that `--add` appends to


@dataclass(frozen=True)
class Preset:
    """A named fragment of params.yaml.

    Attributes:
        name: as in ``rehear use NAME``
        kind: one of ``KINDS``
        summary: what it is, in a line
        fragment: text of params.yaml, with comments inside its values
        aka: other names, such as those of another toolkit
        needs: what the rest of the study must be: ``kind`` (or a list) of the
            arrays that preprocess.transforms give (``vector``: one axis), ``range``
            of their values (two numbers), ``sample_rate``, ``task`` (or a list)
        gives: kind of the arrays that it makes, for presets of a front end
        extra: optional dependency of the toolkit without which it cannot be used
        family: of models that differ in size or weights
    """

    name: str
    kind: str
    summary: str
    fragment: str
    aka: tuple[str, ...] = ()
    needs: Mapping[str, Any] = field(default_factory=dict)
    gives: str = ""
    extra: str = ""
    family: str = ""

    def names(self) -> tuple[str, ...]:
        """Return all its names."""
        return (self.name, *self.aka)

    def settings(self) -> dict[tuple[str, ...], Any]:
        """Return what it sets: keys, as in ``("preprocess", "transforms")``."""
        return dict(yaml_edit.leaves(yaml_edit.values(self.fragment)))


@functools.cache
def everything() -> tuple[Preset, ...]:
    """Return all presets, those of a kind together."""
    return tuple(preset for kind in KINDS for preset in _read(kind))


def _read(kind: str) -> Iterator[Preset]:
    if kind == "model":
        entries = presets_models.entries()
    else:
        text = (_FOLDER / f"{kind}.yaml").read_text(encoding="utf-8")
        entries = iter(yaml_edit.values(text))
    for entry in entries:
        yield Preset(**{**entry, "kind": kind, "aka": tuple(entry.get("aka", ()))})


def matches(word: str) -> list[Preset]:
    """Return the presets of this name, whatever its case and dashes."""
    wanted = _plain(word)
    return [
        preset
        for preset in everything()
        if wanted in {_plain(name) for name in preset.names()}
    ]


def find(word: str) -> Preset:
    """Return the preset of a name.

    Raises:
        ParamsError: if there is none, or more than one
    """
    found = matches(word)
    if len(found) > 1:
        names = " or ".join(f"{preset.name} ({preset.kind})" for preset in found)
        raise ParamsError(f"preset '{word}' may be {names}; take one of these names")
    if not found:
        raise ParamsError(f"unknown preset '{word}'.{_suggested(word)} {_SEE}")
    return found[0]


_SEE = "See `rehear presets`"


def _suggested(word: str, *more: str) -> str:
    known = {_plain(name): name for p in everything() for name in (*p.aka, p.name)}
    known |= {_plain(name): name for name in more}
    close = difflib.get_close_matches(_plain(word), known, n=1)
    return suggest(known[close[0]], [known[close[0]]]) if close else ""


def _plain(word: str) -> str:
    return word.casefold().replace("-", "_").replace(" ", "_")


def listing(word: str | None = None, *, like: str = "") -> str:
    """Return the list of presets, or all of one where only one is meant.

    Args:
        word: a kind, the name of a preset, or a family of models; all without it,
            a line for each family
        like: text in a name, family or summary, in any case

    Raises:
        ParamsError: if there are none
    """
    found = list(everything()) if word is None else _meant(word)
    found = [preset for preset in found if _is_like(preset, like)]
    if not found:
        raise ParamsError(f"no preset is like '{like}'. {_SEE}")
    if len(found) == 1:
        return describe(found[0])
    if word is None and not like:
        return _overview(found)
    return _in_columns((p.kind, p.name, p.summary) for p in found)


def _meant(word: str) -> list[Preset]:
    """Return the presets of a kind, of a name, or of a family."""
    wanted, every = _plain(word), everything()
    found = [p for p in every if wanted in (p.kind, p.kind + "s")]
    found = found or matches(word)
    found = found or [p for p in every if p.family and wanted == _plain(p.family)]
    if not found:
        families = (p.family for p in every if p.family)
        raise ParamsError(
            f"unknown preset or kind '{word}'.{_suggested(word, *KINDS, *families)} "
            f"{_SEE}; kinds are {', '.join(KINDS)}"
        )
    return found


def _overview(found: Sequence[Preset]) -> str:
    """Return a line for each preset, but one only for each family of models."""
    rows = [(p.kind, p.name, p.summary) for p in found if not p.family]
    for family in presets_models.families():
        name, about = family["family"], family["about"]
        count = sum(preset.family == name for preset in found)
        rows.append(("model", name, f"{about}: {count} preset{'s' * (count > 1)}"))
    return (
        f"{_in_columns(rows)}\n\n"
        "`rehear presets --like NAME` lists the presets of a family of models, "
        "`rehear presets model` all of them."
    )


def _in_columns(rows: Iterable[tuple[str, str, str]]) -> str:
    rows = list(rows)
    kinds, names = (max(len(row[column]) for row in rows) for column in (0, 1))
    return "\n".join(f"{kind:{kinds}}  {name:{names}}  {s}" for kind, name, s in rows)


def _is_like(preset: Preset, text: str) -> bool:
    wanted = _plain(text)
    fields = (*preset.names(), preset.family, preset.summary)
    return any(wanted in _plain(field) for field in fields)


def describe(preset: Preset) -> str:
    """Return what a preset is, what it needs, and what it writes."""
    lines = [f"preset {preset.name} ({preset.kind})", "", preset.summary]
    if preset.aka:
        lines.append(f"also called: {', '.join(preset.aka)}")
    if preset.family:
        lines.append(f"family: {preset.family}")
    if preset.extra:
        lines.append(f"install: pip install 'rehear[{preset.extra}]'")
    for key, value in preset.needs.items():
        joint = " to " if key == "range" else " or "
        allowed = joint.join(map(str, value if isinstance(value, list) else [value]))
        lines.append(f"needs: {key} {allowed}")
    indented = [f"  {line}" for line in preset.fragment.splitlines()]
    return "\n".join([*lines, "", "in params.yaml:", *indented])


def use(
    study: Path, words: Sequence[str], *, add: bool = False, dry_run: bool = False
) -> str:
    """Write presets into the study's params.yaml.

    Args:
        study: its folder
        words: names of presets
        add: append to the list ``augment`` instead of replacing it
        dry_run: write nothing

    Returns:
        What changes, as a diff; empty where nothing does.

    Raises:
        ParamsError: if a preset is unknown, or does not fit the study or another
            one; nothing is written then
    """
    from rehear import compatibility

    chosen = [find(word) for word in words]
    _check_conflicts(chosen, add=add)
    path = study / FILE
    params.read_tree(path)
    old = new = path.read_bytes().decode("utf-8")
    for preset in chosen:
        if add:
            new = yaml_edit.append(new, _LIST, preset.fragment)
        else:
            new = yaml_edit.merge(new, preset.fragment)
    compatibility.check(_parsed(new), chosen)
    if new != old and not dry_run:
        atomic.write_text(path, new)
    return _diff(old, new)


def _check_conflicts(chosen: Sequence[Preset], *, add: bool) -> None:
    """Refuse presets that would overwrite each other."""
    writer: dict[tuple[str, ...], Preset] = {}
    for preset in chosen:
        if add and set(preset.settings()) != {(_LIST,)}:
            raise ParamsError(
                f"preset '{preset.name}' is no augmentation, so there is nothing to add"
                " it to; use it without --add, in a command of its own"
            )
        for keys, value in preset.settings().items():
            other = writer.setdefault(keys, preset)
            if not add and other.settings()[keys] != value:
                raise ParamsError(_conflict(other, preset, ".".join(keys)))


def _conflict(one: Preset, other: Preset, key: str) -> str:
    names = f"presets '{one.name}' and '{other.name}'"
    both = {one.kind: one.name, other.kind: other.name}
    if list(both) == ["model"]:
        return f"{names} are both models, and a study trains one; take one of them"
    if set(both) == {"model", "preprocess"}:
        return (
            f"{names} both set {key}: '{both['model']}' comes with the front end that "
            f"it takes; leave '{both['preprocess']}' out"
        )
    add = f", or `rehear use --add {one.name} {other.name}`" if key == _LIST else ""
    return f"{names} both set {key}; take one of them{add}"


def _parsed(text: str) -> Params:
    with tempfile.TemporaryDirectory(prefix="rehear-use-") as folder:
        file = Path(folder) / FILE
        file.write_bytes(text.encode("utf-8"))
        return params.load(file)


def _diff(old: str, new: str) -> str:
    lines = difflib.unified_diff(
        old.splitlines(), new.splitlines(), FILE, FILE, n=1, lineterm=""
    )
    return "\n".join(lines)
