"""CPU time and memory of a process and its descendants, from /proc (Linux).

Used for the servers under test and for the generator itself; knows nothing of what they do.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

__all__ = ["ProcessUse", "Stat", "busy_s", "parse_stat", "tree", "use_of"]

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Stat:
    """One line of /proc/PID/stat: ``cpu_ticks`` is user and system time."""

    pid: int
    parent: int
    cpu_ticks: int
    rss_pages: int


@dataclass(frozen=True, slots=True)
class ProcessUse:
    """A process tree's use so far."""

    cpu_s: float
    rss_bytes: int


def parse_stat(text: str) -> Stat:
    """Parse proc(5)'s stat line; the command's name may itself hold spaces and parentheses."""
    head, _, rest = text.rpartition(")")
    fields = rest.split()
    return Stat(
        pid=int(head.split("(", 1)[0]),
        parent=int(fields[1]),
        cpu_ticks=int(fields[11]) + int(fields[12]),
        rss_pages=int(fields[21]),
    )


def _stats(proc: Path) -> dict[int, Stat]:
    found = {}
    for entry in proc.iterdir():
        if entry.name.isdigit():
            try:
                stat = parse_stat((entry / "stat").read_text())
            except (FileNotFoundError, ProcessLookupError):
                continue
            found[stat.pid] = stat
    return found


def tree(root: int, proc: Path = _PROC) -> list[Stat]:
    """The process ``root`` and all its descendants that live now; empty when it is gone."""
    stats = _stats(proc)
    family = {root} & stats.keys()
    grown = bool(family)
    while grown:
        children = {stat.pid for stat in stats.values() if stat.parent in family} - family
        family |= children
        grown = bool(children)
    return [stats[pid] for pid in sorted(family)]


def use_of(root: int, proc: Path = _PROC) -> ProcessUse:
    """What the tree below ``root`` has used; zeros when it is gone."""
    stats = tree(root, proc)
    return ProcessUse(
        cpu_s=sum(stat.cpu_ticks for stat in stats) / _TICKS_PER_S,
        rss_bytes=sum(stat.rss_pages for stat in stats) * _PAGE_BYTES,
    )


def busy_s(proc: Path = _PROC) -> float:
    """CPU seconds of all cores since boot that were not idle, with what the hypervisor gave to other guests."""
    fields = [int(field) for field in (proc / "stat").read_text().split("\n", 1)[0].split()[1:9]]
    user, nice, system, _idle, _waiting, interrupts, soft_interrupts, stolen = fields
    return (user + nice + system + interrupts + soft_interrupts + stolen) / _TICKS_PER_S
