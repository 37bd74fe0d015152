"""Hostile use of the internal API: nobody gets beyond a key's scope, and every refusal is a problem with a code."""

from __future__ import annotations

import asyncio
import io
import logging
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

from tests.api import ADMIN, INTERNAL, SCOPED, Backend, start_with_api
from tests.client import Client
from tests.conftest import Running, StartGateway
from wsprism.transport.api import requests
from wsprism.transport.api.routes import OPERATIONS

ACME = "/v1/tenants/acme"
MESSAGE = {"svc": "a", "type": "b"}
JSON = {"Content-Type": "application/json"}


@pytest.fixture
async def gateway(start_gateway: StartGateway) -> tuple[Running, str]:
    return await start_with_api(start_gateway)


@pytest.fixture
async def admin(gateway: tuple[Running, str]) -> AsyncIterator[Backend]:
    async with Backend(gateway[1]) as one:
        yield one


@pytest.fixture
async def scoped(gateway: tuple[Running, str]) -> AsyncIterator[Backend]:
    async with Backend(gateway[1], SCOPED) as one:
        yield one


# Keys


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        f"Bearer {ADMIN}x",
        f"Bearer {ADMIN[:-1]}",
        f"Basic {ADMIN}",
        ADMIN,
        f"Bearer {ADMIN} {ADMIN}",
        "Bearer \udcff",
    ],
)
async def test_without_a_good_key_nothing_is_told(gateway: tuple[Running, str], authorization: str | None) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    async with Backend(gateway[1], None) as nobody:
        for path in ("/v1/info", ACME, "/v1/tenants/unknown", "/v1/nothing", "/v1/", "/v1"):
            answer = await nobody.get(path, headers=headers)
            assert (answer.status, answer.code) == (401, "AUTH_FAILED")
            assert answer.headers["WWW-Authenticate"] == "Bearer"


async def test_two_authorization_headers_are_none(gateway: tuple[Running, str]) -> None:
    running, internal = gateway
    host, port = internal.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    bearer = f"Authorization: Bearer {ADMIN}\r\n"
    writer.write(f"GET /v1/info HTTP/1.1\r\nHost: x\r\n{bearer}{bearer}\r\n".encode())
    assert (await reader.readline()).split()[1] == b"401"
    writer.close()
    await writer.wait_closed()
    assert running.process.connections() == 0


@pytest.mark.parametrize("target", ["*", "http://x/v1/tenants/other", "x", "//v1/info", "/%2Fv1/info"])
async def test_an_odd_request_target_gets_nowhere(gateway: tuple[Running, str], target: str) -> None:
    host, port = gateway[1].removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"OPTIONS {target} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {SCOPED}\r\n\r\n".encode())
    status = (await asyncio.wait_for(reader.readline(), 60)).split()[1]
    assert status in (b"400", b"404", b"405")
    writer.close()
    await writer.wait_closed()


async def test_health_and_the_document_are_open(gateway: tuple[Running, str]) -> None:
    async with Backend(gateway[1], None) as nobody:
        for path in ("/healthz", "/readyz", "/metrics", "/openapi.json"):
            assert (await nobody.get(path)).status == 200


async def test_another_tenant_does_not_exist_for_a_scoped_key(scoped: Backend) -> None:
    calls: list[tuple[str, str, Any]] = [
        ("GET", "", None),
        ("GET", "/sessions", None),
        ("GET", "/rooms", None),
        ("GET", "/rooms/lobby", None),
        ("POST", "/rooms/lobby/publish", MESSAGE),
        ("POST", "/publish", {"rooms": ["lobby"], "messages": MESSAGE}),
        ("POST", "/broadcast", MESSAGE),
        ("POST", "/users/u/send", MESSAGE),
        ("POST", "/rooms/lobby/members", {"user": "u"}),
        ("DELETE", "/rooms/lobby/members", {"user": "u"}),
        ("POST", "/disconnect", {"user": "u"}),
        ("POST", "/tickets", {"user": "u", "ttl_s": 1}),
        ("POST", "/revoke", {"user": "u"}),
        ("GET", "/users/u", None),
        ("GET", "/revocations", None),
        ("DELETE", "/revocations/user/u", None),
    ]
    for method, rest, body in calls:
        hidden = await scoped.call(method, f"/v1/tenants/other{rest}", body)
        unknown = await scoped.call(method, f"/v1/tenants/nonexistent{rest}", body)
        assert (hidden.status, hidden.code) == (404, "BAD_REQUEST")
        assert hidden.json == unknown.json
        assert (await scoped.call(method, f"{ACME}{rest}", body)).status != 404


