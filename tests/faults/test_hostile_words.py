"""A hostile client cannot write into logs or make labels of metrics, learn whether a user exists, or see internals."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.client import Client, until
from tests.conftest import StartGateway
from tests.process import GatewayCommand
from tests.raw import RawClient, client_frame, handshake

FORGED = '\n{"level":"info","message":"forged"}'


async def answer(port: int, request: bytes) -> bytes:
    """Everything that is answered to ``request``, up to the end of the socket; a Close is answered, as browsers do."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    received = b""
    async with asyncio.timeout(30):
        while chunk := await reader.read(65536):
            received += chunk
            if received.startswith(b"HTTP/1.1 101 ") and b"\x88" in received:
                writer.write(client_frame(b"", opcode=8))
    writer.close()
    return received


def request(path: str = "/v1/ws?tenant=acme", **headers: str) -> bytes:
    more = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    head = handshake("", more=more).partition("\r\n")[2]
    return f"GET {path} HTTP/1.1\r\n{head}".encode("utf-8", "surrogateescape")


CONFIG = """
version: 1
gateway: {listen: "127.0.0.1:0"}
tenants:
  - {id: acme, auth: {kind: dev}, policy: {ext_allowlist: ["room:*", "chat:*"]}}
logging: {format: json, level: debug}
"""


async def test_every_line_of_the_log_is_the_gateways_own(tmp_path: Path) -> None:
    async with GatewayCommand(CONFIG, tmp_path) as gateway:
        for value in (
            "a%0A%7B%22message%22:%22forged%22%7D",
            "%1b[31mforged",
            "%C2%85forged",
            "%E2%80%A8forged",
        ):
            for path in (f"/v1/ws?tenant={value}", f"/v1/ws?tenant=acme&ticket=dev:{value}", f"/{value}"):
                assert b"HTTP/1.1 4" in await answer(gateway.port, request(path))
            assert b"HTTP/1.1 400" in await answer(gateway.port, request(f"/v1/ws?tenant=acme&ticket=dev&sid={value}"))
        for header in ("Origin", "User_Agent", "X_Forwarded_For", "Forwarded", "traceparent", "Authorization"):
            await answer(gateway.port, request(**{header: "x\t\x7f\x1b[31mforged\udcff\x85"}))
        async with Client(gateway.base, ticket="dev:eve") as eve:
            for text in (FORGED, "\r\n" + FORGED, "forged\u2028"):
                await eve.ws.send_str(text)
                await eve.send("chat", "send", {"msg": text}, room="x" + text)
                await eve.send("chat" + text, "send")
            await eve.ws.close(code=3999, message=FORGED.encode())
    assert gateway.log
    for line in gateway.log:
        record = json.loads(line)
        assert record["message"] != "forged"
        assert record["logger"].startswith(("wsprism", "asyncio"))
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f\x1b\x85\u2028]", line.rstrip("\n")), line
    assert "forged" not in "".join(gateway.log)


async def test_nothing_on_the_wire_becomes_a_label_of_a_metric(start_gateway: StartGateway) -> None:
    gateway = await start_gateway()

    async def series() -> set[str]:
        async with aiohttp.ClientSession() as session, session.get(f"{gateway.base}/metrics") as response:
            lines = (await response.text()).splitlines()
        return {line.rpartition(" ")[0] for line in lines if not line.startswith("#")}

    async def be_odd(number: int) -> None:
        odd = f"odd{number}"
        async with Client(gateway.base, ticket=f"dev:{odd}", sid=odd) as client:
            await client.join(odd)
            await client.send(odd, "send")
            await client.expect_error("NOT_ALLOWED")
            await client.send("chat", odd)
            await client.expect_error("NOT_ALLOWED")
            await client.ws.send_bytes(bytes((100 + number, number, 0)))
            await client.expect_error("NOT_ALLOWED")
            await client.ws.close(code=3000 + number)
        await until(lambda: gateway.process.connections() == 0)
        for path in (f"/{odd}", f"/v1/ws?tenant={odd}", f"/v1/ws?tenant=acme&ticket={odd}", f"/v1/ws?{odd}=1"):
            await answer(gateway.port, request(path, Origin=odd))

    await be_odd(1)
    before = await series()
    for number in range(2, 30):
        await be_odd(number)
    assert await series() == before
    assert "odd" not in "".join(before)


TOKENS = {"auth": [{"kind": "tokens", "tokens": {"t-ann": "ann"}}, {"kind": "one_time"}]}


async def test_whoever_is_refused_hears_the_same_whether_or_not_a_user_exists(start_gateway: StartGateway) -> None:
    """One body, one status, one set of headers for every ticket that is not good, and the same work for each."""
    other = {"id": "other", "auth": {"kind": "tokens", "tokens": {"t-bob": "bob"}}}
    gateway = await start_gateway(acme=TOKENS, tenants=[other])
    acme = next(iter(gateway.process.tenants()))
    used = acme.one_time.mint("ann", 60)
    late = acme.one_time.mint("ann", -1)
    assert used is not None
    assert late is not None
    async with Client(gateway.base, ticket=used[0]):
        pass
    tickets = [
        "t-ann2",
        "t-an",
        "",
        "t-bob",
        "ann",
        "bob",
        "dev",
        "dev:ann",
        used[0],
        late[0],
        "x" * 4000,
        "%00",
        "%ff",
    ]
    answers = {
        re.sub(rb"Date: [^\r]*", b"", await answer(gateway.port, request(f"/v1/ws?tenant=acme&ticket={ticket}")))
        for ticket in tickets
    }
    assert len(answers) == 1, answers
    assert b"401" in answers.pop()


