"""What members were told, held against what is promised to them. Knows no sockets and no processes.

Every text is said once and is like no other, so that it can be found again. A stay is one member's time in one room
between two joins; a room either keeps its publications, and shows offsets, or does not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, NamedTuple

__all__ = ["Account", "Fate", "Place", "Said", "Stay"]

_MOST_SHOWN = 20
_MOST_CHARACTERS = 4000


class Place(NamedTuple):
    """Where a publication stands in a room that keeps."""

    room: str
    epoch: str
    offset: int


class Fate(Enum):
    """What whoever said it knows of it."""

    WAITING = auto()
    ACKNOWLEDGED = auto()
    REFUSED = auto()
    UNKNOWN = auto()
    """The connection was lost before it was told."""


@dataclass(slots=True)
class Said:
    """A text that somebody has published. ``losses``: of that member in that room when it was said."""

    room: str
    by: str
    losses: int
    fate: Fate = Fate.WAITING
    offset: int | None = None


@dataclass
class Account:
    """``broken`` is every promise that was not kept, in words; ``counts`` what happened."""

    broken: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    said: dict[str, Said] = field(default_factory=dict)
    log: dict[Place, str] = field(default_factory=dict)
    places: dict[str, Place] = field(default_factory=dict)
    losses: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Times that a member was told that something of a room may be missing."""
    _behind: dict[str, str] = field(default_factory=dict)
    _before: dict[str, str] = field(default_factory=dict)
    _heard: set[tuple[str, str]] = field(default_factory=set)
    _hot: set[tuple[str, str]] = field(default_factory=set)
    _newest: dict[tuple[str, str, str], int] = field(default_factory=dict)

    def breaks(self, what: str) -> None:
        """A promise was not kept."""
        self.counts["broken"] += 1
        if len(self.broken) < _MOST_SHOWN:
            self.broken.append(what[:_MOST_CHARACTERS])

    def say(self, text: str, room: str, by: str) -> None:
        """A member publishes."""
        self.said[text] = Said(room, by, self.losses[by, room])

    def acknowledged(self, text: str, offset: int | None) -> None:
        """It was told that it is ordered; in a room that keeps, as which."""
        said = self.said[text]
        if said.fate is Fate.ACKNOWLEDGED and said.offset != offset:
            self.breaks(f"{text} was acknowledged as {said.offset} and as {offset}")
        said.fate, said.offset = Fate.ACKNOWLEDGED, offset

    def refused(self, text: str) -> None:
        """It was told that it is not in the log and will not be."""
        self.said[text].fate = Fate.REFUSED

    def unknown(self, text: str) -> None:
        """Its connection was lost: it may be there, once."""
        if self.said[text].fate is Fate.WAITING:
            self.said[text].fate = Fate.UNKNOWN

    def stands(self, place: Place, text: str) -> None:
        """Somebody has seen what stands there."""
        there = self.log.setdefault(place, text)
        if there != text:
            self.breaks(f"{place} is {there} for one and {text} for another")
        before = self.places.setdefault(text, place)
        if before != place:
            self.breaks(f"{text} stands twice: at {before} and at {place}")

    def follows(self, room: str, before: str, text: str) -> None:
        """Somebody has heard ``text`` right behind ``before``, in a room that keeps nothing."""
        if self._behind.setdefault(before, text) != text:
            self.breaks(f"in {room}, behind {before} one member heard {self._behind[before]}, another {text}")
        if self._before.setdefault(text, before) != before:
            self.breaks(
                f"in {room}, {text} came behind {self._before[text]} for one member, behind {before} for another"
            )

    def heard(self, member: str, text: str) -> None:
        """Nobody hears anything twice."""
        if (member, text) in self._heard:
            self.breaks(f"{member} has heard {text} twice")
        self._heard.add((member, text))
        self.counts["heard"] += 1

    def say_hot(self, room: str, text: str) -> None:
        """A member sends a hot frame: ``<member>.<its connection>.<number>``."""
        self._hot.add((room, text))

    def heard_hot(self, member: str, room: str, text: str) -> None:
        """Each may be lost; but what comes was said there, and nothing older comes behind it."""
        self.counts["hot heard"] += 1
        if (room, text) not in self._hot:
            self.breaks(f"{member} heard the hot frame {text} in {room}, where nobody has sent it")
        sender, _, number = text.rpartition(".")
        before = self._newest.get((member, room, sender), 0)
        if int(number) <= before:
            self.breaks(f"{member} heard the hot frame {text} in {room} behind {before}")
        self._newest[member, room, sender] = int(number)

    def lost(self, member: str, room: str) -> None:
        """A member knows that something of a room may be missing."""
        self.losses[member, room] += 1

    def waiting(self) -> list[str]:
        """What has neither been acknowledged nor refused, on a connection that lives."""
        return [text for text, said in self.said.items() if said.fate is Fate.WAITING]

    def history(self, room: str, epoch: str, items: Mapping[int, str], node: str) -> None:
        """What a node says is kept of a room, from its first offset to its top."""
        for offset, text in items.items():
            self.stands(Place(room, epoch, offset), text)
        offsets = list(items)
        if offsets and offsets != list(range(offsets[0], offsets[-1] + 1)):
            self.breaks(f"the history of {room} on {node} has a hole")
        for place, text in self.log.items():
            if offsets and place[:2] == (room, epoch) and place.offset >= offsets[0] and place.offset not in items:
                self.breaks(f"{text} stands at {place}, and is not in the history of {node}")

    def close(self) -> None:
        """Nothing more comes: what was acknowledged is there, what was refused is not."""
        heard_by = {text: member for member, text in self._heard}
        for text, said in self.said.items():
            self.counts[said.fate.name.lower()] += 1
            place = self.places.get(text)
            there = place is not None or text in heard_by
            if said.fate is Fate.REFUSED and there:
                self.breaks(f"{text} was refused and is there: {place or heard_by[text]}")
            if said.fate is Fate.WAITING:
                self.breaks(f"{text} has neither been acknowledged nor refused")
            if said.fate is Fate.ACKNOWLEDGED:
                if not there and self.losses[said.by, said.room] == said.losses:
                    self.breaks(f"{text} was acknowledged and is not there, and {said.by} was told nothing")
                if place is not None and said.offset is not None and place.offset != said.offset:
                    self.breaks(f"{text} was acknowledged as {said.offset} and stands at {place}")


