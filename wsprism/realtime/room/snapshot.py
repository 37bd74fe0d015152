"""The newest hot frame of each key, for whoever joins a room late.

Keys are the tenant's conflation keys, by user where they are by sender; a frame without a sender has its service and
opcode instead. A ``RoomSnapshot`` outlives a crash of its room.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from qos import ConflationKind, Frame, Lane
from wsprism.protocol.frames import payload_of
from wsprism.protocol.hot import HotFault, decode_delivery
from wsprism.realtime.messages import HotPublication

if TYPE_CHECKING:
    from actors import ActorRef
    from wsprism.policy.room_rules import SnapshotRules
    from wsprism.realtime.rules import TenantRules

__all__ = ["RoomSnapshot"]


class RoomSnapshot:
    """``rules`` None: the room keeps none."""

    __slots__ = ("_frames", "rules")

    def __init__(self) -> None:
        self.rules: SnapshotRules | None = None
        self._frames: dict[tuple[Any, ...], Frame] = {}  # (whose, service, ...), the longest unchanged first

    def __len__(self) -> int:
        return len(self._frames)

    def follow(self, rules: SnapshotRules | None) -> None:
        """A reload may have changed what the room keeps."""
        self.rules = rules
        if rules is None:
            self._frames.clear()
        else:
            self._trim(rules)

    def feed(self, publications: Iterable[object], tenant: TenantRules, room: ActorRef) -> None:
        """Take what was published in ``room``, in its order; not what those said who were put out since."""
        rules = self.rules
        if rules is None:
            return
        for publication in publications:
            if not isinstance(publication, HotPublication):
                continue
            sender = publication.sender
            if sender is None or not sender.muted or not sender.was_put_out_of(room):
                self._take(publication, rules, tenant)
        self._trim(rules)

    def frames(self) -> list[Frame]:
        """All of them, the longest unchanged first."""
        return list(self._frames.values())

    def forget(self, user: str) -> None:
        """``user`` is in the room no more."""
        for key in [key for key in self._frames if key[0] == user]:
            del self._frames[key]

    def clear(self) -> None:
        """Nobody is in the room any more."""
        self._frames.clear()

    def _take(self, publication: HotPublication, rules: SnapshotRules, tenant: TenantRules) -> None:
        frame = decode_delivery(payload_of(publication.frame), tenant.hot_framing)
        if isinstance(frame, HotFault):
            return
        kind, service, opcode = tenant.conflation.kind, frame.service_id, frame.opcode
        user = None if publication.sender is None else publication.sender.user
        deletes = opcode in rules.delete_opcodes
        key: tuple[Any, ...]
        if kind is ConflationKind.KEY:
            entity = tenant.conflation.key_for(None, opcode, frame.payload)
            if entity is None:
                return
            key = (None, service, entity)
        elif user is None or kind is ConflationKind.SENDER_OPCODE:
            if deletes:
                for other in [one for one in self._frames if one[:2] == (user, service)]:
                    del self._frames[other]
                return
            key = (user, service, opcode)
        elif kind is ConflationKind.SENDER:
            key = (user, service)
        else:
            return
        self._frames.pop(key, None)
        if not deletes:
            self._frames[key] = Frame(publication.frame, Lane.HOT, publication.key)

    def _trim(self, rules: SnapshotRules) -> None:
        while len(self._frames) > rules.max_keys:
            del self._frames[next(iter(self._frames))]
