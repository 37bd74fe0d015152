"""Which of several servers is responsible for a name: rendezvous hashing (Thaler and Ravishankar, 1998).

Everybody who knows the same servers chooses the same one. When a server comes or goes, only the names that it gains or
had change hands.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from typing import TypeVar

__all__ = ["choose"]

S = TypeVar("S")


def choose(name: str, servers: Iterable[tuple[str, S]]) -> S | None:
    """The server with the greatest weight for ``name``; None: there is none. Servers are given with their ids."""
    key = name.encode("utf-8", "surrogatepass")
    best: S | None = None
    heaviest = b""
    for server_id, server in servers:
        weight = blake2b(key, digest_size=8, key=server_id.encode()[:64]).digest() + server_id.encode()
        if best is None or weight > heaviest:
            best, heaviest = server, weight
    return best
