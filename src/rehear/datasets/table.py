"""Own recordings with a table that says what is what."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import NoReturn

from rehear.datasets import own, rows
from rehear.datasets.own import TITLE, OwnRecordings
from rehear.datasets.rows import Row
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


def split_of(word: str) -> str:
    """Return ``train``, ``dev`` or ``test`` for a word such as ``validation``.

    Raises:
        KeyError: if the word is none of these
    """
    return SPLIT_WORDS[word.strip().lower()]


class Table(OwnRecordings):
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
        attributes: columns with what else is known (device, city, gender), for
            the card of the data set
        title: of the data set, for reports
        citation: how to cite it
        licence: under which others may use it
        url: where it can be found
    """

    tasks = ("classification", "tagging", "regression")

    def __init__(
        self,
        *,
        file: str = "labels.csv",
        columns: Mapping[str, str] | None = None,
        targets: Sequence[str] = (),
        attributes: Sequence[str] = (),
        title: str = TITLE,
        citation: str = "",
        licence: str = "",
        url: str = "",
    ) -> None:
        super().__init__(title=title, citation=citation, licence=licence, url=url)
        self.file = file
        self.targets = own.names(targets)
        self.attributes = own.names(attributes)
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
        path = source / self.file
        _check_exists(path)
        folder = PurePosixPath(self.file).parent.as_posix()
        clips = self.clips(
            path,
            rows.read(path),
            task=task,
            source=source,
            folder="" if folder == "." else f"{folder}/",
        )
        return self.manifest(clips, task=task)

    def clips(
        self,
        path: Path,
        table: tuple[Sequence[str], Iterable[Row]],
        *,
        task: str,
        source: Path,
        folder: str = "",
    ) -> list[Clip]:
        """Return the clips of a table that was read.

        Args:
            path: of the table, for messages
            table: the names of its columns, and its rows
            task: ``classification``, ``tagging`` or ``regression``
            source: folder that holds the recordings
            folder: what precedes the paths in the table, below ``source``, as
                ``meta/`` or ``recordings.zip::``

        Raises:
            DataError: at the first row that is not usable, by its number
        """
        if task == "regression" and not self.targets:
            raise ParamsError(
                "regression needs the columns with the numbers to predict; set "
                "dataset.targets, for example [arousal, valence]"
            )
        header, listed = table
        self._check_header(path, header, task)
        clips: dict[str, Clip] = {}
        for row in listed:
            clip = self._clip(row, task, source=source, folder=folder)
            if clip.clip in clips:
                row.fail(f"'{clip.clip}' is a duplicate of an earlier row; remove one")
            clips[clip.clip] = clip
        if not clips:
            raise DataError(f"{path}: no rows below the header; add one for each clip")
        _check_split(path, clips.values())
        return list(clips.values())

    def manifest(self, clips: Iterable[Clip], *, task: str) -> Manifest:
        """Return the manifest of clips, with the names of their numbers."""
        targets = self.targets if task == "regression" else ()
        return Manifest(tuple(clips), targets, self.attributes)

    def _check_header(self, path: Path, header: Sequence[str], task: str) -> None:
        needed = ["path"] if task == "regression" else ["path", "label"]
        for name in dict.fromkeys([*needed, *sorted(self._given)]):
            column = self.columns[name]
            if column not in header:
                _no_column(path, header, name, column)
        targets = self.targets if task == "regression" else ()
        for key, names in (("targets", targets), ("attributes", self.attributes)):
            for name in names:
                if name not in header:
                    raise DataError(
                        f"{path}: no column '{name}', which dataset.{key} names."
                        f"{suggest(name, header)} Columns: {', '.join(header)}"
                    )

    def _clip(self, row: Row, task: str, *, source: Path, folder: str) -> Clip:
        def cell(name: str) -> str:
            return row.cells.get(self.columns[name], "")

        file = _file(row, cell("path"), folder, source)
        start, end = (
            row.number(self.columns[name]) if cell(name) else None
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
                row.number(name)
                for name in (self.targets if task == "regression" else ())
            ),
            split=_split(row, cell("split")),
            fold=cell("fold"),
            group=cell("group"),
            attributes=tuple(row.text(name) for name in self.attributes),
        )


def _check_exists(path: Path) -> None:
    if not path.is_file():
        near = sorted(other.name for other in path.parent.glob("*.[ct]sv"))
        raise DataError(
            f"{path} does not exist.{suggest(path.name, near)} Name the table in "
            f"dataset.file; CSV files there: {', '.join(near) or 'none'}"
        )


def _no_column(path: Path, header: Sequence[str], name: str, column: str) -> NoReturn:
    near = next((h for h in header if h.lower() in _ALIASES.get(name, ())), "")
    hint = f" Did you mean '{near}'?" if near else suggest(column, header)
    raise DataError(
        f"{path}: no column '{column}'.{hint} Columns: {', '.join(header) or 'none'}; "
        f"name yours in params.yaml as dataset.columns: {{{name}: {near or '…'}}}"
    )


def _file(row: Row, path: str, folder: str, source: Path) -> str:
    if not path:
        row.fail("empty path; expected the recording's file")
    pure = PurePosixPath(path.replace("\\", "/"))
    if pure.is_absolute() or ".." in pure.parts or pure.parts[0].endswith(":"):
        row.fail(
            f"'{path}' lies outside of the folder of the data; expected a path "
            "relative to the table, so that the study can move"
        )
    file = folder + pure.as_posix()
    on_disk = source / file.partition(_ARCHIVE)[0]
    if not on_disk.is_file() and not (source / file).is_file():
        near = sorted(p.name for p in on_disk.parent.glob("*"))
        row.fail(
            f"{on_disk} does not exist.{suggest(on_disk.name, near)} Paths are "
            "relative to the table"
        )
    return file


def _labels(row: Row, cell: str, task: str) -> tuple[str, ...]:
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


def _split(row: Row, word: str) -> str:
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
