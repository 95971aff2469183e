"""Own recordings in a folder as the library ``datasets`` of Hugging Face reads it."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from rehear.datasets import audiofolder, metadata
from rehear.datasets.audiofolder import AudioFolder
from rehear.datasets.own import TITLE, OwnRecordings
from rehear.datasets.table import Table
from rehear.errors import DataError, ParamsError
from rehear.manifest import Clip, Manifest

_FILE = "file_name"
logger = logging.getLogger(__name__)


class HuggingFaceFolder(OwnRecordings):
    """Own recordings in ``fetch.source``, in an audio folder of Hugging Face.

    It is read as by ``load_dataset("audiofolder", data_dir=…)`` of ``datasets`` 5.2.
    Either class folders, ``source/<class>/<file>``, all at one depth; or tables,
    ``metadata.csv``, ``metadata.jsonl`` or ``metadata.parquet`` (with pyarrow), in
    the folders of the recordings, with the column ``file_name`` (or one that ends
    with ``_file_name``), relative to the table, and the columns of ``csv``:
    ``label``, and where there are any ``split``, ``fold``, ``group``, ``start``,
    ``end``. Lists of labels are tags. Recordings may lie in ``.zip`` archives.

    Splits: by folder (``train``, ``my-test``, ``data/dev_2`` …) or, where no folder
    tells any, by the name of the file (``train_01.wav``), with the words train,
    training; validation, valid, dev, val; test, testing, eval, evaluation. Files
    that tell none are then left out, with a warning. Otherwise the column ``split``
    tells them, or they are drawn by group as ``fetch.split`` says; the library calls
    all of it train. ``data_files`` in a ``README.md`` are not read, as they are not
    with ``data_dir``.

    Data sets of ``save_to_disk`` and ``to_parquet`` hold recordings inside of their
    tables. ``python -m rehear.datasets.arrow <saved> <new folder>`` writes them out
    as an audio folder.

    Args:
        columns: names of columns in the table, where they differ, as
            ``{label: genre, group: artist}``
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
        columns: Mapping[str, str] | None = None,
        targets: Sequence[str] = (),
        attributes: Sequence[str] = (),
        title: str = TITLE,
        citation: str = "",
        licence: str = "",
        url: str = "",
    ) -> None:
        super().__init__(title=title, citation=citation, licence=licence, url=url)
        self._columns = dict(columns or {})
        self._table = Table(columns=columns, targets=targets, attributes=attributes)

    def fetch(self, raw: Path, *, task: str, source: Path, downloads: Path) -> Manifest:
        """List the recordings, which stay where they are.

        Args:
            raw: not used
            task: ``classification``, ``tagging`` or ``regression``
            source: folder of the recordings and tables
            downloads: not used

        Raises:
            DataError: if there are no recordings, a file is in two splits, folders
                are no classes, or a row of a table is not usable
            ParamsError: if an argument names a column where there is no table
        """
        folder = audiofolder.find(source)
        if folder.tables:
            clips = list(self._described(folder, task))
            _warn(folder, clips)
        else:
            self._refuse_columns(source, task)
            splits = folder.recordings
            clips = [
                Clip(clip=file, file=file, labels=(label,), split=splits[file])
                for file, label in folder.labels().items()
            ]
        return self._table.manifest(clips, task=task)

    def _refuse_columns(self, source: Path, task: str) -> None:
        """Refuse arguments, and a task, that need a table."""
        for needs, what in (
            (self._columns, "dataset.columns names columns"),
            (self._table.targets, "dataset.targets names columns"),
            (self._table.attributes, "dataset.attributes names columns"),
            (task == "regression", "regression needs columns with numbers"),
        ):
            if needs:
                raise ParamsError(
                    f"{what}, but {source} has no {', '.join(audiofolder.TABLES)}; "
                    "add one"
                )

    def _described(self, folder: AudioFolder, task: str) -> Iterator[Clip]:
        """Yield the clips of all tables."""
        for name, split in folder.tables.items():
            path = folder.source / name
            table = metadata.read(path)
            column = self._columns.get("path") or _file_column(path, table[0])
            clips = Table(
                columns={**self._columns, "path": column},
                targets=self._table.targets,
                attributes=self._table.attributes,
            ).clips(
                path,
                table,
                task=task,
                source=folder.source,
                folder=audiofolder.folder_of(name),
            )
            for clip in clips:
                yield _in_split(path, clip, split)


def _file_column(path: Path, header: Sequence[str]) -> str:
    """Return the column with the paths of the recordings."""
    columns = [name for name in header if name.endswith(f"_{_FILE}")]
    if _FILE in header or len(columns) != 1:
        # Where there is none, the table says so.
        return _FILE
    return columns[0]


def _in_split(path: Path, clip: Clip, split: str) -> Clip:
    if split and clip.split and split != clip.split:
        raise DataError(
            f"{path}: '{clip.clip}' is in {split} by its path, but in {clip.split} by "
            "the column of splits; move it, or correct the column"
        )
    return replace(clip, split=split or clip.split)


def _warn(folder: AudioFolder, clips: Sequence[Clip]) -> None:
    listed = {clip.file for clip in clips}
    left = [file for file in folder.recordings if file not in listed]
    if left:
        logger.warning(
            "fetch: %s: %d recordings are left out, as no table lists them: %s%s",
            folder.source,
            len(left),
            left[0],
            ", …" if len(left) > 1 else "",
        )
