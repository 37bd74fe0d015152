"""A line that is being typed: keys, whole lines, and what the row looks like."""

from __future__ import annotations

import pytest

from wsprism.cli.line_editor import LineEditor

LEFT, RIGHT, UP, DOWN, HOME, END, DELETE = (f"\x1b[{key}" for key in ("D", "C", "A", "B", "H", "F", "3~"))


@pytest.mark.parametrize(
    ("keys", "text", "cursor"),
    [
        ("hello", "hello", 5),
        ("helo" + LEFT + "l", "hello", 4),
        ("ello" + HOME + "h" + END + "!", "hello!", 6),
        ("x\x7fy\x08z", "z", 1),
        ("\x7f" + LEFT + RIGHT + DELETE + "a", "a", 1),
        ("abc" + HOME + DELETE, "bc", 0),
        ("one two\x17", "one ", 4),
        ("one\x17", "", 0),
        ("abc" + LEFT + "\x15", "c", 0),
        ("abc" + LEFT + "\x0b", "ab", 2),
        ("abc\x01\x06\x02\x05", "abc", 3),
        ("abc" + HOME + "\x04", "bc", 0),
        ("a\x1b[200~b\x1b[201~\x1b[1;5Cc\x1bx\x00\x07", "abc", 3),
        ("é漢👍", "é漢👍", 3),
        ("a\x1bOD\x1bOHb", "ba", 1),
    ],
)
@pytest.mark.parametrize("at_once", [True, False])
def test_keys_edit_the_line(keys: str, text: str, cursor: int, at_once: bool) -> None:
    editor = LineEditor()
    for part in [keys] if at_once else keys:
        assert editor.feed(part) == []
    assert (editor.text, editor.cursor) == (text, cursor)


def test_enter_completes_lines_and_ctrl_d_on_an_empty_one_ends() -> None:
    editor = LineEditor()
    assert editor.feed("one\ntwo\r\nthree") == ["one", "two", ""]
    assert editor.feed("\n\x04") == ["three", None]


def test_lines_before_come_back_and_the_draft_is_kept() -> None:
    editor = LineEditor()
    editor.feed("one\ntwo\ntwo\n  \ndra")
    for keys, text in (
        (DOWN, "dra"),
        (UP, "two"),
        (UP, "one"),
        (UP, "one"),
        (DOWN, "two"),
        (DOWN, "dra"),
        ("ft", "draft"),
    ):
        editor.feed(keys)
        assert editor.text == text
    editor.feed(UP)
    assert editor.feed("!\n") == ["two!"]


@pytest.mark.parametrize(
    ("keys", "columns", "row"),
    [
        ("abc", 80, "> abc"),
        ("abc" + LEFT, 80, "> abc\b"),
        ("漢字" + LEFT, 80, "> 漢字\b\b"),
        ("abcdefgh", 8, "> defgh"),
        ("abcdefgh" + HOME, 8, "> abcde\b\b\b\b\b"),
        ("漢字漢字", 8, "> 漢字"),
        ("abc", 1, "> c"),
    ],
)
def test_the_row_holds_what_fits_around_the_cursor(keys: str, columns: int, row: str) -> None:
    editor = LineEditor()
    editor.feed(keys)
    assert editor.row(columns) == row


def test_an_endless_escape_sequence_is_not_kept() -> None:
    editor = LineEditor()
    editor.feed("\x1b[" + "1" * 1000)
    assert editor.feed("a") == []
    assert editor.text == "a"
