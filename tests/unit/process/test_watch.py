"""When a look at watched files counts as a change."""

from __future__ import annotations

import os
from pathlib import Path

from wsprism.process.watch import FileWatch, Fingerprint, _fingerprint

A, B, C = (1, 1, 1), (2, 2, 2), (3, 3, 3)


def watching(known: Fingerprint) -> FileWatch:
    watch = FileWatch(lambda: ())
    watch._known = watch._last = known
    return watch


def looks(watch: FileWatch, *seen: Fingerprint) -> list[bool]:
    return [watch.look(one) for one in seen]


def test_nothing_new_is_no_change() -> None:
    assert looks(watching({"f": A}), {"f": A}, {"f": A}) == [False, False]


def test_a_change_counts_once_when_two_looks_agree() -> None:
    assert looks(watching({"f": A}), {"f": B}, {"f": B}, {"f": B}) == [False, True, False]


def test_a_file_that_is_still_being_written_is_left_alone() -> None:
    assert looks(watching({"f": A}), {"f": B}, {"f": C}, {"f": C}) == [False, False, True]


def test_a_file_that_is_gone_for_a_moment_is_no_change() -> None:
    assert looks(watching({"f": A}), {"f": None}, {"f": A}, {"f": A}) == [False, False, False]


def test_a_file_that_stays_away_is_a_change() -> None:
    assert looks(watching({"f": A}), {"f": None}, {"f": None}) == [False, True]


def test_a_file_that_is_named_from_now_on_is_no_change_until_it_changes() -> None:
    watch = watching({"f": A})
    assert looks(watch, {"f": A, "g": A}, {"f": A, "g": A}) == [False, False]
    assert looks(watch, {"f": A, "g": B}, {"f": A, "g": B}) == [False, True]


def test_replacing_a_file_by_one_of_the_same_size_and_time_is_seen(tmp_path: Path) -> None:
    file, new = tmp_path / "f", tmp_path / "new"
    file.write_text("a")
    new.write_text("b")
    os.utime(file, ns=(0, 0))
    os.utime(new, ns=(0, 0))
    before = _fingerprint([str(file)])
    os.replace(new, file)
    assert _fingerprint([str(file)]) != before
    file.unlink()
    assert _fingerprint([str(file)]) == {str(file): None}
