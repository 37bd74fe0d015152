"""Services of kind relay, state and reply through a real gateway, their settings and their metrics."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest

from tests.client import Client
from tests.conftest import Running, StartGateway
from wsprism import __version__
from wsprism.settings import SettingsError

EXT: dict[str, Any] = {
    "chat": "chat",
    "fx": "relay",
    "board": {"kind": "state", "max_keys": 2},
    "server": {"kind": "reply", "version": True, "info": {"region": "eu", "modes": ["solo", 2]}},
}
ACME: dict[str, object] = {
    "policy": {"ext_allowlist": ["room:*", "fx:*", "board:*", "server:*"]},
    "services": {"ext": EXT},
}


@pytest.fixture
async def gateway(start_gateway: StartGateway) -> Running:
    return await start_gateway(acme=ACME)


async def test_clients_relay_share_values_and_ask_the_server(gateway: Running) -> None:
    async with Client(gateway.base, ticket="dev:ann") as ann, Client(gateway.base, ticket="dev:bob") as bob:
        await ann.join("r")
        await bob.join("r")
        await ann.send("fx", "wave", {"data": {"x": 1}, "exclude_self": True})
        wave = await bob.receive()
        assert (wave["svc"], wave["type"], wave["data"]) == ("fx", "wave", {"from": "user:ann", "data": {"x": 1}})
        await ann.send("board", "set", {"key": "k", "value": [1]})
        change = {"version": 1, "key": "k", "value": [1], "from": "user:ann"}
        assert [(await one.receive())["data"] for one in (ann, bob)] == [change, change]
        async with Client(gateway.base, ticket="dev:late") as late:
            await late.join("r")
            told = await late.receive()
            assert told["data"] == {"version": 1, "entries": {"k": {"value": [1], "version": 1, "from": "user:ann"}}}
        await ann.send("server", "time", seq=3)
        told = await ann.receive()
        assert (told["svc"], told["type"], told["seq"]) == ("server", "time", 3)
        assert told["data"]["now_ms"] > 1_700_000_000_000
        await ann.send("server", "info")
        data = (await ann.receive())["data"]
        assert (data["user"], data["room"], data["region"], data["modes"]) == ("user:ann", "r", "eu", ["solo", 2])
        assert data["version"] == __version__
        await ann.send("server", "reboot")
        await ann.expect_error("NOT_ALLOWED")
        async with aiohttp.ClientSession() as session, session.get(f"{gateway.base}/metrics") as answer:
            text = await answer.text()
        assert 'wsprism_state_keys{tenant="acme"} 1.0' in text
        assert 'wsprism_state_bytes{tenant="acme"}' in text


async def test_a_reload_bounds_values_anew_and_forgets_those_of_a_service_that_goes(gateway: Running) -> None:
    async with Client(gateway.base, ticket="dev:ann") as ann:
        await ann.join("r")
        for key in "ab":
            await ann.send("board", "set", {"key": key, "value": 1})
            await ann.receive()
        await ann.send("board", "set", {"key": "c", "value": 1})
        await ann.expect_error("RESOURCE_EXHAUSTED")
        await gateway.reconfigure(lambda data: data["tenants"][0]["services"]["ext"]["board"].update(max_keys=3))
        await ann.send("board", "set", {"key": "c", "value": 1})
        assert (await ann.receive())["data"]["version"] == 3
        await gateway.reconfigure(lambda data: data["tenants"][0]["services"]["ext"].pop("board"))
        await ann.send("board", "get")
        await ann.expect_error("NOT_ALLOWED")
        await gateway.reconfigure(lambda data: data["tenants"][0]["services"]["ext"].update(board="state"))
        await ann.send("board", "get")
        assert (await ann.receive())["data"] == {"version": 0, "entries": {}}


@pytest.mark.parametrize(
    ("service", "told"),
    [
        ({"kind": "state", "max_keys": 0}, "must be from 1 to 65536, found 0"),
        ({"kind": "state", "max_bytes": 10}, "must be from 1024 to 262144, found 10"),
        ({"kind": "relay", "to": "all"}, "unknown key"),
        ({"kind": "reply", "info": ["x"]}, "must be a mapping"),
        ({"kind": "reply", "info": {"n": "x" * 20_000}}, "must have at most 16384 characters"),
        ({"kind": "rely"}, "rely"),
    ],
)
async def test_settings_that_cannot_be_are_told(gateway: Running, service: dict[str, Any], told: str) -> None:
    with pytest.raises(SettingsError) as error:
        await gateway.reconfigure(lambda data: data["tenants"][0]["services"]["ext"].update(odd=service))
    assert told in str(error.value.faults[0])
    assert "services.ext.odd" in str(error.value.faults[0])
