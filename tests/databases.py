"""Databases in audformat, made of real recordings as their authors make them."""

import csv
import shutil

import pytest

audformat = pytest.importorskip("audformat", reason="needs the extra audb")
pd = pytest.importorskip("pandas")

EMOTIONS = {"anger": "W", "happiness": "F", "neutral": "N", "sadness": "T"}


def emotional_speech(root, recordings, *, limit=40):
    """Write a database as those of emotional speech are, with its recordings.

    Emotions of all files stand in one table, and those of train and test in
    tables of their own; speakers have a gender and an age.

    Returns the rows of the labels that come with the recordings.
    """
    folder = recordings / "emodb4"
    with (folder / "labels.csv").open(newline="") as stream:
        every = [row for row in csv.DictReader(stream) if row["label"] in EMOTIONS]
    rows = sorted(every, key=lambda row: row["path"])[:: max(1, len(every) // limit)]
    root.mkdir(parents=True)
    for row in rows:
        row["file"] = row["path"].replace("audio/", "wav/")
        (root / row["file"]).parent.mkdir(exist_ok=True)
        shutil.copyfile(folder / row["path"], root / row["file"])
    database = _header(rows)
    index = audformat.filewise_index([row["file"] for row in rows])
    files = database["files"] = audformat.Table(index)
    files["speaker"] = audformat.Column(scheme_id="speaker")
    files["speaker"].set([row["speaker"] for row in rows])
    parts = {
        "emotion": rows,
        "emotion.train": [row for row in rows if row["split"] == "train"],
        "emotion.test": [row for row in rows if row["split"] != "train"],
    }
    for name, part in parts.items():
        split = name.partition(".")[2] or None
        index = audformat.filewise_index([row["file"] for row in part])
        table = database[name] = audformat.Table(index, split_id=split)
        table["emotion"] = audformat.Column(scheme_id="emotion")
        table["emotion"].set([EMOTIONS[row["label"]] for row in part])
        for column in ("recognition", "naturalness"):
            table[column] = audformat.Column(scheme_id="rating")
            table[column].set([float(row[column]) for row in part])
    database.save(str(root))
    return rows


def _header(rows):
    database = audformat.Database(
        name="emotions",
        source="https://example.org/emotions",
        author="Ada Example, Ben Example",
        organization="Example University",
        license=audformat.define.License.CC0_1_0,
        license_url="https://creativecommons.org/publicdomain/zero/1.0/",
        description="Emotional speech",
    )
    for split in ("train", "test"):
        database.splits[split] = audformat.Split(type=split)
    database.schemes["emotion"] = audformat.Scheme(
        labels={letter: name for name, letter in EMOTIONS.items()}
    )
    about = {
        row["speaker"]: {"gender": row["gender"], "age": int(row["age"])}
        for row in rows
    }
    database.schemes["speaker"] = audformat.Scheme(labels=about)
    database.schemes["rating"] = audformat.Scheme(dtype="float", minimum=0, maximum=1)
    return database


def segmented(files, starts, ends):
    """Return the index of parts of files, in seconds; ``None`` until the end."""
    return audformat.segmented_index(
        files,
        [pd.Timedelta(seconds=start) for start in starts],
        [pd.NaT if end is None else pd.Timedelta(seconds=end) for end in ends],
    )
