"""Members that publish and listen on both lanes, and contenders for what is limited: they always come back.

A member asks for what it missed with every join, and says again with its ``id`` what it does not know the fate of.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections.abc import Sequence
from typing import Any, Final, Protocol

import aiohttp

from load.chaos.account import Account, Fate, Stay
from load.chaos.hot import hot_frame, read_hot

__all__ = ["HERE", "KEPT", "PIT", "PLAIN", "ROOMS", "Contender", "Listens", "Member", "Outlaw"]

KEPT: Final = ("kept:1", "kept:2")
PLAIN: Final = ("plain:1",)
ROOMS: Final = (*KEPT, *PLAIN)
HERE: Final = "here:1"
"""Each node has one of its own."""
HOT: Final = (KEPT[0], HERE)
"""Rooms in which hot frames are sent too."""
PIT: Final = "pit"
"""The room that has too little room."""

_ACK: Final = 4
_AGAIN_S: Final = (0.05, 0.3)
_OPEN_WITHIN_S: Final = 10.0


class Listens(Protocol):
    """A gateway that may be alive."""

    alive: bool

    @property
    def base(self) -> str: ...

    @property
    def port(self) -> int: ...


class Client:
    """Connects to ``nodes`` in turn, its own first, for as long as it runs."""

    tenant = "acme"

    def __init__(self, account: Account, nodes: Sequence[Listens], user: str, chance: random.Random) -> None:
        self.account = account
        self.user = user
        self.chance = chance
        self.socket: aiohttp.ClientWebSocketResponse | None = None
        self._nodes = nodes
        self._node = 0

    async def run(self, session: aiohttp.ClientSession) -> None:
        """Until it is cancelled."""
        while True:
            await self._connect(session)
            self._node = next((at for at, one in enumerate(self._nodes) if one.alive), 0)
            await asyncio.sleep(self.chance.uniform(*_AGAIN_S))

    async def _connect(self, session: aiohttp.ClientSession) -> None:
        url = f"{self._nodes[self._node].base}/v1/ws?tenant={self.tenant}&ticket=dev:{self.user}"
        try:
            async with asyncio.timeout(_OPEN_WITHIN_S):
                socket = await session.ws_connect(url, max_msg_size=0)
        except aiohttp.WSServerHandshakeError as error:
            self.account.counts[f"handshakes {error.status}"] += 1
            return
        except (OSError, aiohttp.ClientError, TimeoutError):
            self.account.counts["handshakes failed"] += 1
            return
        self.socket = socket
        try:
            await self.opened()
            async for frame in socket:
                if frame.type is aiohttp.WSMsgType.TEXT:
                    await self.told(json.loads(frame.data))
                elif frame.type is aiohttp.WSMsgType.BINARY:
                    self.told_hot(frame.data)
        except (OSError, aiohttp.ClientError):
            pass  # it is lost
        finally:
            self.socket = None
            self.account.counts[f"closes {socket.close_code}"] += 1
            self.closed(socket.close_code)
            with contextlib.suppress(OSError, aiohttp.ClientError, TimeoutError):
                await socket.close()

    async def send(self, svc: str, type: str, **fields: Any) -> None:
        socket = self.socket
        if socket is not None:
            with contextlib.suppress(OSError, aiohttp.ClientError):
                await socket.send_str(json.dumps({"v": 1, "svc": svc, "type": type, **fields}))

    async def opened(self) -> None:
        """There is a connection."""

    async def told(self, message: dict[str, Any]) -> None:
        """A message has come."""

    def told_hot(self, frame: bytes) -> None:
        """A hot frame has come."""

    def closed(self, code: int | None) -> None:
        """There is none any more."""

    @property
    def at(self) -> int:
        """The port of the node that it is connected to, or goes to next."""
        return self._nodes[self._node].port


class Member(Client):
    """In every room. ``publish``: it says something in each of them, again and again, until ``quiet``."""

    def __init__(
        self,
        account: Account,
        nodes: Sequence[Listens],
        user: str,
        chance: random.Random,
        rooms: Sequence[str] = (HERE, *ROOMS),
    ) -> None:
        super().__init__(account, nodes, user, chance)
        self.rooms = rooms
        self._numbers: dict[int, str] = {}
        self.connections = 0
        self.stays: dict[str, Stay] = {}
        self.degraded = False
        self._since: dict[str, tuple[str, int]] = {}
        self._asked: dict[int, tuple[str, tuple[str, int] | None]] = {}
        self._texts: dict[int, str] = {}
        self._seq = 0
        self._count = 0

    @property
    def settled(self) -> bool:
        """It is in every room, and knows what became of all that it said."""
        return len(self.stays) == len(self.rooms) and not self._texts

    def last(self, room: str) -> str | None:
        """What it has heard last in a room."""
        return self.stays[room].last if room in self.stays else None

    def last_hot(self, room: str) -> str | None:
        return self.stays[room].last_hot if room in self.stays else None

    async def publish(self, interval_s: float, quiet: asyncio.Event) -> None:
        """In all rooms that it is in, in turn."""
        while not quiet.is_set():
            for room in list(self.stays):
                await self.say(room)
                if room in HOT:
                    await self.say_hot(room)
            await asyncio.sleep(interval_s * self.chance.uniform(0.5, 1.5))

    async def say(self, room: str, size_bytes: int = 0) -> str:
        """Publish the next text."""
        self._count += 1
        text = f"{self.user}.{self._count}".ljust(size_bytes, ".")
        self.account.say(text, self._key(room), self.user)
        await self._send_text(room, text)
        return text

    async def say_hot(self, room: str) -> str:
        """The next hot frame of a room, where it is in it."""
        number = next((one for one, name in self._numbers.items() if name == room), None)
        self._count += 1
        text = f"{self.user}.{self.connections}.{self._count}"
        if number is not None and self.socket is not None:
            self.account.say_hot(self._key(room), text)
            with contextlib.suppress(OSError, aiohttp.ClientError):
                await self.socket.send_bytes(hot_frame(number, text))
        return text

    def _key(self, room: str) -> str:
        """What the account calls a room: that of one node is not that of another."""
        return f"{room}@{self.at}" if room == HERE else room

    async def opened(self) -> None:
        self.connections += 1
        for room in self.rooms:
            await self._join(room)

    def told_hot(self, frame: bytes) -> None:
        number, text = read_hot(frame)
        if number not in self._numbers:
            self.account.breaks(f"{self.user} heard the hot frame {text} of a room that it is not in")
            return
        room = self._numbers[number]
        self.stays[room].last_hot = text
        self.account.heard_hot(self.user, self._key(room), text)

    async def told(self, message: dict[str, Any]) -> None:
        kind, room, data = message["type"], message.get("room", ""), message.get("data") or {}
        if kind == "msg":
            self.stays[room].heard(message)
            self.account.counts[f"heard in {room}"] += room == HERE
        elif kind == "joined":
            name, since = self._asked.pop(message["seq"])
            self.stays[name] = stay = Stay(self.account, self.user, self._key(name), keeps=name in KEPT)
            stay.joined(data, since)
            self._numbers[data["number"]] = name
            await self._say_again(name)
        elif kind == "gap":
            self.stays[room].gap(data)
            if room == HERE:
                self.account.breaks(f"{self.user} was told of a gap in a room of its node's own")
        elif kind == "ack":
            self.account.acknowledged(self._texts.pop(message["seq"]), data.get("offset"))
        elif kind == "degraded":
            self.degraded = data["degraded"]
            self.account.counts["degraded"] += self.degraded
        elif kind == "left":
            self.account.breaks(f"{self.user} was taken out of {room}")
        elif kind == "error":
            await self._refused(message.get("seq"), data)

    def closed(self, code: int | None) -> None:  # noqa: ARG002 - it comes back whatever the reason
        for room, stay in self.stays.items():
            if stay.since is not None:
                self._since[room] = stay.since
        self.stays.clear()
        self._numbers.clear()
        self.degraded = False
        self._asked.clear()
        for text in self._texts.values():
            self.account.unknown(text)
        self._texts.clear()

    async def _join(self, room: str) -> None:
        self._seq += 1
        since = self._since.get(room)
        self._asked[self._seq] = room, since
        data = {} if since is None else {"data": {"since": {"epoch": since[0], "offset": since[1]}}}
        await self.send("room", "join", room=room, seq=self._seq, **data)

    async def _send_text(self, room: str, text: str) -> None:
        if self.socket is None:
            self.account.unknown(text)
            return
        self._seq += 1
        self._texts[self._seq] = text
        fields = {"id": text[:64]} if room in KEPT else {}
        await self.send("chat", "send", room=room, seq=self._seq, flags=_ACK, data={"msg": text}, **fields)

    async def _say_again(self, room: str) -> None:
        """Where an ``id`` has it published once, what has no known fate is said again."""
        if room not in KEPT:
            return
        for text, said in list(self.account.said.items()):
            if (said.by, said.room, said.fate) == (self.user, room, Fate.UNKNOWN):
                said.fate, said.losses = Fate.WAITING, self.account.losses[self.user, room]
                self.account.counts["said again"] += 1
                await self._send_text(room, text)

    async def _refused(self, seq: int | None, data: dict[str, Any]) -> None:
        if seq in self._asked:
            room, _ = self._asked.pop(seq)
            self.account.counts["joins refused"] += 1
            if room == HERE:
                self.account.breaks(f"{self.user} was not let into a room of its node's own: {data}")
            await asyncio.sleep(self.chance.uniform(*_AGAIN_S))
            await self._join(room)
        elif seq in self._texts:
            text = self._texts.pop(seq)
            if self.account.said[text].fate is Fate.WAITING:
                self.account.refused(text)
            if self.account.said[text].room not in ROOMS:
                self.account.breaks(f"{text}, in a room of a node's own, was refused: {data}")
        if data["code"] not in ("UNAVAILABLE", "RESOURCE_EXHAUSTED"):
            self.account.breaks(f"{self.user} was refused: {data}")


class Contender(Client):
    """Comes and goes, where there are fewer places than such as it."""

    tenant = "tight"

    def __init__(self, account: Account, nodes: Sequence[Listens], user: str, chance: random.Random) -> None:
        super().__init__(account, nodes, user, chance)
        self.inside = False
        self._moves: asyncio.Task[None] | None = None
        self.quiet = False

    async def opened(self) -> None:
        self._moves = asyncio.create_task(self._move())

    async def told(self, message: dict[str, Any]) -> None:
        kind = message["type"]
        if kind == "joined":
            self.inside = True
            self.account.counts["places taken"] += 1
        elif kind == "left":
            self.inside = False
        elif kind == "error":
            self.account.counts["places refused"] += 1

    def closed(self, code: int | None) -> None:  # noqa: ARG002
        self.inside = False
        if self._moves is not None:
            self._moves.cancel()

    async def _move(self) -> None:
        while True:
            await asyncio.sleep(self.chance.uniform(0.02, 0.3))
            if self.quiet:
                continue
            match self.chance.randrange(8):
                case 0 if self.socket is not None:
                    await self.socket.close()
                case 1 | 2 | 3:
                    await self.send("room", "leave", room=PIT)
                case _:
                    await self.send("room", "join", room=PIT)


class Outlaw(Client):
    """Wants in all the time. Once ``banned`` it must not get in anywhere."""

    def __init__(self, account: Account, nodes: Sequence[Listens], user: str, chance: random.Random) -> None:
        super().__init__(account, nodes, user, chance)
        self.banned = False

    async def opened(self) -> None:
        if self.banned:
            self.account.breaks(f"{self.user} is revoked and has got in at node {self._node}")
