"""What a module may bring with it is known before it is compiled, and nothing in it ends the process."""

from __future__ import annotations

import random
from contextlib import suppress

import pytest
import wasmtime

from tests.guests import guest, text_of
from wsprism.adapters.wasm.bounds import ModuleRefused
from wsprism.adapters.wasm.module import GuestModule
from wsprism.adapters.wasm.shape import MAX_FUNCTION_BYTES, MAX_ITEMS, MAX_LOCALS, Imported, read_shape


def section(number: int, content: bytes) -> bytes:
    return bytes([number]) + leb(len(content)) + content


def leb(number: int) -> bytes:
    low, rest = number & 0x7F, number >> 7
    return bytes([low | 0x80]) + leb(rest) if rest else bytes([low])


def functions(*bodies: bytes) -> bytes:
    """A module of nothing but functions without parameters and results."""
    types = section(1, b"\x01\x60\0\0")
    declared = section(3, leb(len(bodies)) + bytes(len(bodies)))
    return b"\0asm\1\0\0\0" + types + declared + section(10, leb(len(bodies)) + b"".join(map(sized, bodies)))


def sized(body: bytes) -> bytes:
    return leb(len(body)) + body


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(functions(*[b"\0\x0b"] * (MAX_ITEMS + 1)), f"20001 functions; {MAX_ITEMS} are", id="functions"),
        pytest.param(
            functions(b"\0" + b"\x41\0\x04\x40" * 40_000 + b"\x0b" * 40_001),
            f"a function has 200002 bytes; {MAX_FUNCTION_BYTES} are allowed",
            id="one function",
        ),
        pytest.param(
            functions(*[b"\x01\xd0\x86\x03\x7f\x0b"] * 21), f"more than {MAX_LOCALS} local variables", id="locals"
        ),
        pytest.param(
            b"\0asm\1\0\0\0" + section(6, leb(20_001) + b"\x7f\x01\x41\0\x0b" * 20_001), "20001 globals", id="globals"
        ),
        pytest.param(b"\0asm\1\0\0\0" + section(11, b"\xff\xff\xff\xff\x0f"), "segments of data", id="a number alone"),
    ],
)
def test_what_would_take_minutes_or_gigabytes_to_compile_is_refused_before(content: bytes, words: str) -> None:
    with pytest.raises(ModuleRefused) as refusal:
        GuestModule(content)
    assert words in str(refusal.value)


@pytest.mark.parametrize(
    "more",
    [
        '(func (export "f") (param v128))',
        '(func (export "f") (result v128) (v128.const i64x2 0 0))',
        '(global (export "g") v128 (v128.const i64x2 0 0))',
        '(table (export "t") 1 funcref)',
    ],
)
def test_types_that_the_engines_c_api_does_not_know_end_no_process(more: str) -> None:
    assert not GuestModule(guest(more=more)).is_hot


def test_nor_do_they_where_another_type_belongs() -> None:
    text = text_of().replace("(param $at i32)", "(param $at v128)")
    with pytest.raises(ModuleRefused, match=r"`wsprism_handle` as something else than a function \(i32, i32\)"):
        GuestModule(bytes(wasmtime.wat2wasm(text)))


def test_imports_and_exports_are_read_as_they_stand() -> None:
    text = """(module
      (import "env" "f" (func $f (param i32 f64) (result i64)))
      (import "env" "t" (table 1 2 funcref))
      (import "env" "g" (global (mut i32)))
      (import "env" "m" (memory 1))
      (func (export "own") (result f32) f32.const 0)
      (export "f" (func $f)) (export "memory" (memory 0)) (export "g" (global 0)))"""
    shape = read_shape(bytes(wasmtime.wat2wasm(text)))
    assert shape is not None
    assert shape.imports == [
        Imported("env", "f", "i?>I"),
        Imported("env", "t", "?"),
        Imported("env", "g", "?"),
        Imported("env", "m", "?"),
    ]
    assert shape.exports == {"own": ">?", "f": "i?>I", "memory": "memory", "g": "?"}


def test_a_name_that_is_shown_is_short_and_printable() -> None:
    text = text_of(imports='(import "wsprism" "\\0a\\1b[31m' + "x" * 5000 + '" (func))')
    with pytest.raises(ModuleRefused) as refusal:
        GuestModule(bytes(wasmtime.wat2wasm(text)))
    assert str(refusal.value).isprintable()
    assert len(str(refusal.value)) < 200


def test_whatever_stands_there_reading_it_ends() -> None:
    chosen = random.Random(7)
    whole = guest(imports='(import "wsprism" "log" (func $log (param i32 i32 i32)))', hot="i64.const 0")
    for _ in range(3000):
        content = bytearray(whole[: chosen.randrange(8, len(whole) + 1)])
        for _ in range(chosen.randrange(4)):
            content[chosen.randrange(8, len(content)) if len(content) > 8 else 0] = chosen.randrange(256)
        with suppress(ModuleRefused):
            read_shape(bytes(content))
