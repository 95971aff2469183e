"""Putting finished blocks together to a store.

Blocks are joined in the order of the manifest, so that neither the number of
processes nor an interruption shows in a byte of the store.
"""

import csv
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rehear import earlier
from rehear.errors import DataError
from rehear.extraction import Block, Extraction, unwritable
from rehear.store import (
    FAILED,
    FAILED_COLUMNS,
    INDEX,
    INDEX_COLUMNS,
    META,
    VERSION,
    shard_name,
)

SHARD_BYTES = 2**30


def assemble(
    extraction: Extraction,
    folder: Path,
    blocks: Sequence[Block],
    *,
    description: dict[str, Any],
) -> dict[str, Any]:
    """Put finished blocks together to a store, and return its ``meta.json``.

    Args:
        extraction: with all blocks finished
        folder: existing and empty
        blocks: their descriptions
        description: what else ``meta.json`` shall say

    Raises:
        DataError: if the store cannot be written, or some features are whole
            numbers and others are not
    """
    dtype = _dtype(extraction, blocks)
    pieces = _pieces(extraction, blocks, SHARD_BYTES // dtype.itemsize)
    try:
        sizes = _write_shards(folder, extraction, pieces, dtype)
        _write_csv(folder / INDEX, INDEX_COLUMNS, (piece.row for piece in pieces))
        _write_csv(folder / FAILED, FAILED_COLUMNS, failures(extraction, blocks))
        shapes = {piece.shape for piece in pieces}
        meta = {
            "version": VERSION,
            **description,
            "dtype": dtype.name,
            "shape": list(shapes.pop()) if len(shapes) == 1 else None,
            "count": len(pieces),
            "failed": len(extraction.clips) - len(pieces),
            "shards": sizes,
            "statistics": statistics(blocks),
        }
        text = json.dumps(meta, indent=2, ensure_ascii=False, allow_nan=False)
        (folder / META).write_text(text + "\n", encoding="utf-8", newline="\n")
    except OSError as error:
        raise unwritable(folder.parent, error) from None
    return meta


def failures(
    extraction: Extraction, blocks: Sequence[Block]
) -> list[tuple[str, str, str]]:
    """Return ``(clip, file, reason)`` of every clip without features."""
    found = []
    for positions, block in zip(extraction.blocks, blocks, strict=True):
        for position, reason in block.failed:
            clip = extraction.clips[positions[position]]
            found.append((clip.clip, clip.file, reason))
    return found


def _dtype(extraction: Extraction, blocks: Sequence[Block]) -> np.dtype[Any]:
    """Return the type that all features have.

    Raises:
        DataError: if there are several
    """
    first: dict[str, str] = {}
    for positions, block in zip(extraction.blocks, blocks, strict=True):
        if block.count:
            first.setdefault(block.dtype, extraction.clips[positions[0]].file)
    if len(first) > 1:
        named = ", ".join(f"{np.dtype(d).name} near {f}" for d, f in first.items())
        raise DataError(
            f"features of clips have several types ({named}); end "
            "preprocess.transforms with one that gives the same for all, such as "
            "to_float"
        )
    return np.dtype(next(iter(first), "<f4"))


def statistics(blocks: Sequence[Block]) -> dict[str, float]:
    """Return mean, standard deviation, minimum and maximum of all values.

    Where they are rounded to 16 bits, also the largest error and its root mean
    square.

    Means and squares of blocks are merged in float64, in the order of the
    blocks (Chan, Golub and LeVeque, 1979), so that no digit depends on who
    finished first.
    """
    count, mean, squares = 0, 0.0, 0.0
    for block in blocks:
        if block.count:
            total = count + block.count
            shift = block.mean - mean
            mean += shift * block.count / total
            squares += block.squares + shift**2 * count * block.count / total
            count = total
    found: dict[str, float] = {
        "mean": mean,
        "std": (squares / count) ** 0.5,
        "min": min(block.low for block in blocks),
        "max": max(block.high for block in blocks),
    }
    if any(block.dtype == "<f2" for block in blocks):
        errors = [error for block in blocks for error in block.errors]
        found["largest_error"] = max(largest for largest, _ in errors)
        squares = math.fsum(squares for _, squares in errors)
        found["rms_error"] = math.sqrt(squares / count)
    return found


@dataclass(frozen=True, slots=True)
class _Piece:
    """Where the features of one clip come from and go to."""

    clip: str
    block: int
    start: int
    shard: int
    offset: int
    shape: tuple[int, ...]
    size: int
    content: str
    crc: int
    errors: tuple[float, float]

    @property
    def row(self) -> tuple[str | int | float, ...]:
        shape = "x".join(map(str, self.shape))
        place = (self.clip, self.shard, self.offset, shape)
        return *place, self.content, self.crc, *(e or "" for e in self.errors)


def _pieces(extraction: Extraction, blocks: Sequence[Block], most: int) -> list[_Piece]:
    pieces, shard, offset = [], 0, 0
    for number, block in enumerate(blocks):
        start = 0
        each = (block.shapes, block.crcs, block.errors)
        for index, dimensions, crc, errors in zip(
            extraction.blocks[number], *each, strict=True
        ):
            if dimensions is None:
                continue
            shape = tuple(dimensions)
            size = int(np.prod(shape))
            if offset and offset + size > most:
                shard, offset = shard + 1, 0
            clip = extraction.clips[index]
            where = (clip.clip, number, start, shard, offset, shape, size)
            pieces.append(_Piece(*where, earlier.content(clip), crc, errors))
            start += size
            offset += size
    return pieces


def _write_shards(
    folder: Path,
    extraction: Extraction,
    pieces: Sequence[_Piece],
    dtype: np.dtype[Any],
) -> list[int]:
    sizes: list[int] = []
    for piece in pieces:
        if piece.shard == len(sizes):
            sizes.append(0)
        sizes[piece.shard] += piece.size
    runs = _runs(pieces)
    for number, size in enumerate(sizes):
        with (folder / shard_name(number)).open("wb") as stream:
            header = {"descr": dtype.str, "fortran_order": False, "shape": (size,)}
            np.lib.format.write_array_header_1_0(stream, header)
            for shard, block, start, end in runs:
                if shard == number:
                    stream.write(extraction.values(block)[start:end].data)
    return sizes


def _runs(pieces: Sequence[_Piece]) -> list[tuple[int, int, int, int]]:
    """Join pieces that follow each other, as ``(shard, block, start, end)``."""
    runs: list[tuple[int, int, int, int]] = []
    for piece in pieces:
        end = piece.start + piece.size
        if runs and runs[-1][:2] == (piece.shard, piece.block):
            runs[-1] = (*runs[-1][:3], end)
        else:
            runs.append((piece.shard, piece.block, piece.start, end))
    return runs


def _write_csv(path: Path, header: Sequence[str], rows: Any) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
