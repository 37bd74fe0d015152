"""`wsprism top`: what it shows of the API's answers, once and as JSON, and what it says of an API that refuses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.unit.cli.fake_api import FakeApi, serve_api
from wsprism.cli import main
from wsprism.cli.top_view import backends_view, heading, plain, rooms_view, tenants_view

INFO = {
    "version": "1.2.3",
    "uptime_s": 93784.5,
    "connections": 3,
    "configuration_hash": "abc",
    "configuration_generation": 2,
    "draining": False,
}


def tenant(name: str, sessions: int, rooms: int, rate: float, most: int = 0) -> dict[str, Any]:
    return {
        "tenant": name,
        "limits": {"max_sessions_total": most, "max_rooms_total": 0},
        "sessions": sessions,
        "rooms": rooms,
        "rates": {
            "messages_in_per_s": rate,
            "messages_out_per_s": rate * 10,
            "bytes_in_per_s": rate * 100,
            "bytes_out_per_s": rate * 1000,
        },
    }


TENANTS = [tenant("acme", 2, 9, 7.5, most=100), tenant("beta", 12, 1, 1234.0), tenant("zeta", 0, 0, 0)]


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeApi]:
    monkeypatch.delenv("WSPRISM_API_KEY", raising=False)
    with serve_api() as serving:
        serving.answers["GET /v1/info"] = (200, INFO)
        serving.answers["GET /v1/tenants?limit=1000"] = (200, {"items": TENANTS, "next_cursor": None})
        yield serving


def test_the_table_is_aligned_and_summed() -> None:
    assert plain(tenants_view(TENANTS, "sessions")).splitlines() == [
        "tenant  sessions  rooms  in/s  out/s  in B/s  out B/s",
        "beta          12      1  1.2k    12k    123k     1.2M",
        "acme       2/100      9   7.5     75     750     7.5k",
        "zeta           0      0     0      0       0        0",
        "total         14     10  1.2k    12k    124k     1.2M",
    ]


@pytest.mark.parametrize(
    ("sort", "order"),
    [
        ("tenant", "acme beta zeta"),
        ("sessions", "beta acme zeta"),
        ("rooms", "acme beta zeta"),
        ("in", "beta acme zeta"),
        ("out", "beta acme zeta"),
    ],
)
def test_tenants_are_sorted(sort: str, order: str) -> None:
    assert " ".join(row[0] for row in tenants_view(TENANTS, sort).rows) == order


def test_the_largest_rooms_come_first_and_all_are_counted() -> None:
    rooms = [{"room": name, "users": number, "sessions": number * 2} for number, name in enumerate("abc", 1)]
    assert plain(rooms_view(rooms, 2)).splitlines() == [
        "room        users  sessions",
        "c               3         6",
        "b               2         4",
        "total of 3      6        12",
    ]


def backend_of(name: str, breakers: dict[str, str], streams: int = 0, waiting: int = 0) -> dict[str, Any]:
    return {
        "tenant": name,
        "breakers": breakers,
        "streams": streams,
        "in_flight": 1,
        "waiting": waiting,
        "events_waiting": 5,
        "events_missed": 7,
        "last_failure": None,
    }


URL = "https://b"
BACKENDS = [
    backend_of("calm", {URL: "closed"}),
    backend_of("both", {URL: "closed", "stream": "closed"}, waiting=3),
    backend_of("open", {URL: "probing", "https://c": "open"}),
    backend_of("away", {"stream": "closed"}),
    backend_of("game", {"stream": "closed"}, streams=2),
    backend_of("back", {URL: "probing"}),
]


def test_backends_stand_with_their_worst_state_and_the_worst_first() -> None:
    assert plain(backends_view(BACKENDS)).splitlines() == [
        "backend of    state  streams  in flight  waiting  events waiting  missed",
        "away           away        0          1        0               5       7",
        "open           open        0          1        0               5       7",
        "back        probing        0          1        0               5       7",
        "both         closed        0          1        3               5       7",
        "calm         closed        0          1        0               5       7",
        "game         closed        2          1        0               5       7",
    ]
    assert len(backends_view(BACKENDS, 2).rows) == 2


def test_backends_stand_below_the_tenants(api: FakeApi, capsys: pytest.CaptureFixture[str]) -> None:
    api.answers["GET /v1/stats"] = (200, {"backends": BACKENDS})
    assert main(["top", "--url", api.url]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-8] == ""
    assert lines[-6].split() == ["away", "away", "0", "1", "0", "5", "7"]
    assert main(["top", "--url", api.url, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["backends"] == BACKENDS


def test_of_one_tenant_or_with_a_key_for_some_they_are_asked_for_one_by_one(
    api: FakeApi, capsys: pytest.CaptureFixture[str]
) -> None:
    own = BACKENDS[4] | {"events": {"waiting": 5, "missed": 7, "sent": 0, "oldest_s": 0.0}, "node": "n", "calls": {}}
    api.answers["GET /v1/info"] = (403, {"detail": "scoped"})
    api.answers["GET /v1/tenants/acme/backend"] = (200, own)
    api.answers["GET /v1/tenants/acme/rooms?limit=1000"] = (200, {"items": [], "next_cursor": None})
    for arguments in ([], ["--tenant", "acme"]):
        assert main(["top", "--url", api.url, *arguments]) == 0
        last = capsys.readouterr().out.splitlines()[-1]
        assert last.split() == ["acme", "closed", "2", "1", "0", "5", "7"]


def test_a_name_cannot_steer_the_terminal() -> None:
    assert rooms_view([{"room": "a\x1b[2J", "users": 1, "sessions": 1}], 9).rows[0][0] == "a\\x1b[2J"


def test_the_heading_tells_of_the_process() -> None:
    assert heading(INFO) == "wsPrism 1.2.3, up 1 d 2 h, 3 connections, configuration abc (generation 2)"
    assert heading(INFO | {"draining": True}).endswith(", DRAINING")
    assert "scoped" in heading(None)


def node(name: str, **fields: bool) -> dict[str, Any]:
    return {"name": name, "draining": False, "silent": False, **fields}


def test_the_heading_names_the_nodes_that_end() -> None:
    whole = heading(INFO)
    assert heading(INFO, [node("eu-1", draining=True)]) == whole
    assert heading(INFO, [node("eu-1"), node("eu-2")]) == f"{whole}, 2 nodes"
    told = heading(INFO | {"draining": True}, [node("eu\x1b1", draining=True), node("eu-2", silent=True)])
    assert told == f"{whole}, 2 nodes, DRAINING; draining: eu\\x1b1; silent: eu-2"
    many = heading(INFO, [node(f"eu-{number}", draining=True) for number in range(20)])
    assert many.endswith("; draining: eu-0, eu-1, eu-2, eu-3, eu-4, eu-5, eu-6, eu-7 and 12 more")


@pytest.mark.parametrize("status", [200, 404, 503])
def test_it_asks_for_the_nodes_and_shows_what_it_can_without_them(
    api: FakeApi, capsys: pytest.CaptureFixture[str], status: int
) -> None:
    nodes = [node("eu-1"), node("eu-2", draining=True)]
    api.answers["GET /v1/nodes"] = (status, {"items": nodes} if status == 200 else {"detail": "not now"})
    assert main(["top", "--url", api.url]) == 0
    assert capsys.readouterr().out.splitlines()[0].endswith("; draining: eu-2") is (status == 200)
    assert main(["top", "--url", api.url, "--json"]) == 0
    assert json.loads(capsys.readouterr().out).get("nodes") == (nodes if status == 200 else None)


def test_on_a_pipe_it_prints_one_table(api: FakeApi, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["top", "--url", api.url, "--api-key", "k"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith("wsPrism 1.2.3, up 1 d 2 h")
    assert out[2].split()[0] == "beta"
    assert {key for _, key, _ in api.requests} == {"Bearer k"}


def test_json_is_what_the_api_says(
    api: FakeApi, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WSPRISM_API_KEY", "from-the-environment")
    assert main(["top", "--url", api.url, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"info": INFO, "tenants": TENANTS}
    assert api.requests[0][1] == "Bearer from-the-environment"


def test_every_page_is_read(api: FakeApi, capsys: pytest.CaptureFixture[str]) -> None:
    api.answers["GET /v1/tenants?limit=1000"] = (200, {"items": TENANTS[:1], "next_cursor": "a&b"})
    api.answers["GET /v1/tenants?limit=1000&cursor=a%26b"] = (200, {"items": TENANTS[1:], "next_cursor": None})
    assert main(["top", "--url", api.url, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["tenants"] == TENANTS


def test_a_tenants_rooms(api: FakeApi, capsys: pytest.CaptureFixture[str]) -> None:
    room = {"room": "match:1", "users": 2, "sessions": 3}
    api.answers["GET /v1/tenants/a%2Fb/rooms?limit=1000"] = (200, {"items": [room], "next_cursor": None})
    assert main(["top", "--url", api.url, "--tenant", "a/b"]) == 0
    assert "match:1         2         3" in capsys.readouterr().out


def test_a_key_for_one_tenant_sees_its_tenant(api: FakeApi, capsys: pytest.CaptureFixture[str]) -> None:
    api.answers["GET /v1/info"] = (403, {"detail": "scoped"})
    assert main(["top", "--url", api.url, "--once"]) == 0
    out = capsys.readouterr().out
    assert "scoped to tenants" in out
    assert "acme" in out


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (401, "the API key is missing or wrong"),
        (404, "not the internal listener"),
        (500, "/v1/info answers 500: x"),
    ],
)
def test_a_refusal_is_explained(api: FakeApi, capsys: pytest.CaptureFixture[str], status: int, told: str) -> None:
    api.answers["GET /v1/info"] = (status, {"detail": "x"})
    assert main(["top", "--url", api.url]) == 1
    assert told in capsys.readouterr().err


def test_an_unknown_tenant_is_said(api: FakeApi, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["top", "--url", api.url, "--tenant", "nobody"]) == 1
    assert "/v1/tenants/nobody/rooms" in capsys.readouterr().err


def test_an_api_that_is_down_or_not_configured_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["top", "--url", "http://127.0.0.1:1"]) == 1
    assert "cannot be reached" in capsys.readouterr().err
    assert main(["top", "--config", "config/wsprism.yaml"]) == 1
    assert "gateway.internal.listen is not set" in capsys.readouterr().err
    assert main(["top"]) == 2
    assert "name the internal API" in capsys.readouterr().err
