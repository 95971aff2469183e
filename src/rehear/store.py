"""The packed store of features: a few large files, whatever the number of clips.

``features-000.npy`` and so on hold the features of one clip after the other,
flat: float32, float16, or uint8 for images; ``index.csv`` says where each clip
begins and which shape it has. Arrays are memory-mapped, so opening a store of any
size takes no memory.
"""

import csv
import json
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rehear.errors import DataError
from rehear.signals import Signal

META = "meta.json"
INDEX = "index.csv"
FAILED = "failed.csv"
PLACE = ("clip", "shard", "offset", "shape")
ORIGIN = ("content", "crc", "error", "squared_error")
INDEX_COLUMNS = PLACE + ORIGIN
FAILED_COLUMNS = ("clip", "file", "reason")
VERSION = 2


def widened(x: np.ndarray) -> np.ndarray:
    """Return features as parts take them: half precision is for the disk only."""
    return x.astype(np.float32) if x.dtype == np.float16 else x


def shard_name(number: int) -> str:
    """Return the file name of a shard."""
    return f"features-{number:03}.npy"


class Store:
    """The features of all clips of a study.

    Attributes:
        ids: of the clips, in the order of the manifest
        shape: of every clip's features, or ``None`` if they differ
        differs_in_length_only: whether all shapes are equal but for the last axis
        meta: what ``meta.json`` says: sample rate, transforms, statistics …
    """

    def __init__(
        self,
        ids: Sequence[str],
        places: np.ndarray,
        shapes: Sequence[tuple[int, ...]],
        shards: Sequence[np.ndarray],
        meta: dict[str, Any],
    ) -> None:
        self.ids = tuple(ids)
        self.meta = meta
        self._places = places  # (clips, 2): shard, offset
        self._shapes = tuple(shapes)
        self._shards = tuple(shards)
        unique = set(self._shapes)
        self.differs_in_length_only = (
            len({(shape[:-1], len(shape)) for shape in unique}) == 1
            and min(map(len, unique), default=0) > 1
        )
        self.shape: tuple[int, ...] | None = unique.pop() if len(unique) == 1 else None
        self._rows = self._as_rows()

    @classmethod
    def open(cls, folder: Path, *, in_memory: bool = False) -> "Store":
        """Open a store.

        Args:
            folder: as the stage ``preprocess`` wrote it
            in_memory: read everything now, instead of mapping the files

        Raises:
            DataError: if there is no store, or its files do not belong together
        """
        try:
            return cls.of(folder.joinpath, in_memory=in_memory)
        except (OSError, ValueError, KeyError) as error:
            raise DataError(
                f"{folder} is not a whole feature store ({error}); run "
                "`rehear preprocess` (or `dvc repro`) again"
            ) from None

    @classmethod
    def of(cls, file: Callable[[str], Path], *, in_memory: bool = False) -> "Store":
        """Open a store whose files may lie anywhere.

        Args:
            file: where the file of a name is
            in_memory: read everything now, instead of mapping the files

        Raises:
            OSError, KeyError, ValueError: if there is no store, or its files do
                not belong together
        """
        meta = json.loads(file(META).read_text(encoding="utf-8"))
        if meta.get("version") != VERSION:
            raise ValueError(
                f"written in format {meta.get('version')}, expected {VERSION}"
            )
        ids, places, shapes = _read_index(file(INDEX))
        mode: Any = None if in_memory else "r"
        shards = [
            # A plain view: indexing a memmap costs ten times as much.
            np.asarray(np.load(file(shard_name(i)), mmap_mode=mode))
            for i in range(len(meta["shards"]))
        ]
        sizes = [len(shard) for shard in shards]
        if sizes != meta["shards"] or len(ids) != meta["count"]:
            raise ValueError(
                f"files hold {len(ids)} clips and {sum(sizes)} values, {META} says "
                f"{meta['count']} and {sum(meta['shards'])}"
            )
        return cls(ids, places, shapes, shards, meta)

    @property
    def signal(self) -> Signal:
        """What kind of array the features are, and their sample rate."""
        return Signal(self.meta["kind"], self.meta["rate"])

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index: int) -> np.ndarray:
        """Return the features of one clip, as a view that must not be changed."""
        shard, offset = self._places[index]
        shape = self._shapes[index]
        size = int(np.prod(shape))
        return self._shards[shard][offset : offset + size].reshape(shape)

    def size(self, indices: Sequence[int] | np.ndarray) -> int:
        """Return how many numbers the features of some clips are."""
        if self.shape is not None:
            return len(indices) * math.prod(self.shape)
        return sum(math.prod(self._shapes[index]) for index in indices)

    def gather(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Return the features of some clips, copied, as ``(clips, *shape)``.

        Raises:
            DataError: if the clips' features differ in shape
        """
        if self.shape is None or self._rows is None:
            raise DataError("features of the clips differ in length")
        indices = np.asarray(indices, np.int64)
        if len(self._rows) == 1:
            return self._rows[0][indices]
        out = np.empty((len(indices), *self.shape), self._shards[0].dtype)
        places = self._places[indices]
        size = int(np.prod(self.shape))
        for number, rows in enumerate(self._rows):
            mine = np.flatnonzero(places[:, 0] == number)
            out[mine] = rows[places[mine, 1] // size]
        return out

    def _as_rows(self) -> list[np.ndarray] | None:
        if self.shape is None:
            return None
        return [shard.reshape(-1, *self.shape) for shard in self._shards]


def _read_index(
    path: Path,
) -> tuple[list[str], np.ndarray, list[tuple[int, ...]]]:
    with path.open(encoding="utf-8", newline="") as stream:
        rows = csv.reader(stream)
        if tuple(next(rows, ())) != INDEX_COLUMNS:
            raise ValueError(f"{INDEX} has other columns")
        columns = list(zip(*rows, strict=True)) or [()] * len(INDEX_COLUMNS)
    ids, shards, offsets, texts = columns[: len(PLACE)]
    places = np.array([shards, offsets], dtype=np.int64).T.reshape(-1, 2)
    # Few shapes are shared by many clips.
    known = {text: tuple(map(int, text.split("x"))) for text in set(texts)}
    return list(ids), places, [known[text] for text in texts]