async def test_a_room_answers_nobody_who_is_in_it_but_its_members(start_gateway: StartGateway) -> None:
    gateway = await start_gateway()
    async with Client(gateway.base, ticket="dev:ann") as ann, Client(gateway.base, ticket="dev:eve") as eve:
        await ann.join("secret")
        heard = []
        for room in ("secret", "empty"):
            for kind in ("members", "leave"):
                await eve.send("room", kind, room=room)
            await eve.send("chat", "send", {"msg": "?"}, room=room)
            heard.append([await eve.receive() for _ in range(3)])
        assert heard[0] == heard[1]


class Broken:
    """Fails with what no client may see."""

    types = frozenset({"send"})

    def handle(self, context: Any, envelope: Any) -> object:  # noqa: ARG002
        raise RuntimeError("/etc/wsprism/secret at 0x7f00, password=hunter2")

    async def authenticate(self, request: Any) -> None:
        self.handle(None, request)

    async def close(self) -> None: ...


def only_says_internal_error(said: bytes) -> None:
    assert b"internal error" in said
    for secret in (b"hunter2", b"/etc/", b"Traceback", b"RuntimeError", b".py", b"0x7f"):
        assert secret not in said


async def test_a_crash_shows_its_client_nothing_of_itself(
    start_gateway: StartGateway, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    gateway = await start_gateway()
    tenant = next(iter(gateway.process.tenants()))
    monkeypatch.setitem(tenant.rules.services.ext, "chat", Broken())
    async with Client(gateway.base, ticket="dev:ann") as ann:
        eve = await RawClient.connect(gateway.port, "dev:eve")
        eve.send(client_frame(b'{"v":1,"svc":"chat","type":"send","data":{}}'))
        said = b"".join([(await eve.frame())[1], (await eve.frame())[1]])
        only_says_internal_error(said)
        assert (1011).to_bytes(2, "big") in said
        await ann.expect_silence()
        eve.abort()
    monkeypatch.setattr(tenant, "authenticator", Broken())
    only_says_internal_error(await answer(gateway.port, request("/v1/ws?tenant=acme&ticket=dev")))
    assert "hunter2" in caplog.text
    caplog.clear()


async def test_no_ticket_is_written_into_a_log(start_gateway: StartGateway, caplog: pytest.LogCaptureFixture) -> None:
    gateway = await start_gateway(acme={"auth": {"kind": "tokens", "tokens": {"s3cret-ticket": "ann"}}})
    with caplog.at_level(logging.DEBUG):
        async with Client(gateway.base, ticket="s3cret-ticket") as ann:
            await ann.send("sys", "refresh", {"ticket": "s3cret-ticket"})
            assert (await ann.receive())["type"] == "refreshed"
        await answer(gateway.port, request("/v1/ws?tenant=acme&ticket=s3cret-wrong"))
        await answer(gateway.port, request("/v1/ws?tenant=acme", Authorization="Bearer s3cret-wrong"))
        await until(lambda: gateway.process.connections() == 0)
    records = [record for record in caplog.records if record.name.startswith("wsprism")]
    assert records
    assert "s3cret" not in " ".join(str(record.__dict__) for record in records)


HEADERS = ["Origin", "User_Agent", "X_Forwarded_For", "Authorization", "Sec_WebSocket_Protocol"]


@pytest.mark.parametrize("header", HEADERS)
async def test_bytes_that_are_no_text_in_a_header_are_a_clients_fault(
    start_gateway: StartGateway, caplog: pytest.LogCaptureFixture, header: str
) -> None:
    """Whatever judges tickets: none is tripped up, and nothing is logged as an error of ours."""
    kinds: list[dict[str, Any]] = [
        {"kind": "jwt", "algorithms": ["HS256"], "secret": "0123456789abcdef0123456789abcdef"},
        {"kind": "one_time"},
        {"kind": "webhook", "url": "http://127.0.0.1:9/", "secret": "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3"},
        {"kind": "dev"},
    ]
    for kind in kinds:
        gateway = await start_gateway(acme={"auth": kind})
        value = "Bearer \udcff\udcfe" if header == "Authorization" else "\udcff\udcfe"
        for path in ("/v1/ws?tenant=acme&ticket=a.b.c", "/v1/ws?tenant=acme&ticket=%ff%fe"):
            said = await answer(gateway.port, request(path, **{header: value}))
            # Nobody listens where the webhook would be asked: that is no "no".
            codes = (b"AUTH_FAILED", b"UNAVAILABLE") if kind["kind"] == "webhook" else (b"AUTH_FAILED",)
            # Who names an origin is a browser: it is refused behind the upgrade, where its page can read why.
            statuses = (b"HTTP/1.1 101 ",) if header == "Origin" else (b"HTTP/1.1 401 ", b"HTTP/1.1 503 ")
            assert said.startswith(statuses), said
            assert any(code in said for code in codes), said
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
