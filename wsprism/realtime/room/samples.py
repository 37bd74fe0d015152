"""The sampled publications of a room: their traces go on with the turn, or end where nobody will hear of it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import TYPE_CHECKING, Final

from wsprism.realtime.messages import HotPublication

if TYPE_CHECKING:
    from wsprism.realtime.messages import SampledPublication
    from wsprism.realtime.outbound.flusher import Flusher
    from wsprism.realtime.room.line import Publication
    from wsprism.realtime.tenant.registry import Roster

__all__ = ["Samples"]

_MOST_LINKED: Final = 128
"""Of so many members a sampled publication looks whether their connection is traced too."""


class Samples:
    """``waiting`` are those whose publication stands in the line or in the turn that is being made."""

    __slots__ = ("_flusher", "_roster", "waiting")

    def __init__(self, roster: Roster, flusher: Flusher) -> None:
        self.waiting: list[SampledPublication] = []
        self._roster = roster
        self._flusher = flusher

    def go_on(self, publications: Sequence[Publication]) -> None:
        """They stand in every member's queue; a trace ends when the last of them has been written to."""
        for sample in self._take(publications):
            publication, trace = sample.publication, sample.trace
            trace.mark("room")
            queue_class = "hot" if isinstance(publication, HotPublication) else "reliable"
            trace.mark("enqueue", **{"class": queue_class, "members": len(self._roster)})
            trace.links = [one.trace.ref for one in islice(self._roster, _MOST_LINKED) if one.trace is not None]
            last = next(
                (one for one in reversed(self._roster) if publication.echo or one is not publication.sender), None
            )
            self._flusher.when_written(last.outlet if last is not None else None, trace)

    def end(self, publications: Sequence[Publication], outcome: str) -> None:
        """Nobody will hear these publications."""
        if self.waiting:
            for sample in self._take(publications):
                sample.trace.written(outcome)

    def _take(self, publications: Sequence[Publication]) -> list[SampledPublication]:
        """Those of ``publications``; the room forgets them."""
        here = set(map(id, publications))
        samples = [one for one in self.waiting if id(one.publication) in here]
        self.waiting = [one for one in self.waiting if id(one.publication) not in here]
        return samples
