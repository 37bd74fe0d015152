"""Whether tests run on compiled modules, and what they then leave out: what only the source has.

A constant is part of the compiled code, so that nobody can replace it, and a native class that does not say so has no
subclasses in Python. What the test shows is shown on the source; the code is the same.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest

__all__ = ["is_native", "replace_constant", "source_only"]


def is_native(module: ModuleType) -> bool:
    """Whether ``module`` was compiled."""
    return not str(module.__file__).endswith(".py")


def replace_constant(monkeypatch: pytest.MonkeyPatch, module: ModuleType, name: str, value: Any) -> None:
    """Give the constant ``name`` another value for this test, which is skipped where ``module`` was compiled."""
    if is_native(module):
        pytest.skip(f"{module.__name__}.{name} is part of the compiled code")
    monkeypatch.setattr(module, name, value)


def source_only(module: ModuleType) -> pytest.MarkDecorator:
    """For a test that makes a subclass of what is native where ``module`` was compiled."""
    return pytest.mark.skipif(is_native(module), reason=f"{module.__name__} was compiled: its classes are final")