async def test_a_scoped_key_sees_its_tenants_and_nothing_of_the_gateway(scoped: Backend) -> None:
    page = (await scoped.get("/v1/tenants")).json
    assert ([one["tenant"] for one in page["items"]], page["next_cursor"]) == (["acme"], None)
    for method, path, body in (
        ("GET", "/v1/info", None),
        ("GET", "/v1/config", None),
        ("POST", "/v1/drain", None),
        ("POST", "/v1/reload", None),
        ("PUT", "/v1/log-level", {"level": "debug"}),
    ):
        answer = await scoped.call(method, path, body)
        assert (answer.status, answer.code) == (403, "NOT_ALLOWED")


@pytest.mark.parametrize(
    "path",
    [
        "/v1/tenants/acme%2F..%2Fother",
        "/v1/tenants/acme/../other",
        "/v1/tenants/acme/%2e%2e/other",
        "/v1/tenants/%2e%2e/tenants/other",
        "/v1/tenants/acme%00",
        "/v1/tenants/other%2Frooms",
        "/v1/tenants/acme;other",
        "/v1/tenants//other",
        "/v1//tenants/other",
        "/v1/tenants/ACME",
        "/v1/tenants/%ff",
        "/v1/tenants/other/rooms/acme",
        "/v1/tenants/acme/rooms/x/publish/../../../../other",
    ],
)
async def test_no_path_leads_out_of_the_scope(scoped: Backend, path: str) -> None:
    answer = await scoped.get(path)
    assert (answer.status, answer.code) == (404, "BAD_REQUEST")


async def test_a_key_is_never_logged_and_its_name_is(
    gateway: tuple[Running, str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with Backend(gateway[1]) as admin, Backend(gateway[1], "a-wrong-secret") as stranger:
        await admin.post(f"{ACME}/disconnect", {"user": "u"})
        await stranger.get("/v1/info")
    records = [record for record in caplog.records if record.name.startswith("wsprism")]
    told = [record.__dict__ for record in records if record.name == "wsprism.api"]
    assert [(one["call"], one["key"], one["tenant"], one["asked"]["user"]) for one in told if "call" in one] == [
        ("disconnect", "admin", "acme", "u")
    ]
    assert not [text for text in map(str, (record.__dict__ for record in records)) if ADMIN in text]
    assert not [text for text in map(str, (record.__dict__ for record in records)) if "a-wrong-secret" in text]


# Requests


async def test_a_room_name_is_whatever_stands_percent_encoded(gateway: tuple[Running, str], scoped: Backend) -> None:
    async with Client(gateway[0].base) as ann:
        await ann.join("a/b c✓")
        assert (await scoped.post(f"{ACME}/rooms/a%2Fb%20c%E2%9C%93/publish", MESSAGE)).json == {"members": 1}
    for room in ("%00", "a%0Ab", "%7F", "x" * 129, "%C2%85"):
        answer = await scoped.post(f"{ACME}/rooms/{room}/publish", MESSAGE)
        assert (answer.status, answer.code) == (400, "BAD_REQUEST")
    assert (await scoped.post(f"{ACME}/users/{'x' * 256}/send", MESSAGE)).json == {"sessions": 0}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b'{"svc":"a","type":"b","data":NaN}',
        b'{"svc":"a","type":"b","data":Infinity}',
        b"[" * 100_000,
        b'{"svc":"a","type":"b","data":' + b"[" * 5000 + b"]" * 5000 + b"}",
        b'{"svc":"a","type":"b"} x',
        b'{"svc":"a","type":"\\ud800"}',
    ],
)
async def test_what_is_not_json_is_400(scoped: Backend, body: bytes) -> None:
    answer = await scoped.post(f"{ACME}/broadcast", data=body, headers=JSON)
    assert (answer.status, answer.code) == (400, "BAD_REQUEST")


