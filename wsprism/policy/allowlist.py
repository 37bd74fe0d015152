"""Deny-by-default allowlists, compiled once into look-ups. An empty list allows nothing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from wsprism.protocol.envelope import is_name

__all__ = ["AllowlistError", "ExtAllowlist", "HotAllowlist"]

ANY: Final = "*"
_BYTE_VALUES: Final = 256


class AllowlistError(ValueError):
    """An entry that cannot be read; ``allowed`` says what could."""

    def __init__(self, entry: str, allowed: str) -> None:
        super().__init__(entry, allowed)
        self.entry = entry
        self.allowed = allowed

    def __str__(self) -> str:
        return f"bad allowlist entry {self.entry!r}: {self.allowed}"


class ExtAllowlist:
    """Entries ``svc:type`` and ``svc:*``."""

    __slots__ = ("_services",)

    def __init__(self, services: dict[str, frozenset[str] | None]) -> None:
        self._services = services

    @classmethod
    def compile(cls, entries: Iterable[str]) -> ExtAllowlist:
        """Raises AllowlistError for an entry that names no service and type."""
        types: dict[str, set[str]] = {}
        for entry in entries:
            svc, colon, type_ = entry.partition(":")
            if not colon or not is_name(svc) or not (type_ == ANY or is_name(type_)):
                raise AllowlistError(entry, "svc:type or svc:*")
            types.setdefault(svc, set()).add(type_)
        return cls({svc: None if ANY in found else frozenset(found) for svc, found in types.items()})

    def allows(self, svc: str, type: str) -> bool:
        """Whether a message of this service and type may pass."""
        types = self._services.get(svc, _NOTHING)
        return types is None or type in types


class HotAllowlist:
    """Entries ``id:opcode`` and ``id:*``, numbers from 0 to 255."""

    __slots__ = ("_opcodes",)

    def __init__(self, opcodes: dict[int, frozenset[int]]) -> None:
        self._opcodes = opcodes

    @classmethod
    def compile(cls, entries: Iterable[str]) -> HotAllowlist:
        """Raises AllowlistError for an entry that names no service id and opcode."""
        opcodes: dict[int, set[int]] = {}
        for entry in entries:
            service_id, colon, opcode = entry.partition(":")
            if not colon or not _is_byte(service_id) or not (opcode == ANY or _is_byte(opcode)):
                raise AllowlistError(entry, "id:opcode or id:*, with numbers from 0 to 255")
            found = opcodes.setdefault(int(service_id), set())
            found.update(range(_BYTE_VALUES) if opcode == ANY else (int(opcode),))
        return cls({service_id: frozenset(found) for service_id, found in opcodes.items()})

    def allows(self, service_id: int, opcode: int) -> bool:
        """Whether a frame of this service id and opcode may pass."""
        return opcode in self._opcodes.get(service_id, _NO_OPCODES)


_NOTHING: Final[frozenset[str]] = frozenset()
_NO_OPCODES: Final[frozenset[int]] = frozenset()


def _is_byte(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 3 and int(text) < _BYTE_VALUES
