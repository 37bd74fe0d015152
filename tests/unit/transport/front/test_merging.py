"""What processes say of themselves, put together."""

from __future__ import annotations

from typing import Any

from wsprism.transport.front.merging import MERGED


def info(uptime_s: float, connections: int, *, draining: bool = False) -> dict[str, Any]:
    return {"uptime_s": uptime_s, "connections": connections, "draining": draining, "version": "1"}


def backend(**fields: Any) -> dict[str, Any]:
    counts = {"streams": 1, "in_flight": 2, "waiting": 3, "events_waiting": 4, "events_missed": 5}
    return {"tenant": "acme", "breakers": {"http://b": "closed"}, "last_failure": None, **counts} | fields


def test_connections_add_up_and_a_gateway_drains_once_all_do() -> None:
    together = MERGED["/v1/info"]([info(1.0, 3, draining=True), info(9.0, 4)])
    assert together == {"uptime_s": 9.0, "connections": 7, "draining": False, "version": "1"}


def test_rates_add_up_lags_do_not_and_the_newest_points_stand_together() -> None:
    young = {"interval_s": 2.0, "points": {"cpu": [0.5], "loop_lag_s": [0.03]}, "backends": []}
    old = {"interval_s": 2.0, "points": {"cpu": [0.1, 0.2], "loop_lag_s": [0.01, 0.02]}, "backends": []}
    together = MERGED["/v1/stats"]([young, old])
    assert together["points"] == {"cpu": [0.1, 0.7], "loop_lag_s": [0.01, 0.03]}


def test_a_backend_is_as_bad_as_the_worst_worker_finds_it() -> None:
    one = {"interval_s": 2.0, "points": {}, "backends": [backend()]}
    other = {"interval_s": 2.0, "points": {}, "backends": [backend(breakers={"http://b": "open"}, last_failure="no")]}
    (together,) = MERGED["/v1/stats"]([one, other])["backends"]
    assert together == {
        "tenant": "acme",
        "breakers": {"http://b": "open"},
        "last_failure": "no",
        "streams": 2,
        "in_flight": 4,
        "waiting": 6,
        "events_waiting": 8,
        "events_missed": 10,
    }
