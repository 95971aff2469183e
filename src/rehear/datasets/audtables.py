"""From the tables of a database in audformat to a manifest."""

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from rehear import archives
from rehear.datasets import choices, own
from rehear.datasets.matching import some
from rehear.datasets.table import SPLIT_WORDS
from rehear.errors import DataError, ParamsError, suggest
from rehear.manifest import LABEL_SEPARATOR, SPLITS, Clip, Manifest

COLUMNS = ("label", "split", "fold", "group")
_ARCHIVES = (".tar", ".zip")
_DIGITS = 6  # of times in seconds
logger = logging.getLogger(__name__)

Key = tuple[str, float, float | None]  # file, and start and end in seconds
Values = Mapping[Key, Any]


@dataclass(frozen=True, slots=True)
class Choice:
    """What of a database is wanted, by names of columns or schemes.

    Attributes:
        tables: that hold the labels or targets; all, if empty
        label: the classes, or the tags
        targets: numbers to predict
        attributes: what else is known
        split: the split; ``None`` for that of the tables, empty to draw it
        fold: the fold, or empty
        group: the group, or empty
    """

    tables: tuple[str, ...] = ()
    label: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    attributes: tuple[str, ...] = ()
    split: str | None = None
    fold: str = ""
    group: str = ""


def choice(
    tables: Sequence[str],
    columns: Mapping[str, Any] | None,
    targets: Sequence[str],
    attributes: Sequence[str],
) -> Choice:
    """Return what the arguments of a data set stand for.

    Raises:
        ParamsError: if ``columns`` has a key that it cannot have
    """
    columns = dict(columns or {})
    for name in columns:
        choices.one("columns", name, COLUMNS)
    split = columns.get("split")
    return Choice(
        tables=own.names(tables),
        label=own.names(columns.get("label") or ()),
        targets=own.names(targets),
        attributes=own.names(attributes),
        split=None if split is None else str(split),
        fold=str(columns.get("fold") or ""),
        group=str(columns.get("group") or ""),
    )


def read(database: Any, wanted: Choice, *, task: str) -> Manifest:
    """Return the manifest of a database, with files as its tables name them.

    Args:
        database: with its tables
        wanted: what of it is wanted
        task: ``classification``, ``tagging`` or ``regression``

    Raises:
        ParamsError: if the columns for the task are not named
        DataError: if the database lacks one, or holds what cannot be used
    """
    names = _needed(database, wanted, task)
    columns = [_values(database, name, wanted.tables) for name in names]
    keys = _complete(database, names, columns)
    examples = [tuple(column[key] for column in columns) for key in keys]
    splits = _splits(database, wanted, keys)
    folds = _texts(database, wanted.fold, keys, must=True)
    groups = _texts(database, wanted.group, keys, must=True)
    others = [_texts(database, name, keys) for name in wanted.attributes]
    clips = []
    for row, key in enumerate(keys):
        clip = Clip(
            clip=_id(key),
            file=key[0],
            start=None if key[1:] == (0.0, None) else key[1],
            end=key[2],
            split=splits[row],
            fold=folds[row],
            group=groups[row],
            attributes=tuple(column[row] for column in others),
        )
        if task == "regression":
            clip = replace(clip, targets=_targets(clip.clip, names, examples[row]))
        else:
            clip = replace(clip, labels=_labels(clip.clip, names, examples[row], task))
        clips.append(clip)
    targets = names if task == "regression" else ()
    return Manifest(tuple(clips), targets, wanted.attributes)


def located(found: Manifest, root: Path) -> Manifest:
    """Return the manifest with files as they are in a folder or its archives.

    Args:
        found: with files as the tables name them
        root: folder with the files, or with archives that hold them

    Raises:
        DataError: if files are missing
    """
    files = sorted({clip.file for clip in found})
    strange = [f for f in files if f.startswith("/") or ".." in PurePosixPath(f).parts]
    if strange:
        raise DataError(
            f"{root}: the tables name files outside of the database: {some(strange)}; "
            "save it with relative paths"
        )
    paths = {file: file for file in files if (root / file).is_file()}
    if len(paths) < len(files):
        packed = sorted(p for p in root.glob("*") if p.suffix in _ARCHIVES)
        for archive in packed:
            for member in archives.members(archive):
                name = member.removeprefix("./")
                paths.setdefault(name, f"{archive.name}{archives.SEPARATOR}{member}")
    missing = [file for file in files if file not in paths]
    if missing:
        raise DataError(
            f"{root}: lacks {len(missing)} of {len(files)} files that the tables name: "
            f"{some(missing)}; put them there, or choose other dataset.tables"
        )
    clips = (replace(clip, file=paths[clip.file]) for clip in found)
    return replace(found, clips=tuple(clips))


