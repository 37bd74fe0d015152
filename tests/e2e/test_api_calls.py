"""The internal API over its real listener, with real clients: every call does what docs/api.md says."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from datetime import datetime
from urllib.parse import quote

import msgspec
import pytest

from tests.api import Backend, start_with_api
from tests.client import Client, until
from tests.conftest import Running, StartGateway

ACME = "/v1/tenants/acme"
HOT = base64.b64encode(b"\x01\x05\x00state").decode()


@pytest.fixture
async def gateway(start_gateway: StartGateway) -> tuple[Running, str]:
    return await start_with_api(start_gateway, acme={"auth": [{"kind": "dev"}, {"kind": "one_time"}]})


@pytest.fixture
async def backend(gateway: tuple[Running, str]) -> AsyncIterator[Backend]:
    async with Backend(gateway[1]) as one:
        yield one


@pytest.fixture
def base(gateway: tuple[Running, str]) -> str:
    return gateway[0].base


# Publishing


async def test_a_publication_reaches_the_room_in_both_lanes(backend: Backend, base: str) -> None:
    async with Client(base, ticket="dev:ann") as ann, Client(base, ticket="dev:bob") as bob:
        await ann.join("lobby")
        answer = await backend.post(
            f"{ACME}/rooms/lobby/publish", [{"svc": "news", "type": "item", "data": {"n": 1}}, {"hot": HOT}]
        )
        assert (answer.status, answer.json) == (202, {"members": 1})
        assert await ann.receive() == {"v": 1, "svc": "news", "type": "item", "room": "lobby", "data": {"n": 1}}
        assert await ann.receive_hot() == b"\x01\x05\x00state"
        await bob.expect_silence()


async def test_an_empty_room_has_no_members_and_is_not_made(backend: Backend) -> None:
    answer = await backend.post(f"{ACME}/rooms/nobody/publish", {"svc": "a", "type": "b"})
    assert (answer.status, answer.json) == (202, {"members": 0})
    assert (await backend.get(f"{ACME}/rooms")).json == {"items": [], "next_cursor": None}


async def test_publications_stand_among_what_clients_send_in_the_same_place_for_every_member(
    backend: Backend, base: str
) -> None:
    messages, members = 60, 4
    clients = [Client(base, ticket=f"dev:u{number}") for number in range(members)]
    for client in clients:
        await client.__aenter__()
        await client.join("lobby")

    async def speak(client: Client, name: str) -> None:
        for number in range(messages):
            await client.send("chat", "send", {"msg": f"{name}:{number}"}, room="lobby")
            if number % 5 == 0:
                await asyncio.sleep(0)

    async def publish() -> None:
        for number in range(messages):
            pair = [{"svc": "chat", "type": "msg", "data": {"msg": f"api:{number}:{part}"}} for part in "ab"]
            answer = await backend.post(f"{ACME}/rooms/lobby/publish", pair)
            assert answer.json == {"members": members}

    await asyncio.gather(publish(), *(speak(client, str(number)) for number, client in enumerate(clients)))
    total = members * messages + 2 * messages
    heard = [[(await client.receive())["data"]["msg"] for _ in range(total)] for client in clients]
    assert all(one == heard[0] for one in heard)
    ours = [text for text in heard[0] if text.startswith("api:")]
    assert ours == [f"api:{number}:{part}" for number in range(messages) for part in "ab"]
    places = [heard[0].index(f"api:{number}:a") for number in range(messages)]
    assert all(heard[0][place + 1] == f"api:{number}:b" for number, place in enumerate(places))
    for client in clients:
        await client.close()


async def test_a_broadcast_and_a_message_to_a_user_name_no_room(backend: Backend, base: str) -> None:
    async with Client(base, ticket="dev:ann") as ann, Client(base, ticket="dev:bob") as bob:
        assert (await backend.post(f"{ACME}/broadcast", {"svc": "a", "type": "b", "data": 1})).json == {"sessions": 2}
        answer = await backend.post(f"{ACME}/users/user%3Aann/send", {"svc": "a", "type": "b", "data": 2})
        assert (answer.status, answer.json) == (202, {"sessions": 1})
        assert [await ann.receive() for _ in "12"] == [
            {"v": 1, "svc": "a", "type": "b", "data": 1},
            {"v": 1, "svc": "a", "type": "b", "data": 2},
        ]
        assert (await bob.receive())["data"] == 1
        await bob.expect_silence()
        unknown = await backend.post(f"{ACME}/users/nobody/send", {"hot": HOT})
        assert (unknown.status, unknown.json) == (202, {"sessions": 0})


async def test_allowlists_and_rate_limits_do_not_bind_the_backend(start_gateway: StartGateway) -> None:
    tight = {"policy": {"rate_limit_rps": 1, "rate_limit_burst": 2, "hot_allowlist": []}}
    running, internal = await start_with_api(start_gateway, acme=tight)
    async with Client(running.base) as ann, Backend(internal) as backend:
        await ann.join("lobby")
        for _ in range(10):
            assert (await backend.post(f"{ACME}/rooms/lobby/publish", {"hot": HOT})).status == 202
        for _ in range(10):
            assert await ann.receive_hot() == b"\x01\x05\x00state"


async def test_a_list_with_one_bad_entry_delivers_nothing(backend: Backend, base: str) -> None:
    async with Client(base) as ann:
        await ann.join("lobby")
        good = {"svc": "a", "type": "b"}
        for bad, pointer in (
            ({"svc": "sys", "type": "authed"}, "/1/svc"),
            ({"hot": base64.b64encode(b"\x01\x05\x04xx").decode()}, "/1/hot"),
            ({"hot": base64.b64encode(b"\x01\x05").decode()}, "/1/hot"),
            ({"svc": "a", "type": "b", "data": 10**400}, "/1/data"),
        ):
            body = json.dumps([good, bad]).encode()
            answer = await backend.post(
                f"{ACME}/rooms/lobby/publish", data=body, headers={"Content-Type": "application/json"}
            )
            assert (answer.status, answer.code) in ((422, "BAD_REQUEST"), (400, "BAD_REQUEST"))
            if answer.status == 422:
                assert [one["pointer"] for one in answer.json["errors"]] == [pointer]
        await ann.expect_silence()


async def test_the_payload_limit_is_the_backends_own_to_the_byte(start_gateway: StartGateway) -> None:
    limits = {"max_frame_bytes": 1024, "max_backend_bytes": 4096}
    running, internal = await start_with_api(start_gateway, acme={"limits": limits})
    async with Client(running.base) as ann, Backend(internal) as backend:
        await ann.join("lobby")
        frame = len('{"v":1,"svc":"a","type":"b","room":"lobby","data":""}')
        fits = {"svc": "a", "type": "b", "data": "x" * (4096 - frame)}
        assert (await backend.post(f"{ACME}/rooms/lobby/publish", fits)).status == 202
        assert len(json.dumps(await ann.receive(), separators=(",", ":"))) == 4096
        too_large = await backend.post(f"{ACME}/rooms/lobby/publish", fits | {"data": fits["data"] + "x"})
        assert (too_large.status, too_large.code) == (413, "PAYLOAD_TOO_LARGE")
        hot = base64.b64encode(b"\x01\x05\x00" + bytes(4094)).decode()
        assert (await backend.post(f"{ACME}/broadcast", {"hot": hot})).status == 413
        await ann.expect_silence()


async def test_many_rooms_are_published_into_each_with_its_own_count(backend: Backend, base: str) -> None:
    async with Client(base, ticket="dev:ann") as ann, Client(base, ticket="dev:bob") as bob:
        await ann.join("a")
        await ann.join("b")
        await bob.join("b")
        message = {"svc": "news", "type": "item", "data": 1}
        answer = await backend.post(f"{ACME}/publish", {"rooms": ["b", "a", "b", "nobody"], "messages": message})
        assert (answer.status, answer.json) == (202, {"rooms": {"b": 2, "a": 1, "nobody": 0}})
        expected = {"v": 1, "svc": "news", "type": "item", "room": "b", "data": 1}
        assert await bob.receive() == expected
        assert sorted([(await ann.receive())["room"] for _ in range(2)]) == ["a", "b"]
        await backend.post(f"{ACME}/publish", {"rooms": ["a", "b"], "messages": [{"hot": HOT}]})
        assert [await one.receive_hot() for one in (ann, ann, bob)] == [b"\x01\x05\x00state"] * 3


async def test_what_is_too_large_for_one_of_many_rooms_goes_to_none(backend: Backend, base: str) -> None:
    async with Client(base) as ann:
        await ann.join("a")
        fits_a_only = {
            "svc": "a",
            "type": "b",
            "data": "x" * (65536 - len('{"v":1,"svc":"a","type":"b","room":"a","data":""}')),
        }
        messages = [{"svc": "a", "type": "b"}, fits_a_only]
        answer = await backend.post(f"{ACME}/publish", {"rooms": ["a", "longer"], "messages": messages})
        assert (answer.status, answer.json["errors"][0]["pointer"]) == (413, "/messages/1/data")
        await ann.expect_silence()


async def test_whom_a_message_excludes_gets_everything_but_that(backend: Backend, base: str) -> None:
    async with (
        Client(base, ticket="dev:ann", sid="phone") as phone,
        Client(base, ticket="dev:ann", sid="desk") as desk,
        Client(base, ticket="dev:bob", sid="phone") as bob,
    ):
        for client in (phone, desk, bob):
            await client.join("lobby")
        excludes: list[dict[str, str] | None] = [
            {"user": "user:ann"}, {"user": "user:ann", "sid": "phone"}, {"sid": "phone"}, None, {"user": "nobody"},
        ]  # fmt: skip
        items = [
            {"svc": "a", "type": "b", "data": number} | ({} if exclude is None else {"exclude": exclude})
            for number, exclude in enumerate(excludes)
        ]
        expected = [(phone, [3, 4]), (desk, [1, 2, 3, 4]), (bob, [0, 1, 3, 4])]
        for path in ("rooms/lobby/publish", "broadcast"):
            assert (await backend.post(f"{ACME}/{path}", items)).status == 202
            for client, numbers in expected:
                assert [(await client.receive())["data"] for _ in numbers] == numbers
        body = {"rooms": ["lobby"], "messages": items[3], "exclude": {"user": "user:bob"}}
        assert (await backend.post(f"{ACME}/publish", body)).json == {"rooms": {"lobby": 3}}
        assert [(await client.receive())["data"] for client in (phone, desk)] == [3, 3]
        for client in (phone, desk, bob):
            await client.expect_silence()


async def test_a_versioned_tenant_takes_versioned_frames_only(start_gateway: StartGateway) -> None:
    running, internal = await start_with_api(start_gateway, acme={"policy": {"hot_framing": "versioned"}})
    async with Client(running.base) as ann, Backend(internal) as backend:
        versioned = base64.b64encode(b"\x01\x01\x05\x00s").decode()
        assert (await backend.post(f"{ACME}/broadcast", {"hot": versioned})).json == {"sessions": 1}
        assert await ann.receive_hot() == b"\x01\x01\x05\x00s"
        plain = base64.b64encode(b"\x02\x05\x00s").decode()
        assert (await backend.post(f"{ACME}/broadcast", {"hot": plain})).status == 422


# Members, disconnects, tickets


async def test_sessions_are_joined_and_removed_as_if_they_had_asked(backend: Backend, base: str) -> None:
    async with Client(base, ticket="dev:ann", sid="phone") as ann:
        joined = await backend.post(f"{ACME}/rooms/vip/members", {"user": "user:ann"})
        assert (joined.status, joined.json) == (200, {"sessions": 1})
        message = await ann.receive()
        assert (message["type"], message["room"]) == ("joined", "vip")
        await ann.send("chat", "send", {"msg": "in the active room"})
        assert (await ann.receive())["room"] == "vip"
        removed = await backend.call("DELETE", f"{ACME}/rooms/vip/members", {"sid": "phone"})
        assert removed.json == {"sessions": 1}
        assert (await ann.receive())["type"] == "left"
        assert (await backend.call("DELETE", f"{ACME}/rooms/vip/members", {"sid": "phone"})).json == {"sessions": 0}


async def test_a_backends_join_changes_the_active_room_only_where_there_is_none_or_it_says_so(
    backend: Backend, base: str
) -> None:
    async def active() -> object:
        return (await backend.get(f"{ACME}/users/user%3Aann")).json["sessions"][0]["active_room"]

    async with Client(base, ticket="dev:ann") as ann:
        for room, more, expected in (
            ("first", {}, "first"),
            ("second", {}, "first"),
            ("third", {"active": True}, "third"),
        ):
            await backend.post(f"{ACME}/rooms/{room}/members", {"user": "user:ann"} | more)
            assert (await ann.receive())["type"] == "joined"
            assert await active() == expected
        await ann.join("fourth")
        assert await active() == "fourth"


async def test_a_user_is_shown_with_all_sessions_and_rooms(backend: Backend, base: str) -> None:
    async with Client(base, ticket="dev:ann", sid="phone") as phone, Client(base, ticket="dev:ann", sid="desk") as desk:
        await phone.join("a")
        await phone.join("b")
        await desk.join("b")
        shown = (await backend.get(f"{ACME}/users/user%3Aann")).json
        listed = (await backend.get(f"{ACME}/sessions?user=user:ann")).json["items"]
        assert (shown["user"], shown["rooms"]) == ("user:ann", ["a", "b"])
        for one in shown["sessions"] + listed:
            del one["since"]  # made of two clocks each time
        assert shown["sessions"] == listed
    nobody = (await backend.get(f"{ACME}/users/nobody")).json
    assert nobody == {"user": "nobody", "sessions": [], "rooms": []}


async def test_limits_hold_for_the_backend_too(start_gateway: StartGateway) -> None:
    running, internal = await start_with_api(start_gateway, acme={"limits": {"max_users_per_room": 1}})
    async with (
        Client(running.base, ticket="dev:ann") as ann,
        Client(running.base, ticket="dev:bob") as bob,
        Backend(internal) as backend,
    ):
        await ann.join("lobby")
        answer = await backend.post(f"{ACME}/rooms/lobby/members", {"user": "user:bob"})
        assert (answer.status, answer.code, answer.json["detail"]) == (409, "RESOURCE_EXHAUSTED", "the room is full")
        await bob.expect_silence()


async def test_a_sid_of_two_users_is_refused(backend: Backend, base: str) -> None:
    async with Client(base, ticket="dev:ann", sid="x") as ann, Client(base, ticket="dev:mallory", sid="x") as mallory:
        for path in (f"{ACME}/rooms/vip/members", f"{ACME}/disconnect"):
            answer = await backend.post(path, {"sid": "x"})
            assert (answer.status, answer.code) == (409, "BAD_REQUEST")
        assert (await backend.post(f"{ACME}/rooms/vip/members", {"sid": "x", "user": "user:ann"})).status == 200
        assert (await ann.receive())["type"] == "joined"
        await mallory.expect_silence()


async def test_a_disconnect_has_a_code_and_a_reason(backend: Backend, base: str) -> None:
    async with Client(base, ticket="dev:ann") as ann, Client(base, ticket="dev:bob") as bob:
        await bob.join("lobby")
        assert (await backend.post(f"{ACME}/disconnect", {"user": "user:ann"})).json == {"sessions": 1}
        assert (await ann.receive())["data"] == {"reason": "disconnected"}
        assert await ann.expect_close() == (4500, "disconnected")
        answer = await backend.post(f"{ACME}/disconnect", {"room": "lobby", "reason": "ende 😀", "code": 4999})
        assert answer.json == {"sessions": 1}
        assert (await bob.receive())["type"] == "kicked"
        assert await bob.expect_close() == (4999, "ende 😀")


@pytest.mark.parametrize(
    "change",
    [{"code": 1000}, {"code": 3999}, {"code": 5000}, {"code": "4500"}, {"reason": "é" * 62}, {"room": "r"}, {"who": 1}],
)
async def test_a_disconnect_that_cannot_be_done_is_refused(backend: Backend, base: str, change: dict[str, str]) -> None:
    async with Client(base, ticket="dev:ann") as ann:
        answer = await backend.post(f"{ACME}/disconnect", {"user": "user:ann", **change})
        assert (answer.status, answer.code) == (422, "BAD_REQUEST")
        await ann.expect_silence()


async def test_a_minted_ticket_opens_one_connection(backend: Backend, base: str) -> None:
    body = {"user": "zoë", "ttl_s": 60, "rooms": ["match:*"], "read_only": True, "claims": {"level": 3}}
    answer = await backend.post(f"{ACME}/tickets", body)
    assert answer.status == 201
    assert datetime.fromisoformat(answer.json["expires_at"]).tzinfo is not None
    assert answer.json["expires_at"].endswith("Z")
    async with Client(base, ticket=answer.json["ticket"]) as zoe:
        assert zoe.authed["data"]["user"] == "zoë"
        await zoe.send("room", "join", room="lobby")
        await zoe.expect_error("NOT_ALLOWED")
    with pytest.raises(Exception, match="401"):
        await Client(base, ticket=answer.json["ticket"]).open()


async def test_a_tenant_without_one_time_tickets_mints_none(backend: Backend) -> None:
    answer = await backend.post("/v1/tenants/other/tickets", {"user": "u", "ttl_s": 1})
    assert (answer.status, answer.code) == (409, "NOT_ALLOWED")


async def test_a_revoked_user_is_closed_and_kept_out(backend: Backend, base: str) -> None:
    async with Client(base, ticket="dev:ann") as ann:
        assert (await backend.post(f"{ACME}/revoke", {"user": "user:ann"})).json == {"sessions": 1}
        assert (await ann.expect_close())[0] == 4502
        with pytest.raises(Exception, match="401"):
            await Client(base, ticket="dev:ann").open()
        lifted = await backend.post(f"{ACME}/revoke", {"user": "user:ann", "until_s": 1})
        assert lifted.json == {"sessions": 0}
        async with Client(base, ticket="dev:ann"):
            pass


# Lists


async def test_revocations_are_listed_page_by_page_and_lifted(backend: Backend, base: str) -> None:
    revoked = [{"user": "user:ann", "reason": "spam"}, {"sid": "tab/1".replace("/", ".")}, {"token_id": "jti"}]
    for one in revoked:
        assert (await backend.post(f"{ACME}/revoke", one | {"until_s": 4e9})).status == 200
    first = (await backend.get(f"{ACME}/revocations?limit=2")).json
    assert first["items"] == [
        {"what": "user", "name": "user:ann", "until_s": 4e9, "reason": "spam"},
        {"what": "sid", "name": "tab.1", "until_s": 4e9},
    ]
    second = (await backend.get(f"{ACME}/revocations?cursor={first['next_cursor']}")).json
    assert second == {"items": [{"what": "token_id", "name": "jti", "until_s": 4e9}], "next_cursor": None}
    for lifted in (1, 0):
        answer = await backend.call("DELETE", f"{ACME}/revocations/user/user%3Aann")
        assert (answer.status, answer.json) == (200, {"revocations": lifted})
    async with Client(base, ticket="dev:ann"):
        assert len((await backend.get(f"{ACME}/revocations")).json["items"]) == 2
    assert (await backend.call("DELETE", f"{ACME}/revocations/room/x")).status == 400


async def test_a_session_shows_its_info(gateway: tuple[Running, str], backend: Backend, base: str) -> None:
    async with Client(base, ticket="dev:ann"):
        tenant = gateway[0].process.tenant("acme")
        assert tenant is not None
        (session,) = tenant.registry
        session.info = msgspec.Raw(b'{"colour":"red"}')
        assert (await backend.get(f"{ACME}/sessions")).json["items"][0]["info"] == {"colour": "red"}


async def test_sessions_are_shown_as_they_are(backend: Backend, base: str) -> None:
    async with Client(base, ticket="dev:ann", sid="phone") as ann:
        await ann.join("a")
        await ann.join("b")
        await ann.join("a")
        page = (await backend.get(f"{ACME}/sessions")).json
        assert page["next_cursor"] is None
        (item,) = page["items"]
        since = datetime.fromisoformat(item.pop("since"))
        assert abs((datetime.now(since.tzinfo) - since).total_seconds()) < 60
        empty = {"messages": 0, "bytes": 0}
        assert item == {
            "sid": "phone",
            "user": "user:ann",
            "address": "127.0.0.1",
            "rooms": ["a", "b"],
            "active_room": "a",
            "queue": {"control": empty, "reliable": empty, "hot": empty},
            "generation": item["generation"],
            "metadata": {},
            "info": None,
        }
        assert item["generation"] > 0


async def test_sessions_are_filtered_by_user_and_room(backend: Backend, base: str) -> None:
    async with (
        Client(base, ticket="dev:ann", sid="1") as first,
        Client(base, ticket="dev:ann", sid="2") as second,
        Client(base, ticket="dev:bob", sid="3") as bob,
    ):
        for client in (bob, second):
            await client.join("lobby")
        await first.join("else")

        async def sids(query: str) -> list[str]:
            answer = await backend.get(f"{ACME}/sessions?{query}")
            return [item["sid"] for item in answer.json["items"]]

        assert await sids("") == ["1", "2", "3"]
        assert await sids("user=user:ann") == ["1", "2"]
        assert await sids("room=lobby") == ["3", "2"]
        assert await sids("room=lobby&user=user:ann") == ["2"]
        assert await sids("user=nobody") == await sids("room=nowhere") == []


async def test_sessions_are_found_by_their_sid_whoever_has_it(
    backend: Backend, base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wsprism.transport.api.lists._LOOKED_AT", 2)
    users = ["a", "b", "c", "d", "e"]
    clients = [Client(base, ticket=f"dev:{user}", sid="web" if user in "ace" else "phone") for user in users]
    for client in clients:
        await client.__aenter__()
    await clients[2].join("lobby")

    async def found(query: str) -> tuple[list[str], str | None]:
        page = (await backend.get(f"{ACME}/sessions?sid=web{query}")).json
        return [one["user"] for one in page["items"]], page["next_cursor"]

    assert (await found(""))[0] == ["user:a", "user:c", "user:e"]
    assert await found("&user=user:c") == (["user:c"], None)
    assert await found("&room=lobby") == (["user:c"], None)
    first, cursor = await found("&limit=2")
    assert first == ["user:a", "user:c"]
    assert await found(f"&limit=2&cursor={cursor}") == (["user:e"], None)
    assert (await backend.get(f"{ACME}/sessions?sid=nobody")).json == {"items": [], "next_cursor": None}
    assert (await backend.get(f"{ACME}/sessions?sid=a%20b")).status == 400
    for client in clients:
        await client.close()


async def test_pages_lose_and_repeat_nobody_while_sessions_come_and_go(backend: Backend, base: str) -> None:
    clients = {number: Client(base, ticket=f"dev:u{number}", sid=f"s{number}") for number in range(12)}
    for client in clients.values():
        await client.__aenter__()
        await client.join("lobby")
    for path in (f"{ACME}/sessions?", f"{ACME}/sessions?room=lobby&", f"{ACME}/rooms/lobby?"):
        seen: list[str] = []
        cursor = ""
        while True:
            page = (await backend.get(f"{path}limit=3{cursor}")).json
            seen += [item["sid"] for item in page["items"]]
            if page["next_cursor"] is None:
                break
            cursor = f"&cursor={page['next_cursor']}"
            gone = clients.pop(min(clients))
            await gone.close()
        assert sorted(set(seen)) == sorted(seen)
        assert {f"s{number}" for number in clients} <= set(seen)
    for client in clients.values():
        await client.close()


async def test_rooms_and_one_room(backend: Backend, base: str) -> None:
    room = "hall/of %fame ✓"
    async with Client(base, ticket="dev:ann", sid="1") as ann, Client(base, ticket="dev:ann", sid="2") as again:
        await ann.join(room)
        await again.join(room)
        assert (await backend.get(f"{ACME}/rooms")).json["items"] == [{"room": room, "users": 1, "sessions": 2}]
        shown = (await backend.get(f"{ACME}/rooms/{quote(room, safe='')}?limit=1")).json
        cursor = shown.pop("next_cursor")
        assert shown == {"room": room, "users": 1, "sessions": 2, "items": [{"user": "user:ann", "sid": "1"}]}
        rest = (await backend.get(f"{ACME}/rooms/{quote(room, safe='')}?cursor={cursor}")).json
        assert (rest["items"], rest["next_cursor"]) == ([{"user": "user:ann", "sid": "2"}], None)
        answer = await backend.post(f"{ACME}/rooms/{quote(room, safe='')}/publish", {"svc": "a", "type": "b"})
        assert answer.json == {"members": 2}
        assert (await ann.receive())["room"] == room
    assert (await backend.get(f"{ACME}/rooms/nowhere")).json["sessions"] == 0


async def test_tenants_with_limits_and_counts(backend: Backend, base: str) -> None:
    async with Client(base) as ann:
        await ann.join("lobby")
        page = (await backend.get("/v1/tenants?limit=1")).json
        assert [one["tenant"] for one in page["items"]] == ["acme"]
        acme = (await backend.get(ACME)).json
        assert (acme["sessions"], acme["rooms"], acme["limits"]["max_frame_bytes"]) == (1, 1, 4096)
        assert acme["rates"]["messages_in_per_s"] > 0
        rest = (await backend.get(f"/v1/tenants?cursor={page['next_cursor']}")).json
        assert ([one["tenant"] for one in rest["items"]], rest["next_cursor"]) == (["other"], None)


# The process


async def test_info_config_and_log_level(backend: Backend, gateway: tuple[Running, str]) -> None:
    info = (await backend.get("/v1/info")).json
    assert (info["draining"], info["tenants"], info["configuration_generation"]) == (False, 2, 1)
    assert info["uptime_s"] > 0
    shown = (await backend.get("/v1/config")).json
    assert shown["tenants"][0]["id"] == "acme"
    key = {"name": "admin", "key": "********", "tenants": "all", "read_only": False}
    assert shown["gateway"]["internal"]["api_keys"][0] == key
    assert (await backend.call("PUT", "/v1/log-level", {"component": "tenant", "level": "debug"})).status == 200
    assert (await backend.call("PUT", "/v1/log-level", {"component": "tenant", "level": "info"})).status == 200
    whole = await backend.call("PUT", "/v1/log-level", {"component": "wsprism.tenant", "level": "info"})
    assert (whole.status, whole.json["component"]) == (200, "tenant")
    assert (await backend.get("/v1/log-level")).json["levels"]["tenant"] == "info"
    unknown = await backend.call("PUT", "/v1/log-level", {"component": "nonsense", "level": "info"})
    assert (unknown.status, unknown.code) == (422, "BAD_REQUEST")
    assert gateway[0].process.connections() == 0


async def test_stats_tell_what_the_process_does(backend: Backend, base: str) -> None:
    async with Client(base, ticket="dev:ann") as ann:
        await ann.join("lobby")
        for _ in range(100):
            points = (await backend.get("/v1/stats")).json["points"]
            if points["connections"][-1]:
                break
            await asyncio.sleep(0.1)
        assert points["connections"][-1] == 1
    assert len({len(column) for column in points.values()}) == 1
    assert points["memory_bytes"][-1] > 1_000_000
    stats = (await backend.get("/v1/stats")).json
    assert (stats["interval_s"], stats["backends"]) == (2.0, [])


async def test_stats_tell_of_each_backend(start_gateway: StartGateway) -> None:
    _, internal = await start_with_api(start_gateway, acme={"backend": {"stream": True}})
    async with Backend(internal) as backend:
        [told] = (await backend.get("/v1/stats")).json["backends"]
    assert told["tenant"] == "acme"
    assert (told["breakers"], told["streams"], told["last_failure"]) == ({"stream": "closed"}, 0, None)


async def test_no_answer_is_kept_or_taken_for_something_else(backend: Backend) -> None:
    for answer in (await backend.get("/v1/info"), await backend.get("/v1/nothing")):
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_a_drain_tells_the_clients(backend: Backend, base: str) -> None:
    async with Client(base) as ann:
        answer = await backend.post("/v1/drain")
        assert (answer.status, answer.json) == (202, {"draining": True})
        assert (await ann.receive())["type"] == "draining"
        assert (await backend.get("/v1/info")).json["draining"] is True


# Idempotency


async def test_a_repeated_call_delivers_once_and_answers_the_same(backend: Backend, base: str) -> None:
    async with Client(base) as ann:
        await ann.join("lobby")
        message = {"svc": "a", "type": "b", "data": 1}
        options = {"headers": {"Idempotency-Key": "order-1"}}
        path = f"{ACME}/rooms/lobby/publish"
        answers = await asyncio.gather(*(backend.post(path, message, **options) for _ in range(5)))
        assert {(one.status, one.json["members"]) for one in answers} == {(202, 1)}
        assert (await ann.receive())["data"] == 1
        await ann.expect_silence()
        other = await backend.post(path, message | {"data": 2}, **options)
        assert (other.status, other.code) == (422, "BAD_REQUEST")
        elsewhere = await backend.post(f"{ACME}/broadcast", message | {"data": 3}, **options)
        assert elsewhere.json == {"sessions": 1}
        assert (await ann.receive())["data"] == 3


async def test_a_refused_call_is_not_remembered(backend: Backend) -> None:
    options = {"headers": {"Idempotency-Key": "again"}}
    path = f"{ACME}/rooms/lobby/publish"
    assert (await backend.post(path, {"svc": "a"}, **options)).status == 422
    assert (await backend.post(path, {"svc": "a", "type": "b"}, **options)).status == 202


async def test_the_end_of_a_session_shows_in_the_lists(
    backend: Backend, base: str, gateway: tuple[Running, str]
) -> None:
    async with Client(base) as ann:
        await ann.join("lobby")
    await until(lambda: gateway[0].process.connections() == 0)
    assert (await backend.get(f"{ACME}/sessions")).json["items"] == []
    assert (await backend.get(f"{ACME}/rooms")).json["items"] == []


# Presence


async def test_presence_is_listed_with_info_and_state_and_refused_without(start_gateway: StartGateway) -> None:
    rooms = [{"match": "lobby", "presence": {"enabled": True, "linger_ms": 60_000}}]
    running, url = await start_with_api(start_gateway, acme={"auth": [{"kind": "dev"}], "rooms": rooms})
    async with Backend(url) as backend:
        empty = {"users": {}, "total_users": 0, "total_sessions": 0, "truncated": False}
        assert (await backend.get(f"{ACME}/rooms/lobby/presence")).json == empty
        async with Client(running.base, ticket="dev:ann") as ann:
            await ann.send("room", "join", {"state": {"mood": None}}, room="lobby")
            assert (await ann.receive())["type"] == "joined"
            answer = await backend.get(f"{ACME}/rooms/lobby/presence")
            ((user, [entry]),) = answer.json["users"].items()
            assert user == "user:ann"
            assert entry == {"sid": entry["sid"], "since": entry["since"], "state": {"mood": None}}
            assert datetime.fromisoformat(entry["since"]).utcoffset() is not None
        refused = await backend.get(f"{ACME}/rooms/other/presence")
        assert (refused.status, refused.json["code"]) == (409, "NOT_ALLOWED")
