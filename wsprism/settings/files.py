"""Files that a configuration names and that are read later than it: certificates, their keys, services' code.

Their contents belong to the configuration: a renewed certificate is a change. What the configuration takes out of other
files (secrets, public keys of tickets) is read with it and stands in the settings.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from wsprism.settings.changes import Change
from wsprism.settings.models import Settings
from wsprism.settings.python_services import PythonHotSettings, PythonServiceSettings
from wsprism.settings.wasm import WasmHotSettings, WasmServiceSettings

__all__ = ["Digests", "changed_files", "code_files", "file_digests", "named_files"]

Key = tuple[str | None, str]
"""The tenant and the key, as in a ``Change``."""

Digests = dict[Key, tuple[str, str]]
"""Of every key that names a file: the file, and a digest of what is in it."""


def named_files(settings: Settings) -> Iterator[tuple[Key, str]]:
    """Every key that names a file, with the file."""
    tls = settings.gateway.tls
    for name, file in (("cert_file", tls.cert_file), ("key_file", tls.key_file)):
        if file is not None:
            yield (None, f"gateway.tls.{name}"), file


def code_files(settings: Settings) -> Iterator[tuple[Key, str]]:
    """Every key that names a file with a service's code, with the file."""
    for tenant in settings.tenants:
        for name, one in tenant.services.ext.items():
            if isinstance(one, PythonServiceSettings | WasmServiceSettings) and one.file is not None:
                yield (tenant.id, f"services.ext.{name}.file"), one.file
        for number, hot in tenant.services.hot.items():
            if isinstance(hot, PythonHotSettings | WasmHotSettings) and hot.file is not None:
                yield (tenant.id, f"services.hot.{number}.file"), hot.file


def file_digests(settings: Settings) -> Digests:
    """A short digest of every named file; one that cannot be read has a digest too."""
    return {key: (file, _digest(file)) for key, file in (*named_files(settings), *code_files(settings))}


def changed_files(old: Digests, new: Digests) -> list[Change]:
    """A change for every key that names the same file as before, whose content is another one."""
    return [
        Change(*key, f"content {old[key][1]}", f"content {digest}")
        for key, (file, digest) in new.items()
        if key in old and old[key][0] == file and old[key][1] != digest
    ]


def _digest(file: str) -> str:
    try:
        return hashlib.sha256(Path(file).read_bytes()).hexdigest()[:16]
    except OSError:
        return "unreadable"
