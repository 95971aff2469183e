"""From a saved Hugging Face data set to a folder of recordings.

``python -m rehear.datasets.arrow <saved> <new folder>`` writes the recordings that
``save_to_disk`` and ``to_parquet`` of the library ``datasets`` put inside of tables
as files, with the other columns in a ``metadata.jsonl`` for each split. It needs
pyarrow, and the memory of a few recordings.
"""

import json
import math
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from rehear import atomic
from rehear.datasets import audiofolder, metadata
from rehear.datasets.folders import ENDINGS
from rehear.errors import DataError, RehearError

_STATE, _SPLITS = "state.json", "dataset_dict.json"
_FILE = "file_name"
_ROWS = 16  # of a Parquet file that are in memory at a time
_MAGIC = {
    b"RIFF": ".wav",
    b"fLaC": ".flac",
    b"OggS": ".ogg",
    b"FORM": ".aiff",
    b"ID3": ".mp3",
    b"\xff\xfb": ".mp3",
}
_Row = tuple[dict[str, Any], dict[str, Any]]  # recording, other columns


def write_out(saved: Path, folder: Path) -> int:
    """Write the recordings of a saved data set as files.

    Args:
        saved: folder that ``Dataset.save_to_disk`` or ``DatasetDict.save_to_disk``
            wrote, or one with Parquet files
        folder: is made, with a folder for each split

    Returns:
        The number of recordings.

    Raises:
        DataError: if there is no saved data set, it has no column of recordings or
            unknown splits, or ``folder`` exists
    """
    if folder.exists():
        raise DataError(f"{folder} exists; name a new folder")
    shards = _shards(saved)
    unknown = [split for split in shards if not _is_known(split)]
    if unknown and len(shards) > 1:
        raise DataError(
            f"{saved}: split '{unknown[0]}' is none of train, validation and test; "
            "rename it, or save the splits that you need one by one"
        )
    with atomic.folder(folder) as new:
        return sum(
            _write(files, new / ("train" if unknown else split))
            for split, files in shards.items()
        )


def _is_known(split: str) -> bool:
    # As the name of a folder, it must not lead elsewhere.
    return "/" not in split and bool(audiofolder.splits_of(f"{split}/file"))


def _shards(saved: Path) -> Mapping[str, Sequence[Path]]:
    """Return the files of every split, in their order."""
    if (saved / _SPLITS).is_file():
        names = json.loads((saved / _SPLITS).read_text(encoding="utf-8"))["splits"]
        return {name: _of_state(saved / name) for name in names}
    if (saved / _STATE).is_file():
        return {"train": _of_state(saved)}
    files = sorted(
        path.relative_to(saved).as_posix() for path in saved.rglob("*.parquet")
    )
    if not files:
        raise DataError(
            f"{saved}: no saved data set; expected {_SPLITS}, {_STATE} or Parquet files"
        )
    shards: dict[str, list[Path]] = {}
    for file, split in audiofolder.splits(saved, files).items():
        shards.setdefault(split or "train", []).append(saved / file)
    return shards


def _of_state(folder: Path) -> list[Path]:
    state = json.loads((folder / _STATE).read_text(encoding="utf-8"))
    return [folder / file["filename"] for file in state["_data_files"]]


def _write(files: Sequence[Path], folder: Path) -> int:
    """Write one split."""
    folder.mkdir()
    number = 0
    rows = (row for file in files for row in _rows(file))
    with (folder / "metadata.jsonl").open("w", encoding="utf-8", newline="\n") as table:
        for number, (recording, others) in enumerate(rows, start=1):
            name = _name(recording, number)
            if recording["bytes"] is None:
                shutil.copyfile(recording["path"], folder / name)
            else:
                (folder / name).write_bytes(recording["bytes"])
            line = {_FILE: name, **others}
            table.write(json.dumps(line, ensure_ascii=False, default=str) + "\n")
    return number


def _rows(file: Path) -> Iterator[_Row]:
    number = 0
    for batch in _batches(file):
        audio = _audio_column(file, batch.schema)
        classes = metadata.class_names(batch.schema)
        kept = [f.name for f in batch.schema if not _is_medium(f) and f.name != _FILE]
        for index in range(batch.num_rows):
            number += 1
            recording = batch.column(audio)[index].as_py() or {}
            path = recording.get("path") or ""
            if recording.get("bytes") is None and not Path(path).is_file():
                raise DataError(
                    f"{file} row {number}: column '{audio}' has no recording"
                    f"{f', and {path} does not exist' if path else ''}; remove the row "
                    "with `filter` of the library datasets"
                )
            yield (
                recording,
                {
                    name: _plain(batch.column(name)[index].as_py(), classes.get(name))
                    for name in kept
                },
            )


def _batches(file: Path) -> Iterator[Any]:
    pyarrow = metadata.pyarrow_for(file)
    try:
        if file.suffix == ".parquet":
            yield from pyarrow.parquet.ParquetFile(file).iter_batches(batch_size=_ROWS)
        else:
            # The file is mapped, so that rows take memory only when they are used.
            with pyarrow.memory_map(str(file)) as stream:
                yield from pyarrow.ipc.open_stream(stream)
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(f"{file}: cannot be read: {error}") from None


def _audio_column(file: Path, schema: Any) -> str:
    features = metadata.features(schema)
    media = [field.name for field in schema if _is_medium(field)]
    found = [
        name
        for name in media
        if features.get(name, {}).get("_type", "Audio") == "Audio"
    ]
    if len(found) != 1:
        raise DataError(
            f"{file}: {'no column' if not found else ', '.join(found)} of recordings; "
            "expected one. Columns: "
            f"{', '.join(schema.names)}"
        )
    return found[0]


def _is_medium(field: Any) -> bool:
    """Say whether a column holds recordings, images and the like."""
    kind = field.type
    return {"bytes", "path"} <= {
        kind.field(index).name for index in range(kind.num_fields)
    }


def _name(recording: Mapping[str, Any], number: int) -> str:
    """Return a name that no other recording of the split has."""
    original = PurePosixPath((recording["path"] or "").replace("\\", "/"))
    if original.suffix.lower() in ENDINGS:
        return f"{number:06d}-{original.name}"
    data = recording["bytes"] or b""
    ending = next((e for magic, e in _MAGIC.items() if data.startswith(magic)), ".wav")
    return f"{number:06d}{ending}"


def _plain(value: Any, names: Sequence[str] | None) -> Any:
    """Return a value as JSON has it, the numbers of classes as their names."""
    if isinstance(value, list):
        return [_plain(part, names) for part in value]
    if names and isinstance(value, int):
        return names[value] if value >= 0 else None
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _main(arguments: Sequence[str]) -> None:
    if len(arguments) != 2:
        sys.exit("usage: python -m rehear.datasets.arrow <saved> <new folder>")
    try:
        number = write_out(Path(arguments[0]), Path(arguments[1]))
    except RehearError as error:
        sys.exit(f"error: {error}")
    sys.stdout.write(f"{number} recordings written to {arguments[1]}\n")


if __name__ == "__main__":
    _main(sys.argv[1:])
