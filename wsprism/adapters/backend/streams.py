"""The connected streams of one tenant's backend: which of them is with a name, and the questions that they were asked.

One sweep finds what was not answered in time: a question costs an entry in a table, never a task or a timer. A stream
that goes takes its questions with it; what follows goes to the others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from actors import Cancellable, Scheduler
from wsprism.adapters.backend.room_places import LiveRoom, RoomPlaces
from wsprism.ports import CallResult, StreamPeer, Unanswered
from wsprism.protocol.backend import MAX_ANSWER_BYTES
from wsprism.protocol.stream import hot_to_backend
from wsprism.realtime.counters import StreamCounters

__all__ = ["WENT", "Streams"]

_SWEEP_S: Final = 0.025
_LATE: Final = Unanswered(CallResult.TIMEOUT, "no answer over the stream in time")
_TOO_LARGE: Final = Unanswered(CallResult.INVALID, f"the answer has more than {MAX_ANSWER_BYTES} bytes")
_UNSAYABLE: Final = Unanswered(CallResult.INVALID, "a number in the question cannot be said in MessagePack")

WENT: Final = Unanswered(CallResult.TIMEOUT, "the stream went before it answered")
"""No failure of the backend: another stream may answer the next."""

Done = Callable[[bytes | Unanswered], object]


@dataclass(slots=True)
class _Asked:
    stream: StreamPeer
    deadline: float
    done: Done


class _Ack(msgspec.Struct, forbid_unknown_fields=True):
    node: str
    seq: int


_read_id: Final = msgspec.json.Decoder(str).decode
_read_ack: Final = msgspec.json.Decoder(_Ack).decode


class Streams:
    """``node`` stands in acks, ``rooms`` gives the live rooms by their names.

    ``changed`` is called when a stream has come or gone.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        counters: StreamCounters,
        node: str,
        rooms: Callable[[], Mapping[str, LiveRoom]],
        changed: Callable[[], object],
    ) -> None:
        self._scheduler = scheduler
        self._counters = counters
        self._node = node
        self._changed = changed
        self._peers: dict[str, StreamPeer] = {}
        self._places = RoomPlaces(self._peers, rooms, scheduler)
        self._asked: dict[str, _Asked] = {}
        self._sweeping: Cancellable | None = None
        self._news_peer: StreamPeer | None = None
        self._acked: asyncio.Future[bool] | None = None
        self._acked_seq = 0

    def __len__(self) -> int:
        return len(self._peers)

    def of(self, name: str) -> StreamPeer | None:
        """The one that is with ``name`` now; None: there is none."""
        return self._places.of(name)

    # What a stream's actor tells

    def connected(self, stream: StreamPeer) -> None:
        """It may be asked and told."""
        self._peers[stream.id] = stream
        self._counters.connected = len(self._peers)
        self._places.peers_changed()
        self._changed()

    def gone(self, stream: StreamPeer) -> None:
        """Its questions have no answer; idempotent."""
        if self._peers.pop(stream.id, None) is None:
            return
        self._counters.connected = len(self._peers)
        if stream is self._news_peer:
            self._end_news(taken=False)
        for question_id in [one for one, asked in self._asked.items() if asked.stream is stream]:
            self._asked.pop(question_id).done(WENT)
        self._places.peers_changed()
        self._changed()

    def room_opened(self, room: str) -> None:
        """A room lives."""
        self._places.opened(room)

    def room_closed(self, room: str, number: int) -> None:
        """It does no more."""
        self._places.closed(room, number)

    def hand_on(self, room: str, number: int, user: str, frame: bytes, key: Hashable | None) -> bool:
        """A client's hot frame to the stream that is with the room. False: there is none."""
        stream = self._places.of(room)
        if stream is None:
            return False
        stream.say_hot(hot_to_backend(number, user, frame), key)
        return True

    def answered(self, stream: StreamPeer, fields: Mapping[str, msgspec.Raw]) -> str | None:
        """An answer, or the ack of news. An id that nobody waits for is counted and nothing else."""
        if "ack" in fields:
            return self._hear_ack(stream, fields)
        try:
            question_id = _read_id(fields.get("id", b"null"))
        except msgspec.DecodeError:
            return "an answer has the id of its question, a call has call, and news are acknowledged by ack"
        asked = self._asked.get(question_id)
        if asked is None or asked.stream is not stream:
            self._counters.unknown += 1
            return None
        del self._asked[question_id]
        body = msgspec.json.encode({name: value for name, value in fields.items() if name != "id"})
        asked.done(_TOO_LARGE if len(body) > MAX_ANSWER_BYTES else body)
        return None

    # Questions

    def ask(self, stream: StreamPeer, question_id: str, body: bytes, timeout_s: float, done: Done) -> None:
        """Ask. ``done`` is called once, in a later turn of the loop, with the answer's JSON or why there is none."""
        if not stream.say(body):
            self._scheduler.call_soon(lambda: done(_UNSAYABLE))
            return
        self._asked[question_id] = _Asked(stream, self._scheduler.now() + timeout_s, done)
        if self._sweeping is None:
            self._sweeping = self._scheduler.call_later(_SWEEP_S, self._sweep)

    def _sweep(self) -> None:
        self._sweeping = None
        now = self._scheduler.now()
        for question_id in [one for one, asked in self._asked.items() if asked.deadline <= now]:
            self._asked.pop(question_id).done(_LATE)
        if self._asked and self._sweeping is None:
            self._sweeping = self._scheduler.call_later(_SWEEP_S, self._sweep)

    # News

    async def tell(self, body: bytes, last_seq: int, timeout_s: float) -> bool:
        """Hand a batch of news, as JSON, to one stream; whether it was acknowledged up to ``last_seq`` in time.

        The same stream gets all of them while it is there and takes them; then another one has its turn.
        """
        stream = self._news_peer
        if stream is None or stream.id not in self._peers:
            stream = self._news_peer = next(iter(self._peers.values()), None)
        if stream is None or not stream.say(body):
            return False
        acked: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._acked = acked
        self._acked_seq = last_seq
        try:
            async with asyncio.timeout(timeout_s):
                return await acked
        except TimeoutError:
            self._pass_news_on(stream)
            return False
        finally:
            self._acked = None

    def _pass_news_on(self, stream: StreamPeer) -> None:
        """``stream`` takes none: the next in line has its turn, if there is another."""
        ids = list(self._peers)
        if stream is self._news_peer and stream.id in self._peers:
            self._news_peer = self._peers[ids[(ids.index(stream.id) + 1) % len(ids)]]

    def _hear_ack(self, stream: StreamPeer, fields: Mapping[str, msgspec.Raw]) -> str | None:
        try:
            ack = _read_ack(fields["ack"])
        except msgspec.DecodeError:
            return "an ack is {node, seq}"
        waits = self._acked is not None and stream is self._news_peer and ack.node == self._node
        if waits and ack.seq == self._acked_seq:
            self._end_news(taken=True)
        else:
            self._counters.unknown += 1
        return None

    def _end_news(self, *, taken: bool) -> None:
        if self._acked is not None and not self._acked.done():
            self._acked.set_result(taken)

    def close_all(self, code: int, reason: str) -> None:
        """Close every stream; what it was asked has no answer."""
        for stream in list(self._peers.values()):
            stream.close(code, reason)

    def close(self) -> None:
        """Look no more for what is late."""
        if self._sweeping is not None:
            self._sweeping.cancel()
            self._sweeping = None
        self._asked.clear()
        self._places.close()
