"""One instance of a guest: its memory, its calls, and what may go wrong in them (ABI 1, docs/services.md).

A guest is not trusted: each pointer and length that it gives is looked at against its memory as it is after the call,
and whatever it does ends in an answer or a ``GuestFault``. After a fault an instance is thrown away. Calls hold the
interpreter lock, and are bounded by fuel.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from wsprism.adapters.wasm.bounds import MAX_TABLE_ELEMENTS, Bounds, Cause, GuestFault
from wsprism.adapters.wasm.imports import HOST_CALL_FUEL, INSTANCES
from wsprism.adapters.wasm.native import (
    Extern,
    InstanceHandle,
    Native,
    RawValues,
    address,
    address_of,
    error_of,
    native,
    number,
    trap_of,
)

if TYPE_CHECKING:
    from wsprism.adapters.wasm.module import GuestModule

__all__ = ["ABI", "DROP", "PASS", "Instance"]

ABI: Final = 1
DROP: Final = 0
PASS: Final = 0xFFFFFFFFFFFFFFFF
_MOST_TABLES: Final = 16
_NO_ARGUMENT: Final = number(1)
"""The place of a result."""
_ONE_ARGUMENT: Final = number(1)
_TWO_ARGUMENTS: Final = number(2)

_TRAPS: Final = {
    "STACK_OVERFLOW": "its calls nest too deep",
    "MEMORY_OUT_OF_BOUNDS": "it has reached outside its memory",
    "TABLE_OUT_OF_BOUNDS": "it has reached outside a table",
    "INDIRECT_CALL_TO_NULL": "it has called a function that is none",
    "BAD_SIGNATURE": "it has called a function of another signature",
    "INTEGER_OVERFLOW": "an integer has overflown",
    "INTEGER_DIVISION_BY_ZERO": "it has divided by zero",
    "BAD_CONVERSION_TO_INTEGER": "it has made an integer of a number that is none",
    "UNREACHABLE": "it has given up (unreachable: a panic or abort)",
}

Say = Callable[[int, str], object]
"""A level (0 debug, 1 info, 2 warning, 3 error) and a line of a guest's."""


