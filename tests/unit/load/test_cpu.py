"""proc(5) is read right, for names with spaces and for families of processes."""

from __future__ import annotations

import os
from pathlib import Path

from load.cpu import Stat, busy_s, parse_stat, tree, use_of

_TICKS = os.sysconf("SC_CLK_TCK")


def _line(pid: int, parent: int, user: int, system: int, rss: int, name: str = "a (b) c") -> str:
    before = "0 0 0 0 0 0 0 0 0"
    return f"{pid} ({name}) S {parent} {before} {user} {system} 7 8 20 0 1 0 55 99999 {rss} 18446744073709551615 0"


def _proc(path: Path, *lines: str) -> Path:
    for line in lines:
        folder = path / line.split(" ", 1)[0]
        folder.mkdir()
        (folder / "stat").write_text(line)
    (path / "self").mkdir()
    return path


def test_a_stat_line_is_parsed_behind_a_name_with_parentheses() -> None:
    assert parse_stat(_line(12, 3, 40, 2, 100)) == Stat(pid=12, parent=3, cpu_ticks=42, rss_pages=100)


def test_a_tree_is_the_process_and_all_its_descendants(tmp_path: Path) -> None:
    proc = _proc(tmp_path, _line(5, 1, 1, 0, 1), _line(7, 5, 1, 0, 1), _line(6, 7, 1, 0, 1), _line(8, 1, 1, 0, 1))
    assert [stat.pid for stat in tree(5, proc)] == [5, 6, 7]


def test_use_sums_cpu_and_memory_of_the_tree(tmp_path: Path) -> None:
    proc = _proc(tmp_path, _line(5, 1, _TICKS, 0, 1), _line(7, 5, 0, _TICKS, 2))
    use = use_of(5, proc)
    assert use.cpu_s == 2.0
    assert use.rss_bytes == 3 * os.sysconf("SC_PAGE_SIZE")


def test_a_process_that_is_gone_uses_nothing(tmp_path: Path) -> None:
    assert use_of(99, _proc(tmp_path)).cpu_s == 0


def test_the_machines_busy_time_leaves_out_idling_and_waiting(tmp_path: Path) -> None:
    (tmp_path / "stat").write_text(f"cpu  {_TICKS} 0 {_TICKS} 900 900 0 0 {_TICKS} 0 0\ncpu0 1 1 1 1 1 1 1 1 1 1\n")
    assert busy_s(tmp_path) == 3.0


def test_this_process_is_seen_by_the_real_files() -> None:
    assert use_of(os.getpid()).rss_bytes > 0
    assert busy_s() > 0
