"""The built-in hot services: they differ only in whether the sender gets its own frame back."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["BackendHotService", "EchoService", "RelayService"]


@dataclass(frozen=True, slots=True)
class EchoService:
    """To every member of the active room, the sender included."""

    include_sender: bool = False
    echo: bool = True
    to_backend: bool = False
    filters: bool = False
    deliver: bool = True


@dataclass(frozen=True, slots=True)
class RelayService:
    """To every other member of the active room."""

    include_sender: bool = False
    echo: bool = False
    to_backend: bool = False
    filters: bool = False
    deliver: bool = True


@dataclass(frozen=True, slots=True)
class BackendHotService:
    """To the backend's stream that is with the active room, and to no member."""

    include_sender: bool = False
    echo: bool = False
    to_backend: bool = True
    filters: bool = False
    deliver: bool = True
