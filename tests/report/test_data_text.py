import pytest

from made_data import REASON, made, older
from rehear.report import data_text, facts


def lines_of(described, encoding="utf-8"):
    return data_text.render(described, encoding=encoding).splitlines()


def block(lines, heading):
    """Return the lines below a heading."""
    start = lines.index(heading) + 1
    rest = lines[start:]
    return rest[: rest.index("")] if "" in rest else rest


def test_every_line_fits_80_columns(tmp_path):
    for task in ("classification", "tagging", "regression"):
        described, _ = made(tmp_path, task=task, leaks=12)
        assert max(map(len, lines_of(described))) <= 80


def test_facts_are_told(tmp_path):
    described, _ = made(tmp_path)
    lines = lines_of(described)
    assert lines[:2] == ["Sounds of a <pond>", "=" * 18]
    assert "Licence         CC BY 4.0" in lines
    assert "Source          https://example.org/pond" in lines
    assert "As published    60 clips" in lines
    assert "Clips           60, 5.9 min" in lines
    assert "Channels        1 (30 clips), 2 (30 clips)" in lines
    assert "Samples         mean 0.0001, standard deviation 0.07" in lines
    assert "Left out        20 clips that could not be used" in lines
    assert f"Fingerprint     {described['fingerprint']}" in lines


def test_bars_are_as_long_as_counts_are_large(tmp_path):
    described, _ = made(tmp_path)
    head, *bars = block(lines_of(described), "Length, s")
    assert head.split() == ["clips", "train", "dev", "test"]
    counts = facts.histogram(described, "duration").total
    assert len(bars) == len(counts)
    blocks = [bar.count("█") for bar in bars]
    assert blocks[counts.index(max(counts))] == max(blocks) > 20
    for bar, count in zip(bars, counts, strict=True):
        words = bar.split()
        assert words[1] == "to"
        assert (str(count) in words) == (count > 0)
    assert "  and 1 silent clips" in block(lines_of(described), "Level, dB")


def test_tables_have_their_counts(tmp_path):
    described, _ = made(tmp_path)
    lines = lines_of(described)
    header, train, dev, test = block(lines, "Splits")
    assert header.split() == ["Split", "Clips", "Length", "Groups", "Labels"]
    assert train.split()[:2] == ["train", "36"]
    assert (dev.split()[1], test.split()[1]) == ("12", "12")
    assert len(block(lines, "Folds")) == 5
    assert len(block(lines, "Labels")) == 4
    assert len(block(lines, "Groups")) == 16
    assert block(lines, "What one number alone tells")[1].startswith("  duration: all")
    attributes = block(lines, "Attributes")
    assert attributes[0] == "  city          Köln (20), Łódź (20), unknown (20)"


def test_long_tables_are_cut_and_say_so(tmp_path):
    labels = tuple(
        f"label {n:02} with a very long name that no column has" for n in range(60)
    )
    described, _ = made(tmp_path, count=240, labels=labels)
    rows = block(lines_of(described), "Labels")
    assert len(rows) == 26
    assert rows[-1] == "  and 36 rarer ones"
    assert "label 00 with a very long nam…" in rows[1]


def test_leaks_and_cautions_are_told_with_the_reason(tmp_path):
    described, _ = made(tmp_path, leaks=12)
    lines = lines_of(described)
    leaks = block(lines, "THE SPLIT LEAKS, so scores may be too good")
    assert leaks[0] == "  - group '<i>0</i>' is in two"
    assert leaks[-2:] == ["    and 2 more", f"  Accepted as   {REASON}"]
    cautions = block(lines, "Before a score is believed")
    assert any("duration alone tells" in line for line in cautions)
    assert "LEAKS" not in data_text.render(made(tmp_path)[0])


def test_a_terminal_without_utf_8_gets_plain_characters(tmp_path):
    described, _ = made(tmp_path)
    text = data_text.render(described, encoding="ascii")
    assert text.isascii()
    assert "####" in text
    assert "−" not in text
    assert "  city          K?ln (20)" in text
    latin = data_text.render(described, encoding="iso-8859-1")
    assert "Köln (20)" in latin
    assert "█" not in latin


def test_a_card_of_an_older_version_is_shown_with_a_hint(tmp_path):
    described, _ = made(tmp_path)
    text = data_text.render(older(described))
    assert "run `rehear fetch`" in text
    assert "Splits" in text
    assert "Labels" in text
    assert "run `rehear fetch`" not in data_text.render(described)


@pytest.mark.parametrize("card", [{}, {"title": "x", "splits": {}, "labels": {}}])
def test_a_card_of_next_to_nothing_is_shown(card):
    assert "fetch" in data_text.render(card)


def test_what_is_no_sound_has_no_rate_and_no_length():
    card = {
        "clips": 3,
        "sample_rates": {"0": 3},
        "channels": {"0": 3},
        "durations": {"min": 0.0, "median": 0.0, "max": 0.0},
        "histograms": {},
    }
    text = data_text.render(card)
    assert "Sample rates" not in text
    assert "Channels" not in text
    assert "Length" not in text


@pytest.mark.parametrize(
    ("hours", "said"), [(1234.5, "1,234.5 h"), (0.5, "30.0 min"), (0.001, "3.6 s")]
)
def test_length_is_in_the_unit_that_suits_it(hours, said):
    assert facts.length(hours) == said


def test_neighbouring_bins_are_joined_where_there_are_many():
    edges = list(range(41))
    entry = {"unit": "s", "edges": edges, "counts": {"all": [1] * 40}}
    shown = facts.shown("duration", entry)
    assert len(shown.bins) == 14
    assert (shown.bins[0], shown.bins[-1]) == ("0 to 3", "39 to 40")
    assert (shown.total[0], sum(shown.total)) == (3, 40)
