"""Builds the project's wheel and source archive, as pip and an image's build do."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

__all__ = ["build"]

ROOT = Path(__file__).parents[1]
_LEFT_OUT = (".*", "__pycache__", "build", "*.egg-info", "node_modules", "bench-results")


def build(kind: str, directory: Path, source: Path = ROOT) -> Path:
    """The ``wheel`` (pure) or ``sdist`` of ``source`` in ``directory``; nothing is written into ``source``."""
    copy = directory / "source"
    shutil.copytree(source, copy, ignore=shutil.ignore_patterns(*_LEFT_OUT))
    code = f"import setuptools.build_meta as backend; backend.build_{kind}({str(directory)!r})"
    pure = os.environ | {"WSPRISM_COMPILE": "0"}
    subprocess.run([sys.executable, "-c", code], cwd=copy, check=True, capture_output=True, env=pure)
    shutil.rmtree(copy)
    [built] = directory.glob("*.whl" if kind == "wheel" else "*.tar.gz")
    return built
