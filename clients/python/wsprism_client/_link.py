"""The present connection, as everything that sends sees it: at most one, and never the last one's."""

from __future__ import annotations

from typing import Any

from wsprism_client._socket import Socket
from wsprism_client._wire import Codec

__all__ = ["Link"]


class Link:
    """``open``: the gateway has let the client in."""

    def __init__(self, codec: Codec) -> None:
        self.codec = codec
        self.socket: Socket | None = None
        self.open = False
        self._seq = 0

    def next_seq(self) -> int:
        """Of this client's next message, whichever connection it goes over."""
        self._seq += 1
        return self._seq

    def send(self, message: dict[str, Any]) -> None:
        """Hand one message to the socket; nothing where there is none."""
        self.send_encoded(self.codec.encode(message))

    def send_encoded(self, message: str | bytes) -> None:
        """The same, encoded."""
        if self.socket is not None:
            self.socket.send(message)
