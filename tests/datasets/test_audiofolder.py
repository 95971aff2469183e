import itertools

import pytest

from audiofolders import put
from rehear.datasets import audiofolder

LIBRARY = {"train": "train", "validation": "dev", "test": "test"}
WORDS = [word for words in audiofolder.KEYWORDS.values() for word in words]
AFFIXES = ["", "a", "1", "-", "_", ".", " ", "a-", "-a", "b_", "_b", "x9", "9x", "é "]


def library(source):
    """Return the splits of files by the patterns of the library."""
    data_files = pytest.importorskip("datasets.data_files")
    patterns = data_files.get_data_patterns(str(source))
    found = data_files.DataFilesDict.from_patterns(patterns, base_path=str(source))
    splits = {}
    for split, files in found.items():
        for file in files:
            name = file.removeprefix(f"{source}/")
            splits.setdefault(name, set()).add(LIBRARY[split])
    return splits


def files():
    for parts in itertools.product(AFFIXES, WORDS, AFFIXES[::2]):
        yield f"{''.join(parts)}.wav"


def folders():
    for parts in itertools.product(AFFIXES, WORDS[::4], AFFIXES[::2]):
        yield f"x/{''.join(parts)}/y/2.wav"
    for word in WORDS:
        yield f"{word}/1.wav"


@pytest.mark.parametrize("names", [files, folders])
def test_splits_are_those_of_the_library(tmp_path, names):
    # Files in hidden folders are left out before.
    listed = sorted(n for n in names() if not n.startswith(".") and "/." not in n)
    put(tmp_path, *listed)
    found = audiofolder.splits(tmp_path, listed)
    assert {name: {split} for name, split in found.items()} == library(tmp_path)
    assert 0 < len(found) < len(listed)
    assert set(found.values()) == {"train", "dev", "test"}


def test_shards_go_first_as_in_the_library(tmp_path):
    listed = [
        *("data/train-00000-of-00002.zip", "data/train-00001-of-00002-abc.zip"),
        *("data/test-00000-of-00001.wav", "data/dev.zip", "train/1.wav"),
        *("data/more/train-00000-of-00001.zip", "data/train-0-of-1.zip"),
    ]
    put(tmp_path, *listed)
    found = audiofolder.splits(tmp_path, listed)
    assert {name: {split} for name, split in found.items()} == library(tmp_path)
    assert len(found) == 3


def test_without_words_there_are_no_splits(tmp_path):
    listed = ["dog/1.wav", "cat/2.wav"]
    assert audiofolder.splits(tmp_path, listed) == dict.fromkeys(listed, "")


def test_what_precedes_a_file():
    folders = [audiofolder.folder_of(f) for f in ("a", "b/a", "x.zip::a", "x.zip::b/a")]
    assert folders == ["", "b/", "x.zip::", "x.zip::b/"]
