"""Memory stays flat: over calls, over instances that come and go, over modules that are compiled anew."""

from __future__ import annotations

import gc
import resource
from contextlib import suppress
from pathlib import Path

import pytest

from tests.guests import LOG, answering, guest
from wsprism.adapters.wasm.bounds import Bounds, GuestFault
from wsprism.adapters.wasm.instance import Instance
from wsprism.adapters.wasm.module import GuestModule
from wsprism.adapters.wasm.services import effects_of
from wsprism.protocol.hot import Framing

pytestmark = pytest.mark.alone

CALLS = 100_000
INSTANCES = 10_000
MODULES = 200
MOST_GROWN_KIB = 2048
ANSWER = '{"effects":[{"publish":{"type":"moved","data":{"x":1}}},{"reply":{"ok":true}}]}'


def resident_kib() -> int:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() // 1024


def silent(*_: object) -> None: ...


def test_a_hundred_thousand_calls_leave_nothing_behind() -> None:
    bounds = Bounds()
    instance = Instance(GuestModule(answering(ANSWER, imports=LOG)), bounds, b"{}", silent)
    message = b'{"tenant":"t","session":{"user":"ann","sid":"1","generation":1},"type":"move","now_ms":1}'
    before = 0
    for number in range(CALLS + 5000):
        if number == 5000:
            before = resident_kib()
        assert len(effects_of(instance.handle(message), bounds, Framing.COMPACT, 65_536)) == 2
    assert resident_kib() - before < MOST_GROWN_KIB
    instance.close()


@pytest.mark.parametrize(
    "handle", ["i64.const 0", "unreachable", "(memory.fill (i32.const 0) (i32.const 1) (i32.const 65536)) i64.const 0"]
)
def test_ten_thousand_instances_leave_nothing_behind(handle: str) -> None:
    module = GuestModule(guest(handle, imports=LOG))
    bounds = Bounds()
    before = 0
    for number in range(INSTANCES + 500):
        if number == 500:
            before = resident_kib()
        instance = Instance(module, bounds, b"{}", silent)
        with suppress(GuestFault):
            instance.handle(b"{}")
        instance.close()
    assert resident_kib() - before < MOST_GROWN_KIB


def test_instances_that_nobody_closes_are_given_back() -> None:
    module = GuestModule(guest("(memory.fill (i32.const 0) (i32.const 1) (i32.const 65536)) i64.const 0"))
    before = 0
    for number in range(2500):
        if number == 500:
            before = resident_kib()
        Instance(module, Bounds(), b"{}", silent).handle(b"{}")
    assert resident_kib() - before < MOST_GROWN_KIB


def test_modules_that_a_reload_replaces_are_given_back() -> None:
    before = 0
    for number in range(MODULES + 50):
        if number == 50:
            before = resident_kib()
        Instance(GuestModule(guest(f"i64.const 0 (drop (i32.const {number}))")), Bounds(), b"{}", silent).close()
    assert resident_kib() - before < 2 * MOST_GROWN_KIB
