"""The shapes of load, as data: rows of the performance page's tables.

A shape is one or more groups of rooms under steady open-loop load, or one of the special kinds that ``special`` runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

__all__ = ["BACKEND_SHAPES", "CLUSTER_SHAPES", "SHAPES", "Group", "Kind", "Shape", "select"]


class Kind(Enum):
    """How a shape is driven."""

    STEADY = "steady"
    IDLE = "idle"
    HANDSHAKES = "handshakes"
    WAVES = "waves"
    LARGEST = "largest"
    STORM = "storm"
    PRESENCE = "presence"
    HISTORIES = "histories"
    PLAIN = "plain"
    REAP = "reap"


@dataclass(frozen=True, slots=True)
class Group:
    """``rooms`` rooms of ``members`` each; ``senders`` members of each room publish ``rate_per_s`` messages in all."""

    rooms: int
    members: int
    senders: int
    rate_per_s: float
    tenant: str = "bench"
    burst: int = 1
    """How many messages a sender writes at once, in one write."""
    stalled: int = 0
    """Further members of the first room that join and never read; not counted."""
    room: str = "r"
    """How the names of its rooms begin: ``history-`` ones remember, ``present-`` ones know who is there."""
    says: str = "chat"
    """What its messages are: ``chat``, to the room; ``ask``, to the backend, whose answer comes to the sender alone;
    ``input``, a hot frame for the backend, which tells the room its state once every member has said one; ``move``, a
    join and a leave of another room; ``mixed``, the same and a message to the room."""
    pinned: bool = False
    """Over several nodes: each room has all its members on one of them, as a balancer that knows rooms has it; else
    the members of every room are spread over all nodes."""
    per_message: float | None = None
    """Deliveries that a message brings about; None: one to each member."""

    @property
    def connections(self) -> int:
        """Sockets of this group."""
        return self.rooms * self.members + self.stalled

    @property
    def deliveries_per_s(self) -> float:
        """What all members together should receive."""
        return self.rate_per_s * self.per_each

    @property
    def per_each(self) -> float:
        """Deliveries that one message brings about."""
        return self.members if self.per_message is None else self.per_message

    def expected(self, sent: int) -> int:
        """Deliveries after ``sent`` messages. Of inputs only whole rounds of all senders count."""
        if self.says == "input":
            sent -= sent % (self.rooms * self.senders)
        return int(sent * self.per_each)


@dataclass(frozen=True, slots=True)
class Shape:
    """One row. The first group is the measured one; a second one is the neighbour measured beside it."""

    name: str
    title: str
    groups: tuple[Group, ...]
    kind: Kind = Kind.STEADY
    lanes: tuple[str, ...] = ("ext", "hot")
    skip: frozenset[str] = frozenset()
    hot_flush_ms: int = 0
    backend: str = ""
    """What stands behind the gateway (``peers.wsprism``); empty: nothing."""
    nodes: int = 0
    """So many processes are the gateway, over a Redis; 0: one, without."""


_WEAK = frozenset({"naive", "nchan"})


def _room(name: str, members: int, deliveries_per_s: int, *, skip: frozenset[str] = frozenset()) -> Shape:
    title = f"room of {members:,}, {deliveries_per_s:,} deliveries/s"
    return Shape(name, title, (Group(1, members, members, deliveries_per_s / members),), skip=skip)


def _growth(members: int) -> Shape:
    group = Group(1, members, min(members, 10), 40_000 / members)
    return Shape(f"growth-{members}", f"one room of {members:,}, 40,000 deliveries/s", (group,), skip=_WEAK)


def _matches(hz: int, suffix: str = "", **changes: int) -> Shape:
    group = Group(100, 10, 10, 1000 * hz)
    title = f"matches: 100 rooms of 10, everyone at {hz} Hz"
    if "hot_flush_ms" in changes:
        return Shape(f"matches-{hz}hz{suffix}", f"{title}, hot_flush_ms 20", (group,), lanes=("hot",), hot_flush_ms=20)
    return Shape(f"matches-{hz}hz{suffix}", title, (group,))


def _echo(messages_per_s: int, burst: int = 1) -> Shape:
    group = Group(200, 1, 1, messages_per_s, burst=burst)
    title = f"echo: 200 connections, {messages_per_s:,}/s" + (f", written {burst} at a time" if burst > 1 else "")
    return Shape(f"echo-{messages_per_s // 1000}k", title, (group,))


def _remembering(name: str, deliveries_per_s: int) -> Shape:
    group = Group(1, 200, 200, deliveries_per_s / 200, room="history-")
    title = f"room of 200 with a history, {deliveries_per_s:,} deliveries/s"
    return Shape(name, title, (group,), lanes=("ext",), skip=_ONLY_OURS)


_ONLY_OURS = frozenset({"naive", "nchan", "nats"})
_CHAT = Group(1, 50, 50, 100, tenant="neighbour")
_CROWD = Group(1, 1000, 0, 0, room="present-")
_STAGE = Group(1, 10_000, 10, 10)
_PAIR = Group(1, 2, 2, 50, tenant="neighbour")
_BUSY = Group(1, 50, 50, 1000)

_TALK = Group(20, 10, 10, 2000, tenant="backend")


def _asks(rate_per_s: float, *, answered: bool = True) -> Group:
    """200 connections that ask the backend."""
    per_message = 1 if answered else 0
    return Group(200, 1, 1, rate_per_s, tenant="backend", says="ask", per_message=per_message, room="ask")


def _backend(name: str, title: str, backend: str, *groups: Group, **changes: Any) -> Shape:
    changes = {"lanes": ("ext",), **changes}
    return Shape(f"backend-{name}", title, groups, skip=_ONLY_OURS, backend=backend, **changes)


_MOVES = Group(10, 10, 10, 2500, tenant="backend", says="move", per_message=0)
_MIXED = Group(10, 10, 10, 5000 / 3, tenant="backend", says="mixed")
_ALONE = Group(50, 1, 1, 500, tenant="backend")
_GAME = Group(100, 10, 10, 20_000, tenant="backend", says="input", per_message=1)
_BOTH = ("ext", "hot")

BACKEND_SHAPES: tuple[Shape, ...] = (
    _backend("plain", "what is compared with: aiohttp posts the same bodies, 64 at a time", "plain", kind=Kind.PLAIN),
    _backend("rpc", "200 connections ask, one message a call, 64 in flight", "answers", _asks(200), kind=Kind.LARGEST),
    _backend("rpc-quiet", "20 rooms of 10 chat, nobody asks", "answers", _TALK),
    _backend("rpc-beside", "the same beside 500 questions/s", "answers", _TALK, _asks(500)),
    _backend("batch", "200 connections ask, up to 32 messages a call", "batch", _asks(2000), kind=Kind.LARGEST),
    _backend("batch-5k", "the same at 5,000/s", "batch", _asks(5000)),
    _backend("live", "20 rooms of 10 beside 100 questions/s", "answers", _TALK, _asks(100), lanes=_BOTH),
    *(
        _backend(name, f"the same, {what}", name, _TALK, _asks(100, answered=False), lanes=_BOTH)
        for name, what in (
            ("refused", "and nobody listens"),
            ("silent", "and nobody answers"),
            ("trickle", "and a byte a second is answered"),
        )
    ),
    _backend("events-off", "2,500 joins and leaves/s, not told", "no-events", _MOVES),
    _backend("events-on", "the same as news, 5,000 events/s", "events", _MOVES),
    _backend("news-off", "1,667 messages, joins and leaves/s, not told", "no-events", _MIXED),
    _backend("news-on", "the same as news, 5,000 events/s", "events", _MIXED),
    _backend("stream-rpc", "200 connections ask over the stream", "stream", _asks(1000), kind=Kind.LARGEST),
    _backend("stream-added", "500 questions/s over the stream, beside an echo", "stream", _asks(500), _ALONE),
    _backend("stream-game", "100 rooms of 10 at 20 Hz, a state a tick", "stream", _GAME, lanes=("hot",)),
)

_HALF = Group(1, 100, 100, 4000)
_WHOLE = Group(1, 200, 200, 4000)
_ECHOES = Group(10, 1, 1, 1000)
_CHATS = Group(20, 10, 10, 1000)


def _pinned_matches(nodes: int, matches: int) -> Shape:
    group = Group(matches, 10, 10, matches * 10 * 20, room="node-", pinned=True)
    title = f"{matches} matches of 10 at 20 Hz, each on one of {nodes} nodes" if nodes > 1 else f"{matches} on one node"
    return _cluster(f"matches-{nodes}", title, group, nodes=nodes)


def _cluster(name: str, title: str, *groups: Group, nodes: int, kind: Kind = Kind.STEADY) -> Shape:
    return Shape(f"cluster-{name}", title, groups, kind, ("ext",), _ONLY_OURS, nodes=nodes)


CLUSTER_SHAPES: tuple[Shape, ...] = (
    _cluster("share", "a room of 100 hears 4,000 messages/s, no Redis", _HALF, nodes=0),
    _cluster("room200", "a room of 200 over two nodes hears 4,000 messages/s", _WHOLE, nodes=2),
    _cluster("chat-alone", "20 rooms of 10 chat at 1,000 messages/s, no Redis", _CHATS, nodes=0),
    _cluster("chat", "the same over two nodes", _CHATS, nodes=2),
    _cluster("handshakes", "handshakes that the registry counts", Group(1, 1, 0, 0), nodes=1, kind=Kind.HANDSHAKES),
    _cluster(
        "reap", "two of three nodes die with 20,000 sessions, beside 1,000 echoes/s", _ECHOES, nodes=3, kind=Kind.REAP
    ),
    _pinned_matches(1, 80),
    _pinned_matches(4, 120),
)

SHAPES: tuple[Shape, ...] = (
    _room("room200-40k", 200, 40_000),
    _room("room200-800k", 200, 800_000, skip=_WEAK),
    _room("room200-2m", 200, 2_000_000, skip=_WEAK),
    _room("room1000-1.6m", 1000, 1_600_000, skip=_WEAK),
    Shape("stage10000", "stage: one room of 10,000, 10 messages/s, and a pair in another tenant", (_STAGE, _PAIR)),
    _matches(10),
    _matches(20),
    _matches(20, "-flush20", hot_flush_ms=20),
    Shape("pairs", "pairs: 1,000 rooms of 2, everyone at 5 Hz", (Group(1000, 2, 2, 10_000),)),
    _echo(2_000),
    _echo(20_000),
    _echo(80_000, burst=4),
    Shape("idle-10k", "10,000 idle connections", (Group(1000, 10, 0, 0),), Kind.IDLE, lanes=("ext",)),
    Shape("handshakes", "handshakes with authentication", (Group(1, 1, 0, 0),), Kind.HANDSHAKES, lanes=("ext",)),
    Shape("waves", "8,000 come and go, three times", (Group(1, 1, 0, 0),), Kind.WAVES, lanes=("ext",)),
    *(_growth(members) for members in (10, 100, 1000, 10_000)),
    Shape("largest", "largest sustained, room of 200", (Group(1, 200, 200, 250),), Kind.LARGEST),
    _remembering("history200-40k", 40_000),
    _remembering("history200-800k", 800_000),
    Shape(
        "storm",
        "1,000 clients a second recover 100 messages each, and a chat room beside",
        (_CHAT,),
        Kind.STORM,
        ("ext",),
        _ONLY_OURS,
    ),
    Shape(
        "presence1000",
        "1,000 told who is there, 100 joins and 100 leaves/s",
        (_CROWD,),
        Kind.PRESENCE,
        ("ext",),
        _ONLY_OURS,
    ),
    Shape(
        "histories",
        "1,000 rooms a second of 100 messages of 100 bytes",
        (Group(1, 1, 0, 0),),
        Kind.HISTORIES,
        ("ext",),
        _ONLY_OURS,
    ),
    Shape("slow-control", "room of 50 at 1,000 messages/s", (_BUSY,), skip=_WEAK),
    Shape("slow-reader", "the same beside a reader at 0 bytes/s", (Group(1, 50, 50, 1000, stalled=1),), skip=_WEAK),
    *BACKEND_SHAPES,
    *CLUSTER_SHAPES,
)


def select(names: str) -> list[Shape]:
    """The shapes named in a comma-separated list; a prefix names all that begin with it, ``all`` everything.

    Raises ValueError for a name that fits nothing.
    """
    if names == "all":
        return list(SHAPES)
    chosen: list[Shape] = []
    for name in names.split(","):
        fitting = [shape for shape in SHAPES if shape.name == name] or [s for s in SHAPES if s.name.startswith(name)]
        if not fitting:
            known = ", ".join(shape.name for shape in SHAPES)
            raise ValueError(f"no shape {name!r}; there are: all, {known}")
        chosen += [shape for shape in fitting if shape not in chosen]
    return chosen