@pytest.mark.parametrize(
    "body",
    [
        b"null",
        b"[]",
        b"5",
        b'"text"',
        b"[[]]",
        b'{"svc":"a"}',
        b'{"svc":"","type":"b"}',
        b'{"svc":"a b","type":"b"}',
        b'{"svc":"a","type":"b","room":"r"}',
        b'{"svc":"sys","type":"kicked"}',
        b'{"svc":1,"type":"b"}',
        b'{"hot":"####"}',
        b'{"hot":""}',
        b'{"hot":5}',
        b'{"hot":"AQUA","svc":"a","type":"b"}',
        b'{"svc":"a","type":"b","data":' + b"[" * 70 + b"]" * 70 + b"}",
        b"[" + b",".join([b'{"svc":"a","type":"b"}'] * 101) + b"]",
    ],
)
async def test_what_is_no_message_is_422_with_a_pointer(scoped: Backend, body: bytes) -> None:
    answer = await scoped.post(f"{ACME}/broadcast", data=body, headers=JSON)
    assert (answer.status, answer.code) == (422, "BAD_REQUEST")
    assert all(set(one) == {"pointer", "detail"} for one in answer.json["errors"])


@pytest.mark.parametrize("user", ["", "a\nb", "\x7f", "é" * 128])
async def test_nobody_is_named_what_no_user_can_be(scoped: Backend, user: str) -> None:
    for path, body in (("tickets", {"ttl_s": 1}), ("disconnect", {}), ("rooms/r/members", {}), ("revoke", {})):
        answer = await scoped.post(f"{ACME}/{path}", {"user": user, **body})
        assert (answer.status, answer.json["errors"][0]["pointer"]) == (422, "/user")


async def test_of_a_repeated_field_the_last_counts(gateway: tuple[Running, str], scoped: Backend) -> None:
    async with Client(gateway[0].base) as ann:
        body = b'{"svc":"a","type":"first","type":"last"}'
        assert (await scoped.post(f"{ACME}/broadcast", data=body, headers=JSON)).status == 202
        assert (await ann.receive())["type"] == "last"


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "multipart/form-data"},
        JSON | {"Content-Encoding": "gzip"},
    ],
)
async def test_another_content_type_is_415(scoped: Backend, headers: dict[str, str]) -> None:
    answer = await scoped.post(f"{ACME}/broadcast", data=b'{"svc":"a","type":"b"}', headers=headers)
    assert (answer.status, answer.code) == (415, "BAD_REQUEST")


async def test_a_huge_body_is_refused_whether_or_not_it_says_how_long_it_is(scoped: Backend) -> None:
    announced = await scoped.post(f"{ACME}/broadcast", data=io.BytesIO(b"x" * 3_000_000), headers=JSON)
    assert (announced.status, announced.code) == (413, "PAYLOAD_TOO_LARGE")

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(300):
            yield b"x" * 10_000

    streamed = await scoped.post(f"{ACME}/broadcast", data=pieces(), headers=JSON)
    assert (streamed.status, streamed.code) == (413, "PAYLOAD_TOO_LARGE")


async def test_another_method_is_405_with_those_that_there_are(scoped: Backend, admin: Backend) -> None:
    for method, path, allowed in (
        ("PUT", ACME, "GET"),
        ("GET", f"{ACME}/rooms/r/members", "POST, DELETE"),
        ("PATCH", f"{ACME}/broadcast", "POST"),
        ("OPTIONS", "/v1/tenants", "GET"),
    ):
        answer = await scoped.call(method, path)
        assert (answer.status, answer.code, answer.headers["Allow"]) == (405, "BAD_REQUEST", allowed)
    assert (await admin.call("POST", "/openapi.json")).status == 405


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=1001", "limit=x", "limit=1&limit=2", "cursor=-1", "cursor=%C3%A4", "cursor=", "page=1"]
)
async def test_a_query_that_makes_no_sense_is_400(scoped: Backend, query: str) -> None:
    answer = await scoped.get(f"{ACME}/sessions?{query}")
    assert (answer.status, answer.code) == (400, "BAD_REQUEST")


@pytest.mark.parametrize("key", ["", "x" * 256, "with space", "ä"])
async def test_an_idempotency_key_that_cannot_be_is_400(scoped: Backend, key: str) -> None:
    answer = await scoped.post(f"{ACME}/broadcast", MESSAGE, headers={"Idempotency-Key": key})
    assert (answer.status, answer.code) == (400, "BAD_REQUEST")


async def test_a_user_named_in_odd_bytes_is_listed(gateway: tuple[Running, str], scoped: Backend) -> None:
    async with Client(gateway[0].base, ticket="dev:%F0%9F%98%80%22"):
        (item,) = (await scoped.get(f"{ACME}/sessions")).json["items"]
        assert item["user"] == 'user:😀"'


