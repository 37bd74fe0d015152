"""What the benchmark needs to know of a server, and nothing else.

A peer builds bytes and a command line; it opens no socket of its own except to ask for readiness and accounts.
"""

from __future__ import annotations

import http.client
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

__all__ = ["API_KEY", "HOST", "Member", "Options", "Peer", "first_line_of", "http_get"]

HOST = "127.0.0.1"
API_KEY = "k-benchmark-0123456789"
"""What the backend of a shape calls the gateway with."""


@dataclass(frozen=True, slots=True)
class Member:
    """One connection of a shape: ``number`` is unique in a run. ``says``: what it publishes (``shapes.Group``)."""

    number: int
    room: str
    tenant: str
    says: str = "chat"


@dataclass(frozen=True, slots=True)
class Options:
    """How to start a server: where it may write, the ports it has, and what a shape asks of it.

    ``backend``: what stands behind it (``shapes.Shape``), at ``backend_port``. ``broker_url``: of the Redis that it
    shares with others, among which it is called ``node``.
    """

    directory: Path
    port: int
    spare_port: int
    hot_flush_ms: int = 0
    backend: str = ""
    backend_port: int = 0
    internal_port: int = 0
    broker_url: str = ""
    node: str = ""


class Peer(Protocol):
    """A server under test."""

    @property
    def name(self) -> str: ...

    @property
    def lanes(self) -> frozenset[str]:
        """Which of ``ext`` and ``hot`` it has; a server with one kind of message has ``ext``."""
        ...

    def missing(self) -> str | None:
        """What must be installed first; None when it can run."""
        ...

    def version(self) -> str: ...

    def command(self, options: Options) -> Sequence[str]:
        """Write the configuration to the directory and say what to run, in the foreground."""
        ...

    def companion(self, options: Options) -> Sequence[str]:
        """What else to run beside it, on the generator's core; empty for nothing."""
        ...

    def ready(self, port: int) -> bool:
        """Whether it serves now. May raise OSError while it does not."""
        ...

    def request(self, member: Member, port: int) -> bytes:
        """The HTTP upgrade."""
        ...

    def login(self, member: Member) -> bytes:
        """What to send after the upgrade to be let in, without joining; may be empty."""
        ...

    def logged_in(self, received: bytes) -> bool:
        """Whether ``received`` (all bytes since the upgrade's answer) says that ``login`` was accepted."""
        ...

    def subscribe(self, member: Member, lane: str) -> bytes:
        """What to send after the upgrade to be let in and join the member's room; may be empty."""
        ...

    def joined(self, received: bytes) -> bool:
        """Whether ``received`` (all bytes since the upgrade's answer) says that the member is in."""
        ...

    def publish(self, member: Member, payload: bytes, lane: str) -> bytes:
        """A ready frame that sends ``payload`` to the member's room."""
        ...

    def accounting(self, port: int) -> dict[str, float]:
        """The server's own counters that tell of losses, by name; empty when it has none."""
        ...


def http_get(port: int, path: str) -> tuple[int, str]:
    """GET from the loopback address: status and body. Raises OSError or http.client.HTTPException."""
    connection = http.client.HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def first_line_of(text: str) -> str:
    """The first line, or nothing."""
    return text.strip().partition("\n")[0]
