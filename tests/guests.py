"""Guests for tests, written as WebAssembly text and made binary by the engine itself."""

from __future__ import annotations

import wasmtime

from wsprism.adapters.wasm.module import GuestModule

__all__ = ["LOG", "NOTHING", "WASI_RANDOM", "answering", "guest", "module", "text_of"]

NOTHING = "i64.const 0"
LOG = '(import "wsprism" "log" (func $log (param i32 i32 i32)))'
WASI_RANDOM = '(import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))'
_HEX = "0123456789abcdef"


def text_of(
    handle: str = NOTHING,
    *,
    imports: str = "",
    more: str = "",
    alloc: str = "i32.const 1024",
    abi: str = "i32.const 1",
    hot: str | None = None,
    init: str | None = None,
    memory: str = '(memory (export "memory") 1)',
) -> str:
    """A guest whose functions have these bodies; messages are put at 1024."""
    optional = ""
    if hot is not None:
        optional += f'(func (export "wsprism_hot") (param $at i32) (param $size i32) (result i64) {hot})\n'
    if init is not None:
        optional += f'(func (export "wsprism_init") (param $at i32) (param $size i32) (result i32) {init})\n'
    return f"""(module {imports}
      {memory}
      (func (export "wsprism_abi") (result i32) {abi})
      (func (export "wsprism_alloc") (param $size i32) (result i32) {alloc})
      (func (export "wsprism_handle") (param $at i32) (param $size i32) (result i64) {handle})
      {optional}{more})"""


def guest(handle: str = NOTHING, **parts: str | None) -> bytes:
    """The same as a binary module."""
    return bytes(wasmtime.wat2wasm(text_of(handle, **parts)))  # type: ignore[arg-type]


def module(handle: str = NOTHING, **parts: str | None) -> GuestModule:
    """The same, compiled and looked over."""
    return GuestModule(guest(handle, **parts))


def answering(answer: bytes | str, **parts: str | None) -> bytes:
    """A guest that always gives this answer, which stands in its memory from 4096 on."""
    data = answer.encode() if isinstance(answer, str) else answer
    shown = "".join(f"\\{_HEX[one >> 4]}{_HEX[one & 15]}" for one in data)
    more = f'(data (i32.const 4096) "{shown}")' + (parts.pop("more", None) or "")
    return guest(f"i64.const {(4096 << 32) | len(data)}", more=more, **parts)
