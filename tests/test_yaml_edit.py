"""Editing the text of a YAML file: what changes, what stays, what is refused."""

import pytest
from ruamel.yaml import YAML

from rehear import yaml_edit
from rehear.errors import ParamsError

FRAGMENT = """\
preprocess:
  sample_rate: 8000
  transforms:
    # two of them
    - name: mono   # first
    - name: fit
      seconds: 2.0
"""


def read(text):
    return YAML(typ="safe").load(text)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("a: 1   # one\nb: 2\n", "a: 5   # one\nb: 2\n"),
        ("# top\na: 1\n\n# below\n\nb: 2\n", "# top\na: 5\n\n# below\n\nb: 2\n"),
        ("b: 2\n", "b: 2\na: 5\n"),
        ("b: 2  # two", "b: 2  # two\na: 5"),
        ("b:\n  - x\n# end\n", "b:\n  - x\na: 5\n# end\n"),
        ("b: |\n  text\n\n# end\n", "b: |\n  text\na: 5\n\n# end\n"),
        ("a: [1,\n  2]  # both\nb: 2\n", "a: 5\nb: 2\n"),
        ("a: '#1'  # one\nb: 2\n", "a: 5     # one\nb: 2\n"),
        (
            "a:      # l\n  - 1\n  # in\n  - 2\n  # c\nb: 2\n",
            "a: 5    # l\n  # c\nb: 2\n",
        ),
        ("x:\n  y:\nb: 2\n", "x:\n  y:\nb: 2\na: 5\n"),
        ("b: &x [1]\na: *x\n", "b: &x [1]\na: 5\n"),
        ("a: |\n  some\n  text\nb: 2\n", "a: 5\nb: 2\n"),
        ("a:\nb: 2\n", "a: 5\nb: 2\n"),
        ("{}\n", "a: 5\n"),
        ("", "a: 5\n"),
        ("# only this\n{}\n", "# only this\na: 5\n"),
        ("---\na: 1\n...\n", "---\na: 5\n...\n"),
        ("a: 1\r\nb: 2  # two\r\n", "a: 5\r\nb: 2  # two\r\n"),
        ("b: 2\r\n", "b: 2\r\na: 5\r\n"),
        ("b: ä ö\na: 1\n", "b: ä ö\na: 5\n"),
        ("b: &x 2\nc: *x\na: 1\n", "b: &x 2\nc: *x\na: 5\n"),
        ("{b: [1, '2'], a: 3}\n", "b: [1, '2']\na: 5\n"),
        ("a: 5   # the same\n", "a: 5   # the same\n"),
        ("a: 5.0\n", "a: 5.0\n"),
    ],
)
def test_one_value(old, new):
    assert yaml_edit.merge(old, "a: 5\n") == new
    assert yaml_edit.merge(new, "a: 5\n") == new


@pytest.mark.parametrize(
    "old",
    [
        "preprocess:\n  sample_rate: 1\n  on_error: skip\nseeds: [1]\n",
        "preprocess:\n    transforms: [mono]\n    on_error: skip\nseeds: [1]\n",
        "preprocess: {on_error: skip, transforms: [mono]}  # short\nseeds: [1]\n",
        "{preprocess: {on_error: skip}, seeds: [1]}\n",
        "preprocess:\n  transforms:\n  - mono\n  on_error: skip\n\nseeds: [1]\n",
    ],
)
def test_a_section_keeps_its_other_keys(old):
    new = yaml_edit.merge(old, FRAGMENT)
    expected = {**read(FRAGMENT)["preprocess"], "on_error": "skip"}
    assert read(new) == {"preprocess": expected, "seeds": [1]}
    assert "# two of them\n" in new
    assert yaml_edit.merge(new, FRAGMENT) == new


def test_a_section_that_is_not_there_comes_at_the_end():
    assert yaml_edit.merge("seeds: [1]  # one\n", FRAGMENT) == (
        "seeds: [1]  # one\n" + FRAGMENT
    )
    assert yaml_edit.merge("{}\n", FRAGMENT) == FRAGMENT


def test_indentation_follows_the_section():
    old = "preprocess:\n      sample_rate: 1\n"
    assert yaml_edit.merge(old, FRAGMENT) == (
        "preprocess:\n      sample_rate: 8000\n      transforms:\n"
        "        # two of them\n        - name: mono   # first\n"
        "        - name: fit\n          seconds: 2.0\n"
    )


def test_a_part_is_replaced_as_a_whole():
    old = "model:     # which\n  name: cnn10\n  width: 4  # few\n\ntask: tagging\n"
    new = yaml_edit.merge(old, "model:\n  name: ffnn\n")
    assert new == "model:     # which\n  name: ffnn\n\ntask: tagging\n"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (
            "augment: []   # none\nb: 2\n",
            "augment:      # none\n  - name: x # X\nb: 2\n",
        ),
        ("b: 2\n", "b: 2\naugment:\n  - name: x # X\n"),
        (
            "augment:\n- gain  # G\n# end\n",
            "augment:\n- gain  # G\n- name: x # X\n# end\n",
        ),
        (
            "augment: [a, {name: y}] # 2\n",
            "augment:                # 2\n  - a\n  - {name: y}\n  - name: x # X\n",
        ),
        ("augment:\n  - name: x\n", "augment:\n  - name: x\n"),
        ("augment:\r\n  - gain\r\n", "augment:\r\n  - gain\r\n  - name: x # X\r\n"),
    ],
)
def test_append(old, new):
    fragment = "augment:\n  - name: x # X\n"
    assert yaml_edit.append(old, "augment", fragment) == new
    assert yaml_edit.append(new, "augment", fragment) == new


def test_only_what_is_new_is_appended():
    fragment = "augment:\n  # first\n  - name: x\n    a: 1\n  # second\n  - y\n"
    new = yaml_edit.append("augment:\n  - y\n", "augment", fragment)
    assert new == "augment:\n  - y\n  # first\n  - name: x\n    a: 1\n"


@pytest.mark.parametrize(
    "old",
    [
        "a: &x [1]\nb: *x\n",  # b would lose what it refers to
        "{a: 1, # one\n b: 2}\n",
        "preprocess: {a: 1, # one\n b: 2}\n",
        "a: 1\n---\na: 2\n",
        "a: [1\n",
    ],
)
def test_a_layout_that_cannot_be_edited_is_refused(old):
    fragment = "a: 5\npreprocess:\n  sample_rate: 3\n"
    with pytest.raises(ParamsError, match="by hand"):
        yaml_edit.merge(old, fragment)
