"""The rooms of a client: their joins and leaves on the present connection, and which room a hot frame goes to."""

from __future__ import annotations

import asyncio
import dataclasses
import random
from typing import Any

from wsprism_client._errors import WsPrismError
from wsprism_client._link import Link
from wsprism_client._room import Room
from wsprism_client._wire import SEQ_PRESENT, HotFrame, encode_hot

__all__ = ["Rooms"]

_MAX_HOT_BUFFERED_BYTES = 65_536
_PASSING = frozenset({"RATE_LIMITED", "UNAVAILABLE", "TIMEOUT", "INTERNAL"})
"""Codes of joins that were refused for now."""


class Rooms:
    """``again_s``: about how long after a join that was refused for now the next one is tried."""

    def __init__(self, link: Link, again_s: float) -> None:
        self.dropped_hot = 0
        self._link = link
        self._again_s = again_s
        self._rooms: dict[str, Room] = {}
        self._joins: dict[int, Room] = {}
        self._leaves: dict[int, Room] = {}
        self._order: dict[str, None] = {}
        """Names in the order of their joins: the gateway's active room is the last."""
        self._timers: dict[Room, asyncio.TimerHandle] = {}

    def get(self, name: object) -> Room | None:
        """The room that is known under this name."""
        return self._rooms.get(name) if isinstance(name, str) else None

    def add(self, room: Room) -> None:
        """Joined now, or when there is a connection; in the place of one that is being left."""
        known = self._rooms.get(room.name)
        if known is not None:
            self._forget(known)
        self._rooms[room.name] = room
        if self._link.open:
            self._join(room)

    def join_all(self) -> None:
        """On a connection that has just been opened."""
        for room in list(self._rooms.values()):
            if room.state == "joining":
                self._join(room)

    async def leave(self, room: Room) -> None:
        """Until the gateway has said that it is left, or the connection is gone."""
        if room.state == "left":
            return
        if room._leaving is None:
            if not self._link.open or room.state == "refused":
                self._forget(room)
                return
            room._leaving = asyncio.get_running_loop().create_future()
            seq = self._link.next_seq()
            self._leaves[seq] = room
            self._link.send(
                {"v": 1, "svc": "room", "type": "leave", "flags": SEQ_PRESENT, "seq": seq, "room": room.name}
            )
        await asyncio.shield(room._leaving)

    def send_hot(self, room: Room, service: int, opcode: int, data: bytes) -> bool:
        """Whether it was handed to the socket."""
        number = room._number if len(self._rooms) > 1 else None
        frame = encode_hot(service, opcode, bytes(data), number)
        goes_there = number is not None or next(reversed(self._order), None) == room.name
        ready = self._link.open and room.state == "joined" and goes_there
        socket = self._link.socket
        if socket is None or not ready or socket.buffered_bytes > _MAX_HOT_BUFFERED_BYTES:
            self.dropped_hot += 1
            return False
        socket.send(frame)
        return True

    def lost(self) -> None:
        """The connection is gone."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._joins.clear()
        self._leaves.clear()
        self._order.clear()
        for room in list(self._rooms.values()):
            if room._leaving is not None:
                self._forget(room)
            else:
                room._on_disconnected()

    def close(self) -> None:
        """The end of all."""
        rooms, self._rooms = self._rooms, {}
        for room in rooms.values():
            room._on_left(told=False)

    # What the gateway says

    def on_joined(self, seq: object, name: object, data: dict[str, Any]) -> None:
        """``sys.joined``."""
        _taken(self._joins, seq)
        room = self.get(name)
        if room is not None:
            room._on_joined(data)

    def on_left(self, seq: object, name: object) -> None:
        """``sys.left``."""
        left = _taken(self._leaves, seq)
        room = self.get(name)
        if left is not None:
            self._forget(left)
        elif room is not None:
            self._forget(room, told=room._leaving is None)

    def on_error(self, seq: object, error: WsPrismError, wait_s: float) -> bool:
        """Whether it was the answer to a join or a leave. ``wait_s``: not sooner again."""
        join, leave = _taken(self._joins, seq), _taken(self._leaves, seq)
        if join is not None and error.code in _PASSING:
            self._join_later(join, wait_s)
        elif join is not None:
            if self._rooms.get(join.name) is join:
                self._order.pop(join.name, None)
            join._on_refused(error)
        elif leave is not None:
            self._forget(leave)
        return join is not None or leave is not None

    def on_hot(self, frame: HotFrame, number: int | None) -> bool:
        """Tells the room that the frame is of; whether it names one of these."""
        rooms = list(self._rooms.values())
        room = next((each for each in rooms if number is not None and each._number == number), None)
        if room is not None:
            room._on_hot(dataclasses.replace(frame, room=room.name))
        elif number is None and len(rooms) == 1:
            rooms[0]._on_hot(frame)
        return room is not None

    def _join(self, room: Room) -> None:
        seq = self._link.next_seq()
        self._joins[seq] = room
        self._order.pop(room.name, None)
        self._order[room.name] = None
        self._link.send(room._join_message(seq))

    def _join_later(self, room: Room, wait_s: float) -> None:
        """It was refused for now."""

        def join() -> None:
            self._timers.pop(room, None)
            if self._rooms.get(room.name) is room and room.state == "joining":
                self._join(room)

        delay_s = wait_s + self._again_s * random.uniform(0.5, 1.5)
        self._timers[room] = asyncio.get_running_loop().call_later(delay_s, join)

    def _forget(self, room: Room, *, told: bool = False) -> None:
        if self._rooms.get(room.name) is room:
            del self._rooms[room.name]
            self._order.pop(room.name, None)
        room._on_left(told=told)


def _taken(rooms: dict[int, Room], seq: object) -> Room | None:
    return rooms.pop(seq, None) if isinstance(seq, int) else None
