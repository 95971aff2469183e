"""Own recordings with a table that says what is what."""

import csv
import io
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NoReturn

from rehear.errors import DataError, ParamsError, suggest
from rehear.manifest import LABEL_SEPARATOR, Clip, Manifest

COLUMNS = ("path", "label", "split", "fold", "group", "start", "end")
SPLIT_WORDS = {
    "train": "train",
    "training": "train",
    "dev": "dev",
    "devel": "dev",
    "development": "dev",
    "val": "dev",
    "valid": "dev",
    "validation": "dev",
    "test": "test",
    "testing": "test",
    "eval": "test",
    "evaluation": "test",
}
# What others call these columns; only used to say so, never guessed.
_ALIASES = {
    "path": ("file", "filename", "file_name", "filepath", "audio", "wav", "recording"),
    "label": ("class", "category", "target", "labels", "tag", "tags", "emotion"),
}
_ARCHIVE = "::"


@dataclass(frozen=True, slots=True)
class _Row:
    """One row of the table.

    Attributes:
        place: file and row number, for messages
        cells: by the names in the header, stripped
    """

    place: str
    cells: Mapping[str, str]

    def fail(self, problem: str) -> NoReturn:
        raise DataError(f"{self.place}: {problem}")


def split_of(word: str) -> str:
    """Return ``train``, ``dev`` or ``test`` for a word such as ``validation``.

    Raises:
        KeyError: if the word is none of these
    """
    return SPLIT_WORDS[word.strip().lower()]


class Table:
    """Own recordings in ``fetch.source``, described by a CSV file in there.

    The table has a row for each clip, and the columns ``path`` and ``label``;
    ``split`` (train, dev, test, or validation, evaluation …), ``fold``,
    ``group`` (speaker, recorder, site), ``start`` and ``end`` (seconds) may
    follow, others are ignored. Cells are separated by commas, semicolons or
    tabs. For tagging, labels are joined by ``;``. Paths are relative to the
    folder of the table; ``recordings.zip::a.wav`` is a file in an archive.

    Splits: those of the table; without any, drawn by group as ``fetch.split``
    says.

    Args:
        file: the table, relative to ``fetch.source``
        columns: names of columns in the table, where they differ, as
            ``{path: filename, group: speaker}``
        targets: columns with the numbers to predict, for regression
        title: of the data set, for reports
        citation: how to cite it
        licence: under which others may use it
        url: where it can be found
    """

    title = "own recordings"
    citation = ""
    licence = ""
    url = ""
    tasks = ("classification", "tagging", "regression")
    needs_source = True

    def __init__(
        self,
        *,
        file: str = "labels.csv",
        columns: Mapping[str, str] | None = None,
        targets: Sequence[str] = (),
        title: str = "own recordings",
        citation: str = "",
        licence: str = "",
        url: str = "",
    ) -> None:
        self.file = file
        self.targets = (targets,) if isinstance(targets, str) else tuple(targets)
        self.title, self.citation, self.licence, self.url = (
            title,
            citation,
            licence,
            url,
        )
        columns = dict(columns or {})
        for name in columns:
            if name not in COLUMNS:
                raise ParamsError(
                    f"dataset.columns: unknown column '{name}'."
                    f"{suggest(name, COLUMNS)} Known: {', '.join(COLUMNS)}"
                )
        self._given = frozenset(columns)
        self.columns = {name: str(columns.get(name, name)) for name in COLUMNS}

    def fetch(self, raw: Path, *, task: str, source: Path, downloads: Path) -> Manifest:
        """Read the table; the recordings stay where they are.

        Args:
            raw: not used
            task: ``classification``, ``tagging`` or ``regression``
            source: folder with the table and the recordings
            downloads: not used

        Raises:
            DataError: at the first row that is not usable, by its number
        """
        if task == "regression" and not self.targets:
            raise ParamsError(
                "regression needs the columns with the numbers to predict; set "
                "dataset.targets, for example [arousal, valence]"
            )
        path = source / self.file
        header, rows = _read(path)
        self._check_header(path, header, task)
        clips: dict[str, Clip] = {}
        for row in rows:
            clip = self._clip(row, task, source=source)
            if clip.clip in clips:
                row.fail(f"'{clip.clip}' is a duplicate of an earlier row; remove one")
            clips[clip.clip] = clip
        if not clips:
            raise DataError(f"{path}: no rows below the header; add one for each clip")
        _check_split(path, clips.values())
        targets = self.targets if task == "regression" else ()
        return Manifest(tuple(clips.values()), targets)

    def _check_header(self, path: Path, header: Sequence[str], task: str) -> None:
        needed = ["path"] if task == "regression" else ["path", "label"]
        for name in dict.fromkeys([*needed, *sorted(self._given)]):
            column = self.columns[name]
            if column not in header:
                _no_column(path, header, name, column)
        for target in self.targets if task == "regression" else ():
            if target not in header:
                raise DataError(
                    f"{path}: no column '{target}', which dataset.targets names."
                    f"{suggest(target, header)} Columns: {', '.join(header)}"
                )

    def _clip(self, row: _Row, task: str, *, source: Path) -> Clip:
        def cell(name: str) -> str:
            return row.cells.get(self.columns[name], "")

        file = _file(row, cell("path"), self.file, source)
        start, end = (
            _number(row, self.columns[name], cell(name)) if cell(name) else None
            for name in ("start", "end")
        )
        if (start or 0) < 0 or (end is not None and end <= (start or 0)):
            row.fail(
                f"start '{cell('start')}' and end '{cell('end')}' leave nothing; "
                "expected seconds with 0 ≤ start < end"
            )
        part = "" if start is None and end is None else _part(start, end)
        return Clip(
            clip=file + part,
            file=file,
            start=start,
            end=end,
            labels=() if task == "regression" else _labels(row, cell("label"), task),
            targets=tuple(
                _number(row, name, row.cells[name])
                for name in (self.targets if task == "regression" else ())
            ),
            split=_split(row, cell("split")),
            fold=cell("fold"),
            group=cell("group"),
        )


