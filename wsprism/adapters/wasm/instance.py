"""One instance of a guest: its memory, its calls, and what may go wrong in them (ABI 1, docs/services.md).

A guest is not trusted: each pointer and length that it gives is looked at against its memory as it is after the call,
and whatever it does ends in an answer or a ``GuestFault``. After a fault an instance is thrown away. Calls hold the
interpreter lock, and are bounded by fuel.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from ctypes import memmove, string_at
from typing import TYPE_CHECKING, Any, Final

from wsprism.adapters.wasm.bounds import MAX_TABLE_ELEMENTS, Bounds, Cause, GuestFault
from wsprism.adapters.wasm.imports import HOST_CALL_FUEL, INSTANCES
from wsprism.adapters.wasm.native import (
    Extern,
    InstanceHandle,
    Native,
    RawValues,
    address_of,
    error_of,
    native,
    trap_of,
)

if TYPE_CHECKING:
    from wsprism.adapters.wasm.module import GuestModule

__all__ = ["ABI", "DROP", "PASS", "Instance"]

ABI: Final = 1
DROP: Final = 0
PASS: Final = 0xFFFFFFFFFFFFFFFF
_MOST_TABLES: Final = 16

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
        self._base = 0
        self._size = 0
        self._set_fuel = native.context_set_fuel
        self._get_fuel = native.context_get_fuel
        self._memory_size = native.memory_data_size
        self._call_function = native.func_call_unchecked
        self._values = RawValues()
        self._at = at = ctypes.addressof(self._values)
        self._first = ctypes.c_uint32.from_address(at)
        self._second = ctypes.c_uint32.from_address(at + ctypes.sizeof(self._values) // 2)
        self._result = ctypes.c_uint64.from_address(at)
        self._trap = ctypes.c_void_p()
        self._trap_at = ctypes.addressof(self._trap)
        self._fuel = ctypes.c_uint64()
        self._fuel_at = ctypes.addressof(self._fuel)
        self._store = native.store_new(address_of(module.engine.ptr()), None, None)
        self._context: int = native.store_context(self._store)
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
        self._refuel()
        error = self._native.instance_pre_instantiate(
            address_of(self._module.linked.ptr()), self._context, ctypes.addressof(handle), self._trap_at
        )
        self._raise_any(error)
        self._exports: list[Any] = []  # their addresses are used below
        self._find_memory()
        self._alloc = self._function(b"wsprism_alloc")
        self._answer = self._function(b"wsprism_handle")
        self._judge = self._function(b"wsprism_hot") if self._module.is_hot else 0
        if self._module.initializes:
            self._refuel()
            self._call(self._function(b"_initialize"), 0)
        self._refuel()
        self._call(self._function(b"wsprism_abi"), 0)
        if self._first.value != ABI:
            raise GuestFault(Cause.START, f"it speaks ABI {self._first.value}, and this gateway speaks {ABI}")
        if self._module.takes_options:
            self._refuel()
            self._call_with(self._function(b"wsprism_init"), options)
            if self._first.value:
                raise GuestFault(Cause.START, f"wsprism_init has refused its options with {self._first.value}")

    def handle(self, message: bytes) -> bytes | None:
        """The guest's answer to a message; None: it has nothing to say."""
        self._refuel()
        self._call_with(self._answer, message)
        result = self._result.value
        return None if result == 0 else self._output(result)

    def judge(self, frame: bytes) -> bytes | int:
        """What becomes of a hot frame: ``PASS``, ``DROP``, or the frame that goes out instead."""
        self._refuel()
        self._call_with(self._judge, frame)
        result = self._result.value
        return result if result in (DROP, PASS) else self._output(result)

    @property
    def fuel_used(self) -> int:
        """By the last call."""
        self._get_fuel(self._context, self._fuel_at)
        return self._bounds.fuel - self._fuel.value

    @property
    def memory_bytes(self) -> int:
        """What it has now."""
        self._size = self._memory_size(self._context, self._memory_at)
        return self._size

    def close(self) -> None:
        """Give everything back; nothing may be called afterwards. Idempotent."""
        store, self._store = self._store, 0
        if store:
            INSTANCES.pop(self._context, None)
            self._native.store_delete(store)

    def __del__(self) -> None:
        self.close()

    # Calls

    def _refuel(self) -> None:
        self._set_fuel(self._context, self._bounds.fuel)

    def _call_with(self, function: int, data: bytes) -> None:
        """Put ``data`` where the guest wants it, and call ``function`` with it."""
        first = self._first
        first.value = length = len(data)
        self._call(self._alloc, 1)
        pointer: int = first.value
        if not pointer or not self._has(pointer, length):
            words = (
                f"wsprism_alloc({length}) gave {pointer}, where it has no memory for that (it has {self._size} bytes)"
            )
            raise GuestFault(Cause.MEMORY, words)
        memmove(self._base + pointer, data, length)
        first.value = pointer
        self._second.value = length
        self._call(function, 2)

    def _call(self, function: int, arguments: int) -> None:
        error = self._call_function(self._context, function, self._at, arguments or 1, self._trap_at)
        if error or self._trap.value or self._stopped is not None:
            self._raise_any(error)

    def _has(self, pointer: int, length: int) -> bool:
        """Whether its memory, which only grows, has this piece now."""
        if pointer + length <= self._size:
            return True
        self._size = self._memory_size(self._context, self._memory_at)
        return pointer + length <= self._size

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

    def _function(self, name: bytes) -> int:
        export = Extern()
        self._native.instance_export_get(
            self._context, ctypes.addressof(self._handle), name, len(name), ctypes.addressof(export)
        )
        self._exports.append(export)
        return ctypes.addressof(export.of.func)

    def _find_memory(self) -> None:
        self._native.instance_export_get(
            self._context, ctypes.addressof(self._handle), b"memory", 6, ctypes.addressof(self._memory)
        )
        self._base = self._native.memory_data(self._context, self._memory_at) or 0

    # What it asks of its host

    def enter(self, caller: Any) -> bool:
        """It calls into the host: whether it can pay. Before it is whole (its start function), memory is found by
        ``caller``."""
        if not self._base:
            found = caller.get("memory")
            if found is None:
                return False
            memmove(self._memory_at, ctypes.addressof(found._memory), ctypes.sizeof(found._memory))
            self._base = self._native.memory_data(self._context, self._memory_at) or 0
        return self._stopped is None and self.charge(HOST_CALL_FUEL)

    def charge(self, fuel: int) -> bool:
        """Take ``fuel`` from it; False: it has not so much, and has none from now on."""
        self._get_fuel(self._context, self._fuel_at)
        left = self._fuel.value - fuel
        self._set_fuel(self._context, max(left, 0))
        return left >= 0

    def read(self, pointer: int, length: int) -> bytes | None:
        """A piece of its memory; None: it does not have it."""
        return string_at(self._base + pointer, length) if self._has(pointer, length) else None

    def write(self, pointer: int, data: bytes) -> bool:
        """Put ``data`` into its memory; False: it does not have so much there."""
        if not self._has(pointer, len(data)):
            return False
        memmove(self._base + pointer, data, len(data))
        return True

    def say(self, level: int, text: bytes) -> None:
        """A line for the log."""
        self._say(level, text.decode("utf-8", "replace"))

    def stop_with(self, words: str) -> None:
        """It is done for: it stops at its next instruction."""
        self._stopped = words
        self._set_fuel(self._context, 0)


def _code_of(trap: Any) -> str:
    try:
        code = trap.trap_code
    except ValueError:
        return "UNKNOWN"
    return "UNKNOWN" if code is None else str(code.name)


def _first_line(text: str) -> str:
    return text.strip().splitlines()[0][:200] if text.strip() else "the engine does not say why"
