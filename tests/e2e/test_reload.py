"""Hot reload of a running gateway: what live connections notice, and what they do not."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.api import ADMIN, Backend
from tests.certificates import Certificate, make_certificate
from tests.client import Client, until
from tests.conftest import StartGateway
from tests.process import GatewayCommand
from wsprism.errors import OperatorError
from wsprism.ports import Principal, TicketRefusal, TicketRequest
from wsprism.realtime.counters import ReloadResult
from wsprism.settings import SettingsError, TenantSettings

OTHER: dict[str, Any] = {"id": "other", "auth": {"kind": "dev"}}


def acme(**changes: Any) -> Any:
    """A change of the first tenant: ``acme(limits={...})``."""
    return lambda data: [data["tenants"][0].setdefault(part, {}).update(values) for part, values in changes.items()]


async def test_a_lowered_limit_applies_to_new_joins_and_nobody_loses_a_room(start_gateway: StartGateway) -> None:
    running = await start_gateway()
    async with Client(running.base) as ann, Client(running.base, ticket="dev:bob") as bob:
        for client in (ann, bob):
            await client.join("lobby")
        report = await running.reconfigure(acme(limits={"max_users_per_room": 1}))
        assert report.result is ReloadResult.APPLIED
        assert [str(one) for one in report.changed] == ["tenants[acme].limits.max_users_per_room: 0 -> 1"]
        await ann.send("chat", "send", {"msg": "still here"}, room="lobby")
        assert (await bob.receive())["data"]["msg"] == (await ann.receive())["data"]["msg"] == "still here"
        async with Client(running.base, ticket="dev:eve") as eve:
            await eve.send("room", "join", room="lobby")
            await eve.expect_error("RESOURCE_EXHAUSTED")


async def test_a_live_connection_takes_a_new_rate_a_new_allowlist_and_a_new_frame_limit(
    start_gateway: StartGateway,
) -> None:
    running = await start_gateway()
    async with Client(running.base) as client:
        await client.join("lobby")
        await running.reconfigure(acme(policy={"rate_limit_rps": 0.001, "rate_limit_burst": 1}))
        heard: list[str] = []
        while "error" not in heard and len(heard) < 4:  # what was read before the connection took the rules passes
            await client.send("sys", "ping")
            heard.append((await client.receive())["type"])
        assert heard[-1] == "error"
        await running.reconfigure(acme(policy={"rate_limit_rps": 10_000, "rate_limit_burst": 10_000}))
        await asyncio.sleep(0.01)
        await running.reconfigure(acme(policy={"ext_allowlist": ["room:*"]}, limits={"max_frame_bytes": 200}))
        await client.send("chat", "send", {"msg": "x"})
        await client.expect_error("NOT_ALLOWED")
        await client.send("chat", "send", {"msg": "x" * 300})
        assert (await client.expect_close())[0] == 1009


async def test_tenants_come_and_go_and_a_removed_ones_clients_are_closed_4504(start_gateway: StartGateway) -> None:
    running = await start_gateway()
    with pytest.raises(aiohttp.WSServerHandshakeError):
        await Client(running.base, tenant="other").open()
    for _ in range(2):
        report = await running.reconfigure(lambda data: data["tenants"].append(OTHER))
        assert [str(one) for one in report.changed] == ["tenants[other]: added"]
        async with Client(running.base) as ann, Client(running.base, tenant="other") as stranger:
            await stranger.join("lobby")
            report = await running.reconfigure(lambda data: data["tenants"].pop())
            assert [str(one) for one in report.changed] == ["tenants[other]: removed"]
            assert await stranger.expect_close() == (4504, "tenant removed")
            await ann.expect_silence()
    await until(lambda: running.process.actors().actors == 2)


async def test_a_tenant_that_comes_back_before_its_clients_are_gone_is_a_new_one(start_gateway: StartGateway) -> None:
    running = await start_gateway(tenants=[OTHER])
    async with Client(running.base, tenant="other") as old:
        await running.reconfigure(lambda data: data["tenants"].pop())
        await running.reconfigure(lambda data: data["tenants"].append(OTHER))
        async with Client(running.base, tenant="other") as new:
            assert (await old.expect_close())[0] == 4504
            await new.join("lobby")


async def test_new_tickets_are_judged_at_once_and_sessions_of_old_ones_stay(start_gateway: StartGateway) -> None:
    running = await start_gateway()
    secret, other = "first-secret-ticket", "second-secret-ticket"
    async with Client(running.base) as old:
        tokens = {"kind": "tokens", "tokens": {secret: "user:ann"}}
        report = await running.reconfigure(lambda data: data["tenants"][0].update(auth=tokens))
        assert secret not in repr(report)
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await Client(running.base).open()
        async with Client(running.base, ticket=secret):
            await old.expect_silence()
        report = await running.reconfigure(lambda data: data["tenants"][0]["auth"].update(tokens={other: "user:ann"}))
        assert [one.path for one in report.changed] == ["tenants[acme].auth[0].tokens"]
        assert secret not in repr(report)
        assert other not in repr(report)


async def test_what_needs_a_restart_is_said_each_time_and_the_rest_is_applied(start_gateway: StartGateway) -> None:
    running = await start_gateway()
    listen = str(running.process.settings.gateway.listen)
    change = {"listen": "127.0.0.1:1", "drain_grace_ms": 7}
    report = await running.reconfigure(lambda data: data["gateway"].update(change))
    assert [str(one) for one in report.changed] == ["gateway.drain_grace_ms: 1000 -> 7"]
    assert [str(one) for one in report.needs_restart] == [f'gateway.listen: "{listen}" -> "127.0.0.1:1"']
    assert running.process.settings.gateway.drain_grace_ms == 7
    assert str(running.process.settings.gateway.listen) == listen
    report = await running.process.reload()
    assert (report.result, len(report.needs_restart)) == (ReloadResult.UNCHANGED, 1)
    assert report.generation == 2


async def test_a_fault_changes_nothing_and_is_said(start_gateway: StartGateway) -> None:
    running = await start_gateway()
    before = running.process.settings

    def two_faults(data: Any) -> None:
        data["gateway"]["drain_grace_ms"] = -1
        data["tenants"][0]["limits"] = {"max_rooms_totl": 3}
        data["tenants"].append(OTHER)

    with pytest.raises(SettingsError) as caught:
        await running.reconfigure(two_faults)
    assert len(caught.value.faults) == 2
    running.file.unlink()
    with pytest.raises(SettingsError, match="cannot be read"):
        await running.process.reload()
    assert running.process.settings is before
    assert [tenant.id for tenant in running.process.tenants()] == ["acme"]
    counts = running.process.counters
    assert (counts.config_reloads[ReloadResult.REJECTED], counts.config_generation) == (2, 1)


async def test_concurrent_reloads_wait_for_each_other(start_gateway: StartGateway) -> None:
    running = await start_gateway()
    text = running.file.read_text().replace("drain_grace_ms: 1000", "drain_grace_ms: 5")
    running.file.write_text(text)
    reports = await asyncio.gather(*(running.process.reload() for _ in range(5)))
    assert [one.result for one in reports] == [ReloadResult.APPLIED, *[ReloadResult.UNCHANGED] * 4]
    assert {one.generation for one in reports} == {2}


async def test_under_traffic_a_sighup_loses_nothing_and_disconnects_nobody(tmp_path: Path) -> None:
    config = """