class Stay:
    """One member in one room. ``resumes``: where it stood when its last stay ended, in a room that keeps."""

    def __init__(self, account: Account, member: str, room: str, *, keeps: bool) -> None:
        self.account = account
        self.member = member
        self.room = room
        self.keeps = keeps
        self.epoch = ""
        self.offset = 0
        self.last: str | None = None
        self.last_hot: str | None = None

    def joined(self, data: Mapping[str, Any], since: tuple[str, int] | None) -> None:
        """``since`` is what it has asked for."""
        account, count = self.account, data.get("count", 0)
        account.counts["joins"] += 1
        if not self.keeps:
            account.lost(self.member, self.room)
            return
        self.epoch, self.offset = str(data["epoch"]), int(data["offset"])
        if since is None:
            account.lost(self.member, self.room)
        elif data["recovered"]:
            account.counts["recovered"] += 1
            if since[0] != self.epoch or count != self.offset - since[1]:
                account.breaks(f"{self.member} was told to have recovered {count} since {since}: {dict(data)}")
            self.offset = since[1]
        else:
            account.counts["not recovered"] += 1
            account.lost(self.member, self.room)
            if since[0] == self.epoch:
                account.breaks(f"{self.member} was not given what there is since {since}: {dict(data)}")

    def heard(self, message: Mapping[str, Any]) -> None:
        """A publication."""
        text = str(message["data"]["msg"])
        self.account.heard(self.member, text)
        if self.keeps:
            offset = int(message["offset"])
            if offset != self.offset + 1:
                self.account.breaks(
                    f"{self.member} in {self.room} ({self.epoch}) heard {offset} behind {self.offset}, told nothing"
                )
            self.offset = offset
            self.account.stands(Place(self.room, self.epoch, offset), text)
        elif self.last is not None:
            self.account.follows(self.room, self.last, text)
        self.last = text

    def gap(self, data: Mapping[str, Any] | None) -> None:
        """It is told that something may be missing, and where the room goes on."""
        self.account.counts["gaps"] += 1
        self.account.lost(self.member, self.room)
        self.last = None
        if self.keeps:
            if not data:
                self.account.breaks(f"{self.member} was told of a gap in {self.room}, and not where it goes on")
                return
            self.epoch, self.offset = str(data["epoch"]), int(data["offset"])

    @property
    def since(self) -> tuple[str, int] | None:
        """What a next stay may ask for."""
        return (self.epoch, self.offset) if self.keeps and self.epoch else None


def agree(account: Account, what: str, found: Iterable[object], expected: Iterable[object]) -> None:
    """Two sets that must be the same."""
    found, expected = set(found), set(expected)
    if found != expected:
        account.breaks(f"{what}: {len(found - expected)} too many, {len(expected - found)} missing")
