"""What a module brings with it, read without the engine: how much there is to compile, what it imports and exports.

It is asked before the engine is. What compiling takes grows faster than a module does, in time and in memory; and the
engine's own account of a type ends the process where the type is one that its C API does not know (a vector).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from wsprism.adapters.wasm.bounds import ModuleRefused

__all__ = ["MAX_FUNCTION_BYTES", "MAX_ITEMS", "MAX_LOCALS", "MEMORY", "Imported", "Shape", "read_shape"]

MAX_ITEMS: Final = 20_000
"""Of a kind: functions, types, globals, segments of data ..."""
MAX_FUNCTION_BYTES: Final = 131_072
MAX_LOCALS: Final = 1_000_000
"""Of all functions together."""

MEMORY: Final = "memory"
_OTHER: Final = "?"

_HEADER: Final = b"\0asm\1\0\0\0"
_TYPES, _IMPORTS, _FUNCTIONS, _EXPORTS, _CODE = 1, 2, 3, 7, 10
_COUNTED: Final = {
    _TYPES: "types",
    _IMPORTS: "imports",
    _FUNCTIONS: "functions",
    4: "tables",
    5: "memories",
    6: "globals",
    _EXPORTS: "exports",
    9: "segments of elements",
    _CODE: "functions",
    11: "segments of data",
}
_FUNCTION, _TABLE, _MEMORY, _GLOBAL = 0, 1, 2, 3
_LETTERS: Final = {0x7F: "i", 0x7E: "I", 0x7D: "?", 0x7C: "?", 0x7B: "?", 0x70: "?", 0x6F: "?"}
"""By a value type's byte: those that an import or export of ours may have, and the others."""


class Imported(NamedTuple):
    """``kind`` as in ``Shape.exports``."""

    module: str
    name: str
    kind: str


class Shape(NamedTuple):
    """``exports``: by name what each is. A function is the letters of its parameters, ``>`` and those of its results
    (``i`` is i32, ``I`` i64, ``?`` another type), a memory ``memory``, anything else ``?``.
    """

    imports: list[Imported]
    exports: dict[str, str]


def read_shape(content: bytes) -> Shape | None:
    """None: it cannot be read, and the engine will say why. Raises ModuleRefused: there is too much of something."""
    try:
        return _Reader(content).module()
    except (IndexError, KeyError, UnicodeDecodeError):
        return None


class _Reader:
    """Raises IndexError, KeyError or UnicodeDecodeError where there is not what should be."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0
        self._types: list[str] = []
        self._functions: list[str] = []
        self._imports: list[Imported] = []
        self._exports: dict[str, str] = {}

    def module(self) -> Shape:
        if self._content[: len(_HEADER)] != _HEADER:
            raise IndexError("no module of this version")
        self._at = len(_HEADER)
        readers: dict[int, Callable[[], object]] = {
            _TYPES: self._type,
            _IMPORTS: self._import,
            _FUNCTIONS: lambda: self._functions.append(self._types[self._number()]),
            _EXPORTS: self._export,
        }
        while self._at < len(self._content):
            section, size = self._byte(), self._number()
            end = self._at + size
            if end > len(self._content):
                raise IndexError("a section that is cut off")
            if section in _COUNTED:
                count = self._number()
                if count > MAX_ITEMS:
                    raise ModuleRefused(f"the module has {count} {_COUNTED[section]}; {MAX_ITEMS} are allowed")
                if section == _CODE:
                    self._code(count)
                elif section in readers:
                    for _ in range(count):
                        readers[section]()
            self._at = end
        return Shape(self._imports, self._exports)

    def _type(self) -> None:
        if self._byte() != 0x60:
            raise KeyError("no type of a function")
        self._types.append(f"{self._letters()}>{self._letters()}")

    def _letters(self) -> str:
        return "".join(_LETTERS[self._byte()] for _ in range(self._number()))

    def _import(self) -> None:
        module, name, what = self._name(), self._name(), self._byte()
        kind = _OTHER
        if what == _FUNCTION:
            kind = self._types[self._number()]
            self._functions.append(kind)
        elif what == _MEMORY:
            self._limits()
        elif what == _TABLE:
            self._byte()
            self._limits()
        elif what == _GLOBAL:
            self._at += 2
        else:
            raise KeyError("what is imported is unknown")
        self._imports.append(Imported(module, name, kind))

    def _limits(self) -> None:
        has_most = self._byte() & 1
        for _ in range(1 + has_most):
            self._number()

    def _export(self) -> None:
        name, what, index = self._name(), self._byte(), self._number()
        kind = MEMORY if what == _MEMORY else _OTHER
        self._exports[name] = self._functions[index] if what == _FUNCTION else kind

    def _code(self, count: int) -> None:
        most_locals = MAX_LOCALS
        for size in self._bodies(count):
            if size > MAX_FUNCTION_BYTES:
                raise ModuleRefused(f"a function has {size} bytes; {MAX_FUNCTION_BYTES} are allowed: split it")
            for _ in range(self._number()):
                most_locals -= self._number()
                self._byte()
                if most_locals < 0:
                    raise ModuleRefused(f"the module's functions have more than {MAX_LOCALS} local variables")

    def _bodies(self, count: int) -> Iterator[int]:
        """The size of each function, whose locals are next to be read."""
        for _ in range(count):
            size = self._number()
            end = self._at + size
            yield size
            self._at = end

    def _name(self) -> str:
        size = self._number()
        self._at += size
        return self._content[self._at - size : self._at].decode()

    def _byte(self) -> int:
        self._at += 1
        return self._content[self._at - 1]

    def _number(self) -> int:
        """LEB128, unsigned, up to 32 bits."""
        number = shift = 0
        while True:
            byte = self._byte()
            number |= (byte & 0x7F) << shift
            if byte < 0x80:
                return number
            shift += 7
            if shift > 28:
                raise IndexError("a number that is too long")