def _read(path: Path) -> tuple[list[str], Iterator[_Row]]:
    try:
        # utf-8-sig: spreadsheets begin a CSV file with a byte order mark.
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        near = sorted(other.name for other in path.parent.glob("*.[ct]sv"))
        raise DataError(
            f"{path} does not exist.{suggest(path.name, near)} Name the table in "
            f"dataset.file; CSV files there: {', '.join(near) or 'none'}"
        ) from None
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}: not UTF-8 at byte {error.start}; save it as CSV in UTF-8"
        ) from None
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    header = [name.strip() for name in next(lines, [])]
    twice = sorted({name for name in header if name and header.count(name) > 1})
    if twice:
        raise DataError(f"{path} row 1: column '{twice[0]}' stands there twice")
    return header, _rows(path, header, lines)


def _rows(
    path: Path, header: Sequence[str], lines: Iterator[list[str]]
) -> Iterator[_Row]:
    number = 1
    try:
        for number, cells in enumerate(lines, start=2):
            if not any(cell.strip() for cell in cells):
                continue
            row = _Row(
                f"{path} row {number}",
                dict(zip(header, (cell.strip() for cell in cells), strict=False)),
            )
            if len(cells) != len(header):
                row.fail(
                    f"{len(cells)} cells, but {len(header)} columns; quote cells that "
                    "hold the separator"
                )
            yield row
    except csv.Error as error:
        raise DataError(f"{path} row {number + 1}: {error}") from None


def _no_column(path: Path, header: Sequence[str], name: str, column: str) -> NoReturn:
    near = next((h for h in header if h.lower() in _ALIASES.get(name, ())), "")
    hint = f" Did you mean '{near}'?" if near else suggest(column, header)
    raise DataError(
        f"{path}: no column '{column}'.{hint} Columns: {', '.join(header) or 'none'}; "
        f"name yours in params.yaml as dataset.columns: {{{name}: {near or '…'}}}"
    )


def _file(row: _Row, path: str, table: str, source: Path) -> str:
    if not path:
        row.fail("empty path; expected the recording's file")
    pure = PurePosixPath(path.replace("\\", "/"))
    if pure.is_absolute() or ".." in pure.parts or pure.parts[0].endswith(":"):
        row.fail(
            f"'{path}' lies outside of the folder of the data; expected a path "
            "relative to the table, so that the study can move"
        )
    file = (PurePosixPath(table).parent / pure).as_posix()
    on_disk = source / file.partition(_ARCHIVE)[0]
    if not on_disk.is_file() and not (source / file).is_file():
        near = sorted(p.name for p in on_disk.parent.glob("*"))
        row.fail(
            f"{on_disk} does not exist.{suggest(on_disk.name, near)} Paths are "
            "relative to the table"
        )
    return file


def _number(row: _Row, column: str, cell: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        row.fail(
            f"'{cell}' in column '{column}' is not a finite number; write it as 0.25"
        )
    return value


def _labels(row: _Row, cell: str, task: str) -> tuple[str, ...]:
    if task == "tagging":
        # A clip without any tag is an example of silence, noise, or nothing known.
        return tuple(
            dict.fromkeys(
                label.strip() for label in cell.split(LABEL_SEPARATOR) if label.strip()
            )
        )
    if not cell:
        row.fail("empty label; give it one, or remove the row")
    if LABEL_SEPARATOR in cell:
        row.fail(
            f"'{cell}' holds several labels; set task: tagging, or give it one label"
        )
    return (cell,)


def _split(row: _Row, word: str) -> str:
    if not word:
        return ""
    try:
        return split_of(word)
    except KeyError:
        row.fail(
            f"unknown split '{word}'.{suggest(word.lower(), SPLIT_WORDS)} Expected "
            "train, dev or test"
        )


def _part(start: float | None, end: float | None) -> str:
    return f"[{start or 0.0}-{'' if end is None else end}]"


def _check_split(path: Path, clips: Iterable[Clip]) -> None:
    blank = [clip for clip in clips if not clip.split and not clip.fold]
    given = {clip.split for clip in clips if clip.split}
    if blank and given:
        raise DataError(
            f"{path}: '{blank[0].clip}' has no split, though others have one "
            f"({len(blank)} rows); give a split to every row, or to none"
        )
