"""Laws of text for people."""

import os

import pytest

from mixdata.text import cleaned, duration, nearest, readable, shown, size


def test_sizes_are_in_decimal_units_of_one_to_a_thousand():
    counts = (0, 12, 999, 1000, 2_500_000, 999_949, 999_950, 999_999_999, 3_000_000_000_000_000)
    assert [size(count) for count in counts] == [
        "0 bytes", "12 bytes", "999 bytes", "1.0 kB", "2.5 MB", "999.9 kB", "1.0 MB", "1.0 GB", "3000.0 TB",
    ]  # fmt: skip


def test_lengths_are_in_the_unit_that_fits():
    assert [duration(seconds) for seconds in (0, 6.04, 119, 120, 750, 7199, 7200, 11700)] == [
        "0.0 s", "6.0 s", "119.0 s", "2.0 min", "12.5 min", "120.0 min", "2.00 h", "3.25 h",
    ]  # fmt: skip


def test_names_that_are_not_utf8_can_be_stored():
    name = os.fsdecode(b"\xff\xfe a/\xc3\xb6.wav")
    assert readable(name) == cleaned(name) == "�� a/ö.wav"
    assert readable("\ud800 שלום") == "� שלום"


def test_control_characters_are_shown_not_obeyed():
    assert shown("a\x1b[31m\nb\u202ec") == "a�[31m�b�c"
    assert shown("  two  spaces, ö") == "  two  spaces, ö"


def test_a_cleaned_name_is_one_line_of_words():
    assert cleaned(" a\tb\r\n\x1b[0m  c\xa0d ") == "a b [0m c d"
    assert cleaned("\n") == ""


@pytest.mark.parametrize(("word", "meant"), [("vocal", "vocals"), ("drumms", "drums"), ("bass", "bass"), ("xyz", None), ("", None)])
def test_the_nearest_word_is_one_that_is_alike(word, meant):
    assert nearest(word, (choice for choice in ("vocals", "drums", "bass"))) == meant


def test_nothing_is_near_to_nothing():
    assert nearest("a", []) is None
