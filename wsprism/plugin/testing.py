"""Drives a service in Python without a gateway: messages, rooms and time in, effects as values out.

    harness = Harness(service, options={"board": 8})
    harness.join("ann", "match:1")
    assert harness.message("move", {"x": 1}) == [publish("moved", {"x": 1}), reply({"ok": True})]

What a gateway would answer with an error raises ``Refused``. Effects are returned and not carried out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from wsprism.effects import Effect
from wsprism.plugin.service import Service
from wsprism.plugin.trial import Refused, Trial
from wsprism.ports import HotVerdict

__all__ = ["Harness", "Refused"]

SID: Final = "1"
"""Of every user's one session."""

BEGAN_MS: Final = 1_767_225_600_000
"""The clock stands at the first moment of 2026 until it is advanced."""


class Harness:
    """One tenant that has ``service``, told ``options``."""

    def __init__(self, service: Service, tenant: str = "test", options: Mapping[str, Any] | None = None) -> None:
        self._trial = Trial(service, tenant, options, BEGAN_MS)

    def join(self, user: str, room: str) -> list[Effect]:
        """The user comes to the room: what ``joined`` has to say."""
        return self._trial.join(user, SID, room)

    def leave(self, user: str, room: str) -> list[Effect]:
        """The user goes: what ``left`` has to say. With the last one the room's state is gone."""
        return self._trial.leave(user, SID, room)

    def message(self, type: str, data: Any = None, user: str = "ann", room: str | None = None) -> list[Effect]:
        """A message of this type. ``data`` is anything JSON can hold; None: there is none.

        ``room`` None: the one that the user is in. A room that is named is there, also when nobody has joined it. Async
        handlers are run to their end. Raises Refused.
        """
        raw = None if data is None else msgspec.Raw(msgspec.json.encode(data))
        return self._trial.message(type, raw, user, SID, room or self._trial.active_room(user))

    def hot(self, frame: bytes, user: str, room: str) -> bytes | HotVerdict:
        """A hot frame, header included, in the compact framing: ``PASS``, ``DROP``, or what goes out instead."""
        return self._trial.hot(frame, user, SID, room)

    def advance(self, seconds: float) -> list[Effect]:
        """Time passes: what the ticks that are due have to say, for every room that has members."""
        return self._trial.advance(seconds)

    def state(self, room: str | None) -> Any:
        """The room's state object; None when it has none yet."""
        return self._trial.states.get(room)
