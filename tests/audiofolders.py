"""Audio folders, and what the library of Hugging Face reads from them."""

import gc
import os
import sys
import types
import warnings
import zipfile

import pytest


def put(source, *names):
    """Write recordings, of which only the name matters."""
    for name in names:
        path = source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"RIFF" + name.encode())


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def pack(path, files):
    """Write an archive of texts by their names."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)


def load(source, cache, monkeypatch):
    """Return the data set that the library reads from a folder."""
    datasets = pytest.importorskip("datasets")
    # It imports its decoder even where nothing is decoded.
    encoders = types.ModuleType("torchcodec.encoders")
    encoders.AudioEncoder = None
    monkeypatch.setitem(sys.modules, "torchcodec", types.ModuleType("torchcodec"))
    monkeypatch.setitem(sys.modules, "torchcodec.encoders", encoders)
    datasets.disable_progress_bars()
    with warnings.catch_warnings():
        # It leaves tables open.
        warnings.simplefilter("ignore", ResourceWarning)
        found = datasets.load_dataset(
            "audiofolder", data_dir=str(source), cache_dir=str(cache)
        )
        gc.collect()
    return found


def listed(found, source, *, label="label", column="audio"):
    """Return split and label of every file in a data set of the library."""
    import datasets

    rows = {}
    for split, part in found.items():
        kind = part.features.get(label)
        for row in part.cast_column(column, datasets.Audio(decode=False)):
            # A member of an archive is zip://member::archive.
            member, _, path = row[column]["path"].rpartition("::")
            file = f"{path}::{member.removeprefix('zip://')}" if member else path
            value = row.get(label)
            if isinstance(kind, datasets.ClassLabel):
                value = kind.int2str(value)
            rows[os.path.relpath(file, source)] = split, value
    return rows
