"""What services of kind `wasm` cost, against the bars of docs/services.md: ``python -m load.wasm`` (the extra `wasm`).

Calls are timed without sockets, through the service itself as a connection calls it, and compared with the built-in
service of the same work. A call is timed beside a busy thread too, with the interpreter lock held and let go: who lets
go of it has to get it back (ADR 0038). Exit code 1 when a bar is missed.
"""

from __future__ import annotations

import ctypes
import gc
import resource
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast

import msgspec
import wasmtime

from wsprism.adapters.wasm.bounds import Bounds
from wsprism.adapters.wasm.guest import Terms
from wsprism.adapters.wasm.instance import Instance
from wsprism.adapters.wasm.module import GuestModule
from wsprism.adapters.wasm.native import Native
from wsprism.adapters.wasm.services import WasmExtService, WasmHotService
from wsprism.ports import ExtService, ServiceHost
from wsprism.protocol.envelope import JSON, Envelope
from wsprism.protocol.hot import Framing, HotFault, decode_hot
from wsprism.services import ChatService

__all__ = ["main"]

_CALLS = 3000
_ROUNDS = 40
_BUSY_CALLS = 500
_TENANTS = 500
_LONG = 100_000
"""Rounds of a guest's loop: some 50 µs, so that somebody else can take the lock meanwhile."""

_BODY = b'{"effects":[{"publish":{"type":"msg","data":{"from":"user:ann","msg":"hello everybody"}}}]}'
_DATA = msgspec.Raw(b'{"msg":"%s"}' % (b"x" * 88))
_FRAME = b"\x01\x01\x00" + b"x" * 40
_GUEST = """(module (memory (export "memory") 1)
  (data (i32.const 4096) "%s")
  (func (export "wsprism_abi") (result i32) i32.const 1)
  (func (export "wsprism_alloc") (param i32) (result i32) i32.const 1024)
  (func (export "wsprism_handle") (param i32 i32) (result i64) (local $n i32)
    (loop $again (br_if $again (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const %d))))
    i64.const %d)
  (func (export "wsprism_hot") (param i32 i32) (result i64) i64.const -1))
"""


class _Sender:
    """Who says it."""

    tenant = "t"
    user = "user:ann"
    sid = "1"
    generation = 1
    active_room = "r"
    metadata: Mapping[str, Any] = {}

    def decode_data(self, envelope: Envelope, type: Any = Any) -> Any:
        return JSON.decode_data(envelope.data, type)


class _Counts:
    calls = effects = fuel = memory_bytes = slow = suspensions = 0
    suspended = False
    suspension = None

    def __init__(self) -> None:
        self.faults: Counter[str] = Counter()
        self.duration = self

    def record(self, _: float) -> None: ...


class _Host:
    tenant = "t"
    framing = Framing.COMPACT
    max_bytes = 65_536
    now = staticmethod(time.monotonic)
    unix_now = staticmethod(time.time)

    def counts(self, _: str, __: str) -> _Counts:
        return _Counts()


def _guest(rounds: int) -> GuestModule:
    body = "".join(f"\\{byte:02x}" for byte in _BODY)
    return GuestModule(bytes(wasmtime.wat2wasm(_GUEST % (body, rounds, (4096 << 32) | len(_BODY)))))


def _service(module: GuestModule) -> WasmExtService:
    service = WasmExtService("rules", Terms(module, Bounds(), b"{}"))
    service.start(cast(ServiceHost, _Host()))
    return service


def _hot_service(module: GuestModule) -> WasmHotService:
    service = WasmHotService("3", Terms(module, Bounds(), b"{}", "others"))
    service.start(cast(ServiceHost, _Host()))
    return service


def _best_us(*calls: Callable[[], object]) -> list[float]:
    """What each takes of the CPU, in turns; of many short rounds the least disturbed."""
    best = [float("inf")] * len(calls)
    for _ in range(_ROUNDS):
        for number, call in enumerate(calls):
            began = time.thread_time()
            for _ in range(_CALLS):
                call()
            best[number] = min(best[number], time.thread_time() - began)
    return [one / _CALLS * 1e6 for one in best]


def _p99_us(call: Callable[[], object]) -> float:
    took = []
    for _ in range(_BUSY_CALLS):
        began = time.perf_counter()
        call()
        took.append(time.perf_counter() - began)
    return sorted(took)[_BUSY_CALLS * 99 // 100] * 1e6


@contextmanager
def _busy_thread() -> Iterator[None]:
    stop = threading.Event()

    def spin() -> None:
        while not stop.is_set():
            sum(range(1000))

    busy = threading.Thread(target=spin, daemon=True)
    busy.start()
    yield
    stop.set()
    busy.join()


def _handle(service: ExtService, data: msgspec.Raw) -> Callable[[], object]:
    return partial(service.handle, _Sender(), Envelope(v=1, svc="s", type="send", data=data))


def _resident_kib() -> float:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1024


def _measure() -> Iterator[tuple[str, float, float | None]]:
    """Name, figure, bar."""
    short, long = _guest(1), _guest(_LONG)
    frame = decode_hot(_FRAME, Framing.COMPACT)
    assert not isinstance(frame, HotFault)
    built_in, wasm, hot = _best_us(
        _handle(ChatService("chat"), _DATA),
        _handle(_service(short), _DATA),
        partial(_hot_service(short).filter, _Sender(), "r", frame),
    )
    yield "ext: a message of 100 bytes over the built-in, µs", wasm - built_in, 6.0
    yield "hot: a frame that is passed, µs", hot, 4.0
    with _busy_thread():
        yield "p99 of a call beside a busy thread, µs", _p99_us(_handle(_service(short), _DATA)), 50.0
        for name, way in (("held", ctypes.PyDLL), ("let go", ctypes.CDLL)):
            for length, module in (("short", short), ("50 µs", long)):
                one = Instance(module, Bounds(), b"{}", lambda *_: None, Native(way))
                yield f"p99 beside it, lock {name}, {length} call, µs", _p99_us(partial(one.handle, b"{}")), None
                one.close()
    endless = _service(_guest(0xFFFFFFFF))
    took = []
    for _ in range(10):
        began = time.perf_counter()
        _handle(endless, _DATA)()
        took.append(time.perf_counter() - began)
    yield "a guest in an endless loop holds the event loop, ms", max(took) * 1000, 5.0
    before, began = _resident_kib(), time.perf_counter()
    services = [_service(short) for _ in range(_TENANTS)]
    for service in services:
        _handle(service, _DATA)()
    yield f"{_TENANTS} tenants with one module, s", time.perf_counter() - began, 5.0
    yield "memory of each, KiB", (_resident_kib() - before) / _TENANTS, 150.0


def main() -> int:
    """One line a figure; those without a bar are for comparison."""
    missed = False
    for name, figure, bar in _measure():
        verdict = "" if bar is None else f"at most {bar:g}: {'reached' if figure <= bar else 'MISSED'}"
        missed = missed or (bar is not None and figure > bar)
        print(f"{name:<58}{figure:>12.2f}  {verdict}", flush=True)
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
