"""Answers that do not fit are refused, with the reason, and nothing is left."""

import pytest
from cookiecutter.exceptions import FailedHookException

REFUSED = [
    ({"title": "  "}, "title is empty"),
    ({"title": 'Say "hello"'}, "title 'Say \"hello\"' holds '\"'"),
    ({"title": "a {b}"}, "holds '{', '}'"),
    ({"title": "two\nlines"}, "holds '\\n'"),
    ({"author": " "}, "author is empty"),
    ({"author": "O\\Neil"}, "holds '\\\\'"),
    ({"email": "nobody"}, "email 'nobody' is not an address"),
    ({"study_slug": "Bird"}, "study_slug 'Bird' cannot name a folder"),
    ({"study_slug": "2birds"}, "beginning with a letter"),
    ({"study_slug": "bird--calls"}, "cannot name"),
    ({"study_slug": "bird calls"}, "cannot name"),
    ({"study_slug": "class"}, "is a keyword of Python"),
    ({"study_slug": "match"}, "is a keyword of Python"),
    ({"study_slug": "rehear"}, "is taken"),
    ({"study_slug": "test"}, "is taken"),
    ({"study_slug": "json"}, "such as 'json-study'"),
    ({"study_slug": "torch"}, "is taken"),
    ({"dataset": "fsdd", "task": "tagging"}, "'fsdd' does not fit task 'tagging'"),
    ({"dataset": "folder", "task": "regression"}, "choose task classification"),
    ({"remote_url": "/mnt/x"}, "but remote is none"),
    ({"remote": "s3", "remote_url": "bucket/x"}, "expected s3://bucket/folder"),
    ({"remote": "local", "remote_url": "s3://x"}, "is not a folder"),
    ({"remote": "local", "remote_url": "a b"}, "holds a blank"),
]


@pytest.mark.parametrize(("answers", "reason"), REFUSED, ids=lambda x: str(x)[:40])
def test_answers_that_do_not_fit_are_refused(answers, reason, render, tmp_path, capfd):
    with pytest.raises(FailedHookException):
        render(tmp_path, hooks=True, **answers)
    lines = capfd.readouterr().err.splitlines()
    told = [line for line in lines if line.startswith("rehear: ")]
    assert len(told) == 1, lines
    assert reason in told[0]
    assert list(tmp_path.rglob("*")) == []


def test_every_problem_is_named_at_once(render, tmp_path, capfd):
    with pytest.raises(FailedHookException):
        render(tmp_path, hooks=True, author=" ", email="x", study_slug="x")
    told = capfd.readouterr().err.splitlines()
    assert sum(line.startswith("rehear: ") for line in told) == 2


def test_an_unknown_choice_is_refused(render, tmp_path):
    with pytest.raises(ValueError, match="birds"):
        render(tmp_path, hooks=True, dataset="birds")


def test_an_existing_folder_is_left_alone(render, tmp_path):
    from cookiecutter.exceptions import OutputDirExistsException

    mine = tmp_path / "my-audio-study" / "mine.txt"
    mine.parent.mkdir()
    mine.write_text("mine")
    with pytest.raises(OutputDirExistsException):
        render(tmp_path, hooks=True)
    assert [file.name for file in tmp_path.rglob("*.*")] == ["mine.txt"]
