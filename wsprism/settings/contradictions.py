"""What each key allows and all of them together do not: found once the models are there, by whoever loads a file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from wsprism.settings.models import Settings
from wsprism.settings.problems import shown

__all__ = ["contradictions"]

_LONGEST_SOCKET_PATH_BYTES: Final = 107
"""sockaddr_un of Linux, without the closing zero."""

Path = tuple[str | int, ...]


def contradictions(settings: Settings) -> Iterator[tuple[Path, str]]:
    """The path of the key and what is wrong with it, for everything that could never work."""
    public, internal = settings.gateway.listen, settings.gateway.internal.listen
    for path, address in ((("gateway", "listen"), public), (("gateway", "internal", "listen"), internal)):
        if address is not None and len((address.path or "").encode()) > _LONGEST_SOCKET_PATH_BYTES:
            yield path, f"must have a path of at most {_LONGEST_SOCKET_PATH_BYTES} bytes, found {shown(str(address))}"
    if internal is not None and internal.overlaps(public):
        yield (
            ("gateway", "internal", "listen"),
            f"must be another address than gateway.listen ({public}), found {shown(str(internal))}",
        )
