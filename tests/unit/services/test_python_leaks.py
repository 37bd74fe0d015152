"""Memory stays flat: over calls of services in Python, good and bad, over rooms, and over reloads of their files."""

from __future__ import annotations

import gc
import resource
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.python_services import tenant_with, write
from tests.realtime_support import World
from wsprism.composition.service_code import ServiceCode, take_over
from wsprism.effects import Answer, Fail
from wsprism.protocol.envelope import JSON, MSGPACK, Envelope
from wsprism.realtime.rules import ServiceRegistry
from wsprism.realtime.tenant.service_host import TenantServiceHost
from wsprism.services.python import PythonService
from wsprism.settings import TenantSettings

pytestmark = pytest.mark.alone

CALLS = 100_000
RELOADS = 300
WARM_UP = 50
MOST_GROWN_KIB = 2048

CODE = """
import dataclasses, msgspec
from wsprism.plugin import Service, publish, reply

class Move(msgspec.Struct):
    x: int

@dataclasses.dataclass
class Turn:
    angle: float

class Board:
    def __init__(self):
        self.moves = 0
        self.weight = "%s" * 20_000

service = Service(state=Board)

@service.on("move")
def move(context, data: Move):
    context.state.moves += data.x
    return [publish("moved", {"by": context.user, "x": data.x}), reply({"moves": context.state.moves})]

@service.on("turn")
def turn(context, data: Turn):
    return [reply(data.angle)]

@service.on("fail")
def fail(context):
    raise ValueError("of no use")

@service.migrate
def migrate(old):
    new = Board()
    new.moves = old.moves
    return new
"""
MOVE = Envelope(v=1, svc="game", type="move", data=msgspec.Raw(b'{"x":1}'))
TURN = Envelope(v=1, svc="game", type="turn", data=msgspec.Raw(b'{"angle":1.5}'))
WRONG = Envelope(v=1, svc="game", type="move", data=msgspec.Raw(b'{"x":"one"}'))
FAIL = Envelope(v=1, svc="game", type="fail")


class Sender:
    tenant = "acme"
    user = "user:ann"
    sid = "1"
    generation = 1
    active_room = "r"
    metadata: Mapping[str, Any] = {}

    def decode_data(self, envelope: Envelope, type: Any = Any) -> Any:
        return JSON.decode_data(envelope.data, type)


def resident_kib() -> int:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() // 1024


def service_of(code: ServiceCode, settings: TenantSettings, before: ServiceRegistry | None = None) -> PythonService:
    assert list(code.check(settings)) == []
    return code.python_services(settings, before).ext["game"]


def settings_of(file: str) -> TenantSettings:
    return TenantSettings.model_validate({"id": "acme", **tenant_with(file)})


def test_a_hundred_thousand_calls_leave_nothing_behind(tmp_path: Path) -> None:
    world = World()
    service = service_of(ServiceCode(), settings_of(write(tmp_path, CODE % "a")))
    service.start(TenantServiceHost(world.tenant, world.scheduler))
    service.engine.joined("r", "user:ann", "1")
    before = 0
    for number in range(CALLS + 5000):
        if number == 5000:
            before = resident_kib()
        assert isinstance(service.handle(Sender(), MOVE), Answer)
        if number % 10 == 0:
            assert isinstance(service.handle(Sender(), WRONG), Fail)
            assert isinstance(service.handle(Sender(), FAIL), Fail)
            service.engine.joined(f"r{number}", "user:ann", "1")
            service.engine.state_of(f"r{number}")
            service.engine.closed(f"r{number}")
    assert resident_kib() - before < MOST_GROWN_KIB
    assert service.engine.state_of("r").moves == CALLS + 5000
    service.stop(at_once=True)


def test_reloads_leave_nothing_behind(tmp_path: Path) -> None:
    world = World()
    host = TenantServiceHost(world.tenant, world.scheduler)
    code, settings = ServiceCode(), settings_of(write(tmp_path, CODE % "a"))
    service = service_of(code, settings)
    service.start(host)
    service.engine.joined("r", "user:ann", "1")
    before = 0
    for number in range(RELOADS + WARM_UP):
        if number == WARM_UP:
            before = resident_kib()
        for message in (MOVE, TURN, WRONG):
            assert service.handle(Sender(), message) is not None
        old = ServiceRegistry({"game": service}, {})
        write(tmp_path, CODE % chr(97 + number % 26) + f"\n# {number}\n")
        new = service_of(code, settings, old)
        assert new.engine is not service.engine
        take_over(old, ServiceRegistry({"game": new}, {}))
        service.stop(at_once=False)
        new.start(host)
        new.engine.joined("r", "user:ann", "1")
        code.keep_only([settings])
        service = new
    assert resident_kib() - before < MOST_GROWN_KIB
    assert service.engine.state_of("r").moves == RELOADS + WARM_UP
    service.stop(at_once=True)
    assert MSGPACK.decode_data(msgspec.Raw(b"\x01"), int) == 1
