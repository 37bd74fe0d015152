"""Which stream each room of a tenant is with, and telling the streams what they gain and lose.

A room stays where it is until its stream has been told: what concerns it goes there. When a stream comes or goes, all
rooms are looked at again, some at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from actors import Scheduler
from wsprism.policy.rendezvous import choose
from wsprism.ports import StreamPeer
from wsprism.realtime.slices import SlicedWork

__all__ = ["LiveRoom", "RoomPlaces"]


class LiveRoom(Protocol):
    """What is asked of a room."""

    number: int


class _Changes:
    """What each stream is to be told of one slice."""

    def __init__(self) -> None:
        self._of: dict[str, tuple[StreamPeer, list[Any], list[Any]]] = {}

    def gained(self, stream: StreamPeer, room: str, number: int) -> None:
        self._entry(stream)[1].append({"room": room, "number": number})

    def lost(self, stream: StreamPeer, room: str, number: int) -> None:
        self._entry(stream)[2].append({"room": room, "number": number})

    def tell(self) -> None:
        for stream, gained, lost in self._of.values():
            stream.say(msgspec.json.encode({"kind": "rooms", "gained": gained, "lost": lost}))

    def _entry(self, stream: StreamPeer) -> tuple[StreamPeer, list[Any], list[Any]]:
        entry = self._of.get(stream.id)
        if entry is None:
            entry = self._of[stream.id] = (stream, [], [])
        return entry


class RoomPlaces:
    """``peers`` are the connected streams by their ids, ``rooms`` the live rooms by their names; both change."""

    def __init__(
        self, peers: Mapping[str, StreamPeer], rooms: Callable[[], Mapping[str, LiveRoom]], scheduler: Scheduler
    ) -> None:
        self._peers = peers
        self._rooms = rooms
        self._places: dict[str, StreamPeer] = {}
        self._slices = SlicedWork(lambda: scheduler.call_soon(self._slices.go_on))
        self._looks = False
        self._looks_again = False

    def of(self, name: str) -> StreamPeer | None:
        """The stream that a room, or what concerns none, is with now; None: there is no stream."""
        stream = self._places.get(name)
        if stream is not None and stream.id in self._peers:
            return stream
        if name in self._rooms():
            self._look((name,))
            return self._places.get(name)
        return self._choose(name)

    def opened(self, room: str) -> None:
        """A room lives."""
        self._look((room,))

    def closed(self, room: str, number: int) -> None:
        """It does no more."""
        stream = self._places.pop(room, None)
        if stream is not None and stream.id in self._peers:
            changes = _Changes()
            changes.lost(stream, room, number)
            changes.tell()

    def peers_changed(self) -> None:
        """Look at all rooms again; once more behind the look that is under way."""
        if not self._peers:
            self._places.clear()
        elif self._looks:
            self._looks_again = True
        else:
            self._looks = True
            self._slices.begin(list(self._rooms()), self._look, self._looked)

    def close(self) -> None:
        """Look no more."""
        self._slices.stop()

    def _looked(self, _: int) -> None:
        self._looks = False
        if self._looks_again:
            self._looks_again = False
            self.peers_changed()

    def _look(self, names: Sequence[str]) -> int:
        """Put each room where it belongs now, and tell who gains and who loses it."""
        changes = _Changes()
        rooms, places = self._rooms(), self._places
        for name in names:
            room, stream = rooms.get(name), self._choose(name)
            before = places.get(name)
            if room is None or stream is None or before is stream:
                continue
            if before is not None and before.id in self._peers:
                changes.lost(before, name, room.number)
            places[name] = stream
            changes.gained(stream, name, room.number)
        changes.tell()
        return len(names)

    def _choose(self, name: str) -> StreamPeer | None:
        peers = self._peers
        return next(iter(peers.values())) if len(peers) == 1 else choose(name, peers.items())
