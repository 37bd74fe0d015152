"""What the parts of the message path cost without sockets: nanoseconds each, best of many rounds.

``PYTHON load/micro.py`` measures what that Python has installed, ``python -m load.micro`` the checkout. Not a benchmark
of the gateway (`load.bench` is): it shows whether a step on one part was one forwards, pure and compiled.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator

if not __package__:
    sys.path.pop(0)  # the checkout's packages are not what was asked for

from actors import Actor, ActorSystem
from actors.testing import ManualScheduler
from qos import Block, Frame, Lane, LaneCounters, OutboundQueue, QueueLimits
from wsprism import __version__, build_kind
from wsprism.policy.allowlist import ExtAllowlist
from wsprism.policy.ratelimit import RateLimiter, TokenBucket
from wsprism.protocol.frames import binary_frame, text_frame
from wsprism.protocol.hot import Framing, decode_hot
from wsprism.protocol.websocket import FrameDecoder

__all__ = ["main"]

_TIMES = 20_000
_ROUNDS = 15

Step = tuple[str, Callable[[], object], int]
"""Its name, what is timed, and how many messages that handles."""


class _Sink(Actor):
    def receive(self, message: object) -> None:
        pass


def _masked(payload: bytes, first: int) -> bytes:
    key = b"\x01\x02\x03\x04"
    body = bytes(byte ^ key[at % 4] for at, byte in enumerate(payload))
    head = (
        bytes((first, 0x80 | len(payload))) if len(payload) < 126 else bytes((first, 0xFE)) + len(payload).to_bytes(2)
    )
    return head + key + body


def _steps() -> Iterator[Step]:
    text = _masked(b'{"v":1,"svc":"chat","type":"send","data":{"msg":"hello everybody"}}'[:60], 0x81)
    large = _masked(b"x" * 1000, 0x82)
    decoder = FrameDecoder(4096)
    yield "decoder: one text of 60 bytes", lambda: decoder.feed(text), 1
    sixteen = text * 16
    yield "decoder: sixteen of them in a read", lambda: decoder.feed(sixteen), 16
    yield "decoder: one binary of 1,000 bytes", lambda: decoder.feed(large), 1
    yield "frames: text of 60 bytes", lambda: text_frame(b"x" * 60), 1
    yield "frames: binary of 200 bytes", lambda: binary_frame(b"x" * 200), 1
    hot = b"\x01\x01\x01\x00\x00\x00\x07" + b"x" * 40
    yield "hot: decode", lambda: decode_hot(hot, Framing.COMPACT), 1

    bucket = TokenBucket(1e9, 1e9, 0.0)
    limiter = RateLimiter(connection=bucket, tenant=TokenBucket(1e9, 1e9, 0.0))
    yield "limiter: both buckets", lambda: limiter.allow(1.0), 1
    allowed = ExtAllowlist.compile(["chat:send", "room:*"])
    yield "allowlist: ext", lambda: allowed.allows("chat", "send"), 1

    queue = OutboundQueue(QueueLimits(), LaneCounters())
    block = Block([Frame(b"x" * 62, Lane.RELIABLE)])

    def offer_take() -> None:
        queue.offer_block(block)
        queue.take(65536)

    yield "queue: a block offered and taken", offer_take, 1

    def gather() -> None:
        for _ in range(8):
            queue.offer_block(block)
        queue.take(65536)

    yield "queue: eight offered, taken at once", gather, 8

    scheduler = ManualScheduler()
    system = ActorSystem(scheduler)
    sink = system.spawn(_Sink)
    one = [object()]
    yield "actors: deliver", lambda: sink.deliver(list(one)), 1

    def tell() -> None:
        sink.tell(one)
        scheduler.run_once()

    yield "actors: tell and a turn", tell, 1

    def tell_many() -> None:
        for _ in range(32):
            sink.tell(one)
        scheduler.run_once()

    yield "actors: 32 told, one turn", tell_many, 32


def _best_ns(step: Callable[[], object], times: int) -> float:
    best = float("inf")
    for _ in range(_ROUNDS):
        began = time.perf_counter_ns()
        for _ in range(times):
            step()
        best = min(best, (time.perf_counter_ns() - began) / times)
    return best


def main() -> int:
    """Print one line for each step."""
    print(f"wsprism {__version__} ({build_kind()}), Python {sys.version.split()[0]}")
    for name, step, messages in _steps():
        print(f"{name:38}{_best_ns(step, _TIMES // messages) / messages:8.0f} ns")
    return 0


if __name__ == "__main__":
    sys.exit(main())