version: 1
gateway: {listen: "127.0.0.1:0", drain_grace_ms: 500}
tenants:
  - id: acme
    auth: {kind: dev}
    qos: {conflate: none}
    policy: {ext_allowlist: ["room:*", "chat:*"], rate_limit_rps: 100000, rate_limit_burst: 100000}
"""
    messages, reloads = 600, 6
    async with GatewayCommand(config, tmp_path) as gateway:
        async with Client(gateway.base) as sender, Client(gateway.base, ticket="dev:bob") as reader:
            for client in (sender, reader):
                await client.join("lobby")

            async def talk() -> None:
                for number in range(messages):
                    await sender.send("chat", "send", {"msg": str(number)}, room="lobby")
                    await asyncio.sleep(0.001)

            async def reload() -> None:
                for number in range(reloads):
                    text = config.replace("conflate: none", f"reliable_max_messages: {4000 + number}, hot_flush_ms: 5")
                    gateway.path.write_text(text if number % 2 else text.replace("rate_limit_rps", "rate_limit_rsp"))
                    gateway.signal(signal.SIGHUP)
                    await gateway.logged(f"configuration {'applied' if number % 2 else 'rejected'}", number // 2 + 1)

            async def read(client: Client) -> list[str]:
                return [(await client.receive())["data"]["msg"] for _ in range(messages)]

            heard = await asyncio.gather(read(sender), read(reader), talk(), reload())
            assert heard[0] == heard[1] == [str(number) for number in range(messages)]
        async with aiohttp.ClientSession() as session, session.get(gateway.base + "/metrics") as response:
            metrics = await response.text()
        gateway.signal(signal.SIGTERM)
        assert await gateway.wait(30) == 0
    assert 'wsprism_config_reload_total{result="applied"} 3.0' in metrics
    assert 'wsprism_config_reload_total{result="rejected"} 3.0' in metrics
    assert "wsprism_config_generation 4.0" in metrics
    rejected = [record for record in gateway.messages() if str(record["message"]).startswith("configuration rejected")]
    assert "did you mean rate_limit_rps?" in json.dumps(rejected)


async def test_watch_notices_a_file_that_was_replaced_and_leaves_a_faulty_one_alone(tmp_path: Path) -> None:
    config = 'version: 1\ngateway: {listen: "127.0.0.1:0"}\ntenants: [{id: acme, auth: {kind: dev}}]\n'
    async with GatewayCommand(config, tmp_path, "--watch") as gateway:
        new = tmp_path / "new.yaml"
        new.write_text(config.replace("{id: acme,", "{id: other,"))
        os.replace(new, gateway.path)
        await gateway.logged("configuration applied")
        async with Client(gateway.base, tenant="other"):
            gateway.path.write_text(config[:-20])
            await gateway.logged("configuration rejected")
        gateway.signal(signal.SIGTERM)
        assert await gateway.wait(30) == 0


async def test_what_only_shows_when_it_is_built_changes_nothing_either(
    start_gateway: StartGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = await start_gateway(tenants=[OTHER])
    before = running.process.settings
    closed: list[str] = []

    class Built:
        def __init__(self, tenant: str) -> None:
            self.tenant = tenant

        async def close(self) -> None:
            closed.append(self.tenant)

    def build(settings: TenantSettings, *_: object) -> Any:
        if settings.id == "other":
            raise OperatorError("the key server's name is no name")
        return Built(settings.id)

    for module in ("live", "assembly"):
        monkeypatch.setattr(f"wsprism.composition.{module}.build_authenticator", build)

    def change(data: Any) -> None:
        data["gateway"]["drain_grace_ms"] = 3
        for tenant in data["tenants"]:
            tenant["auth"] = {"kind": "one_time"}
        data["tenants"].append({"id": "new"})

    async with Client(running.base) as client:
        with pytest.raises(SettingsError) as caught:
            await running.reconfigure(change)
        assert [(fault.path, fault.problem) for fault in caught.value.faults] == [
            ("tenants[other].auth", "the key server's name is no name")
        ]
        assert sorted(closed) == ["acme", "new"]
        assert running.process.settings is before
        assert [tenant.id for tenant in running.process.tenants()] == ["acme", "other"]
        assert running.process.actors().actors == 4
        await client.expect_silence()
        async with Client(running.base):
            pass


async def test_a_replaced_authenticator_is_closed_and_a_kept_one_is_not(
    start_gateway: StartGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = await start_gateway()
    tenant = next(iter(running.process.tenants()))
    old, closed = tenant.authenticator, asyncio.Event()

    async def close() -> None:
        closed.set()

    monkeypatch.setattr(old, "close", close)
    await running.reconfigure(acme(limits={"max_rooms_total": 3}))
    assert tenant.authenticator is old
    assert not closed.is_set()
    await running.reconfigure(lambda data: data["tenants"][0].update(auth=[{"kind": "one_time"}, {"kind": "dev"}]))
    assert tenant.authenticator is not old
    await asyncio.wait_for(closed.wait(), 30)


async def test_a_handshake_that_is_under_way_when_its_tenant_is_removed_is_refused(start_gateway: StartGateway) -> None:
    running = await start_gateway(tenants=[OTHER])
    other = next(one for one in running.process.tenants() if one.id == "other")
    judge = other.authenticator.authenticate

    class Slow:
        async def authenticate(self, request: TicketRequest) -> Principal | TicketRefusal:
            await running.reconfigure(lambda data: data["tenants"].pop())
            return await judge(request)

        async def close(self) -> None:
            """Nothing to let go of."""

    other.authenticator = Slow()
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        await Client(running.base, tenant="other").open()
    assert caught.value.status in (400, 503)
    await until(lambda: running.process.actors().actors == 2)
    assert running.process.connections() == 0


async def test_a_reload_takes_a_renewed_certificate_and_refuses_one_that_does_not_fit(
    start_gateway: StartGateway, tmp_path: Path
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    old, new = make_certificate(first), make_certificate(second)
    running = await start_gateway(gateway={"tls": {"cert_file": str(old.cert), "key_file": str(old.key)}})
    base = running.base.replace("http:", "https:")

    async def served_by(certificate: Certificate) -> bool:
        async with aiohttp.ClientSession() as session:
            try:
                async with session.get(base + "/healthz", ssl=certificate.client_context()) as response:
                    return response.status == 200
            except aiohttp.ClientConnectorCertificateError:
                return False

    assert await served_by(old)
    with pytest.raises(SettingsError, match="do not fit"):
        await running.reconfigure(
            lambda data: data["gateway"].update(
                drain_grace_ms=9, tls={"cert_file": str(new.cert), "key_file": str(old.key)}
            )
        )
    assert await served_by(old)
    assert running.process.settings.gateway.drain_grace_ms == 1000
    new_files = {"cert_file": str(new.cert), "key_file": str(new.key)}
    report = await running.reconfigure(lambda data: data["gateway"].update(drain_grace_ms=1000, tls=new_files))
    assert [change.key for change in report.changed] == ["gateway.tls.cert_file", "gateway.tls.key_file"]
    assert await served_by(new)
    for mine, theirs in ((new.cert, old.cert), (new.key, old.key)):
        os.replace(theirs, mine)
    report = await running.process.reload()
    assert report.applied
    assert await served_by(Certificate(second / "cert.pem", second / "key.pem", second))
    report = await running.reconfigure(lambda data: data["gateway"].pop("tls"))
    assert not report.applied
    assert {change.key for change in report.needs_restart} == {"gateway.tls.cert_file", "gateway.tls.key_file"}


async def test_gateway_wide_keys_are_in_force_for_what_comes_next(start_gateway: StartGateway) -> None:
    running = await start_gateway()
    limit = {"enabled": True, "global_rps": 0.01, "global_burst": 1}
    async with Client(running.base) as client:
        report = await running.reconfigure(lambda data: data["gateway"].update(handshake_limit=limit, compression=True))
        assert report.applied
        async with Client(running.base, compress=15) as packed:
            assert packed.ws.compress
            with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
                await Client(running.base).open()
            assert caught.value.status == 429
            await client.expect_silence()
        await running.reconfigure(lambda data: data["gateway"].update(handshake_limit={"enabled": False}))
        async with Client(running.base):
            pass


async def test_the_api_reloads_and_drains_as_signals_do(tmp_path: Path) -> None:
    config = f"""
