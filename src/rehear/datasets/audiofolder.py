"""Which files of a Hugging Face audio folder are recordings, and in which split.

The rules are those of ``load_dataset("audiofolder", data_dir=…)`` in the library
``datasets`` 5.2: ``data_files.py`` for splits, ``folder_based_builder.py`` for
labels and tables.
"""

import logging
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NoReturn

from rehear import archives
from rehear.datasets.folders import ENDINGS
from rehear.datasets.own import check_source
from rehear.datasets.table import SPLIT_WORDS
from rehear.errors import DataError, suggest

TABLES = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
KEYWORDS = {
    "train": ("train", "training"),
    "dev": ("validation", "valid", "dev", "val"),
    "test": ("test", "testing", "eval", "evaluation"),
}
_GAP = "[-._ 0-9]"
_FOLDER, _NAME = (
    {
        split: re.compile(rf"(.*{_GAP})?({'|'.join(words)}){rest}")
        for split, words in KEYWORDS.items()
    }
    for rest in (f"({_GAP}.*)?", f"{_GAP}.*")
)
_SHARD = re.compile(r"data/([^/]*)-[0-9]{5}-of-[0-9]{5}[^/]*\.[^/]*")
_SAVED = (".arrow", ".parquet")
_HIDDEN = (".", "__")
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class AudioFolder:
    """What was found in a folder.

    Attributes:
        source: the folder
        recordings: split of every recording, by its path below the folder, as
            ``train/dog/1.wav`` or ``train.zip::dog/1.wav``; empty where nothing
            tells splits
        tables: split of every table of labels, likewise
    """

    source: Path
    recordings: Mapping[str, str]
    tables: Mapping[str, str]

    def labels(self) -> Mapping[str, str]:
        """Return the label of every recording, which is the name of its folder.

        Raises:
            DataError: if the folders are no classes: recordings lie at different
                depths, all in one folder, or in that of a split
        """
        labels = {file: _folders(file)[-1] for file in self.recordings}
        levels = {_level(file): file for file in sorted(labels, reverse=True)}
        bare = next((file for file in labels if _is_in_split(file)), "")
        if len(levels) > 1:
            one, other, *_ = levels.values()
            problem = f"'{other}' and '{one}' lie at different depths"
        elif bare:
            problem = f"'{bare}' lies in the folder of a split"
        elif len(set(labels.values())) < 2:
            problem = "all recordings are in one folder"
        else:
            return labels
        raise DataError(
            f"{self.source}: {problem}, so folders are no classes; expected "
            "<class>/<file> or <split>/<class>/<file> for all of them, or a "
            "metadata.csv beside them"
        )


def find(source: Path) -> AudioFolder:
    """List a folder.

    Args:
        source: the folder

    Raises:
        DataError: if it has no recordings, or one is in two splits
    """
    check_source(source)
    names = sorted(_visible(source))
    relevant = [n for n in names if _is_recording(n) or _is_table(n) or _is_zip(n)]
    split_of = splits(source, relevant)
    _warn(source, [name for name in relevant if name not in split_of])
    files = {
        file: split
        for name, split in split_of.items()
        for file in (_members(source, name) if _is_zip(name) else [name])
    }
    recordings = {file: split for file, split in files.items() if _is_recording(file)}
    if not recordings:
        _refuse(source, names)
    tables = {file: split for file, split in files.items() if _is_table(file)}
    return AudioFolder(source, recordings, tables)


def splits_of(name: str) -> list[str]:
    """Return the splits that the folders of a file name: most often one, or none."""
    folders = PurePosixPath(name).parent.parts
    return [
        split
        for split, word in _FOLDER.items()
        if any(word.fullmatch(folder) for folder in folders)
    ]


def _in_name(name: str) -> list[str]:
    file = PurePosixPath(name).name
    return [split for split, word in _NAME.items() if word.fullmatch(file)]


def _in_shard(name: str) -> list[str]:
    shard = _SHARD.fullmatch(name)
    return [shard[1]] if shard else []


def splits(source: Path, names: Sequence[str]) -> Mapping[str, str]:
    """Return the splits of files by the first rule that finds any.

    Args:
        source: folder, for messages
        names: of the files, relative to it

    Returns:
        ``train``, ``dev`` or ``test`` for the files to which the rule applies, all
        others are left out; empty splits for all of them, if no rule does.

    Raises:
        DataError: if a file is in two splits, or in one of another name
    """
    for rule in (_in_shard, splits_of, _in_name):
        found = {name: words for name in names if (words := rule(name))}
        for name, words in found.items():
            if len(words) > 1:
                raise DataError(
                    f"{source}: '{name}' is in the splits {' and '.join(words)} by "
                    "its path; rename its folders or the file"
                )
            if words[0] not in SPLIT_WORDS:
                raise DataError(
                    f"{source}: '{name}': unknown split '{words[0]}'."
                    f"{suggest(words[0], SPLIT_WORDS)} Expected train, validation or "
                    "test"
                )
        if found:
            return {name: SPLIT_WORDS[words[0]] for name, words in found.items()}
    return dict.fromkeys(names, "")


def _visible(source: Path) -> Iterator[str]:
    for folder, folders, files in os.walk(source):
        folders[:] = [name for name in folders if not name.startswith(_HIDDEN)]
        for name in files:
            if not name.startswith("."):
                yield Path(folder, name).relative_to(source).as_posix()


def _members(source: Path, name: str) -> list[str]:
    return [
        f"{name}{archives.SEPARATOR}{member}"
        for member in sorted(archives.members(source / name))
        if not any(part.startswith(_HIDDEN) for part in member.split("/"))
    ]


def _is_recording(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in ENDINGS


def _is_table(name: str) -> bool:
    return _inside(name).rpartition("/")[2] in TABLES


def _is_zip(name: str) -> bool:
    return name.endswith(".zip")


def _inside(file: str) -> str:
    """Return the path of a file in its archive, or in the folder."""
    return file.rpartition(archives.SEPARATOR)[2]


def folder_of(file: str) -> str:
    """Return what precedes the name of a file, as ``train/`` or ``a.zip::``."""
    return file.removesuffix(_inside(file).rpartition("/")[2])


def _folders(file: str) -> tuple[str, ...]:
    return ("", *PurePosixPath(_inside(file)).parent.parts)


def _level(file: str) -> tuple[bool, int]:
    return archives.SEPARATOR in file, len(_folders(file))


def _is_in_split(file: str) -> bool:
    """Say whether the folder of a file, and none above it, names a split."""
    if archives.SEPARATOR in file:
        return False
    return bool(splits_of(file)) and not splits_of(str(PurePosixPath(file).parent))


def _warn(source: Path, outside: Sequence[str]) -> None:
    if outside:
        logger.warning(
            "fetch: %s: %d files are left out, as their names tell no split while "
            "others do: %s%s",
            source,
            len(outside),
            outside[0],
            ", …" if len(outside) > 1 else "",
        )


def _refuse(source: Path, names: Sequence[str]) -> NoReturn:
    packed = (n for n in names if n.endswith(_SAVED) and not _is_table(n))
    if saved := next(packed, ""):
        raise DataError(
            f"{source}: '{saved}' holds recordings inside of a table, where they "
            "cannot be read one by one; write them out with `python -m "
            f"rehear.datasets.arrow {source} <new folder>`, and name that folder in "
            "fetch.source"
        )
    raise DataError(
        f"{source}: no recordings below it; expected <class>/<file>, or files and a "
        "metadata.csv, with an ending such as .wav, .flac, .ogg or .mp3"
    )