def _needed(database: Any, wanted: Choice, task: str) -> tuple[str, ...]:
    """Return the columns that must be there, after a check of all names."""
    names = wanted.targets if task == "regression" else wanted.label
    known = _known(database)
    if not names:
        what = "targets" if task == "regression" else "columns: {label: …}"
        raise ParamsError(
            f"dataset: {task} needs dataset.{what}; columns of '{database.name}': "
            f"{', '.join(known)}"
        )
    if task == "classification" and len(names) > 1:
        raise ParamsError(
            "dataset.columns: classification has one label; name one column, or set "
            "task: tagging"
        )
    for kind, given, there in (
        ("table", wanted.tables, sorted(database.tables)),
        ("column", (*names, *wanted.attributes, wanted.fold, wanted.group), known),
        ("column", (wanted.split or "",), known),
    ):
        for name in filter(None, given):
            if name not in there:
                raise DataError(
                    f"database '{database.name}' has no {kind} '{name}'."
                    f"{suggest(name, there)} It has: {', '.join(there)}"
                )
    return names


def _known(database: Any) -> list[str]:
    """Return all that ``Database.get`` finds something for."""
    found = set(database.schemes)
    for table in (*database.tables.values(), *database.misc_tables.values()):
        found |= set(table.columns)
    for scheme in database.schemes.values():
        if isinstance(scheme.labels, dict):
            for about in scheme.labels.values():
                found |= set(about) if isinstance(about, dict) else set()
    return sorted(found)


def _values(database: Any, name: str, tables: Sequence[str] = ()) -> Values:
    """Return the values of a column; ``None`` where a row has none."""
    try:
        frame = database.get(name, tables=list(tables) or None)
    except (ValueError, TypeError) as error:
        reason = str(error).partition("\n")[0].rstrip(":")
        raise DataError(
            f"database '{database.name}': '{name}' is not the same in all tables "
            f"({reason}); name the right ones in dataset.tables"
        ) from None
    column = frame[name]
    there = column.astype(object).where(column.notna(), None)
    return dict(zip(_keys(frame.index), there.tolist(), strict=True))


def _keys(index: Any) -> list[Key]:
    files = [str(file) for file in index.get_level_values("file")]
    if "start" not in index.names:
        return [(file, 0.0, None) for file in files]
    starts, ends = (
        [None if time != time else round(time, _DIGITS) for time in times]  # NaT
        for times in (
            index.get_level_values(level).total_seconds() for level in ("start", "end")
        )
    )
    return list(zip(files, (start or 0.0 for start in starts), ends, strict=True))


def _complete(
    database: Any, names: Sequence[str], columns: Sequence[Values]
) -> list[Key]:
    """Return the rows that all columns have, sorted."""
    every = {key for column in columns for key in column}
    keys = [key for key in every if all(c.get(key) is not None for c in columns)]
    named = " or ".join(f"'{name}'" for name in names)
    if not keys:
        raise DataError(
            f"database '{database.name}': no row has {named}; name other columns, or "
            "other dataset.tables"
        )
    if len(keys) < len(every):
        lost = sorted({file for file, *_ in every.difference(keys)})
        logger.info(
            "fetch: %d of %d rows without %s are left out, of: %s",
            *(len(every) - len(keys), len(every), named, some(lost)),
        )
    return sorted(keys, key=lambda key: (*key[:2], key[2] is None, key[2] or 0.0))


def _id(key: Key) -> str:
    file, start, end = key
    if (start, end) == (0.0, None):
        return file
    return f"{file}[{start}-{'' if end is None else end}]"


