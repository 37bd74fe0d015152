"""``wsprism plugin run FILE.wasm``: one message a line in, the module's answer to it as one JSON line out.

A message is the ABI's input; what is missing of it is filled in. Faults do not end it: the module begins anew with the
next line, as in the gateway.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import Any

from wsprism.cli import exits

__all__ = ["add_limits", "run_module"]

_MISSING = "a WebAssembly module needs the engine, which is not installed: pip install 'wsprism[wasm]'"
_LIMITS = (
    ("fuel", 1_000_000, 20_000_000, "fuel of each call"),
    ("memory-mib", 4, 16, "MiB of its memory"),
    ("output-bytes", 65_536, 1_048_576, "bytes of an answer"),
    ("effects", 16, 64, "effects of an answer"),
)
_LEVELS = ("debug", "info", "warning", "error")


def add_limits(parser: argparse.ArgumentParser) -> None:
    """What a module may use; the defaults are those of the configuration."""
    group = parser.add_argument_group("limits of a WebAssembly module")
    for name, default, most, about in _LIMITS:
        told = f"{about} (default: %(default)s)"
        group.add_argument(f"--{name}", type=_up_to(most), default=default, metavar="N", help=told)


def _up_to(most: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        value = int(text)
        if not 1 <= value <= most:
            raise argparse.ArgumentTypeError(f"must be from 1 to {most}, found {value}")
        return value

    return number


def run_module(arguments: argparse.Namespace, options: dict[str, Any]) -> int:
    """Answer every line of standard input. 1: the module is refused."""
    try:
        import msgspec

        from wsprism.adapters.wasm.bounds import Bounds, ModuleRefused
        from wsprism.adapters.wasm.module import Modules, prove
        from wsprism.adapters.wasm.trial import Trial
    except ImportError:
        print(_MISSING, file=sys.stderr)
        return exits.FAILED
    bounds = Bounds(arguments.fuel, arguments.memory_mib * 1024 * 1024, arguments.output_bytes, arguments.effects)
    encoded = msgspec.json.encode(options)
    try:
        module = Modules().read(arguments.file)
        prove(module, bounds, encoded)
    except ModuleRefused as refusal:
        print(f"{arguments.file}: {refusal}", file=sys.stderr)
        return exits.FAILED
    trial = Trial(module, bounds, encoded, _say)
    for line in sys.stdin.buffer:
        if line.strip():
            _print(trial.answer(line))
    trial.close()
    return exits.OK


def _print(line: bytes) -> None:
    sys.stdout.buffer.write(line + b"\n")
    sys.stdout.buffer.flush()


def _say(level: int, text: str) -> None:
    print(f"{_LEVELS[level]}: {text!r}", file=sys.stderr)
