"""Which web pages may connect (RFC 6454 origins): exact ones, and one wildcard label in front of a domain.

What is not an origin as a browser writes one (``scheme://host[:port]``, or ``null``) is never allowed, whatever it
begins or ends with.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

__all__ = ["OriginList", "is_origin", "is_origin_entry"]

_WILDCARD = "://*."
_OWN_PORTS = (("https://", ":443"), ("http://", ":80"))

_LABELS: Final = r"[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?)*"
_PORT: Final = r"(?::([0-9]{1,5}))?"
_HOST: Final = re.compile(_LABELS)
_ORIGIN: Final = re.compile(rf"[a-z][a-z0-9+.-]*://(?:{_LABELS}\.?|\[[0-9a-f:.]+\]){_PORT}")
_WILDCARD_ENTRY: Final = re.compile(rf"[a-z][a-z0-9+.-]*://\*\.{_LABELS}{_PORT}")
_MAX_CHARACTERS: Final = 512


def is_origin(text: str) -> bool:
    """Whether ``text`` is one origin, serialised (RFC 6454 §6.2) in lower case: no path, no user, no list of them."""
    return text == "null" or _fits(_ORIGIN, text)


def is_origin_entry(text: str) -> bool:
    """Whether ``text`` may stand in the list: an origin, or one with ``*.`` in front of its domain."""
    text = text.lower()
    return is_origin(text) or _fits(_WILDCARD_ENTRY, text)


def _fits(pattern: re.Pattern[str], text: str) -> bool:
    found = pattern.fullmatch(text) if len(text) <= _MAX_CHARACTERS else None
    return found is not None and (found[1] is None or 0 < int(found[1]) <= 65535)


class OriginList:
    """Entries such as ``https://example.com`` and ``https://*.example.com`` (any depth below, not itself)."""

    __slots__ = ("_exact", "_suffixes")

    def __init__(self, entries: Iterable[str]) -> None:
        exact: set[str] = set()
        suffixes: list[tuple[str, str]] = []
        for entry in map(_as_a_browser_writes_it, entries):
            scheme, wildcard, domain = entry.partition(_WILDCARD)
            if wildcard:
                suffixes.append((scheme + "://", "." + domain))
            else:
                exact.add(entry)
        self._exact = frozenset(exact)
        self._suffixes = tuple(suffixes)

    def allows(self, origin: str) -> bool:
        """Whether a page of ``origin`` may connect."""
        origin = origin.lower()
        return is_origin(origin) and (
            origin in self._exact or any(_is_below(origin, scheme, suffix) for scheme, suffix in self._suffixes)
        )


def _is_below(origin: str, scheme: str, suffix: str) -> bool:
    """Whether what the wildcard stands for is labels of a name, and nothing that only ends like the domain."""
    if not (origin.startswith(scheme) and origin.endswith(suffix)):
        return False
    return _HOST.fullmatch(origin, len(scheme), max(len(origin) - len(suffix), 0)) is not None


def _as_a_browser_writes_it(entry: str) -> str:
    """In lower case and without a scheme's own port (RFC 6454 §6.1)."""
    entry = entry.lower()
    for scheme, port in _OWN_PORTS:
        if entry.startswith(scheme):
            return entry.removesuffix(port)
    return entry
