"""What the messages of the built-in services hold: read by their codec, and so no part of what is compiled."""

from __future__ import annotations

from typing import Any

import msgspec

__all__ = ["ChatSend", "RelayData"]


class ChatSend(msgspec.Struct, forbid_unknown_fields=True):
    """The data of ``chat.send``."""

    msg: str


class RelayData(msgspec.Struct, forbid_unknown_fields=True):
    """What is relayed, and whether the connection that sends it gets it too."""

    data: Any
    exclude_self: bool = False
