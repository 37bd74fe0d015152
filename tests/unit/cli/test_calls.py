"""The commands that call the internal API: what they ask, what they print, and how a refusal is told."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.unit.cli.fake_api import FakeApi, serve_api
from wsprism.cli import main

ACME = "/v1/tenants/acme"


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeApi]:
    monkeypatch.delenv("WSPRISM_API_KEY", raising=False)
    with serve_api() as serving:
        yield serving


def called(api: FakeApi, command: str, *arguments: str, tenant: str | None = "acme") -> int:
    whose = [] if tenant is None else ["--tenant", tenant]
    return main([command, *arguments, "--url", api.url, "--api-key", "k", *whose])


SESSION: dict[str, Any] = {
    "sid": "phone", "user": "ann", "since": "2030-01-01T00:00:00Z", "address": "::1", "rooms": ["a", "b\x1b[2J"],
    "active_room": "a", "queue": {"control": {"messages": 0, "bytes": 1}, "hot": {"messages": 1, "bytes": 20}},
}  # fmt: skip


@pytest.mark.parametrize(
    ("command", "asked", "body", "answer", "told"),
    [
        (
            ["publish", "hall/1", "--svc", "game", "--type", "goal", "--data", '{"a": [1]}'],
            f"POST {ACME}/rooms/hall%2F1/publish",
            {"svc": "game", "type": "goal", "data": {"a": [1]}},
            {"members": 1},
            "published into hall/1: 1 member\n",
        ),
        (
            ["publish", "r", "--svc", "game", "--type", "goal"],
            f"POST {ACME}/rooms/r/publish",
            {"svc": "game", "type": "goal"},
            {"members": 0},
            "published into r: 0 members\n",
        ),
        (
            ["publish", "r", "--hot", "010100 deadbeef"],
            f"POST {ACME}/rooms/r/publish",
            {"hot": "AQEA3q2+7w=="},
            {"members": 2},
            "published into r: 2 members\n",
        ),
        (
            ["send", "user:ann", "--svc", "s", "--type", "t", "--data", "null"],
            f"POST {ACME}/users/user%3Aann/send",
            {"svc": "s", "type": "t", "data": None},
            {"sessions": 2},
            "sent to user:ann: 2 sessions\n",
        ),
        (
            ["disconnect", "--user", "ann", "--sid", "phone", "--reason", "bye", "--code", "4000"],
            f"POST {ACME}/disconnect",
            {"user": "ann", "sid": "phone", "reason": "bye", "code": 4000},
            {"sessions": 1},
            "closed 1 session\n",
        ),
        (
            ["disconnect", "--room", "r"],
            f"POST {ACME}/disconnect",
            {"room": "r"},
            {"sessions": 0},
            "closed 0 sessions\n",
        ),
    ],
)
def test_a_call_asks_and_tells(
    api: FakeApi, capsys: pytest.CaptureFixture[str],
    command: list[str], asked: str, body: object, answer: object, told: str,
) -> None:  # fmt: skip
    api.answers[asked] = (202, answer)
    assert called(api, *command) == 0
    assert capsys.readouterr() == (told, "")
    assert called(api, *command, "--json") == 0
    assert json.loads(capsys.readouterr().out) == answer
    assert api.requests == [(asked, "Bearer k", body)] * 2


@pytest.mark.parametrize("option", ["user", "sid", "token-id"])
def test_a_revocation_says_until_when(api: FakeApi, capsys: pytest.CaptureFixture[str], option: str) -> None:
    api.answers[f"POST {ACME}/revoke"] = (200, {"sessions": 3})
    assert called(api, "revoke", f"--{option}", "x", "--for-s", "60", "--reason", "spam") == 0
    out = capsys.readouterr().out
    field = option.replace("-", "_")
    assert out.startswith(f"{field} x revoked until 20")
    assert out.endswith("Z: closed 3 sessions\n")
    [(_, _, body)] = api.requests
    until_s = body.pop("until_s")
    assert abs(until_s - time.time() - 60) < 10
    assert body == {field: "x", "reason": "spam"}
    assert called(api, "revoke", f"--{option}", "x", "--for-s", "0") == 0
    assert capsys.readouterr().out == f"{field} x is let in again\n"


def test_rooms_and_sessions_are_tables_of_every_page(api: FakeApi, capsys: pytest.CaptureFixture[str]) -> None:
    room = {"room": "match:1", "users": 2, "sessions": 13}
    api.answers[f"GET {ACME}/rooms?limit=1000"] = (200, {"items": [room], "next_cursor": "c"})
    api.answers[f"GET {ACME}/rooms?limit=1000&cursor=c"] = (
        200,
        {"items": [room | {"room": "r", "users": 1}], "next_cursor": None},
    )
    assert called(api, "rooms") == 0
    assert capsys.readouterr().out == "room     users  sessions\nmatch:1  2      13\nr        1      13\n"
    assert called(api, "rooms", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert [one["room"] for one in told["items"]] == ["match:1", "r"]
    assert told["next_cursor"] is None
    api.answers[f"GET {ACME}/sessions?user=ann&room=a+b&limit=1000"] = (200, {"items": [SESSION], "next_cursor": None})
    assert called(api, "sessions", "--user", "ann", "--room", "a b") == 0
    assert capsys.readouterr().out.splitlines() == [
        "user  sid    since                 address  queued bytes  rooms",
        "ann   phone  2030-01-01T00:00:00Z  ::1      21            a b\\x1b[2J",
    ]


def test_reload_says_what_changed_and_every_fault(api: FakeApi, capsys: pytest.CaptureFixture[str]) -> None:
    answer = {"result": "applied", "changed": ["a: 1 → 2"], "needs_restart": ["gateway.listen"]}
    api.answers["POST /v1/reload"] = (200, answer)
    assert called(api, "reload", tenant=None) == 0
    assert capsys.readouterr().out == "configuration applied\na: 1 → 2\nneeds a restart: gateway.listen\n"
    assert called(api, "reload", "--json", tenant=None) == 0
    assert json.loads(capsys.readouterr().out) == answer
    faults = [{"pointer": "", "detail": "line 3: a.b: must be 1"}, {"pointer": "/x", "detail": "odd"}]
    api.answers["POST /v1/reload"] = (422, {"detail": "the configuration was refused", "errors": faults})
    assert called(api, "reload", tenant=None) == 1
    assert capsys.readouterr().err.splitlines() == [
        f"wsprism: {api.url}: /v1/reload answers 422: the configuration was refused",
        "  line 3: a.b: must be 1",
        "  /x: odd",
    ]


def test_drain_says_that_it_has_begun(api: FakeApi, capsys: pytest.CaptureFixture[str]) -> None:
    api.answers["POST /v1/drain"] = (202, {"draining": True})
    assert called(api, "drain", tenant=None) == 0
    assert capsys.readouterr().out == "draining\n"


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (["publish", "r"], "name --svc and --type, or a frame with --hot"),
        (["publish", "r", "--svc", "s"], "name --svc and --type"),
        (["publish", "r", "--hot", "0g"], "--hot is no hex: '0g'"),
        (["send", "u", "--hot", "00", "--svc", "s"], "--hot is a whole frame"),
        (["send", "u", "--svc", "s", "--type", "t", "--data", "hi"], "--data is no JSON: 'hi'"),
        (["disconnect"], "name either a --room, or a --user or a --sid"),
        (["disconnect", "--room", "r", "--sid", "s"], "name either a --room"),
        (["revoke"], "name exactly one of"),
        (["revoke", "--user", "u", "--sid", "s"], "name exactly one of"),
        (["revoke", "--user", "u", "--for-s", "-1"], "--for-s must be at least 0"),
    ],
)
def test_wrong_usage_asks_nobody(
    api: FakeApi, capsys: pytest.CaptureFixture[str], command: list[str], told: str
) -> None:
    assert called(api, *command) == 2
    assert told in capsys.readouterr().err
    assert api.requests == []


COMMANDS = [
    ["publish", "r", "--hot", "010100"], ["send", "u", "--hot", "010100"], ["rooms"], ["sessions"],
    ["disconnect", "--user", "u"], ["revoke", "--user", "u"],
]  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_an_unknown_tenant_a_wrong_key_and_nobody_there_are_told_apart(
    api: FakeApi, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    assert called(api, *command) == 1
    assert "there is no tenant 'acme', as far as the API key goes" in capsys.readouterr().err
    assert main([*command, "--url", "http://127.0.0.1:1", "--tenant", "acme"]) == 1
    assert "http://127.0.0.1:1 cannot be reached" in capsys.readouterr().err
    assert main([*command, "--url", api.url]) == 2
    assert "name a --tenant" in capsys.readouterr().err


def test_another_listener_is_told(api: FakeApi, capsys: pytest.CaptureFixture[str]) -> None:
    api.answers[f"GET {ACME}/rooms?limit=1000"] = (404, {"code": "BAD_REQUEST", "msg": "not found"})
    assert called(api, "rooms") == 1
    assert "this is not the internal listener" in capsys.readouterr().err
