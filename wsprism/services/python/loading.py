"""Makes a service of what the configuration names: a file, a factory of a package, an entry point.

A file is run in a namespace of its own, every time. Packages are imported once a process, as everywhere. Whatever goes
wrong there is a ``LoadFault``, which says where.
"""

from __future__ import annotations

import copy
import hashlib
import importlib
import importlib.metadata
import inspect
import json
import sys
import threading
import traceback
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Final, cast

from wsprism.errors import OperatorError
from wsprism.plugin import Service
from wsprism.plugin.service import handlers_of
from wsprism.plugin.words import RAISED, words_of
from wsprism.protocol.envelope import JSON, MSGPACK

__all__ = ["ENTRY_POINTS", "LoadFault", "LoadedService", "Source", "load"]

ENTRY_POINTS: Final = "wsprism.services"
"""The group in which packages offer services."""

_SYNTAX: Final = (SyntaxError, IndentationError, TabError)
_traceback_of: Final = BaseException.__dict__["__traceback__"].__get__
_numbers = count(1)


class LoadFault(OperatorError):
    """There is no service. ``line`` is one of ``file``, which is None when the configuration itself is to blame."""

    def __init__(self, problem: str, file: str | None = None, line: int = 0) -> None:
        super().__init__(problem)
        self.problem = problem
        self.file = file
        self.line = line

    def __str__(self) -> str:
        where = "" if self.file is None else f"{self.file}:{self.line}: " if self.line else f"{self.file}: "
        return where + self.problem


@dataclass(frozen=True, slots=True)
class Source:
    """Where a service comes from: one of the three, with its options. ``version`` names the content as it is now."""

    file: str | None
    factory: str | None
    entry_point: str | None
    options: Mapping[str, Any]

    def version(self, code: bytes | None = None) -> str:
        """A hash of code (else what stands in the file now) and options. Raises LoadFault when it cannot be read."""
        named = json.dumps([self.factory, self.entry_point, self.options], sort_keys=True, default=str)
        code = self.code() if code is None else code
        return hashlib.sha256(named.encode() + b"\0" + code).hexdigest()[:16]

    def code(self) -> bytes:
        """What stands in the file; nothing where none is named."""
        if self.file is None:
            return b""
        try:
            return Path(self.file).read_bytes()
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or "its name is none"
            raise LoadFault(f"must be a file that can be read, found {self.file!r}: {why}") from error


@dataclass(frozen=True, slots=True)
class LoadedService:
    """A service that is whole. ``module`` is the name of its namespace, where it has one of its own."""

    service: Service
    version: str
    module: str | None = None

    @property
    def sees_frames(self) -> bool:
        """Whether it may be a service of the hot lane."""
        return bool(handlers_of(self.service).hot)

    def forget(self) -> None:
        """Nobody will want it any more."""
        for handler in handlers_of(self.service).on.values():
            if handler.data is not None:
                JSON.forget(handler.data.type)
                MSGPACK.forget(handler.data.type)
        if self.module is not None:
            sys.modules.pop(self.module, None)


def load(source: Source) -> LoadedService:
    """Import and construct. Raises LoadFault; runs the author's code, which may do anything."""
    code = source.code()
    version = source.version(code)
    if source.file is not None:
        return _from_file(source.file, code, version)
    found: Any
    if source.factory is not None:
        found = _imported(source.factory)
    else:
        found = _of_entry_point(source.entry_point or "")
        if isinstance(found, Service):
            return LoadedService(_ready(found), version)
    return LoadedService(_made_by(found, source), version)


def _from_file(file: str, code: bytes, version: str) -> LoadedService:
    name = f"wsprism_service_{version}_{next(_numbers)}"
    module = types.ModuleType(name)
    module.__file__ = file
    sys.modules[name] = module
    try:
        try:
            exec(compile(code, file, "exec", dont_inherit=True), module.__dict__)
            found = module.__dict__.get("service")
            if not isinstance(found, Service):
                what = "nothing" if found is None else type(found).__name__
                raise LoadFault(f"must offer its service as `service`, a wsprism.plugin.Service, found {what}", file)
            return LoadedService(_ready(found, file), version, name)
        except RAISED as error:
            raise _explained(error, file) from error
    except BaseException:  # LoadFault, or Ctrl-C
        sys.modules.pop(name, None)
        raise


def _imported(named: str) -> Any:
    module, _, path = named.partition(":")
    try:
        found: Any = importlib.import_module(module)
    except RAISED as error:
        raise _explained(error, None) from error
    for part in path.split("."):
        try:
            found = getattr(found, part)
        except RAISED as error:
            raise LoadFault(f"{module} has no {path}") from error
    return found


def _of_entry_point(name: str) -> Any:
    found = list(importlib.metadata.entry_points(group=ENTRY_POINTS, name=name))
    if not found:
        known = sorted({one.name for one in importlib.metadata.entry_points(group=ENTRY_POINTS)})
        offered = f"; installed packages offer {', '.join(known)}" if known else "; no installed package offers any"
        raise LoadFault(f"there is no entry point {name!r} in the group {ENTRY_POINTS}{offered}")
    if len(found) > 1:
        raise LoadFault(f"{len(found)} packages offer an entry point {name!r} in the group {ENTRY_POINTS}")
    try:
        return found[0].load()
    except RAISED as error:
        raise _explained(error, None) from error


def _made_by(factory: Any, source: Source) -> Service:
    named = source.factory or source.entry_point
    if not callable(factory):
        raise LoadFault(f"{named} must be a function that returns a Service, found {type(factory).__name__}")
    try:
        made = factory(copy.deepcopy(dict(source.options))) if _takes_options(factory) else factory()
    except RAISED as error:
        raise _explained(error, None) from error
    if not isinstance(made, Service):
        raise LoadFault(f"{named} must return a wsprism.plugin.Service, found {type(made).__name__}")
    return _ready(made)


def _takes_options(factory: Callable[..., Any]) -> bool:
    try:
        return bool(inspect.signature(factory).parameters)
    except (TypeError, ValueError):
        return False


def _ready(service: Service, file: str | None = None) -> Service:
    for type_name, handler in handlers_of(service).on.items():
        code = getattr(handler.function, "__code__", None)
        where = (file or getattr(code, "co_filename", None), getattr(code, "co_firstlineno", 0))
        try:
            handler.prepare()
        except RAISED as error:
            raise LoadFault(f"the handler of {type_name!r}: {words_of(error)}", *where) from error
    return service


def _explained(error: BaseException, file: str | None) -> LoadFault:
    """Where in the author's own file it happened, else in which file it did. Raises Ctrl-C as it is."""
    kind = type(error)  # its author may have a say in what it is an instance of
    if issubclass(kind, KeyboardInterrupt) and threading.current_thread() is threading.main_thread():
        raise error
    if kind is LoadFault:
        return cast(LoadFault, error)
    if (
        kind in _SYNTAX
        and isinstance(error, SyntaxError)
        and error.filename
        and (file is None or error.filename == file)
    ):
        return LoadFault(f"{type(error).__name__}: {error.msg}", error.filename, error.lineno or 0)
    frames = traceback.extract_tb(_traceback_of(error))
    own = [one for one in frames if one.filename == file]
    if file is None:
        ours = (__file__, importlib.__file__, importlib.metadata.__file__)
        theirs = [one for one in frames if one.filename not in ours and not one.filename.startswith("<")]
        own = [one for one in theirs if one.filename == theirs[0].filename]
    if own:
        return LoadFault(words_of(error), own[-1].filename, own[-1].lineno or 0)
    return LoadFault(words_of(error), file)
