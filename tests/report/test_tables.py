import csv
import io

import pytest

from rehear.report import tables

SUMMARY = {
    "uar": {"mean": 0.7421, "std": 0.0123, "low": 0.7111, "high": 0.7731, "n": 3},
    "accuracy": {"mean": None, "std": None, "low": None, "high": None, "n": 0},
    "runs": 3,
}
FORM = {"decimals": 3, "confidence": 0.95}


def test_text_lines_up():
    lines = tables.to_text(SUMMARY, ["uar", "accuracy"], **FORM).splitlines()
    assert lines == [
        "Metric    Mean ± std     95 % interval   n",
        "UAR       0.742 ± 0.012  [0.711, 0.773]  3",
        "Accuracy  –              –               0",
    ]


def test_markdown_has_a_row_for_each_metric():
    lines = tables.to_markdown(SUMMARY, ["uar", "accuracy"], **FORM).splitlines()
    assert lines[1] == "| --- | ---: | ---: | ---: |"
    assert lines[2] == "| UAR | 0.742 ± 0.012 | [0.711, 0.773] | 3 |"


def test_tex_is_escaped():
    text = tables.to_tex({"my_metric": SUMMARY["uar"]}, ["my_metric"], **FORM)
    assert r"my\_metric & 0.742 $\pm$ 0.012 & [0.711, 0.773] & 3 \\" in text
    assert r"95 \% interval" in text
    assert text.count("\\begin{tabular}{lrrr}") == text.count("\\end{tabular}") == 1


NOTE = "The split leaks. Reason: 50 % of <them> share a_speaker"


def test_a_note_stands_below_the_table():
    text = tables.to_text(SUMMARY, ["uar"], **FORM, note=NOTE)
    assert text.splitlines()[2:] == ["", NOTE]
    lines = tables.to_markdown(SUMMARY, ["uar"], **FORM, note=NOTE).splitlines()
    assert lines[3:] == [
        "",
        r"**The split leaks. Reason: 50 % of \<them\> share a\_speaker**",
    ]
    *_, row, end = tables.to_tex(SUMMARY, ["uar"], **FORM, note=NOTE).splitlines()
    assert end == r"\end{tabular}"
    assert row == (
        r"\multicolumn{4}{p{0.9\linewidth}}{\footnotesize The split leaks. Reason: "
        r"50 \% of <them> share a\_speaker} \\"
    )
    assert "multicolumn" not in tables.to_tex(SUMMARY, ["uar"], **FORM)


def test_pooled_folds_follow():
    rows = tables.results({**SUMMARY, "pooled": SUMMARY}, ["uar"])
    assert [row["over"] for row in rows] == ["runs", "seeds, folds pooled"]
    text = tables.to_text({**SUMMARY, "pooled": SUMMARY}, ["uar"], **FORM)
    assert "UAR (folds pooled)" in text


def test_csv_leaves_undefined_cells_empty_and_quotes_labels():
    text = tables.to_csv([{"label": 'a,"b"', "n": 3, "recall": None, "f1": 1 / 3}])
    assert list(csv.reader(io.StringIO(text)))[1] == ['a,"b"', "3", "", "0.3333333333"]
    assert tables.to_csv([], ["a", "b"]) == "a,b\n"


@pytest.mark.parametrize(
    ("value", "expected"), [(None, "–"), (-0.5, "−0.500"), (0.12345, "0.123")]
)
def test_number(value, expected):
    assert tables.number(value, 3) == expected


def test_markdown_escapes_markup():
    assert tables.markdown("<b>a_b</b>|c\nd") == r"\<b\>a\_b\</b\>\|c d"
    assert tables.markdown("[a](b)") == r"[a]\(b)"
