import pytest

from rehear.datasets import DATASETS
from rehear.errors import DataError, ParamsError


@pytest.fixture
def read(tmp_path):
    def run(*names, **arguments):
        for name in names:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"RIFF")
        part = DATASETS.build({"name": "folder", **arguments})
        return part.fetch(
            tmp_path, task="classification", source=tmp_path, downloads=tmp_path
        ).clips

    return run


def test_folders_are_classes(read):
    clips = read("dog/b.wav", "cat/deep/a.FLAC", "dog/notes.txt", ".git/x.wav")
    assert [(clip.file, clip.labels) for clip in clips] == [
        ("cat/deep/a.FLAC", ("cat",)),
        ("dog/b.wav", ("dog",)),
    ]
    assert {clip.split for clip in clips} == {""}


def test_split_folders_above_classes(read):
    clips = read("train/dog/a.wav", "Validation/dog/a.wav", "eval/cat/a.wav")
    assert {clip.clip: (clip.split, clip.labels[0]) for clip in clips} == {
        "train/dog/a.wav": ("train", "dog"),
        "Validation/dog/a.wav": ("dev", "dog"),
        "eval/cat/a.wav": ("test", "cat"),
    }


def test_class_may_be_called_test_beside_others(read):
    clips = read("test/a.wav", "dog/b.wav")
    assert {clip.labels[0] for clip in clips} == {"test", "dog"}


def test_group_is_found_in_the_name(read):
    clips = read("dog/rex_1.wav", "dog/bo_1.wav", group="^([a-z]+)_")
    assert [clip.group for clip in clips] == ["bo", "rex"]


def test_name_without_group_is_an_error(read):
    with pytest.raises(DataError, match=r"finds no group in '7\.wav'"):
        read("dog/rex_1.wav", "dog/7.wav", group="^([a-z]+)_")


@pytest.mark.parametrize(
    ("group", "message"), [("(", "no regular expression"), ("a", "no parentheses")]
)
def test_group_must_be_an_expression(group, message):
    with pytest.raises(ParamsError, match=message):
        DATASETS.build({"name": "folder", "group": group})


def test_recording_outside_of_class_folders_is_named(read):
    with pytest.raises(DataError, match=r"a\.wav: not in a class folder"):
        read("dog/b.wav", "a.wav")


def test_recording_in_a_split_folder_without_class_is_named(read):
    with pytest.raises(DataError, match=r"expected <split>/<class>/a\.wav"):
        read("train/dog/b.wav", "test/a.wav")


def test_no_recordings_and_no_folder(read, tmp_path):
    with pytest.raises(DataError, match="no recordings below it"):
        read()
    part = DATASETS.build({"name": "folder"})
    with pytest.raises(DataError, match=r"does not exist.*fetch\.source"):
        part.fetch(
            tmp_path,
            task="classification",
            source=tmp_path / "none",
            downloads=tmp_path,
        )
