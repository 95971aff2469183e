"""Own recordings, one folder for each class."""

import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from rehear import ffmpeg, inputs
from rehear.datasets.own import TITLE, OwnRecordings, check_source
from rehear.datasets.table import SPLIT_WORDS
from rehear.errors import DataError, ParamsError
from rehear.manifest import Clip, Manifest

ENDINGS = frozenset(
    {
        *(".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".aifc"),
        *(".au", ".caf", ".w64", ".rf64"),
    }
    | ffmpeg.ENDINGS
    | inputs.ARRAYS
    | inputs.IMAGES
)


class Folders(OwnRecordings):
    """Own recordings in ``fetch.source``, in one folder for each class.

    ``source/<class>/…/<file>``, or ``source/<split>/<class>/…/<file>`` with the
    splits train, dev and test (validation, evaluation … as well). Recordings,
    arrays (``.npy``) and images are found by their ending; hidden files are
    ignored.

    Splits: by folder; without such folders, drawn as ``fetch.split`` says.

    Args:
        group: regular expression that finds the group (speaker, recorder,
            site) in a file's path below the class, as ``'^([a-z]+)_'``; its
            first parenthesis is the group. Without it, only copies of one
            recording are known to belong together.
        title: of the data set, for reports
        citation: how to cite it
        licence: under which others may use it
        url: where it can be found
    """

    tasks = ("classification",)

    def __init__(
        self,
        *,
        group: str = "",
        title: str = TITLE,
        citation: str = "",
        licence: str = "",
        url: str = "",
    ) -> None:
        super().__init__(title=title, citation=citation, licence=licence, url=url)
        try:
            self._group = re.compile(group)
        except re.error as error:
            raise ParamsError(
                f"dataset.group: '{group}' is no regular expression: {error}"
            ) from None
        if group and not self._group.groups:
            raise ParamsError(
                f"dataset.group: '{group}' has no parentheses around what is the group"
            )

    def fetch(self, raw: Path, *, task: str, source: Path, downloads: Path) -> Manifest:
        """List the recordings, which stay where they are.

        Args:
            raw: not used
            task: ``classification``
            source: folder of the class folders
            downloads: not used

        Raises:
            DataError: if there are no recordings, or one is not in a class folder
        """
        check_source(source)
        files = sorted(_recordings(source))
        if not files:
            raise DataError(
                f"{source}: no recordings below it; expected <class>/<file>, with an "
                f"ending such as .wav, .flac, .ogg or .mp3"
            )
        by_split = all(file.parts[0].lower() in SPLIT_WORDS for file in files)
        return Manifest(tuple(self._clip(source, f, by_split=by_split) for f in files))

    def _clip(self, source: Path, file: PurePosixPath, *, by_split: bool) -> Clip:
        folders = file.parts[int(by_split) :]
        if len(folders) < 2:
            raise DataError(
                f"{source / file}: not in a class folder; expected "
                f"{'<split>/' if by_split else ''}<class>/{file.name}"
            )
        return Clip(
            clip=file.as_posix(),
            file=file.as_posix(),
            labels=(folders[0],),
            split=SPLIT_WORDS[file.parts[0].lower()] if by_split else "",
            group=self._group_of(source, "/".join(folders[1:])),
        )

    def _group_of(self, source: Path, name: str) -> str:
        if not self._group.groups:
            return ""
        found = self._group.search(name)
        if found is None or not found.group(1):
            raise DataError(
                f"{source}: dataset.group '{self._group.pattern}' finds no group in "
                f"'{name}'; correct the expression or rename the file"
            )
        return found.group(1)


def _recordings(source: Path) -> Iterator[PurePosixPath]:
    for folder, folders, files in os.walk(source):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            if Path(name).suffix.lower() in ENDINGS and not name.startswith("."):
                path = Path(folder, name).relative_to(source)
                yield PurePosixPath(path.as_posix())
