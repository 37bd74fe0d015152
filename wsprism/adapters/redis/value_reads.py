"""What services keep of rooms, read a few rooms at a time.

After a loss all rooms of a node ask at once. What Redis would have to keep of so many answers costs the connection, and
the next one again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

from wsprism.adapters.redis.call_line import refusal
from wsprism.adapters.redis.protocol import Refused, Unknown, Word
from wsprism.adapters.redis.scripts import Script, script
from wsprism.policy.values import RoomValues, Value
from wsprism.ports import Unavailable, Values

__all__ = ["ReadsOwner", "ValueReads"]

MOST_AT_ONCE: Final = 16
"""A room has 256 KiB of a service at most, and Redis keeps 32 MiB for a connection."""

Done = Callable[[Values | Unavailable], object]


class ReadsOwner(Protocol):
    """Who has the connection."""

    def call(self, which: Script, arguments: Sequence[Word], answered: Callable[[Any], object]) -> Refused | None: ...
    def later(self, call: Callable[[], object]) -> None: ...
    def strange(self, what: str, answer: object) -> None: ...


class ValueReads:
    """One tenant's. Whoever waits when the connection is lost is told so."""

    def __init__(self, owner: ReadsOwner) -> None:
        self._owner = owner
        self._waiting: deque[tuple[tuple[str, str, str], Done]] = deque()
        self._under_way = 0

    def read(self, room: str, service: str | None, key: str | None, done: Done) -> None:
        """As ``ValuesBroker.read_values``."""
        self._waiting.append(((room, service or "", key or ""), done))
        self._go_on()

    def _go_on(self) -> None:
        while self._waiting and self._under_way < MOST_AT_ONCE:
            self._ask(*self._waiting.popleft())

    def _ask(self, arguments: tuple[str, str, str], done: Done) -> None:
        def answered(answer: Any) -> None:
            self._under_way -= 1
            if isinstance(answer, list) and answer[0] == b"OK":
                done(_values(answer[1:]))
            else:
                if not isinstance(answer, Unknown):
                    self._owner.strange("values", answer)
                done(refusal(answer) if isinstance(answer, Refused) else Unavailable.AWAY)
            self._go_on()

        refused = self._owner.call(script("values"), arguments, answered)
        if refused is None:
            self._under_way += 1
        else:
            why = refusal(refused)
            self._owner.later(lambda: done(why))


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
