"""What nodes say of themselves, and what this one makes of it: their list, and who has another configuration."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import msgspec

from wsprism import __version__
from wsprism.policy.agreement import who_differs
from wsprism.ports import Unavailable
from wsprism.realtime.view import NodeInfo

__all__ = ["NodeList", "OwnFigures", "SeenNode", "described"]

_log = logging.getLogger("wsprism.gateway")

MOST_NAMES: Final = 256
"""So many nodes at most are series of their own."""

_SILENT: Final = 0.5
"""Who was not heard for so much of a lease is not compared: a living node is heard every 0.3 of it."""

_UNKNOWN: Final = "?"


class SeenNode(Protocol):
    """A node as Redis has it."""

    @property
    def incarnation(self) -> int: ...
    @property
    def lease_age_ms(self) -> int: ...
    @property
    def about(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class OwnFigures:
    """What a node says of itself at this moment."""

    name: str
    connections: int
    configuration_hash: str
    draining: bool = False


def described(own: OwnFigures) -> bytes:
    """As other nodes read it."""
    about = {
        "name": own.name,
        "connections": own.connections,
        "version": __version__,
        "configuration_hash": own.configuration_hash,
        "draining": own.draining,
    }
    return json.dumps(about).encode()


class NodeList:
    """``look`` now and then; ``ask`` is how Redis is asked."""

    def __init__(
        self, ask: Callable[[Callable[[Sequence[SeenNode] | Unavailable], object]], object], lease_ms: int
    ) -> None:
        self._ask = ask
        self._lease_ms = lease_ms
        self._differed: frozenset[int] = frozenset()
        self.differing: Mapping[str, bool] = {}
        """By name, as of the last two looks: nodes say what they have by and by, also after a reload of all."""

    def look(self) -> None:
        """Ask, and say in the log when others differ than before."""
        self._ask(self._looked)

    def ask(self, done: Callable[[list[NodeInfo] | Unavailable], object]) -> None:
        """All of them now, by name."""
        self._ask(lambda seen: done(seen if isinstance(seen, Unavailable) else infos(seen, self._lease_ms)))

    def _looked(self, seen: Sequence[SeenNode] | Unavailable) -> None:
        if isinstance(seen, Unavailable):
            return
        before = {name for name, differs in self.differing.items() if differs}
        nodes = infos(seen, self._lease_ms)
        found: dict[str, bool] = {}
        for one in nodes[:MOST_NAMES]:
            found[one.name] = found.get(one.name, False) or (one.differs and one.incarnation in self._differed)
        self._differed = frozenset(one.incarnation for one in nodes if one.differs)
        self.differing = found
        now = {name for name, differs in found.items() if differs}
        if now == before:
            return
        if now:
            _log.warning("nodes have another configuration than most", extra={"nodes": sorted(now)})
        else:
            _log.info("all nodes have the same configuration again")


def infos(seen: Sequence[SeenNode], lease_ms: int) -> list[NodeInfo]:
    """By name and incarnation; what a node of another version says differently is left open."""
    about = {one.incarnation: _about(one.about) for one in seen}
    silent = {one.incarnation for one in seen if one.lease_age_ms > _SILENT * lease_ms}
    compared = {number: str(one["configuration_hash"]) for number, one in about.items() if number not in silent}
    differing = who_differs(compared)
    found = [
        NodeInfo(
            lease_age_ms=one.lease_age_ms,
            differs=one.incarnation in differing,
            silent=one.incarnation in silent,
            **about[one.incarnation],
            incarnation=one.incarnation,
        )
        for one in seen
    ]
    return sorted(found, key=lambda one: (one.name, one.incarnation))


def _about(text: bytes) -> dict[str, Any]:
    try:
        told = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError):
        told = None
    told = told if isinstance(told, dict) else {}
    connections = told.get("connections")
    known = {
        "connections": connections if type(connections) is int and connections >= 0 else 0,
        "draining": told.get("draining") is True,
    }
    return known | {
        key: value if isinstance(value := told.get(key), str) else _UNKNOWN
        for key in ("name", "version", "configuration_hash")
    }
