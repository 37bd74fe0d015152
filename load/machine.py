"""Names the machine and the versions that a result was measured with. No host names, users or paths."""

from __future__ import annotations

import os
import platform
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

__all__ = ["describe"]


def _first_value(path: str, key: str) -> str:
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        return "unknown"
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(key)), "unknown")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def describe() -> dict[str, str]:
    """Processor, memory, kernel, interpreter, and the packages that matter."""
    return {
        "processor": _first_value("/proc/cpuinfo", "model name"),
        "cores": str(os.cpu_count()),
        "memory": _first_value("/proc/meminfo", "MemTotal"),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "aiohttp": _version("aiohttp"),
        "uvloop": _version("uvloop"),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
    }
