"""What hostile services cost everybody else, over real sockets: ``python -m load.hostile_services [--seconds 5]``.

Twenty clients of another tenant ask for a pong fifty times a second, alone and beside a client that floods a service:
a guest that loops for ever, one that burns nearly all of its fuel and then answers well (which never is a fault), and a
handler in Python that holds the event loop. Exit code 1 when a bar of docs/services.md is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import uvloop
import wasmtime

from load.client_frames import text_frame
from load.peers.base import HOST, Member, Options, http_get
from load.peers.wsprism import WsPrism
from load.prometheus import total_by_name
from load.servers import Server, pin, serve
from load.stats import percentile
from wsprism.plugin import Context, Effects, Service, reply

__all__ = ["SCENES", "HostileServices", "Result", "holding", "main", "measure"]

SCENES: Final = {"alone": "", "endless": "endless", "greedy": "greedy", "holds": "holds"}
"""Who is flooded, by what it is called."""
FLOOD_HZ: Final = {"endless": 100, "greedy": 100, "holds": 10}
HELD_S: Final = 0.02
P99_BAR: Final = 1.5
SUSPENDED_WITHIN_S: Final = 1.0

_ASKERS, _ASKS_HZ = 20, 50
_ALMOST_ALL_FUEL: Final = 130_000
"""Rounds of the loop."""
_SERVER_CORE, _CLIENTS_CORE = 0, 1
_WARM_UP_S: Final = 1.0
_PING: Final = text_frame(b'{"v":1,"svc":"sys","type":"ping"}')
_SERVICES: Final = """\
    services:
      ext:
        chat: {kind: chat}
        endless: {kind: wasm, file: endless.wasm}
        greedy: {kind: wasm, file: greedy.wasm}
        holds: {kind: python, factory: "load.hostile_services:holding"}
"""
_GUEST: Final = """(module (memory (export "memory") 1)
  (data (i32.const 4096) "{\\22effects\\22:[{\\22reply\\22:1}]}")
  (func (export "wsprism_abi") (result i32) i32.const 1)
  (func (export "wsprism_alloc") (param i32) (result i32) i32.const 1024)
  (func (export "wsprism_handle") (param i32 i32) (result i64) (local $n i32)
    (loop $again (br_if $again (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const %d))))
    i64.const 17592186044441))
