"""A room's part of its tenant's store: offsets for each turn, what a joiner is told, blocks for who recovers.

Publications are kept as they went out: ready frames, encoded once for each wire format that a member had then. A
``RoomHistory`` outlives a crash of its room. Which store it is, and what is kept for how long, is not its business.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

from qos import Block, Frame, Lane
from wsprism.protocol.frames import text_frame
from wsprism.protocol.places import Position
from wsprism.realtime.messages import ExtPublication
from wsprism.realtime.outbound.wire import WireFormat
from wsprism.realtime.room.blocks import BLOCK_BYTES, json_with_offset
from wsprism.realtime.room.kept_publication import KeptPublication

if TYPE_CHECKING:
    from wsprism.policy.history import HistoryBounds
    from wsprism.ports import KeepPublication, RoomStore
    from wsprism.realtime.rules import TenantContext, TenantRules

__all__ = ["RoomHistory", "id_of", "kept_at"]

_MOST_IN_BLOCK: Final = 64
"""Messages of one block of a replay."""

_MOST_BLOCKS: Final = 128
"""Blocks that are kept for others who recover, until nobody does any more: some 1 MiB."""


class RoomHistory:
    """``epoch`` is what the members have been told, None before anybody was told any. ``store`` has the history."""

    def __init__(self, room: str, tenant: TenantContext, store: RoomStore) -> None:
        self.room = room
        self.epoch: str | None = None
        self.bounds: HistoryBounds | None = None
        self._tenant = tenant
        self.store = store
        self._not_begun = False
        self._rules: TenantRules | None = None
        self._blocks: dict[tuple[WireFormat, int], tuple[Block, int]] = {}

    def in_force(self) -> bool:
        """Whether the room keeps a history now. One whose history was taken away forgets it."""
        rules = self._tenant.rules
        if rules is not self._rules:
            self._rules = rules
            self.bounds = rules.rooms.of(self.room).history
            if self.bounds is None:
                self.store.drop(self.room)
                self.epoch = None
        return self.bounds is not None

    def lost(self) -> Position | None:
        """Where the room goes on, when the history that its members know is no more."""
        if self.epoch is None:
            return None
        now = self.store.position(self.room)
        if now is None and self._not_begun:
            return None
        self._not_begun = now is None
        if now is not None and now.epoch == self.epoch:
            return None
        now = now or Position(self.store.new_epoch(), 0)
        self.epoch = now.epoch
        self.forget_blocks()
        return now

    def begin_at(self, epoch: str) -> None:
        """The store has been loaded with what another node's members have of the room, or is to have."""
        self.epoch = epoch
        self._not_begun = False
        self.forget_blocks()

    def open(self) -> Position:
        """Where the room stands, for somebody who joins it."""
        assert self.bounds is not None
        position = self.store.open(self.room, self.bounds, members=True, epoch=self.epoch)
        self.epoch = position.epoch
        self._not_begun = False
        return position

    def append(
        self, publications: Sequence[ExtPublication], *, members: bool, wires: Collection[WireFormat] = ()
    ) -> None:
        """Give each its ``offset``, and keep it; one that was published before has the first one's and is ``again``.

        ``wires``: the formats in which it goes out.
        """
        assert self.bounds is not None
        room = self.room
        top = self.top()
        drafts: list[tuple[KeepPublication, str | None]] = [
            (partial(_keep_for, wires, one, room), None if one.id is None else id_of(one)) for one in publications
        ]
        self._not_begun = False
        offsets = self.store.append(room, drafts, self.bounds, members=members, epoch=self.epoch)
        for publication, offset in zip(publications, offsets, strict=True):
            publication.offset = offset
            if offset > top:
                top = offset
            else:
                publication.again = True
        if self.epoch is None and members:
            position = self.store.position(room)
            self.epoch = None if position is None else position.epoch

    def missed(self, since: Position) -> int | None:
        """How many came after ``since``; None: that cannot be told, or they are too many."""
        return self.store.missed(self.room, since)

    def position(self) -> Position | None:
        """Where the room stands, if anything is kept of it."""
        return self.store.position(self.room)

    def top(self) -> int:
        """The last offset that was given."""
        position = self.store.position(self.room)
        return 0 if position is None else position.offset

    def left(self) -> None:
        """Nobody is in the room any more."""
        self.store.left(self.room)
        self.forget_blocks()

    def end_epoch(self) -> None:
        """Something may have been lost that nobody can name: this history goes on no more."""
        self.store.drop(self.room)

    # Replay

    def block_from(self, wire: WireFormat, since: Position, until: int) -> tuple[Block, int] | None:
        """What comes behind ``since``, up to ``until``, as far as one block goes, and its last offset.

        None: it is not kept any more.
        """
        key = (wire, since.offset)
        known = self._blocks.get(key)
        if known is not None and known[1] <= until and since.epoch == self.epoch:
            return known
        to_edge = _MOST_IN_BLOCK - since.offset % _MOST_IN_BLOCK
        items = self.store.after(self.room, since, min(to_edge, until - since.offset))
        if not items:
            return None
        frames: list[Frame] = []
        size_bytes = 0
        for item in items:
            data = item.kept.frame(wire)
            size_bytes += len(data)
            if frames and size_bytes > BLOCK_BYTES:
                break
            frames.append(Frame(data, Lane.RELIABLE, None))
        found = Block(frames), items[len(frames) - 1].offset
        if len(self._blocks) >= _MOST_BLOCKS:
            del self._blocks[next(iter(self._blocks))]
        self._blocks[key] = found
        return found

    def forget_blocks(self) -> None:
        """Nobody recovers now."""
        self._blocks.clear()


def kept_at(publication: ExtPublication, room: str, offset: int) -> KeptPublication:
    """``publication`` with its place in the history of ``room``."""
    publication.offset = offset
    kept = publication.kept = KeptPublication(text_frame(json_with_offset(publication, room, offset)))
    return kept


def _keep_for(wires: Collection[WireFormat], publication: ExtPublication, room: str, offset: int) -> KeptPublication:
    kept = kept_at(publication, room, offset)
    kept.keep_for(wires)
    return kept


def id_of(publication: ExtPublication) -> str:
    """Ids are their user's own, whoever answers the message; those of the backend are a space apart."""
    session = publication.sender or publication.author
    return f"{publication.id}\n" if session is None else f"{publication.id}\n{session.user}"
