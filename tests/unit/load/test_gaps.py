"""Losses are seen from sequence numbers, of each sender alone."""

from __future__ import annotations

import pytest

from load.gaps import Gaps, parse_note, write_note


def test_a_gap_counts_what_is_missing() -> None:
    gaps = Gaps()
    assert [gaps.observe("a", number) for number in (5, 6, 9, 10)] == [0, 0, 2, 0]


def test_senders_do_not_mix_and_old_numbers_lose_nothing() -> None:
    gaps = Gaps()
    assert [gaps.observe(*seen) for seen in (("a", 1), ("b", 7), ("a", 2), ("b", 7), ("b", 3), ("b", 8))] == [0] * 6


def test_a_note_reads_back() -> None:
    text = write_note("u1", 42, 12.5)
    assert len(text) == 60
    assert parse_note(text) == ("u1", 42, 12.5)


@pytest.mark.parametrize("text", ["", "hello", "a b c", "a 1"])
def test_another_text_is_no_note(text: str) -> None:
    assert parse_note(text) is None
