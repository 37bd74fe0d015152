"""``python -m tests.fuzz TARGET --seconds N``: run one fuzzer on its seeds, for so long or until it finds something.

Exits 0 without a finding. A finding is written to ``--artifacts`` (libFuzzer's crash-*, timeout-* and oom-* files) and
shown with its traceback. Further arguments go to libFuzzer as they are (``-runs=1 FILE`` tries one input again).
"""

from __future__ import annotations

import argparse
import importlib
import sys
import tempfile
from pathlib import Path
from typing import Any

atheris: Any = importlib.import_module("atheris")
"""Untyped, and not on every platform."""

with atheris.instrument_imports(
    include=[
        "wsprism.protocol",
        "wsprism.effects",
        "wsprism.adapters.wasm",
        "wsprism.settings",
        "wsprism.realtime",
        "wsprism.transport.websocket.link",
        "qos",
    ]
):
    from tests.fuzz.corpus import seeds
    from tests.fuzz.targets import TARGETS


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("target", choices=sorted(TARGETS))
    parser.add_argument("--seconds", type=int, default=20, help="how long to run (default 20)")
    parser.add_argument("--corpus", type=Path, help="directory of inputs to begin with and to add to (default: none)")
    parser.add_argument("--artifacts", type=Path, default=Path("."), help="where findings go (default: here)")
    arguments, passed_on = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as fresh:
        directory = Path(fresh)
        for number, seed in enumerate(seeds(arguments.target)):
            (directory / f"seed-{number:04}").write_bytes(seed)
        options = [
            f"-max_total_time={arguments.seconds}",
            f"-artifact_prefix={arguments.artifacts}/",
            "-max_len=8192",
            "-timeout=10",
            "-rss_limit_mb=2048",
            "-print_final_stats=1",
        ]
        corpora = ([str(arguments.corpus)] if arguments.corpus else []) + [str(directory)]
        atheris.Setup([sys.argv[0], *options, *(passed_on or corpora)], TARGETS[arguments.target])
        atheris.Fuzz()


if __name__ == "__main__":
    main()
