"""Tables of annotations in a folder, and which recording each is about."""

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath

from rehear.datasets.folders import ENDINGS
from rehear.datasets.rows import Row
from rehear.errors import DataError, ParamsError, suggest

_NAMED = 5  # files that a message names


def pattern(argument: str, text: str) -> re.Pattern[str]:
    """Return a regular expression whose first parenthesis is what is sought.

    Args:
        argument: name of the argument, for the message
        text: the expression; empty for one that finds nothing

    Raises:
        ParamsError: if it is no regular expression, or has no parentheses
    """
    try:
        found = re.compile(text)
    except re.error as error:
        raise ParamsError(
            f"dataset.{argument}: '{text}' is no regular expression: {error}"
        ) from None
    if text and not found.groups:
        raise ParamsError(
            f"dataset.{argument}: '{text}' has no parentheses around what is the "
            f"{'group' if argument == 'group' else 'name of the recording'}"
        )
    return found


def some(names: Iterable[str]) -> str:
    """Return the first of some names, and how many more there are."""
    listed = list(names)
    rest = len(listed) - _NAMED
    return ", ".join(listed[:_NAMED]) + (f" and {rest} more" if rest > 0 else "")


class Recordings:
    """The recordings below a folder.

    Attributes:
        source: the folder
        files: of the recordings, relative to it, sorted

    Raises:
        DataError: if there are none
    """

    def __init__(self, source: Path) -> None:
        self.source = source
        self.files = sorted(
            file for file in _walk(source) if Path(file).suffix.lower() in ENDINGS
        )
        if not self.files:
            raise DataError(
                f"{source}: no recordings below it; expected files with an ending such "
                "as .wav, .flac, .ogg or .mp3"
            )
        self._named: defaultdict[str, list[str]] = defaultdict(list)
        for file in self.files:
            path = PurePosixPath(file)
            for name in {path.name.casefold(), path.stem.casefold()}:
                self._named[name].append(file)

    def tables(self, names: re.Pattern[str]) -> list[tuple[str, str]]:
        """Return files that are called as tables are.

        Args:
            names: matches the whole name of a table; its first parenthesis is the
                name of the recording without its ending

        Returns:
            Path relative to the folder and name of the recording, sorted.
        """
        found = (
            (file, names.fullmatch(Path(file).name)) for file in _walk(self.source)
        )
        return sorted((file, match[1]) for file, match in found if match)

    def find(self, path: str, *, near: str, ending: bool = True) -> str:
        """Return the recording that somebody calls ``path``, or nothing.

        Its name decides, without its ending where it has been converted since.
        Among recordings of one name it is the one in the folder of the table, or
        else the one that shares most names of folders with the path or the table:
        ``labels/site-1/a.txt`` is about ``audio/site-1/a.wav``.

        Args:
            path: name of the recording, with or without folders on any machine
            near: table that calls it so, relative to the folder of the recordings
            ending: whether the path may have one that differs

        Raises:
            DataError: if several recordings fit equally well
        """
        called = PurePosixPath(path.replace("\\", "/"))
        found = self._named.get(called.name.casefold(), [])
        if not found and ending:
            found = self._named.get(called.stem.casefold(), [])
        ranks = {file: _kinship(file, called.parent, near) for file in found}
        best = [file for file in found if ranks[file] == max(ranks.values())]
        if len(best) > 1:
            raise DataError(
                f"{self.source / near}: '{path}' may be any of {some(best)}; put the "
                "table into the folder of its recording, or rename one of them"
            )
        return best[0] if best else ""

    def lacks(self, path: str) -> str:
        """Return that a recording is not there, for messages."""
        name = path.replace("\\", "/").rpartition("/")[2]
        paths = [PurePosixPath(file) for file in self.files]
        known = [path.name for path in paths] + [path.stem for path in paths]
        return f"no recording '{name}' below {self.source}.{suggest(name, known)}"


def read(path: Path) -> list[tuple[str, list[str]]]:
    """Read the lines of a table whose cells are separated by tabs.

    Cells may be in quotes, as spreadsheets write them. Blank lines are passed
    over.

    Returns:
        The place of each line, for messages, and its cells, stripped.

    Raises:
        DataError: if the file is not UTF-8
    """
    try:
        # utf-8-sig: spreadsheets begin a file with a byte order mark.
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}: not UTF-8 at byte {error.start}; save it as text in UTF-8"
        ) from None
    return [
        (f"{path} row {number}", [_cell(cell) for cell in line.split("\t")])
        for number, line in enumerate(re.split(r"\r\n|\r|\n", text), start=1)
        if line.strip()
    ]


def number(row: Row, column: str) -> float:
    """Return a number in a cell, written with a decimal point or comma.

    Raises:
        DataError: if it is no number
    """
    cell = row.text(column)
    if cell.count(",") == 1 and "." not in cell:
        row = Row(row.place, {**row.cells, column: cell.replace(",", ".")})
    return row.number(column)


def _walk(source: Path) -> Iterator[str]:
    for folder, folders, files in os.walk(source):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            if not name.startswith("."):
                yield Path(folder, name).relative_to(source).as_posix()


def _kinship(file: str, folder: PurePosixPath, near: str) -> tuple[int, int, int]:
    own, table = PurePosixPath(file).parent, PurePosixPath(near).parent
    return (
        _shared(own.parts, folder.parts),
        int(own == table),
        _shared(own.parts, table.parts),
    )


def _shared(one: Sequence[str], other: Sequence[str]) -> int:
    return len({x.casefold() for x in one} & {x.casefold() for x in other})


def _cell(text: str) -> str:
    text = text.strip()
    if len(text) > 1 and text[0] == text[-1] == '"':
        return text[1:-1].replace('""', '"').strip()
    return text