async def test_a_body_that_never_ends_holds_nobody_up(gateway: tuple[Running, str], scoped: Backend) -> None:
    host, port = gateway[1].removeprefix("http://").split(":")
    head = (
        f"POST {ACME}/broadcast HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {SCOPED}\r\n"
        "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
    ).encode()
    slow = [await asyncio.open_connection(host, int(port)) for _ in range(20)]
    for _, writer in slow:
        writer.write(head)
    assert (await scoped.post(f"{ACME}/broadcast", MESSAGE)).status == 202
    for _, writer in slow:
        writer.close()
        await writer.wait_closed()


async def test_a_body_that_does_not_arrive_in_time_is_408(
    gateway: tuple[Running, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requests, "BODY_TIMEOUT_S", 0.05)
    host, port = gateway[1].removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        f"POST {ACME}/broadcast HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {SCOPED}\r\n"
        "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{".encode()
    )
    assert (await asyncio.wait_for(reader.readline(), 60)).split()[1] == b"408"
    writer.close()
    await writer.wait_closed()


# Overload, and our own faults


async def test_an_overloaded_room_takes_nothing(
    gateway: tuple[Running, str], scoped: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Client(gateway[0].base) as ann:
        await ann.join("lobby")
        tenant = gateway[0].process.tenant("acme")
        assert tenant is not None
        entry = tenant.registry.rooms["lobby"]
        monkeypatch.setattr(entry.inbox, "ref", SimpleNamespace(tell=lambda _: False))
        answer = await scoped.post(f"{ACME}/rooms/lobby/publish", [MESSAGE, MESSAGE])
        monkeypatch.undo()
        assert (answer.status, answer.code, answer.headers["Retry-After"]) == (503, "RESOURCE_EXHAUSTED", "1")
        await ann.expect_silence()


async def test_tickets_that_nobody_uses_are_bounded(start_gateway: StartGateway) -> None:
    running, internal = await start_with_api(start_gateway, acme={"auth": {"kind": "one_time"}})
    tenant = running.process.tenant("acme")
    assert tenant is not None
    tenant.one_time._principals._max_entries = 1
    async with Backend(internal) as backend:
        body = {"user": "u", "ttl_s": 60}
        assert (await backend.post(f"{ACME}/tickets", body)).status == 201
        full = await backend.post(f"{ACME}/tickets", body)
        assert (full.status, full.code, full.headers["Retry-After"]) == (503, "RESOURCE_EXHAUSTED", "5")


async def test_a_fault_of_ours_is_500_and_tells_nothing(
    gateway: tuple[Running, str], admin: Backend, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> bool:
        raise RuntimeError("an internal detail")

    monkeypatch.setattr(gateway[0].process, "draining", fail)
    answer = await admin.get("/v1/info")
    assert (answer.status, answer.code, answer.json["detail"]) == (500, "INTERNAL", "internal error")
    assert [record.message for record in caplog.records if record.exc_info] == ["a call could not be answered"]


HAS_NONE = {"backend": 404, "history": 409, "presence": 409}
"""What a tenant without a backend, and a room without history and presence, answer to whom they let look."""


async def test_a_read_only_key_sees_everything_and_changes_nothing(start_gateway: StartGateway) -> None:
    key = "k-looks-on-0123456789"
    internal = INTERNAL | {
        "api_keys": [{"name": "admin", "key": ADMIN}, {"name": "page", "key": key, "read_only": True}]
    }
    running = await start_gateway(gateway={"internal": internal})
    base = f"http://{running.process.internal_address}"
    async with Client(running.base) as client, Backend(base, key) as backend:
        for operation in OPERATIONS:
            path = operation.path.format(tenant="acme", room="r", user="u", what="user", name="u")
            answer = await backend.call(operation.method, path)
            if operation.method == "GET":
                assert answer.status == HAS_NONE.get(operation.name, 200), operation.name
            else:
                assert (answer.status, answer.code) == (403, "NOT_ALLOWED"), operation.name
        assert (await backend.get("/v1/key")).json == {"name": "page", "tenants": "all", "read_only": True}
        await client.expect_silence()


async def test_a_scoped_key_is_told_what_it_is(scoped: Backend) -> None:
    told = (await scoped.get("/v1/key")).json
    assert (told["name"], "acme" in told["tenants"], told["read_only"]) == ("scoped", True, False)
