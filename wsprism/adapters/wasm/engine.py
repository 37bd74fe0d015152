"""The one engine of the process: which WebAssembly there is, and how it is compiled."""

from __future__ import annotations

from functools import cache
from typing import Final

from wasmtime import Config, Engine, Linker

from wsprism.adapters.wasm.bounds import MAX_MEMORY_BYTES
from wsprism.adapters.wasm.imports import define_imports

__all__ = ["engine", "linker"]

_STACK_BYTES: Final = 256 * 1024
_GUARD_BYTES: Final = 65_536


@cache
def engine() -> Engine:
    """MVP, bulk memory, multi-value, reference types, fixed SIMD; nothing with threads, objects or more memories."""
    config = Config()
    config.consume_fuel = True
    config.cranelift_nan_canonicalization = True
    config.parallel_compilation = False  # a reload leaves the other cores to others
    config.max_wasm_stack = _STACK_BYTES
    config.memory_reservation = MAX_MEMORY_BYTES
    config.memory_reservation_for_growth = 0
    config.memory_may_move = False  # growing copies nothing, and where a memory is never changes
    config.memory_guard_size = _GUARD_BYTES
    config.gc_support = False
    config.wasm_gc = False
    config.wasm_function_references = False
    config.wasm_threads = False
    config.shared_memory = False
    config.wasm_memory64 = False
    config.wasm_multi_memory = False
    config.wasm_component_model = False
    config.wasm_relaxed_simd = False
    config.wasm_exceptions = False
    config.wasm_stack_switching = False
    config.wasm_tail_call = False
    config.wasm_custom_page_sizes = False
    config.wasm_wide_arithmetic = False
    return Engine(config)


@cache
def linker() -> Linker:
    """All that a module may import."""
    made = Linker(engine())
    define_imports(made)
    return made
