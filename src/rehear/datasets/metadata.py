"""The tables of labels in a Hugging Face audio folder, whatever their format."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rehear import archives
from rehear.datasets import rows
from rehear.datasets.rows import Row
from rehear.errors import DataError
from rehear.manifest import LABEL_SEPARATOR

Classes = Mapping[str, Sequence[str]]


def read(path: Path) -> tuple[list[str], Iterator[Row]]:
    """Read ``metadata.csv``, ``metadata.jsonl`` or ``metadata.parquet``.

    Cells are text, as in a CSV file: lists are joined by ``;``, and the numbers of
    a ``ClassLabel`` are replaced by its names.

    Args:
        path: a file, or ``archive.zip::member``

    Returns:
        The names of the columns, and the rows, which are counted from 1.

    Raises:
        DataError: if there is no such file, it cannot be read, or pyarrow is
            missing
    """
    if path.suffix == ".csv":
        return rows.read(path, delimiter=",")
    read_objects = _jsonl if path.suffix == ".jsonl" else _parquet
    objects, classes = read_objects(path)
    header = list(dict.fromkeys(column for _, found in objects for column in found))
    return header, _rows(path, header, objects, classes)


def _jsonl(path: Path) -> tuple[list[tuple[int, dict[str, Any]]], Classes]:
    source = archives.locate(path)
    objects = []
    lines = source.read(0, source.size).splitlines()
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                # Numbers stay as they are written.
                found = json.loads(
                    line, parse_float=str, parse_int=str, parse_constant=str
                )
            except ValueError as error:
                raise DataError(f"{path} row {number}: no JSON: {error}") from None
            if not isinstance(found, dict):
                raise DataError(
                    f"{path} row {number}: expected an object such as "
                    '{"file_name": "1.wav", "label": "dog"}'
                )
            objects.append((number, found))
    return objects, {}


def _parquet(path: Path) -> tuple[list[tuple[int, dict[str, Any]]], Classes]:
    pyarrow = pyarrow_for(path)
    source = archives.locate(path)
    try:
        data = pyarrow.BufferReader(source.read(0, source.size))
        table = pyarrow.parquet.read_table(data)
    except pyarrow.ArrowException as error:
        raise DataError(f"{path}: cannot be read: {error}") from None
    return list(enumerate(table.to_pylist(), start=1)), class_names(table.schema)


def pyarrow_for(path: Path) -> Any:
    """Return the module pyarrow, with its part for Parquet.

    Raises:
        DataError: if it is not installed; names ``path``, which needs it
    """
    try:
        import pyarrow  # type: ignore[import-untyped]
        import pyarrow.parquet  # type: ignore[import-untyped]
    except ModuleNotFoundError:
        raise DataError(
            f"{path}: needs pyarrow; install it (pip install pyarrow)"
        ) from None
    return pyarrow


def features(schema: Any) -> Mapping[str, Any]:
    """Return what the library ``datasets`` wrote of the columns.

    Args:
        schema: of an Arrow table
    """
    written = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
    found: Mapping[str, Any] = written.get("info", {}).get("features", {})
    return found


def class_names(schema: Any) -> Classes:
    """Return the names of the classes of every column with ``ClassLabel``.

    Args:
        schema: of an Arrow table
    """
    found = {}
    for name, kind in features(schema).items():
        inner = kind.get("feature", kind) if isinstance(kind, dict) else None
        if isinstance(inner, dict) and inner.get("_type") == "ClassLabel":
            found[name] = list(inner["names"])
    return found


def _rows(
    path: Path,
    header: Sequence[str],
    objects: Iterable[tuple[int, Mapping[str, Any]]],
    classes: Classes,
) -> Iterator[Row]:
    for number, found in objects:
        place = f"{path} row {number}"
        cells = {
            column: text(found.get(column), classes.get(column, ()), place=place)
            for column in header
        }
        yield Row(place, cells)


def text(value: Any, names: Sequence[str] = (), *, place: str = "") -> str:
    """Return a value as the text of a cell.

    Args:
        value: as JSON or Arrow gives it
        names: of the classes, where it is the number of one
        place: file and row, for messages

    Raises:
        DataError: if a list holds a text with ``;``
    """
    if value is None or (names and value == -1):
        return ""  # -1 is a label that is not known
    if isinstance(value, list):
        parts = [text(part, names, place=place) for part in value]
        if any(LABEL_SEPARATOR in part for part in parts):
            raise DataError(f"{place}: '{LABEL_SEPARATOR}' in {value}; remove it")
        return LABEL_SEPARATOR.join(parts)
    if names and isinstance(value, int):
        return names[value]
    if isinstance(value, bool | dict):
        return json.dumps(value, default=str)
    return str(value).strip()