def _labels(
    clip: str, names: Sequence[str], values: Sequence[Any], task: str
) -> tuple[str, ...]:
    if task == "tagging" and not (len(values) == 1 and isinstance(values[0], str)):
        for name, value in zip(names, values, strict=True):
            if value not in (0, 1):
                raise DataError(
                    f"'{clip}': '{value}' in column '{name}' is no tag; expected text, "
                    "or yes or no (true or false, 1 or 0)"
                )
        return tuple(n for n, value in zip(names, values, strict=True) if value)
    label = str(values[0])
    if task == "tagging":
        tags = (tag.strip() for tag in label.split(LABEL_SEPARATOR))
        return tuple(dict.fromkeys(tag for tag in tags if tag))
    if LABEL_SEPARATOR in label:
        raise DataError(
            f"'{clip}': the label '{label}' holds a '{LABEL_SEPARATOR}'; set "
            "task: tagging, or give it one label"
        )
    return (label,)


def _targets(
    clip: str, names: Sequence[str], values: Sequence[Any]
) -> tuple[float, ...]:
    for name, value in zip(names, values, strict=True):
        if isinstance(value, str) or not isinstance(value, int | float):
            raise DataError(
                f"'{clip}': '{value}' in column '{name}' is no number, as regression "
                "needs"
            )
    return tuple(float(value) for value in values)


def _texts(
    database: Any, name: str, keys: Sequence[Key], *, must: bool = False
) -> list[str]:
    """Return the text of a column for each row, empty where there is none."""
    if not name:
        return [""] * len(keys)
    found = _aligned(_values(database, name), keys)
    if must and None in found:
        raise DataError(
            f"database '{database.name}': no '{name}', or several, for "
            f"{found.count(None)} of {len(keys)} rows, as for "
            f"'{_id(keys[found.index(None)])}'; name another column"
        )
    return ["" if value is None else value for value in found]


def _aligned(column: Values, keys: Iterable[Key]) -> list[str | None]:
    """Return what a column says of other rows: of a part, or of the whole file."""
    by_file: defaultdict[str, set[str]] = defaultdict(set)
    for key, value in column.items():
        if value is not None:
            by_file[key[0]].add(str(value))

    def find(key: Key) -> str | None:
        for known in (key, (key[0], 0.0, None)):
            if column.get(known) is not None:
                return str(column[known])
        return next(iter(by_file[key[0]])) if len(by_file[key[0]]) == 1 else None

    return [find(key) for key in keys]


def _splits(database: Any, wanted: Choice, keys: Sequence[Key]) -> list[str]:
    if wanted.split == "":
        return [""] * len(keys)
    if wanted.split is None:
        found = _aligned(_splits_of_tables(database, wanted.tables), keys)
    else:
        words = _aligned(_values(database, wanted.split), keys)
        found = [None if w is None else SPLIT_WORDS.get(w.lower(), w) for w in words]
    strange = next((word for word in found if word not in (None, *SPLITS)), None)
    if strange is not None:
        raise DataError(
            f"database '{database.name}': unknown split '{strange}' in column "
            f"'{wanted.split}'; expected train, dev or test"
        )
    if None in found and any(found):
        raise DataError(
            f"database '{database.name}': {found.count(None)} of {len(keys)} rows have "
            f"no split, or several, as '{_id(keys[found.index(None)])}'; name the "
            "tables that have one in dataset.tables, or set dataset.columns: "
            "{split: ''} to draw one"
        )
    return [word or "" for word in found]


def _splits_of_tables(database: Any, chosen: Sequence[str]) -> Values:
    """Return the split of the rows of all tables that have one."""
    tables = {name: database.tables[name] for name in chosen or database.tables}
    kinds = {
        name: database.splits[table.split_id].type
        for name, table in tables.items()
        if table.split_id is not None
    }
    if not any(kind in SPLITS for kind in kinds.values()):
        parts = {name: name.lower().split(".") for name in tables}
        kinds = {
            name: SPLIT_WORDS[part]
            for name, listed in parts.items()
            for part in listed
            if part in SPLIT_WORDS
        }
        if "train" not in kinds.values():
            return {}  # 'val' may be valence as well
    found: dict[Key, str] = {}
    for name, kind in kinds.items():
        for key in _keys(tables[name].index) if kind in SPLITS else ():
            if found.setdefault(key, kind) != kind:
                raise DataError(
                    f"database '{database.name}': '{_id(key)}' is in {found[key]} and, "
                    f"by table '{name}', in {kind}; choose among dataset.tables"
                )
    return found
