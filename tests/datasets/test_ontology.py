import json

import pytest

from rehear.datasets.ontology import Ontology
from rehear.errors import DataError, ParamsError

# A part of the published file, as id, name, children and restrictions.
ENTRIES = [
    ("/m/0dgw9r", "Human sounds", ["/m/09l8g", "/m/01w250"], ["abstract"]),
    ("/m/09l8g", "Human voice", ["/m/01j3sz"], ["abstract"]),
    ("/m/01j3sz", "Laughter", ["/t/dd00001", "/m/07r660_"], []),
    ("/t/dd00001", "Baby laughter", [], []),
    ("/m/07r660_", "Giggle", [], []),
    ("/m/01w250", "Whistling", [], []),
    ("/m/0x", "Sounds of things", ["/m/01w250", "/m/0y"], ["abstract"]),
    ("/m/0y", "Steam whistle", [], ["blacklist"]),
]


def entry(id_, name, children, restrictions):
    return {
        "id": id_,
        "name": name,
        "description": "",
        "citation_uri": "",
        "positive_examples": [],
        "child_ids": children,
        "restrictions": restrictions,
    }


@pytest.fixture
def write(tmp_path):
    def to_disk(entries):
        path = tmp_path / "ontology.json"
        path.write_text(json.dumps([entry(*values) for values in entries]))
        return path

    return to_disk


def names(ontology, ids):
    return sorted(ontology.name(id_) for id_ in ids)


def test_parents_of_parents_are_parents(write):
    ontology = Ontology(write(ENTRIES))
    assert names(ontology, ontology.with_parents(["/m/07r660_"])) == [
        *("Giggle", "Human sounds", "Human voice", "Laughter")
    ]
    assert names(ontology, ontology.with_parents(["/m/01w250"])) == [
        *("Human sounds", "Sounds of things", "Whistling")
    ]
    assert ontology.with_parents([]) == set()


def test_abstract_and_blacklisted_categories_are_no_labels(write):
    ontology = Ontology(write(ENTRIES))
    labels = [id_ for id_ in ontology if ontology.is_label(id_)]
    assert names(ontology, labels) == [
        *("Baby laughter", "Giggle", "Laughter", "Whistling")
    ]


def test_category_holds_all_kinds_of_it(write):
    ontology = Ontology(write(ENTRIES))
    within = ontology.within("include", ["Laughter", "Whistling"])
    assert names(ontology, within) == [
        *("Baby laughter", "Giggle", "Laughter", "Whistling")
    ]
    assert len(ontology.within("include", ["Human sounds"])) == 6


def test_circle_of_categories_ends(write):
    ontology = Ontology(
        write([("/m/a", "A", ["/m/b"], []), ("/m/b", "B", ["/m/a"], [])])
    )
    assert ontology.with_parents(["/m/a"]) == {"/m/a", "/m/b"}


def test_unknown_category_is_named(write):
    ontology = Ontology(write(ENTRIES))
    with pytest.raises(ParamsError, match=r"dataset\.exclude: unknown.*'Laughter'"):
        ontology.within("exclude", ["Laughters"])


def test_unknown_child_is_named(write):
    path = write([*ENTRIES, ("/m/z", "Last", ["/m/gone"], [])])
    with pytest.raises(DataError, match=r"'/m/gone', a child of 'Last', is not in"):
        Ontology(path)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "7", '["/m/a"]', '[{"id": "/m/a"}]', '{"id": 1}']
)
def test_other_files_are_refused(tmp_path, text):
    path = tmp_path / "ontology.json"
    path.write_text(text)
    with pytest.raises(DataError, match=r"\.json: is not the AudioSet ontology"):
        Ontology(path)
