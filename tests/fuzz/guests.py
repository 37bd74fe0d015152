"""A guest that does what the fuzzer says: its answer is where the input says, and so are its allocations and log lines.

An input is: what `wsprism_handle` returns (8 bytes), what `wsprism_alloc` returns (4), where it logs from and how much
(8), and what stands in its memory from 4096 on.
"""

from __future__ import annotations

import struct
from functools import cache
from typing import Final

from tests.guests import LOG, guest
from wsprism.adapters.wasm.bounds import Bounds, GuestFault
from wsprism.adapters.wasm.instance import DROP, PASS, Instance
from wsprism.adapters.wasm.module import GuestModule
from wsprism.adapters.wasm.services import effects_of
from wsprism.protocol.hot import Framing

__all__ = ["HEAD", "answers", "call"]

HEAD: Final = struct.Struct("<QIII")
_AT: Final = 4096
_BOUNDS: Final = Bounds(fuel=100_000, memory_bytes=65_536, output_bytes=4096, effects=8)
_MAX_DATA_BYTES: Final = 1000
_LONGEST_LINE: Final = 1024
_LONGEST_WORDS: Final = 400
_SAYS: Final = f"(call $log (i32.const 1) (i32.load (i32.const {_AT + 12})) (i32.load (i32.const {_AT + 16})))"


@cache
def _module() -> GuestModule:
    return GuestModule(
        guest(
            f"{_SAYS} (i64.load (i32.const {_AT}))",
            imports=LOG,
            alloc=f"(i32.load (i32.const {_AT + 8}))",
            hot=f"(i64.load (i32.const {_AT}))",
        )
    )


def call(data: bytes) -> None:
    """Whatever a guest gives: an answer within its bounds, or a fault in our own words."""
    said: list[str] = []
    words: list[str] = []
    instance = Instance(_module(), _BOUNDS, b"{}", lambda _, text: said.append(text))
    try:
        assert instance.write(_AT, (data + bytes(HEAD.size))[: 65_536 - _AT])
        for ask in (instance.handle, instance.judge):
            try:
                answer = ask(b'{"type":"fuzz"}')
                if isinstance(answer, bytes):
                    assert len(answer) <= _BOUNDS.output_bytes
                if ask == instance.handle:
                    assert not isinstance(answer, int)
                    assert len(effects_of(answer, _BOUNDS, Framing.COMPACT, _MAX_DATA_BYTES)) <= _BOUNDS.effects
                else:
                    assert isinstance(answer, bytes) or answer in (DROP, PASS)
            except GuestFault as fault:
                words.append(fault.words)
        assert all(len(text) <= _LONGEST_LINE for text in said)
        assert all(0 < len(one) < _LONGEST_WORDS for one in words)
        assert 0 <= instance.fuel_used() <= _BOUNDS.fuel
    finally:
        instance.close()


def answers() -> list[bytes]:
    """Seeds: answers at good places and bad ones."""
    body = b'{"effects":[{"publish":{"type":"t","data":[1]}},{"reply":null}]}'
    at = _AT + HEAD.size
    return [
        HEAD.pack((at << 32) | len(body), 1024, at, 5) + body,
        HEAD.pack((at << 32) | (len(body) + 1), 1024, 0, 0) + body,
        HEAD.pack(0, 65_530, 65_535, 2),
        HEAD.pack(PASS, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF),
        HEAD.pack((65_535 << 32) | 4096, 1, 0, 0xFFFF),
        HEAD.pack((at << 32) | 3, 8192, at, 3) + b"\x01\x01\x00",
    ]
