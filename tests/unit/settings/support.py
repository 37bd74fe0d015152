"""Writes a configuration and reads it back, or its faults."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from wsprism.settings import Settings, SettingsError, load_settings

MINIMAL = "version: 1\ntenants:\n  - id: acme\n"


class Configuration:
    """One file; ``faults`` are ``(line, path, problem)``."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "wsprism.yaml"

    def load(self, text: str | bytes, env: Mapping[str, str] | None = None) -> Settings:
        self.path.write_bytes(text.encode() if isinstance(text, str) else text)
        return load_settings(self.path, env or {})

    def faults(self, text: str | bytes, env: Mapping[str, str] | None = None) -> list[tuple[int, str, str]]:
        with pytest.raises(SettingsError) as caught:
            self.load(text, env)
        assert all(fault.file == str(self.path) for fault in caught.value.faults)
        return [(fault.line, fault.path, fault.problem) for fault in caught.value.faults]

    def tenant(self, text: str, env: Mapping[str, str] | None = None) -> Settings:
        """Loads one tenant with ``text`` from line 4 on."""
        return self.load(_tenant(text), env)

    def tenant_faults(self, text: str, env: Mapping[str, str] | None = None) -> list[tuple[int, str, str]]:
        """The faults of one tenant with ``text`` from line 4 on."""
        return self.faults(_tenant(text), env)


def _tenant(text: str) -> str:
    return MINIMAL + "".join(f"    {line}\n" for line in text.splitlines())
