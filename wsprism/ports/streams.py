"""The streams by which a backend connects by itself."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Protocol

import msgspec

__all__ = ["StreamCalls", "StreamHub", "StreamPeer"]


class StreamPeer(Protocol):
    """One connected stream of a backend, as those see it who ask and tell over it. No method waits."""

    @property
    def id(self) -> str:
        """Names it among the streams of its tenant; never given twice."""
        ...

    def say(self, body: bytes) -> bool:
        """Queue a message, given as JSON. False: it cannot be said in this stream's encoding."""
        ...

    def say_hot(self, payload: bytes, key: Hashable | None) -> None:
        """Queue a hot frame; under pressure a newer one of the same key replaces it."""
        ...

    def close(self, code: int, reason: str) -> None:
        """Have it closed, after what is queued."""
        ...


class StreamHub(Protocol):
    """The streams of one tenant's backend: a stream's actor tells what it hears. No method waits."""

    def connected(self, stream: StreamPeer) -> None:
        """It may be asked and told."""
        ...

    def answered(self, stream: StreamPeer, fields: Mapping[str, msgspec.Raw]) -> str | None:
        """It has said something that is no call: an answer or an ack. What is wrong with it, if anything."""
        ...

    def room_opened(self, room: str) -> None:
        """A room lives: it stands among those that the hub may look at."""
        ...

    def room_closed(self, room: str, number: int) -> None:
        """It does no more."""
        ...

    def hand_on(self, room: str, number: int, user: str, frame: bytes, key: Hashable | None) -> bool:
        """A client's hot frame to the stream that is with the room. False: there is none."""
        ...

    def gone(self, stream: StreamPeer) -> None:
        """It can be asked and told no more; idempotent."""
        ...


class StreamCalls(Protocol):
    """Carries out what a backend calls over its stream, with the rights of the key that it came with."""

    async def carry_out(self, calls: Sequence[Mapping[str, msgspec.Raw]], say: Callable[[bytes], object]) -> None:
        """All of ``calls`` in their order; ``say`` gets the answer to each that wants one, as JSON. Never raises."""
        ...
