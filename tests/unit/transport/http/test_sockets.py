"""What is set on sockets and asked of them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from wsprism.transport.http.sockets import beneath_tls, limit_unsent


class Transport(asyncio.Transport):
    """Notes its limit; ``tls``: it says that it is one of TLS."""

    def __init__(self, *, tls: bool) -> None:
        super().__init__()
        self.high_bytes: int | None = None
        self._tls = tls

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return object() if self._tls and name == "ssl_object" else default

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:  # noqa: ARG002
        self.high_bytes = high


class SSLProtocol:
    """As an event loop's own: it holds the socket's transport."""

    def __init__(self, beneath: Transport) -> None:
        self._transport = beneath


@pytest.mark.parametrize("tls", [False, True])
def test_what_waits_here_is_bounded_in_all(tls: bool) -> None:
    transport, beneath = Transport(tls=tls), Transport(tls=False)
    transport.layer = SSLProtocol(beneath)  # type: ignore[attr-defined]
    limit_unsent(transport, 32_768)
    assert (transport.high_bytes, beneath.high_bytes) == ((16_384, 16_384) if tls else (32_768, None))


def test_where_the_transport_beneath_tls_is_not_found_all_that_is_seen_counts() -> None:
    transport = Transport(tls=True)
    limit_unsent(transport, 32_768)
    assert transport.high_bytes == 1
    assert beneath_tls(transport) is None
