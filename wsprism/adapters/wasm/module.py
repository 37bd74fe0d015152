"""Modules: read, compiled and looked over once for each content, however many tenants have a service of it.

Compiling takes a while and lets go of the interpreter lock: it belongs into a thread. ``Modules`` are those that a look
at the configuration has found good; whoever builds services of it takes them from there.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Final
from weakref import WeakValueDictionary

from wasmtime import Engine, InstancePre, Module, WasmtimeError

from wsprism.adapters.wasm.bounds import MAX_MODULE_BYTES, Bounds, GuestFault, ModuleRefused
from wsprism.adapters.wasm.engine import engine, linker
from wsprism.adapters.wasm.imports import IMPORTS
from wsprism.adapters.wasm.instance import Instance
from wsprism.adapters.wasm.shape import MEMORY, Shape, read_shape

__all__ = ["GuestModule", "Modules", "prove"]

_VERSION_LENGTH: Final = 12
_LONGEST_NAME: Final = 100

_EXPORTS: Final = {
    "wsprism_abi": ">i",
    "wsprism_alloc": "i>i",
    "wsprism_handle": "ii>I",
}
_OPTIONAL: Final = {
    "wsprism_hot": "ii>I",
    "wsprism_init": "ii>i",
    "_initialize": ">",
}


class GuestModule:
    """A compiled module that keeps to ABI 1, as far as can be seen without running it. ``version`` names its content.

    Raises ModuleRefused.
    """

    def __init__(self, content: bytes) -> None:
        if len(content) > MAX_MODULE_BYTES:
            raise ModuleRefused(f"the module has more than {MAX_MODULE_BYTES} bytes, which is all it may have")
        self.version = hashlib.sha256(content).hexdigest()[:_VERSION_LENGTH]
        self.engine: Engine = engine()
        if content[:4] != b"\0asm":
            raise ModuleRefused("this is no WebAssembly module: it does not begin with \\0asm")
        shape = read_shape(content)
        try:
            module = Module(self.engine, content)
        except WasmtimeError as error:
            raise ModuleRefused(f"the module cannot be compiled: {_why(str(error))}") from error
        if shape is None:
            raise ModuleRefused("the module cannot be read: it has types or imports of a kind that no module may have")
        _check(shape)
        self.is_hot = "wsprism_hot" in shape.exports
        self.takes_options = "wsprism_init" in shape.exports
        self.initializes = "_initialize" in shape.exports
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
            with Path(file).open("rb") as opened:
                content = opened.read(MAX_MODULE_BYTES + 1)
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


def _check(shape: Shape) -> None:
    for module, name, kind in shape.imports:
        allowed = IMPORTS.get((module, name))
        shown = "".join(one if one.isprintable() else "?" for one in f"{module}.{name}"[:_LONGEST_NAME])
        if allowed is None:
            raise ModuleRefused(f"the module imports {shown}, which no module is given")
        if kind != f"{allowed.parameters}>{allowed.results}":
            raise ModuleRefused(f"the module imports {shown} with another signature than it has")
    if shape.exports.get("memory") != MEMORY:
        raise ModuleRefused("the module does not export its memory as `memory`")
    for name, wanted in (_EXPORTS | _OPTIONAL).items():
        has = shape.exports.get(name)
        if has is None:
            if name in _EXPORTS:
                raise ModuleRefused(f"the module does not export `{name}`")
        elif has != wanted:
            raise ModuleRefused(f"the module exports `{name}` as something else than a function {_shown(wanted)}")


def _shown(signature: str) -> str:
    parameters, results = (
        ", ".join("i32" if letter == "i" else "i64" for letter in letters) for letters in signature.split(">")
    )
    return f"({parameters}) -> ({results})"


def _why(text: str) -> str:
    """The compiler's own words, on one line: it names the place in the module."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return ": ".join(lines)[:300]
