"""What is said to a room, on either lane. One is made per message and read at every step: where the hot modules are
compiled, these classes are too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from qos.native import mypyc_attr

if TYPE_CHECKING:
    from wsprism.realtime.messages.publications import Exclusion
    from wsprism.realtime.room.remote import RemoteSender
    from wsprism.realtime.session import Session

__all__ = ["ExtPublication", "HotPublication"]


@final
@mypyc_attr(free_list_len=1)
class ExtPublication:
    """An ext message for every member (not ``sender`` unless ``echo``).

    ``sender`` gets a ``sys.ack`` once it is queued for all, when ``ack``.
    ``data`` is JSON, made where somebody can be blamed when it cannot be said in JSON: nothing fails in the room.
    ``author`` is the session whose message it answers, where a backend answered it and so no ``sender`` is bound by it.
    Both are sessions of this node: of what is kept, and of what other nodes get, they are no part.
    ``id`` is their own name of it (without either: the backend's). In a room with a history it gets an ``offset``, and
    is ``kept``; ``again``: it was published before, and is not published. ``told`` is called with the offset, or with
    None where it gets none.
    """

    offset: int | None = None
    again: bool = False
    kept: Any = None
    told: Any = None
    author: Session | None = None

    def __init__(
        self,
        svc: str,
        type: str,
        data: bytes,
        sender: Session | None = None,
        seq: int | None = None,
        ack: bool = False,
        id: str | None = None,
        echo: bool = True,
        exclude: Exclusion | None = None,
    ) -> None:
        self.svc = svc
        self.type = type
        self.data = data
        self.sender = sender
        self.seq = seq
        self.ack = ack
        self.id = id
        self.echo = echo
        self.exclude = exclude


@final
@mypyc_attr(free_list_len=1)
class HotPublication:
    """A hot frame, already a ready server frame, for every member (not ``sender`` unless ``echo``)."""

    def __init__(
        self,
        frame: bytes,
        key: Any,
        sender: Session | RemoteSender | None = None,
        echo: bool = True,
        seq: int | None = None,
        ack: bool = False,
        exclude: Exclusion | None = None,
    ) -> None:
        self.frame = frame
        self.key = key
        self.sender = sender
        self.echo = echo
        self.seq = seq
        self.ack = ack
        self.exclude = exclude
