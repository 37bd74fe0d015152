"""The functions of wasmtime's C API that a call of a guest needs, called without letting go of the interpreter lock.

To let go of it costs a call up to a switch interval (5 ms) beside a busy thread, and a call is bounded by its fuel to
less than that. What may take long (compiling) goes through the library's own bindings, which let go.
"""

from __future__ import annotations

import ctypes
from typing import Any, Final

from wasmtime import _ffi as ffi

__all__ = [
    "Extern",
    "InstanceHandle",
    "Native",
    "RawValues",
    "address",
    "address_of",
    "error_of",
    "native",
    "number",
    "trap_of",
]

_P: Final = ctypes.c_void_p
_SIZE: Final = ctypes.c_size_t
_I64: Final = ctypes.c_int64

_FUNCTIONS: Final[dict[str, tuple[Any, list[Any]]]] = {
    "wasmtime_store_new": (_P, [_P, _P, _P]),
    "wasmtime_store_context": (_P, [_P]),
    "wasmtime_store_limiter": (None, [_P, _I64, _I64, _I64, _I64, _I64]),
    "wasmtime_store_delete": (None, [_P]),
    "wasmtime_instance_pre_instantiate": (_P, [_P, _P, _P, _P]),
    "wasmtime_instance_export_get": (ctypes.c_bool, [_P, _P, ctypes.c_char_p, _SIZE, _P]),
    "wasmtime_memory_data": (_P, [_P, _P]),
    "wasmtime_memory_data_size": (_SIZE, [_P, _P]),
}
_OF_EACH_CALL: Final = (
    "wasmtime_context_set_fuel",
    "wasmtime_context_get_fuel",
    "wasmtime_func_call_unchecked",
)
"""Called with prepared arguments (``address``, ``number``): to make one of an integer takes as long as such a call."""

address: Final = _P.from_param
number: Final = ctypes.c_uint64

Extern: Any = ffi.wasmtime_extern_t
InstanceHandle: Any = ffi.wasmtime_instance_t
RawValues: Any = ffi.wasmtime_val_raw_t * 2
"""Up to two parameters, and the result in the place of the first."""


class Native:
    """``library``: ``ctypes.PyDLL`` keeps the interpreter lock, ``ctypes.CDLL`` lets go of it."""

    def __init__(self, library: type[ctypes.CDLL] = ctypes.PyDLL) -> None:
        loaded = library(str(ffi.filename))
        for name, (result, arguments) in _FUNCTIONS.items():
            function = loaded[name]
            function.restype, function.argtypes = result, arguments
            setattr(self, name.removeprefix("wasmtime_"), function)
        for name in _OF_EACH_CALL:
            function = loaded[name]
            function.restype = _P
            setattr(self, name.removeprefix("wasmtime_"), function)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"{name} is not bound")


native: Final = Native()


def address_of(pointer: Any) -> int:
    """Where a pointer of the library's bindings points to."""
    return ctypes.cast(pointer, _P).value or 0


def trap_of(address: int) -> Any:
    """The trap at ``address``, owned from now on."""
    from wasmtime import Trap

    return Trap._from_ptr(ctypes.cast(address, ctypes.POINTER(ffi.wasm_trap_t)))


def error_of(address: int) -> Any:
    """The error at ``address``, owned from now on."""
    from wasmtime import WasmtimeError

    return WasmtimeError._from_ptr(ctypes.cast(address, ctypes.POINTER(ffi.wasmtime_error_t)))
