"""What a parent gives to one of its workers: a number, the sockets that clients come to, a place for its own API."""

from __future__ import annotations

import socket
from dataclasses import dataclass

from wsprism.config_file import ListenAddress

__all__ = ["Seat"]


@dataclass(frozen=True, slots=True)
class Seat:
    """``number`` counts from 1. ``sockets`` are bound to ``address``, in slots: which of them a worker accepts from,
    its parent says. ``internal`` is where its internal listener is, which nobody but the parent asks.
    """

    number: int
    address: ListenAddress
    sockets: tuple[tuple[socket.socket, ...], ...]
    internal: ListenAddress