class Instance:
    """``options`` is JSON for `wsprism_init`. Making one runs the module's start function and `wsprism_init`, each with
    the fuel of a call; raises GuestFault.
    """

    def __init__(self, module: GuestModule, bounds: Bounds, options: bytes, say: Say, native: Native = native) -> None:
        self._store: int = 0
        self._native = native
        self._bounds = bounds
        self._say = say
        self._module = module  # its code lives as long as its instances
        self._stopped: str | None = None
        self._has_memory = False
        self._bytes = memoryview(b"")
        self._set_fuel = native.context_set_fuel
        self._get_fuel = native.context_get_fuel
        self._call_function = native.func_call_unchecked
        self._values = RawValues()
        at = ctypes.addressof(self._values)
        self._at = address(at)
        self._first = ctypes.c_uint32.from_address(at)
        self._second = ctypes.c_uint32.from_address(at + ctypes.sizeof(self._values) // 2)
        self._result = ctypes.c_uint64.from_address(at)
        self._trap = ctypes.c_void_p()
        self._trap_at = address(ctypes.addressof(self._trap))
        self._fuel = ctypes.c_uint64()
        self._fuel_at = address(ctypes.addressof(self._fuel))
        self._all_fuel = number(bounds.fuel)
        self._store = native.store_new(address_of(module.engine.ptr()), None, None)
        self._context: int = native.store_context(self._store)
        self._where = address(self._context)
        native.store_limiter(self._store, bounds.memory_bytes, MAX_TABLE_ELEMENTS, 1, _MOST_TABLES, 1)
        self._memory = Extern()
        self._memory_at = ctypes.addressof(self._memory.of.memory)
        INSTANCES[self._context] = self
        try:
            self._begin(options)
        except GuestFault:
            self.close()
            raise

    def _begin(self, options: bytes) -> None:
        handle = self._handle = InstanceHandle()
        self._set_fuel(self._where, self._all_fuel)
        error = self._native.instance_pre_instantiate(
            address_of(self._module.linked.ptr()),
            self._context,
            ctypes.addressof(handle),
            ctypes.addressof(self._trap),
        )
        self._raise_any(error)
        self._exports: list[Any] = []  # their addresses are used below
        self._find_memory()
        self._alloc = self._function(b"wsprism_alloc")
        self._answer = self._function(b"wsprism_handle")
        self._judge = self._function(b"wsprism_hot") if self._module.is_hot else 0
        if self._module.initializes:
            self._run(self._function(b"_initialize"))
        speaks = self._run(self._function(b"wsprism_abi"))
        if speaks != ABI:
            raise GuestFault(Cause.START, f"it speaks ABI {speaks}, and this gateway speaks {ABI}")
        if self._module.takes_options:
            refused = self._ask(self._function(b"wsprism_init"), options) & 0xFFFFFFFF
            if refused:
                raise GuestFault(Cause.START, f"wsprism_init has refused its options with {refused}")

    def handle(self, message: bytes) -> bytes | None:
        """The guest's answer to a message; None: it has nothing to say."""
        result = self._ask(self._answer, message)
        return self._output(result) if result else None

    def judge(self, frame: bytes) -> bytes | int:
        """What becomes of a hot frame: ``PASS``, ``DROP``, or the frame that goes out instead."""
        result = self._ask(self._judge, frame)
        return result if result in (DROP, PASS) else self._output(result)

    def fuel_used(self) -> int:
        """By the last call."""
        self._get_fuel(self._where, self._fuel_at)
        left: int = self._fuel.value
        return self._bounds.fuel - left

    @property
    def memory_bytes(self) -> int:
        """What it has now."""
        self._look()
        return len(self._bytes)

    def close(self) -> None:
        """Give everything back; nothing may be called afterwards. Idempotent."""
        store, self._store = self._store, 0
        if store:
            self._bytes = memoryview(b"")
            INSTANCES.pop(self._context, None)
            self._native.store_delete(store)

    def __del__(self) -> None:
        self.close()

    # Calls

    def _ask(self, function: Any, data: bytes) -> int:
        """With the fuel of a call, put ``data`` where the guest wants it and call ``function`` with it: its result."""
        call, where, first, trap = self._call_function, self._where, self._first, self._trap
        self._set_fuel(where, self._all_fuel)
        first.value = length = len(data)
        error = call(where, self._alloc, self._at, _ONE_ARGUMENT, self._trap_at)
        if error or trap.value or self._stopped is not None:
            self._raise_any(error)
        pointer: int = first.value
        if not pointer or not self.write(pointer, data):
            has = len(self._bytes)
            words = f"wsprism_alloc({length}) gave {pointer}, where it has no memory for that (it has {has} bytes)"
            raise GuestFault(Cause.MEMORY, words)
        first.value = pointer
        self._second.value = length
        error = call(where, function, self._at, _TWO_ARGUMENTS, self._trap_at)
        if error or trap.value or self._stopped is not None:
            self._raise_any(error)
        result: int = self._result.value
        return result

    def _run(self, function: Any) -> int:
        """With the fuel of a call, call ``function`` with nothing: its result."""
        self._set_fuel(self._where, self._all_fuel)
        error = self._call_function(self._where, function, self._at, _NO_ARGUMENT, self._trap_at)
        self._raise_any(error)
        return int(self._first.value)

    def _look(self) -> None:
        """At its memory as it is now. It only grows, and never moves."""
        size = self._native.memory_data_size(self._context, self._memory_at)
        if size != len(self._bytes):
            at = self._native.memory_data(self._context, self._memory_at)
            self._bytes = memoryview((ctypes.c_ubyte * size).from_address(at)).cast("B")

    def _output(self, result: int) -> bytes:
        pointer, length = result >> 32, result & 0xFFFFFFFF
        if length > self._bounds.output_bytes:
            raise GuestFault(Cause.ANSWER, f"its answer has {length} bytes; {self._bounds.output_bytes} are allowed")
        answer = self.read(pointer, length)
        if answer is None:
            words = f"its answer is said to be at {pointer} with {length} bytes, where it has no memory"
            raise GuestFault(Cause.MEMORY, words)
        return answer

    def _raise_any(self, error: int | None) -> None:
        """Whatever a call has ended with, if it has not come back."""
        trap, self._trap.value = self._trap.value, None
        found = trap_of(trap) if trap else None
        problem = error_of(error) if error else None
        if self._stopped is not None:
            raise GuestFault(Cause.TRAP, self._stopped)
        if found is not None:
            code = _code_of(found)
            if code == "OUT_OF_FUEL":
                raise GuestFault(Cause.FUEL, f"it has used up its fuel ({self._bounds.fuel} a call)")
            raise GuestFault(Cause.TRAP, _TRAPS.get(code, f"it has trapped: {code.lower().replace('_', ' ')}"))
        if problem is not None:
            raise GuestFault(Cause.START, f"it cannot be started: {_first_line(str(problem))}")

    def _function(self, name: bytes) -> Any:
        export = Extern()
        self._native.instance_export_get(
            self._context, ctypes.addressof(self._handle), name, len(name), ctypes.addressof(export)
        )
        self._exports.append(export)
        return address(ctypes.addressof(export.of.func))

    def _find_memory(self) -> None:
        self._native.instance_export_get(
            self._context, ctypes.addressof(self._handle), b"memory", 6, ctypes.addressof(self._memory)
        )
        self._has_memory = True
        self._look()

    # What it asks of its host

    def enter(self, caller: Any) -> bool:
        """It calls into the host: whether it can pay. Before it is whole (its start function), memory is found by
        ``caller``."""
        if not self._has_memory:
            found = caller.get("memory")
            if found is None:
                return False
            ctypes.memmove(self._memory_at, ctypes.addressof(found._memory), ctypes.sizeof(found._memory))
            self._has_memory = True
        return self._stopped is None and self.charge(HOST_CALL_FUEL)

    def charge(self, fuel: int) -> bool:
        """Take ``fuel`` from it; False: it has not so much, and has none from now on."""
        self._get_fuel(self._where, self._fuel_at)
        left = self._fuel.value - fuel
        self._set_fuel(self._where, number(max(left, 0)))
        return left >= 0

    def read(self, pointer: int, length: int) -> bytes | None:
        """A piece of its memory; None: it does not have it."""
        end = pointer + length
        if end > len(self._bytes):
            self._look()
            if end > len(self._bytes):
                return None
        return self._bytes[pointer:end].tobytes()

    def write(self, pointer: int, data: bytes) -> bool:
        """Put ``data`` into its memory; False: it does not have so much there."""
        end = pointer + len(data)
        if end > len(self._bytes):
            self._look()
            if end > len(self._bytes):
                return False
        self._bytes[pointer:end] = data
        return True

    def say(self, level: int, text: bytes) -> None:
        """A line for the log."""
        self._say(level, text.decode("utf-8", "replace"))

    def stop_with(self, words: str) -> None:
        """It is done for: it stops at its next instruction."""
        self._stopped = words
        self._set_fuel(self._where, number(0))


def _code_of(trap: Any) -> str:
    try:
        code = trap.trap_code
    except ValueError:
        return "UNKNOWN"
    return "UNKNOWN" if code is None else str(code.name)


def _first_line(text: str) -> str:
    return text.strip().splitlines()[0][:200] if text.strip() else "the engine does not say why"
