"""The hostile services are what they are said to be, and the gateway is started with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from load.hostile_services import FLOOD_HZ, HELD_S, HostileServices, Result, holding
from load.peers.base import Options
from wsprism.adapters.wasm.bounds import Bounds, Cause, GuestFault
from wsprism.adapters.wasm.instance import Instance
from wsprism.adapters.wasm.module import GuestModule
from wsprism.plugin import reply
from wsprism.plugin.testing import Harness
from wsprism.settings import load_settings


def test_one_tenant_has_them_and_the_other_has_none(tmp_path: Path) -> None:
    HostileServices().command(Options(tmp_path, 8080, 8081, 0, "", 8082, 8083))
    bench, neighbour = load_settings(tmp_path / "wsprism.yaml").tenants
    assert FLOOD_HZ.keys() <= bench.services.ext.keys()
    assert not FLOOD_HZ.keys() & neighbour.services.ext.keys()


def test_one_guest_loops_for_ever_and_the_other_stops_just_in_time(tmp_path: Path) -> None:
    HostileServices().command(Options(tmp_path, 8080, 8081, 0, "", 8082, 8083))

    def started(name: str) -> Instance:
        module = GuestModule((tmp_path / f"{name}.wasm").read_bytes())
        return Instance(module, Bounds(), b"{}", lambda *_: None)

    with pytest.raises(GuestFault) as fault:
        started("endless").handle(b"{}")
    assert fault.value.cause is Cause.FUEL
    greedy = started("greedy")
    assert greedy.handle(b"{}") == b'{"effects":[{"reply":1}]}'
    assert 0.8 < greedy.fuel_used() / Bounds().fuel < 1


def test_the_handler_holds_the_loop_and_answers() -> None:
    assert HELD_S > 0.005
    assert Harness(holding()).message("x") == [reply(1)]


def test_a_result_knows_when_the_service_was_suspended() -> None:
    result = Result(trips_s=[0.001] * 99 + [0.005], answers=[(0.1, "INTERNAL"), (0.2, "UNAVAILABLE"), (0.3, "")])
    assert (result.p99_ms, result.suspended_after_s) == (1.0, 0.2)
    assert Result().suspended_after_s is None
