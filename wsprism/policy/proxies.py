"""Who a client is behind proxies: the nearest address to us that no trusted proxy has.

Reads X-Forwarded-For and Forwarded (RFC 7239) as data: each proxy appends the address that it saw, so the list is
walked from its end, and only as far as the hop that reported an address is trusted. Everything before that is the
client's own invention. Called by the handshake.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

__all__ = ["UNIX_PEER", "TrustedProxies"]

UNIX_PEER: Final = "unix"
"""The peer's address on a Unix socket: a proxy on this machine, trusted when any is."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_VALUE: Final = re.compile(r'[^"\s]*|"((?:[^"\\]|\\.)*)"')
"""A token or a quoted string (RFC 7239 §4), generously."""
_BRACKETED: Final = re.compile(r"\[([^\[\]]+)\](?::[0-9A-Za-z._-]{1,64})?")
_WITH_PORT: Final = re.compile(r"([0-9.]+):[0-9A-Za-z._-]{1,64}")


class TrustedProxies:
    """The networks whose hosts tell the truth about who connected to them."""

    __slots__ = ("_networks",)

    def __init__(self, networks: Iterable[str]) -> None:
        self._networks = tuple(ipaddress.ip_network(network) for network in networks)

    def client_address(self, peer: str, forwarded: Sequence[str], x_forwarded_for: Sequence[str]) -> str:
        """The client's address, given the socket's ``peer`` and the values of both headers, in order.

        Without trust in the peer, that is the peer. When both headers are there and name different clients, one of them
        is not the proxy's: neither is believed, and it is the peer too.
        """
        if not (forwarded or x_forwarded_for) or not self._is_trusted_peer(peer):
            return peer
        found = set()
        if x_forwarded_for:
            found.add(self._nearest_untrusted(peer, list(_x_forwarded_for_hops(x_forwarded_for))))
        if forwarded:
            found.add(self._nearest_untrusted(peer, list(_forwarded_hops(forwarded))))
        return found.pop() if len(found) == 1 else peer

    def _is_trusted_peer(self, peer: str) -> bool:
        if peer == UNIX_PEER:
            return bool(self._networks)
        address = _parse(peer)
        return address is not None and self._is_trusted(address)

    def _is_trusted(self, address: Address) -> bool:
        return any(address in network for network in self._networks)

    def _nearest_untrusted(self, peer: str, hops: list[str]) -> str:
        """The last hop that is no trusted proxy. What cannot be read ends the walk at the proxy that reported it."""
        nearest = peer
        for hop in reversed(hops):
            address = _parse(hop)
            if address is None:
                break
            nearest = str(address)
            if not self._is_trusted(address):
                break
        return nearest


def _x_forwarded_for_hops(values: Sequence[str]) -> Iterator[str]:
    for value in values:
        yield from value.split(",")


def _forwarded_hops(values: Sequence[str]) -> Iterator[str]:
    for value in values:
        for element in _split(value, ","):
            yield _node(element)


def _node(element: str) -> str:
    """The ``for`` of an element; "" when it has none, or when it is malformed.

    A client that leaves a quote open has the proxy's own element swallowed: then nothing of it may count.
    """
    node = ""
    for pair in _split(element, ";"):
        name, _, value = (part.strip() for part in pair.partition("="))
        found = _VALUE.fullmatch(value)
        if found is None:
            return ""
        if name.lower() == "for":
            node = found[1] if found[1] is not None else value
    return node


def _split(text: str, separator: str) -> Iterator[str]:
    """Cut at separators that are not within quotes (RFC 9110 §5.6.4). One look at each character, whatever it holds."""
    begin = 0
    quoted = escaped = False
    for at, character in enumerate(text):
        if escaped:
            escaped = False
        elif quoted and character == "\\":
            escaped = True
        elif character == '"':
            quoted = not quoted
        elif character == separator and not quoted:
            yield text[begin:at]
            begin = at + 1
    yield text[begin:]


def _parse(node: str) -> Address | None:
    """An address, with or without brackets and port (RFC 7239 §6); None for ``unknown``, ``_hidden`` and garbage."""
    node = node.strip()
    found = _BRACKETED.fullmatch(node) or _WITH_PORT.fullmatch(node)
    text = found[1] if found is not None else node
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address
