"""What a service in Python costs beside the built-in chat: ``python -m load.python_service [--runs 3]``.

The echo shape (200 connections, each alone in its room, messages with JSON of 100 bytes) is run in turns against the
built-in chat and against the same chat as a service in Python: data by its annotation, one publication. Figures are the
gateway's CPU share at the same rate, of each the least disturbed run. Exit code 1 when the bar is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import sys
from collections.abc import Sequence

import msgspec
import uvloop

from load.measure import Timing
from load.peers.base import Options
from load.peers.wsprism import WsPrism
from load.servers import pin, serve
from load.shapes import SHAPES
from load.special import run_shape
from wsprism.plugin import Context, Effects, Service, publish

__all__ = ["BAR", "PythonChat", "chat", "main"]

BAR = 1.10
"""Of the built-in chat's."""

_SHAPE = next(shape for shape in SHAPES if shape.name == "echo-20k")
_SERVICES = '    services: {ext: {chat: {kind: python, factory: "load.python_service:chat"}}, hot: {1: echo}}\n'
_TIMING = Timing(warm_up_s=2.0, window_s=5.0)
_SERVER_CORE, _CLIENTS_CORE = 0, 1


class Said(msgspec.Struct, forbid_unknown_fields=True):
    """The data of ``chat.send``."""

    msg: str


def chat() -> Service:
    """The built-in chat once more."""
    service = Service()

    @service.on("send")
    def send(context: Context, data: Said) -> Effects:
        return [publish("msg", {"from": context.user, "msg": data.msg})]

    return service


class PythonChat(WsPrism):
    """The gateway, whose chat is a service in Python."""

    name = "wsprism-python"

    def command(self, options: Options) -> Sequence[str]:
        command = super().command(options)
        path = options.directory / "wsprism.yaml"
        path.write_text(path.read_text().replace("    auth: {kind: dev}\n", "    auth: {kind: dev}\n" + _SERVICES))
        return command


def _cpu_share(peer: WsPrism) -> float:
    with serve(peer, core=_SERVER_CORE) as server, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        gc.collect()
        gc.disable()
        try:
            return float(runner.run(run_shape(server, _SHAPE, "ext", _TIMING))["cpu_share"])
        finally:
            gc.enable()


def main(argv: Sequence[str] | None = None) -> int:
    """A line for each run, and the ratio of the least."""
    parser = argparse.ArgumentParser(prog="python -m load.python_service", description=__doc__)
    parser.add_argument("--runs", type=int, default=3, metavar="N", help="of each (default: %(default)s)")
    runs = parser.parse_args(argv).runs
    pin(_CLIENTS_CORE)
    least: dict[str, float] = {}
    for _ in range(runs):
        for peer in (WsPrism(), PythonChat()):
            share = _cpu_share(peer)
            least[peer.name] = min(share, least.get(peer.name, share))
            print(f"{_SHAPE.name} {peer.name:<16} CPU {share:.1%}", flush=True)
    ratio = least[PythonChat.name] / least[WsPrism.name]
    verdict = "reached" if ratio <= BAR else "MISSED"
    print(f"a service in Python to the built-in chat: {ratio:.2f}, at most {BAR:.2f}: {verdict}")
    return int(ratio > BAR)


if __name__ == "__main__":
    sys.exit(main())
