"""What a guest may try, and that it ends as a fault of its own: in bounded time, within its bounds, with a cause."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.guests import LOG, NOTHING, WASI_RANDOM, answering, guest, module
from wsprism.adapters.wasm.bounds import MAX_MODULE_BYTES, Bounds, Cause, GuestFault, ModuleRefused
from wsprism.adapters.wasm.instance import Instance
from wsprism.adapters.wasm.module import GuestModule, prove
from wsprism.adapters.wasm.services import effects_of
from wsprism.effects import Reply
from wsprism.protocol.hot import Framing

BOUNDS = Bounds()
PAGE = 65_536
ENDLESS = "(loop (br 0)) i64.const 0"
RECURSIVE = "(func $f (param i64) (result i64) (i64.add (call $f (local.get 0)) (i64.const 1)))"
RANDOM = "(loop (drop (call $random (i32.const 0) (i32.const 65536))) (br 0)) i64.const 0"
EXIT = '(import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))'


def silent(*_: object) -> None: ...


def started(content: bytes, bounds: Bounds = BOUNDS, say: Callable[[int, str], object] = silent) -> Instance:
    return Instance(GuestModule(content), bounds, b"{}", say)


def asked(content: bytes, bounds: Bounds = BOUNDS, message: bytes = b'{"type":"x"}', **options: Any) -> Any:
    instance = started(content, bounds, **options)
    try:
        return effects_of(instance.handle(message), bounds, Framing.COMPACT, 65_536)
    finally:
        instance.close()


@pytest.mark.parametrize(
    ("content", "cause", "words"),
    [
        pytest.param(guest(ENDLESS), Cause.FUEL, "used up its fuel", id="endless loop"),
        pytest.param(
            guest("(call $f (i64.const 1))", more=RECURSIVE),
            Cause.TRAP,
            "its calls nest too deep",
            id="recursion",
        ),
        pytest.param(guest("unreachable"), Cause.TRAP, "unreachable", id="panic"),
        pytest.param(guest("(i64.div_s (i64.const 1) (i64.const 0))"), Cause.TRAP, "divided by zero", id="division"),
        pytest.param(guest("(i64.load (i32.const -8))"), Cause.TRAP, "outside its memory", id="load outside"),
        pytest.param(
            guest("(call_indirect (type $t) (i32.const 0))", more="(type $t (func (result i64))) (table 1 funcref)"),
            Cause.TRAP,
            "a function that is none",
            id="call of nothing",
        ),
        pytest.param(
            guest("(call $exit (i32.const 7)) i64.const 0", imports=EXIT), Cause.TRAP, "proc_exit(7)", id="exit"
        ),
        pytest.param(
            guest(f"i64.const {(PAGE << 32) | 1}"), Cause.MEMORY, "where it has no memory", id="answer behind memory"
        ),
        pytest.param(
            guest(f"i64.const {((PAGE - 4) << 32) | 8}"),
            Cause.MEMORY,
            "where it has no memory",
            id="answer over the end",
        ),
        pytest.param(
            guest(f"i64.const {-1 << 32 | 16}"), Cause.MEMORY, "where it has no memory", id="answer at the very end"
        ),
        pytest.param(guest("i64.const -1"), Cause.ANSWER, "4294967295 bytes", id="-1"),
        pytest.param(guest("i64.const 1"), Cause.ANSWER, "not", id="one byte of nothing"),
        pytest.param(guest(f"i64.const {(1024 << 32) | 65_537}"), Cause.ANSWER, "65536 are allowed", id="overlong"),
        pytest.param(guest(f"i64.const {4096 << 32}"), Cause.ANSWER, "not JSON", id="empty"),
        pytest.param(answering("{"), Cause.ANSWER, "not JSON", id="not JSON"),
        pytest.param(answering(b'{"effects":[{"reply":"\xff"}]}'), Cause.ANSWER, "not UTF-8", id="not UTF-8"),
        pytest.param(answering('{"effects":[{"reply":"\\ud800"}]}'), Cause.ANSWER, "not JSON", id="half a character"),
        pytest.param(
            answering('{"effects":[{"reply":' + "[" * 70 + "]" * 70 + "}]}"),
            Cause.ANSWER,
            "nest too deep",
            id="nesting",
        ),
        pytest.param(answering("[" * 60_000), Cause.ANSWER, "nest too deep", id="nesting for ever"),
        pytest.param(
            answering('{"effects":[' + ",".join(['{"reply":1}'] * 17) + "]}"),
            Cause.ANSWER,
            "16 are allowed",
            id="effects",
        ),
        pytest.param(answering('{"effects":[{"reply":NaN}]}'), Cause.ANSWER, "not JSON", id="NaN"),
        pytest.param(answering('{"effects":[{"reply":1e999}]}'), Cause.ANSWER, "too large", id="infinity"),
        pytest.param(
            answering('{"effects":[{"publish":{"svc":"sys","type":"kicked"}}]}'),
            Cause.ANSWER,
            "gateway's own",
            id="as sys",
        ),
        pytest.param(guest(alloc="i32.const -1"), Cause.MEMORY, "wsprism_alloc", id="alloc outside"),
        pytest.param(guest(alloc=f"i32.const {PAGE - 3}"), Cause.MEMORY, "wsprism_alloc", id="alloc over the end"),
        pytest.param(guest(alloc="i32.const 0"), Cause.MEMORY, "wsprism_alloc", id="alloc gives nothing"),
        pytest.param(guest(alloc="unreachable"), Cause.TRAP, "unreachable", id="alloc traps"),
        pytest.param(guest(alloc="(loop (br 0)) i32.const 1"), Cause.FUEL, "fuel", id="alloc loops"),
        pytest.param(
            guest("(loop (call $log (i32.const 1) (i32.const 0) (i32.const -1)) (br 0)) i64.const 0", imports=LOG),
            Cause.FUEL,
            "fuel",
            id="log flood",
        ),
        pytest.param(
            guest(RANDOM, imports=WASI_RANDOM),
            Cause.FUEL,
            "fuel",
            id="random flood",
        ),
        pytest.param(
            guest("(loop (memory.fill (i32.const 0) (i32.const 1) (i32.const 65536)) (br 0)) i64.const 0"),
            Cause.FUEL,
            "fuel",
            id="fill flood",
        ),
    ],
)
def test_it_ends_as_a_fault_of_its_own_and_soon(content: bytes, cause: Cause, words: str) -> None:
    began = time.thread_time()
    with pytest.raises(GuestFault) as fault:
        asked(content)
    assert (fault.value.cause, time.thread_time() - began < 1.0) == (cause, True)
    assert words in str(fault.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(
            guest(more="(start $s) (func $s (loop (br 0)))"), "used up its fuel", id="start function that loops"
        ),
        pytest.param(guest(more="(start $s) (func $s unreachable)"), "unreachable", id="start function that traps"),
        pytest.param(guest(abi="i32.const 2"), "it speaks ABI 2", id="another ABI"),
        pytest.param(guest(abi="(loop (br 0)) i32.const 1"), "used up its fuel", id="ABI that loops"),
        pytest.param(guest(init="i32.const 3"), "refused its options with 3", id="init refuses"),
        pytest.param(guest(init="(loop (br 0)) i32.const 0"), "used up its fuel", id="init that loops"),
        pytest.param(guest(more='(func (export "_initialize") unreachable)'), "unreachable", id="_initialize traps"),
        pytest.param(guest(memory='(memory (export "memory") 65)'), "cannot be started", id="memory from the start"),
        pytest.param(guest(more="(table 10001 funcref)"), "cannot be started", id="table from the start"),
        pytest.param(guest(more='(data (i32.const 65535) "xx")'), "outside its memory", id="data outside"),
    ],
)
def test_one_that_does_not_start_is_refused(content: bytes, words: str) -> None:
    with pytest.raises(ModuleRefused) as refusal:
        prove(GuestModule(content), BOUNDS, b"{}")
    assert words in str(refusal.value)


def bare(*exports: str, memory: str = '(memory (export "memory") 1)') -> str:
    return f"(module {memory} {' '.join(exports)})"


ABI = '(func (export "wsprism_abi") (result i32) i32.const 1)'
ALLOC = '(func (export "wsprism_alloc") (param i32) (result i32) i32.const 1)'
HANDLE = '(func (export "wsprism_handle") (param i32 i32) (result i64) i64.const 0)'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (bare(ALLOC, HANDLE), "does not export `wsprism_abi`"),
        (bare(ABI, HANDLE), "does not export `wsprism_alloc`"),
        (bare(ABI, ALLOC), "does not export `wsprism_handle`"),
        (bare(ABI, ALLOC, HANDLE, memory="(memory 1)"), "does not export its memory"),
        (bare(ABI, ALLOC, HANDLE, memory='(global (export "memory") i32 (i32.const 1))'), "does not export its memory"),
        (
            bare(ABI, ALLOC, '(func (export "wsprism_handle") (param i32) (result i64) i64.const 0)'),
            "`wsprism_handle` as something else than a function (i32, i32) -> (i64)",
        ),
        (
            bare(ABI, ALLOC, HANDLE, '(global (export "wsprism_hot") i32 (i32.const 1))'),
            "`wsprism_hot` as something else",
        ),
        (bare('(import "env" "abort" (func (param i32 i32 i32 i32)))'), "imports env.abort, which no module is given"),
        (bare('(import "wasi_snapshot_preview1" "path_open" (func (result i32)))'), "wasi_snapshot_preview1.path_open"),
        (bare('(import "wasi_snapshot_preview1" "sock_accept" (func (result i32)))'), "sock_accept"),
        (bare('(import "wsprism" "log" (func (param i32)))'), "wsprism.log with another signature"),
        (bare('(import "wsprism" "log" (memory 1))', memory=""), "wsprism.log with another signature"),
        ("(module (memory i64 1))", "cannot be compiled"),
        ("(module (memory 1 1 shared))", "cannot be compiled"),
        ("(module (memory 1) (memory 1))", "cannot be compiled"),
        ("(module (type (struct (field i32))))", "cannot be compiled"),
        ("(component)", "cannot be compiled"),
        ("(module (tag))", "cannot be compiled"),
    ],
)
def test_a_module_that_does_not_keep_to_the_abi_is_refused_by_name(text: str, words: str) -> None:
    import wasmtime

    text = text.replace('(memory (export "memory") 1) (import', "(import")  # imports come first
    with pytest.raises(ModuleRefused) as refusal:
        GuestModule(bytes(wasmtime.wat2wasm(text)))
    assert words in str(refusal.value)
    assert len(str(refusal.value)) < 400


@pytest.mark.parametrize("content", [b"", b"\0asm", b"MZ", b"\0asm\1\0\0\0\xff" * 3, bytes(MAX_MODULE_BYTES + 1)])
def test_what_is_no_module_is_refused(content: bytes) -> None:
    with pytest.raises(ModuleRefused):
        GuestModule(content)


def test_memory_grows_to_its_bound_and_not_beyond() -> None:
    grow = "(loop (br_if 0 (i32.ge_s (memory.grow (i32.const 1)) (i32.const 0)))) i64.const 0"
    instance = started(guest(grow), Bounds(memory_bytes=8 * PAGE))
    assert instance.handle(b"x") is None
    assert instance.memory_bytes == 8 * PAGE
    assert instance.handle(b"x") is None
    instance.close()


def test_a_table_grows_to_its_bound_and_not_beyond() -> None:
    grow = "(i32.store (i32.const 0) (table.grow $t (ref.null func) (i32.const 1000))) i64.const 4"
    instance = started(guest(grow, more="(table $t 0 funcref)"))
    gave = [int.from_bytes(instance.handle(b"x") or b"", "little", signed=True) for _ in range(12)]
    assert gave == [1000 * number for number in range(10)] + [-1, -1]
    instance.close()


def test_memory_that_grows_during_a_call_is_looked_at_as_it_is_afterwards() -> None:
    """It was one page when the message was put there: the answer stands in the second."""
    handle = (
        "(drop (memory.grow (i32.const 1)))"
        f"(i64.store (i32.const {PAGE}) (i64.const {int.from_bytes(b'{}      ', 'little')}))"
        f"i64.const {(PAGE << 32) | 8}"
    )
    instance = started(guest(handle))
    assert instance.handle(b"x") == b"{}      "
    alloc = f"(drop (memory.grow (i32.const 1))) (i32.const {PAGE})"
    grown_by_alloc = started(
        guest(f"(i64.or (i64.const {PAGE << 32}) (i64.extend_i32_u (local.get $size)))", alloc=alloc)
    )
    assert grown_by_alloc.handle(b"a message") == b"a message"
    instance.close()
    grown_by_alloc.close()


def test_the_engine_gives_one_nan() -> None:
    """Else what a guest computes would depend on the machine."""
    nan = "(i64.extend_i32_u (i32.reinterpret_f32 (f32.sqrt (f32.const -1))))"
    handle = f"(i64.store (i32.const 0) {nan}) i64.const 8"
    instance = started(guest(handle))
    assert instance.handle(b"x") == (0x7FC00000).to_bytes(8, "little")
    instance.close()


def test_a_call_has_its_own_fuel_and_says_what_it_used() -> None:
    instance = started(guest(NOTHING))
    assert instance.handle(b"x") is None
    used = instance.fuel_used()
    assert 0 < used < 100
    assert instance.handle(b"x") is None
    assert instance.fuel_used() == used
    with pytest.raises(GuestFault):
        asked(guest(NOTHING), Bounds(fuel=1))
    instance.close()


@pytest.mark.parametrize("verdict", ["(i64.const 0)", "(i64.const -1)", "unreachable", f"(i64.const {(9 << 48)})"])
def test_a_verdict_is_drop_pass_or_a_fault(verdict: str) -> None:
    instance = started(guest(hot=verdict))
    if verdict.startswith("(i64.const 0") or verdict.endswith("-1)"):
        assert instance.judge(b"\x01\x01\x00") == (0 if "0)" in verdict else 0xFFFFFFFFFFFFFFFF)
    else:
        with pytest.raises(GuestFault):
            instance.judge(b"\x01\x01\x00")
    instance.close()


def test_what_a_guest_says_is_cut_and_shown_as_text() -> None:
    said: list[tuple[int, str]] = []
    handle = f"(call $log (i32.const -5) (i32.const 4096) (i32.const {PAGE // 2})) i64.const 0"
    data = '(data (i32.const 4096) "hi\\ff")'
    asked(guest(handle, imports=LOG, more=data), say=lambda level, text: said.append((level, text)))
    [(level, text)] = said
    assert (level, len(text), text[:3]) == (3, 1024, "hi\ufffd")


def test_an_answer_may_be_as_long_as_its_bound() -> None:
    body = '{"effects":[{"reply":"%s"}]}'
    exactly = body % ("x" * (4096 - len(body) + 2))
    assert len(exactly) == 4096
    bounds = Bounds(output_bytes=4096)
    [effect] = asked(answering(exactly), bounds)
    assert isinstance(effect, Reply)
    with pytest.raises(GuestFault):
        asked(answering(exactly + " "), bounds)


def test_a_module_is_known_by_its_content() -> None:
    assert module("i64.const 0").version == module("i64.const 0").version != module("i64.const 1").version
