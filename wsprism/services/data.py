"""What the messages of the built-in services hold: read by their codec, and so no part of what is compiled."""

from __future__ import annotations

from typing import Any

import msgspec

from wsprism.protocol.publication_data import text_only

__all__ = ["ChatSaid", "ChatSend", "RelayData"]


class ChatSend(msgspec.Struct, forbid_unknown_fields=True):
    """The data of ``chat.send``."""

    msg: str


@text_only
class ChatSaid(msgspec.Struct, gc=False, rename={"user": "from"}):
    """The data of ``chat.msg``: who said what."""

    user: str
    msg: str


class RelayData(msgspec.Struct, forbid_unknown_fields=True):
    """What is relayed, and whether the connection that sends it gets it too."""

    data: Any
    exclude_self: bool = False
