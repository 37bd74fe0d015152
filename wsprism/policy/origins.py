"""Which web pages may connect (RFC 6454 origins): exact ones, and one wildcard label in front of a domain."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["OriginList"]

_WILDCARD = "://*."
_OWN_PORTS = (("https://", ":443"), ("http://", ":80"))


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
        return origin in self._exact or any(
            origin.startswith(scheme) and origin.endswith(suffix) and len(origin) > len(scheme) + len(suffix)
            for scheme, suffix in self._suffixes
        )


def _as_a_browser_writes_it(entry: str) -> str:
    """In lower case and without a scheme's own port (RFC 6454 §6.1)."""
    entry = entry.lower()
    for scheme, port in _OWN_PORTS:
        if entry.startswith(scheme):
            return entry.removesuffix(port)
    return entry
