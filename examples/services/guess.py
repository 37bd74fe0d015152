"""Guess the number, 1 to 100, as a service in Python: the same game as guess.c and guess.ts."""

from __future__ import annotations

from typing import Any

from wsprism.plugin import Context, Effects, Service, publish, refuse, reply


class Room:
    """A number to guess; ``tries`` so far. The same seed gives the same numbers."""

    def __init__(self) -> None:
        self.random = 0
        self.number = 0
        self.tries = 0

    def renew(self) -> None:
        """Think of another number."""
        self.random = (self.random * 1103515245 + 12345) & 0x7FFFFFFF
        self.number = (self.random >> 16) % 100 + 1
        self.tries = 0


service = Service(state=Room)


@service.on("guess")
def guess(context: Context, data: Any) -> Effects:
    """Higher, lower or right; everybody in the room hears who has won."""
    room = context.state
    if context.room is None:
        return [refuse("NOT_ALLOWED", "join a room first")]
    n = data.get("n") if isinstance(data, dict) else None
    if type(n) is not int or not 1 <= n <= 100:
        return [refuse("BAD_REQUEST", "n must be from 1 to 100")]
    if not room.number:
        room.random = context.options.get("seed", 1)
        room.renew()
    room.tries += 1
    number, tries = room.number, room.tries
    if n != number:
        return [reply({"hint": "higher" if n < number else "lower", "tries": tries})]
    room.renew()
    won = {"by": context.user, "n": n, "tries": tries}
    return [publish("won", won), reply({"hint": "right", "tries": tries})]
