"""What services keep of rooms, read as the broker has it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from wsprism.adapters.redis.large_reads import ReadsOwner, why_not
from wsprism.adapters.redis.scripts import script
from wsprism.policy.values import RoomValues, Value
from wsprism.ports import Unavailable, Values

__all__ = ["read_values"]


def read_values(
    owner: ReadsOwner, room: str, service: str | None, key: str | None, done: Callable[[Values | Unavailable], object]
) -> None:
    """As ``ValuesBroker.read_values``."""
    which = script("values")

    def answered(answer: Any) -> None:
        whole = isinstance(answer, list) and answer[0] == b"OK"
        done(_values(answer[1:]) if whole else why_not(owner, which, answer))

    owner.reads.ask(owner, which, (room, service or "", key or ""), answered)


def _values(words: Sequence[bytes]) -> dict[str, RoomValues]:
    """Keys in the order in which they were set."""
    found: dict[str, RoomValues] = {}
    entries: list[tuple[str, str, Value]] = []
    rest = iter(words)
    for what in rest:
        service = next(rest).decode()
        if what == b"s":
            found[service] = RoomValues(int(next(rest)))
        else:
            key, version, user, data = next(rest), next(rest), next(rest), next(rest)
            entries.append((service, key.decode(), Value(data, int(version), user.decode())))
    for service, name, value in sorted(entries, key=lambda one: one[2].version):
        found.setdefault(service, RoomValues()).add(name, value)
    return found
