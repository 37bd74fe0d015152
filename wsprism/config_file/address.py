"""Where a listener listens: ``host:port``, ``[::]:8080`` or ``unix:/path``."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

__all__ = ["ListenAddress", "parse_listen"]


_PORT = re.compile(r"[0-9]{1,5}")
_HOST = re.compile(r"[A-Za-z0-9._-]*")


@dataclass(frozen=True, slots=True)
class ListenAddress:
    """``path`` is set for a Unix socket, else ``host`` and ``port`` (0: any free one)."""

    host: str = ""
    port: int = 0
    path: str | None = None

    def __str__(self) -> str:
        if self.path is not None:
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        if self.path is not None or self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def overlaps(self, other: ListenAddress) -> bool:
        """Whether both cannot be listened on at once: the same socket, or a port of which one has all addresses."""
        if self.path is not None or other.path is not None:
            return self.path == other.path
        if self.port != other.port or not self.port:
            return False
        hosts = {_plain(self.host), _plain(other.host)}
        versions = {6 if ":" in host else 4 for host in hosts}
        return len(hosts) == 1 or (len(versions) == 1 and bool(hosts & {"0.0.0.0", "::"}))


def _plain(host: str) -> str:
    return "127.0.0.1" if host == "localhost" else host


def parse_listen(text: str) -> ListenAddress:
    """Raises ValueError for anything but the three forms."""
    if text.startswith("unix:"):
        path = text.removeprefix("unix:")
        if not path:
            raise ValueError(text)
        return ListenAddress(path=path)
    host, colon, port = text.rpartition(":")
    if not colon or not _PORT.fullmatch(port) or int(port) > 65535:
        raise ValueError(text)
    if host.startswith("[") and host.endswith("]"):
        host = str(ipaddress.IPv6Address(host[1:-1]))
    elif not _HOST.fullmatch(host):
        raise ValueError(text)
    return ListenAddress(host=host or "127.0.0.1", port=int(port))
