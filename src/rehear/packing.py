"""Putting finished blocks together to a store.

Blocks are joined in the order of the manifest, so that neither the number of
processes nor an interruption shows in a byte of the store.
"""

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

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

SHARD_VALUES = 2**28  # float32 in a shard: 1 GiB


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
        DataError: if the store cannot be written
    """
    pieces = _pieces(extraction, blocks)
    try:
        sizes = _write_shards(folder, extraction, pieces)
        _write_csv(folder / INDEX, INDEX_COLUMNS, (piece.row for piece in pieces))
        _write_csv(folder / FAILED, FAILED_COLUMNS, failures(extraction, blocks))
        shapes = {piece.shape for piece in pieces}
        meta = {
            "version": VERSION,
            **description,
            "dtype": "float32",
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


def statistics(blocks: Sequence[Block]) -> dict[str, float]:
    """Return mean, standard deviation, minimum and maximum of all values.

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
    return {
        "mean": mean,
        "std": (squares / count) ** 0.5,
        "min": min(block.low for block in blocks),
        "max": max(block.high for block in blocks),
    }


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

    @property
    def row(self) -> tuple[str, int, int, str]:
        return self.clip, self.shard, self.offset, "x".join(map(str, self.shape))


def _pieces(extraction: Extraction, blocks: Sequence[Block]) -> list[_Piece]:
    pieces, shard, offset = [], 0, 0
    for number, block in enumerate(blocks):
        start = 0
        for index, dimensions in zip(
            extraction.blocks[number], block.shapes, strict=True
        ):
            if dimensions is None:
                continue
            shape = tuple(dimensions)
            size = int(np.prod(shape))
            if offset and offset + size > SHARD_VALUES:
                shard, offset = shard + 1, 0
            clip = extraction.clips[index].clip
            pieces.append(_Piece(clip, number, start, shard, offset, shape, size))
            start += size
            offset += size
    return pieces


def _write_shards(
    folder: Path, extraction: Extraction, pieces: Sequence[_Piece]
) -> list[int]:
    sizes: list[int] = []
    for piece in pieces:
        if piece.shard == len(sizes):
            sizes.append(0)
        sizes[piece.shard] += piece.size
    runs = _runs(pieces)
    for number, size in enumerate(sizes):
        with (folder / shard_name(number)).open("wb") as stream:
            header = {"descr": "<f4", "fortran_order": False, "shape": (size,)}
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