"""


def holding() -> Service:
    """A handler that computes where everybody waits."""
    service = Service()

    @service.on("x")
    def hold(context: Context) -> Effects:  # noqa: ARG001 (a handler's signature)
        time.sleep(HELD_S)
        return [reply(1)]

    return service


class HostileServices(WsPrism):
    """The gateway, whose tenant ``bench`` has them; the tenant ``neighbour`` has none."""

    name = "wsprism-hostile"

    def command(self, options: Options) -> Sequence[str]:
        command = super().command(options)
        for name, rounds in (("endless", 0xFFFFFFFF), ("greedy", _ALMOST_ALL_FUEL)):
            (options.directory / f"{name}.wasm").write_bytes(wasmtime.wat2wasm(_GUEST % rounds))
        path = options.directory / "wsprism.yaml"
        settings = path.read_text().replace('"chat:*"', '"chat:*", "endless:*", "greedy:*", "holds:*"')
        path.write_text(settings.replace("    auth: {kind: dev}\n", "    auth: {kind: dev}\n" + _SERVICES, 1))
        return command


@dataclass
class Result:
    """Of one scene: round trips of the others, and what the flooded service said, each with its time since the first
    message to it."""

    trips_s: list[float] = field(default_factory=list)
    answers: list[tuple[float, str]] = field(default_factory=list)
    slow_calls: int = 0

    @property
    def p99_ms(self) -> float:
        return percentile(sorted(self.trips_s), 0.99) * 1000

    @property
    def suspended_after_s(self) -> float | None:
        """Until the first UNAVAILABLE."""
        return next((at for at, code in self.answers if code == "UNAVAILABLE"), None)


@contextlib.asynccontextmanager
async def _connected(
    server: Server, tenant: str, number: int
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection(HOST, server.port)
    peer, member = server.peer, Member(number, "r", tenant)
    try:
        writer.write(peer.request(member, server.port))
        await reader.readuntil(b"\r\n\r\n")
        assert peer.logged_in(await _heard(reader))
        yield reader, writer
    finally:
        writer.transport.abort()


async def _heard(reader: asyncio.StreamReader) -> bytes:
    """One message; none here is longer than a frame with two bytes of length can say."""
    first, length = await reader.readexactly(2)
    assert first & 0x0F in (1, 9), "text, or a ping of the gateway's"
    size = int.from_bytes(await reader.readexactly(2), "big") if length == 126 else length
    return await reader.readexactly(size)


async def _ask(server: Server, number: int, until: float, trips_s: list[float]) -> None:
    """A trip counts from when it should have begun."""
    async with _connected(server, "neighbour", number) as (reader, writer):
        due = time.perf_counter() + number / _ASKERS / _ASKS_HZ
        while due < until:
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            writer.write(_PING)
            while b'"pong"' not in await _heard(reader):
                pass
            trips_s.append(time.perf_counter() - due)
            due += 1 / _ASKS_HZ


async def _flood(server: Server, name: str, until: float, answers: list[tuple[float, str]]) -> None:
    async with _connected(server, "bench", 0) as (reader, writer):
        began = time.perf_counter()

        async def say() -> None:
            due = began
            while due < until:
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                writer.write(text_frame(b'{"v":1,"svc":"%s","type":"x"}' % name.encode()))
                due += 1 / FLOOD_HZ[name]

        said = asyncio.create_task(say())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(asyncio.get_running_loop().time() + until - began):
                while True:
                    answer = await _heard(reader)
                    code = next((one for one in ("INTERNAL", "UNAVAILABLE") if one.encode() in answer), "")
                    answers.append((time.perf_counter() - began, code))
        await said


async def measure(server: Server, scene: str, seconds: float) -> Result:
    """One scene of ``SCENES``."""
    result = Result()
    flooded = SCENES[scene]
    until = time.perf_counter() + seconds
    async with asyncio.TaskGroup() as group:
        for number in range(_ASKERS):
            group.create_task(_ask(server, number, until, result.trips_s))
        if flooded:
            group.create_task(_flood(server, flooded, until, result.answers))
    _, text = http_get(server.port, "/metrics")
    result.slow_calls = int(total_by_name(text).get("wsprism_service_slow_calls_total", 0))
    return result


def main(argv: Sequence[str] | None = None) -> int:
    """A line for each scene."""
    parser = argparse.ArgumentParser(prog="python -m load.hostile_services", description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, metavar="S", help="of each scene (default: %(default)s)")
    seconds = parser.parse_args(argv).seconds
    pin(_CLIENTS_CORE)
    missed = False
    with (
        serve(HostileServices(), core=_SERVER_CORE) as server,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        runner.run(measure(server, "alone", _WARM_UP_S))
        alone = runner.run(measure(server, "alone", seconds))
        print(f"{'alone':<10}p99 {alone.p99_ms:.2f} ms of {len(alone.trips_s)}", flush=True)
        for scene in ("endless", "greedy", "holds"):
            beside = runner.run(measure(server, scene, seconds))
            ratio = beside.p99_ms / alone.p99_ms
            words = f"p99 {beside.p99_ms:.2f} ms, {ratio:.2f} of alone"
            if scene == "endless":
                after_s = beside.suspended_after_s
                good = ratio <= P99_BAR and after_s is not None and after_s <= SUSPENDED_WITHIN_S
                missed = not good
                suspended = "never suspended" if after_s is None else f"suspended after {after_s:.2f} s"
                words += f", at most {P99_BAR}; {suspended}: {'reached' if good else 'MISSED'}"
            elif scene == "holds":
                words += f"; {beside.slow_calls - alone.slow_calls} calls named as slow"
            print(f"{scene:<10}{words}", flush=True)
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
