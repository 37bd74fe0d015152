"""Modules: read, compiled and looked over once for each content, however many tenants have a service of it.

Compiling takes a while and lets go of the interpreter lock: it belongs into a thread. ``Modules`` are those that a look
at the configuration has found good; whoever builds services of it takes them from there.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any, Final
from weakref import WeakValueDictionary

from wasmtime import Engine, FuncType, InstancePre, MemoryType, Module, WasmtimeError

from wsprism.adapters.wasm.bounds import MAX_MODULE_BYTES, Bounds, GuestFault, ModuleRefused
from wsprism.adapters.wasm.engine import engine, linker
from wsprism.adapters.wasm.imports import IMPORTS
from wsprism.adapters.wasm.instance import Instance

__all__ = ["GuestModule", "Modules", "prove"]

_VERSION_LENGTH: Final = 12
_LETTERS: Final = {"i32": "i", "i64": "I"}

_EXPORTS: Final = {
    "wsprism_abi": ("", "i"),
    "wsprism_alloc": ("i", "i"),
    "wsprism_handle": ("ii", "I"),
}
_OPTIONAL: Final = {
    "wsprism_hot": ("ii", "I"),
    "wsprism_init": ("ii", "i"),
    "_initialize": ("", ""),
}
_CANNOT_SAY: Final = "(other types)"


class GuestModule:
    """A compiled module that keeps to ABI 1, as far as can be seen without running it. ``version`` names its content.

    Raises ModuleRefused.
    """

    def __init__(self, content: bytes) -> None:
        if len(content) > MAX_MODULE_BYTES:
            raise ModuleRefused(f"the module has {len(content)} bytes; {MAX_MODULE_BYTES} are allowed")
        self.version = hashlib.sha256(content).hexdigest()[:_VERSION_LENGTH]
        self.engine: Engine = engine()
        if content[:4] != b"\0asm":
            raise ModuleRefused("this is no WebAssembly module: it does not begin with \\0asm")
        try:
            module = Module(self.engine, content)
        except WasmtimeError as error:
            raise ModuleRefused(f"the module cannot be compiled: {_why(str(error))}") from error
        _check_imports(module)
        exports = {one.name: one.type for one in module.exports}
        _check_exports(exports)
        self.is_hot = "wsprism_hot" in exports
        self.takes_options = "wsprism_init" in exports
        self.initializes = "_initialize" in exports
        self.linked: InstancePre = linker().instantiate_pre(module)


class Modules:
    """By content; and by file, those of the last look at a configuration."""

    def __init__(self) -> None:
        self._by_content: WeakValueDictionary[bytes, GuestModule] = WeakValueDictionary()
        self._by_file: dict[str, tuple[tuple[int, int, int], GuestModule]] = {}

    def read(self, file: str) -> GuestModule:
        """The module in ``file``: compiled unless its content is known. Raises ModuleRefused. Belongs into a thread."""
        try:
            stamp = _stamp(file)
            content = Path(file).read_bytes()[: MAX_MODULE_BYTES + 1]
        except OSError as error:
            raise ModuleRefused(f"the module {file} cannot be read: {error.strerror}") from error
        key = hashlib.sha256(content).digest()
        module = self._by_content.get(key)
        if module is None:
            module = self._by_content[key] = GuestModule(content)
        self._by_file[file] = (stamp, module)
        return module

    def find(self, file: str) -> GuestModule:
        """As ``read``, and at once where the file has not changed since."""
        known = self._by_file.get(file)
        try:
            if known is not None and known[0] == _stamp(file):
                return known[1]
        except OSError:
            pass
        return self.read(file)

    def has(self, module: GuestModule) -> bool:
        """Whether one of the files has it."""
        return any(known is module for _, known in self._by_file.values())

    def keep(self, files: set[str]) -> None:
        """Forget all other files."""
        self._by_file = {file: known for file, known in self._by_file.items() if file in files}


def prove(module: GuestModule, bounds: Bounds, options: bytes) -> None:
    """Start it once, and let go of it. Raises ModuleRefused: it does not start with these bounds and options."""
    try:
        Instance(module, bounds, options, lambda *_: None).close()
    except GuestFault as fault:
        raise ModuleRefused(f"the module does not start: {fault.words}") from fault


def _stamp(file: str) -> tuple[int, int, int]:
    found = os.stat(file)
    return found.st_mtime_ns, found.st_size, found.st_ino


def _check_imports(module: Module) -> None:
    for one in module.imports:
        name = one.name or ""
        allowed = IMPORTS.get((one.module, name))
        if allowed is None:
            raise ModuleRefused(f"the module imports {one.module}.{name}, which no module is given")
        if _signature(one.type) != (allowed.parameters, allowed.results):
            raise ModuleRefused(f"the module imports {one.module}.{name} with another signature than it has")


def _check_exports(exports: dict[str, Any]) -> None:
    memory = exports.get("memory")
    if not isinstance(memory, MemoryType):
        raise ModuleRefused("the module does not export its memory as `memory`")
    for name, (parameters, results) in (_EXPORTS | _OPTIONAL).items():
        kind = exports.get(name)
        if kind is None:
            if name in _EXPORTS:
                raise ModuleRefused(f"the module does not export `{name}`")
        elif _signature(kind) != (parameters, results):
            shown = f"({_shown(parameters)}) -> ({_shown(results)})"
            raise ModuleRefused(f"the module exports `{name}` as something else than a function {shown}")


def _signature(kind: Any) -> tuple[str, str]:
    if not isinstance(kind, FuncType):
        return _CANNOT_SAY, _CANNOT_SAY
    return _letters(kind.params), _letters(kind.results)


def _letters(types: Any) -> str:
    return "".join(_LETTERS.get(str(one), "?") for one in types)


def _shown(letters: str) -> str:
    return ", ".join("i32" if letter == "i" else "i64" for letter in letters)


def _why(text: str) -> str:
    """The compiler's own words, on one line: it names the place in the module."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return ": ".join(lines)[:300]