version: 1
gateway:
  listen: "127.0.0.1:0"
  internal: {{listen: "127.0.0.1:0", api_keys: [{{name: ops, key: {ADMIN}}}]}}
tenants: [{{id: acme, auth: {{kind: dev}}}}]
"""
    async with GatewayCommand(config, tmp_path) as gateway, Backend(gateway.internal_base) as backend:
        gateway.path.write_text(config.replace("kind: dev", "kind: def").replace("acme", "''"))
        refused = await backend.post("/v1/reload")
        assert (refused.status, len(refused.json["errors"])) == (422, 2)
        gateway.path.write_text(config.replace("{kind: dev}", "{kind: dev}, limits: {max_rooms_total: 2}"))
        applied = await backend.post("/v1/reload")
        assert applied.json == {
            "result": "applied",
            "changed": ["tenants[acme].limits.max_rooms_total: 0 -> 2"],
            "needs_restart": [],
        }
        info = (await backend.get("/v1/info")).json
        assert info["configuration_generation"] == 2
        gateway.path.write_text(config.replace(ADMIN, "k-another-0123456789"))
        assert (await backend.post("/v1/reload")).json["result"] == "applied"
        assert (await backend.get("/v1/info")).status == 401
        async with Backend(gateway.internal_base, "k-another-0123456789") as renewed:
            assert (await renewed.post("/v1/drain")).status == 202
        assert await gateway.wait(30) == 0
    assert ADMIN not in "".join(gateway.log)


async def test_levels_of_the_log_follow_and_a_level_that_is_gone_is_the_general_one_again(tmp_path: Path) -> None:
    config = 'version: 1\ngateway: {listen: "127.0.0.1:0"}\ntenants: [{id: acme, auth: {kind: dev}}]\nlogging: {}\n'
    async with GatewayCommand(config, tmp_path) as gateway:
        for number, levels in enumerate(("{connection: error}", "{}"), 1):
            gateway.path.write_text(config.replace("logging: {}", f"logging: {{levels: {levels}}}"))
            gateway.signal(signal.SIGHUP)
            await gateway.logged("configuration applied", number)
            async with Client(gateway.base):
                pass
        await gateway.logged("connection closed")
        assert sum(record["message"] == "connection opened" for record in gateway.messages()) == 1
        gateway.signal(signal.SIGTERM)
        assert await gateway.wait(30) == 0
