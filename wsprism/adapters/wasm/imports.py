"""What a guest may import: `wsprism.log`, and a stub of WASI preview 1 without files, environment, sockets or sleep.

A call into the host is charged fuel, because it takes more time than an instruction does. A guest that cannot pay, or
that says it is done, is left without any: it stops at its next instruction. Nothing here raises.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from weakref import WeakValueDictionary

from wasmtime import FuncType, Linker, ValType

from wsprism.adapters.wasm.native import address_of

if TYPE_CHECKING:
    from wsprism.adapters.wasm.instance import Instance

__all__ = ["HOST_CALL_FUEL", "IMPORTS", "INSTANCES", "MAX_LOG_BYTES", "Import", "define_imports"]

HOST_CALL_FUEL: Final = 10_000
"""Some 5 µs."""
_RANDOM_BYTE_FUEL: Final = 10
_MOST_RANDOM_BYTES: Final = 65_536
MAX_LOG_BYTES: Final = 1024
_MOST_PIECES: Final = 16

_OK, _EBADF, _EINVAL, _ENOSYS = 0, 8, 28, 52
_WASI: Final = "wasi_snapshot_preview1"
_INFO, _ERROR = 1, 3

INSTANCES: Final[WeakValueDictionary[int, Instance]] = WeakValueDictionary()
"""By the address of their store's context: whom a call into the host comes from."""


class Import(NamedTuple):
    """``does`` gets the instance and the arguments, as unsigned numbers where they are i32."""

    parameters: str
    results: str
    does: Callable[..., int | None]


def _log(guest: Instance, level: int, pointer: int, length: int) -> None:
    text = guest.read(pointer, min(length, MAX_LOG_BYTES))
    if text is not None:
        guest.say(min(level, _ERROR), text)


def _write_zeros(guest: Instance, *pointers: int) -> int:
    """Sizes of what there is none of."""
    return _OK if all(guest.write(one, bytes(4)) for one in pointers) else _EINVAL


def _clock_time_get(guest: Instance, clock: int, _: int, pointer: int) -> int:
    if clock > 1:
        return _EINVAL
    now_ns = time.time_ns() if clock == 0 else time.monotonic_ns()
    return _OK if guest.write(pointer, now_ns.to_bytes(8, "little")) else _EINVAL


def _clock_res_get(guest: Instance, clock: int, pointer: int) -> int:
    return _OK if clock <= 1 and guest.write(pointer, (1000).to_bytes(8, "little")) else _EINVAL


def _random_get(guest: Instance, pointer: int, length: int) -> int:
    if length > _MOST_RANDOM_BYTES:
        return _EINVAL
    if not guest.charge(_RANDOM_BYTE_FUEL * length):
        return _EINVAL
    return _OK if guest.write(pointer, os.urandom(length)) else _EINVAL


def _fd_write(guest: Instance, file: int, pieces: int, count: int, written: int) -> int:
    """Standard output and standard error go to the log, a line a call."""
    if file not in (1, 2):
        return _EBADF
    table = guest.read(pieces, 8 * min(count, _MOST_PIECES))
    if table is None or count > _MOST_PIECES:
        return _EINVAL
    text, total = b"", 0
    for at in range(0, len(table), 8):
        pointer, length = (int.from_bytes(table[one : one + 4], "little") for one in (at, at + 4))
        piece = guest.read(pointer, min(length, max(0, MAX_LOG_BYTES - len(text))))
        if piece is None:
            return _EINVAL
        text += piece
        total += length
    if text.strip():
        guest.say(_INFO if file == 1 else _ERROR, text.rstrip(b"\n"))
    return _OK if guest.write(written, (total & 0xFFFFFFFF).to_bytes(4, "little")) else _EINVAL


def _proc_exit(guest: Instance, code: int) -> None:
    guest.stop_with(f"it has called proc_exit({code})")


def _answer(errno: int) -> Callable[..., int]:
    return lambda *_: errno


IMPORTS: Final[Mapping[tuple[str, str], Import]] = {
    ("wsprism", "log"): Import("iii", "", _log),
    (_WASI, "args_sizes_get"): Import("ii", "i", _write_zeros),
    (_WASI, "args_get"): Import("ii", "i", _answer(_OK)),
    (_WASI, "environ_sizes_get"): Import("ii", "i", _write_zeros),
    (_WASI, "environ_get"): Import("ii", "i", _answer(_OK)),
    (_WASI, "clock_time_get"): Import("iIi", "i", _clock_time_get),
    (_WASI, "clock_res_get"): Import("ii", "i", _clock_res_get),
    (_WASI, "random_get"): Import("ii", "i", _random_get),
    (_WASI, "fd_write"): Import("iiii", "i", _fd_write),
    (_WASI, "fd_read"): Import("iiii", "i", _answer(_EBADF)),
    (_WASI, "fd_seek"): Import("iIii", "i", _answer(_EBADF)),
    (_WASI, "fd_close"): Import("i", "i", _answer(_EBADF)),
    (_WASI, "fd_fdstat_get"): Import("ii", "i", _answer(_EBADF)),
    (_WASI, "fd_fdstat_set_flags"): Import("ii", "i", _answer(_EBADF)),
    (_WASI, "fd_prestat_get"): Import("ii", "i", _answer(_EBADF)),
    (_WASI, "fd_prestat_dir_name"): Import("iii", "i", _answer(_EBADF)),
    (_WASI, "poll_oneoff"): Import("iiii", "i", _answer(_ENOSYS)),
    (_WASI, "sched_yield"): Import("", "i", _answer(_OK)),
    (_WASI, "proc_exit"): Import("i", "", _proc_exit),
}
"""By module and name. ``i`` is i32, ``I`` i64."""


def define_imports(linker: Linker) -> None:
    """Make all of them known to ``linker``."""
    kinds = {"i": ValType.i32, "I": ValType.i64}
    for (module, name), one in IMPORTS.items():
        kind = FuncType([kinds[p]() for p in one.parameters], [kinds[r]() for r in one.results])
        linker.define_func(module, name, kind, _entry(one), access_caller=True)


def _entry(one: Import) -> Callable[..., int | None]:
    does, gives = one.does, bool(one.results)

    def call(caller: Any, *arguments: int) -> int | None:
        guest = INSTANCES.get(address_of(caller._context()))
        if guest is None or not guest.enter(caller):
            return _EINVAL if gives else None
        return does(
            guest,
            *(
                argument & 0xFFFFFFFFFFFFFFFF if argument > 0xFFFFFFFF else argument & 0xFFFFFFFF
                for argument in arguments
            ),
        )

    return call
