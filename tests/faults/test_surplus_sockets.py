"""Sockets whose session counts no more, refused or replaced: counted by their close code, bounded, and soon gone.

The peers keep them open: they answer no Close.
"""

from __future__ import annotations

from typing import Any

from tests.client import Client, until
from tests.conftest import Running, StartGateway
from tests.exposition import metric
from tests.raw import RawClient
from wsprism.realtime.outbound.flusher import MOST_SURPLUS, SURPLUS_LINGER_S

CROWD = MOST_SURPLUS + 100


async def start(start_gateway: StartGateway) -> tuple[Running, Any]:
    acme = {"policy": {"sessions": {"max_sessions_per_user": 1}}, "limits": {"max_sessions_total": 4}}
    gateway = await start_gateway(acme=acme)
    tenant = gateway.process.tenant("acme")
    assert tenant is not None
    return gateway, tenant


async def expect_to_be_gone(gateway: Running, sockets: list[RawClient], most: int) -> None:
    """At most ``most`` sockets are open now; all but one are gone as soon as was promised."""
    assert gateway.process.connections() <= most
    await until(lambda: gateway.process.connections() == 1, SURPLUS_LINGER_S + 30)
    for socket in sockets:
        socket.abort()


async def test_sockets_of_refused_sessions_are_counted_bounded_and_soon_gone(start_gateway: StartGateway) -> None:
    gateway, acme = await start(start_gateway)
    async with Client(gateway.base, ticket="dev:eve"):
        crowd = [await RawClient.upgrade(gateway.port, ticket="dev:eve") for _ in range(CROWD)]
        assert await crowd[-1].close_code() == 4501
        await expect_to_be_gone(gateway, crowd, 1 + MOST_SURPLUS)
        await until(lambda: acme.counters.closed[4501] == CROWD)
        assert acme.counters.closed == {4501: CROWD}
        assert acme.sessions == 1
        assert await metric(gateway.base, "wsprism_connections_closed_total", tenant="acme", code="4501") == CROWD


async def test_sockets_of_replaced_sessions_are_counted_bounded_and_soon_gone(start_gateway: StartGateway) -> None:
    gateway, acme = await start(start_gateway)
    crowd = [await RawClient.upgrade(gateway.port, ticket="dev:eve&sid=s") for _ in range(CROWD + 1)]
    await until(lambda: acme.sessions == 1)
    assert await crowd[-2].close_code() == 4500
    await expect_to_be_gone(gateway, crowd[:-1], 1 + MOST_SURPLUS)
    await until(lambda: acme.counters.closed[4500] == CROWD)
    assert acme.counters.closed == {4500: CROWD}
    assert await metric(gateway.base, "wsprism_connections_closed_total", tenant="acme", code="4500") == CROWD
    crowd[-1].abort()
    await until(lambda: gateway.process.connections() == 0)
