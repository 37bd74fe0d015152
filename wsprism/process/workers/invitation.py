"""How a parent tells a new process that it is a worker: descriptors that it inherits, named in its environment, and the
configuration as the first thing on its channel.

So every worker has the same configuration, also one that is started anew while the file is being written.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Final

from wsprism.composition.seat import Seat
from wsprism.config_file import ListenAddress

__all__ = ["VARIABLE", "Invitation", "take_invitation", "with_length"]

VARIABLE: Final = "WSPRISM_WORKER"

_OF_THE_PARENT: Final = ("NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC")
"""What the service manager has said to the parent is not for its workers."""

_LENGTH: Final = struct.Struct(">Q")


def with_length(content: bytes) -> bytes:
    """A configuration as it goes over the channel."""
    return _LENGTH.pack(len(content)) + content


@dataclass(frozen=True, slots=True)
class Invitation:
    """``channel`` is the worker's end of the pair. ``internal`` is the path of its own Unix socket."""

    number: int
    address: ListenAddress
    sockets: Sequence[Sequence[socket.socket]]
    internal: str
    channel: socket.socket

    @property
    def descriptors(self) -> list[int]:
        """What the process inherits."""
        return [self.channel.fileno(), *(one.fileno() for slot in self.sockets for one in slot)]

    def environment(self, own: Mapping[str, str]) -> dict[str, str]:
        """The parent's ``own``, and the invitation."""
        address = self.address
        told = {
            "number": self.number,
            "address": {"host": address.host, "port": address.port, "path": address.path},
            "sockets": [[one.fileno() for one in slot] for slot in self.sockets],
            "internal": self.internal,
            "channel": self.channel.fileno(),
        }
        return {name: value for name, value in own.items() if name not in _OF_THE_PARENT} | {VARIABLE: json.dumps(told)}


def take_invitation(environment: MutableMapping[str, str]) -> tuple[Seat, socket.socket, bytes] | None:
    """The seat, the channel and the configuration of this process; None: it is nobody's worker.

    Taken once: whatever this process starts is none. Raises OSError when the parent is gone already.
    """
    text = environment.pop(VARIABLE, None)
    if text is None:
        return None
    told = json.loads(text)
    channel = _inherited(told["channel"])
    slots = tuple(tuple(_inherited(one) for one in slot) for slot in told["sockets"])
    seat = Seat(told["number"], ListenAddress(**told["address"]), slots, ListenAddress(path=told["internal"]))
    (length,) = _LENGTH.unpack(_read(channel, _LENGTH.size))
    return seat, channel, _read(channel, length)


def _inherited(descriptor: int) -> socket.socket:
    os.set_inheritable(descriptor, False)
    return socket.socket(fileno=descriptor)


def _read(channel: socket.socket, size: int) -> bytes:
    channel.setblocking(True)
    found = bytearray()
    while len(found) < size:
        part = channel.recv(size - len(found))
        if not part:
            with contextlib.suppress(OSError):
                channel.close()
            raise ConnectionResetError("the parent is gone")
        found += part
    return bytes(found)
