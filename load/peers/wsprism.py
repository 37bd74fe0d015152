"""The gateway itself: everything switched on, rates and bounds high enough not to be what is measured."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

from load.client_frames import binary_frame, text_frame, upgrade_request
from load.peers.base import API_KEY, HOST, Member, Options, http_get
from load.prometheus import total_by_name

__all__ = ["WsPrism"]

_CONFIGURATION = """\
version: 1
gateway:
  listen: {host}:{port}
  ping_interval_ms: 120000
  idle_timeout_ms: 600000
  tracing: {{endpoint: "http://{host}:{spare_port}", sample_ratio: 0.01}}
{internal}{broker}tenants:
{tenants}"""

_TENANT = """\
  - id: {tenant}
    limits:
      max_frame_bytes: 4096
      max_sessions_total: 100000
      max_rooms_total: 100000
      max_users_per_room: 100000
      max_rooms_per_user: 100000
      max_history_rooms: 100000
      max_history_bytes: 4294967296
    policy:
      ext_allowlist: ["room:*", "chat:*"]
      hot_allowlist: ["1:*"]
      rate_limit_rps: 1000000
      rate_limit_burst: 1000000
    qos: {{hot_flush_ms: {hot_flush_ms}}}
    auth: {{kind: dev}}
    rooms:
      - {{match: "history-*", history: {{max_messages: 200}}}}
      - {{match: "present-*", presence: {{enabled: true}}}}
{node_rooms}"""

_BACKEND_TENANT = """\
    services:
      ext: {{chat: {{kind: chat}}, ask: {{kind: webhook, batch: {batch}}}}}
      hot: {{1: echo{hot}}}
    backend:
      {way}
      timeout_ms: 2000
      max_in_flight: 64
      max_waiting: 1024
{events}"""
_URL = 'url: "http://{host}:{port}/"\n      secret: whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY='
_NODE_ROOMS = '      - {match: "node-*", scope: node}\n'
_BROKER = '  broker: {{url: "{url}", prefix: bench}}\n  node: {{name: {node}}}\n'
_INTERNAL = "  internal: {{listen: {host}:{port}, api_keys: [{{name: backend, key: {key}, tenants: all}}]}}\n"

_CONDUCT = {"answers": "answers", "batch": "answers", "events": "answers", "no-events": "answers", "plain": "answers"}
"""What the backend does, by what a shape has behind the gateway; else it is called the same."""

_HOT_HEADER = b"\x01\x01\x00"
_INPUT_HEADER = b"\x09\x01\x00"
_ACCOUNTS = ("offered", "sent", "dropped", "conflated", "discarded", "slow_disconnects", "decisions")


class WsPrism:
    """Room and chat on the ext lane, service 1 (echo to the room) on the hot one.

    ``python``: the interpreter of an environment in which the gateway is installed, which is what then runs, wherever
    the benchmark itself comes from. Without it the benchmark's own gateway runs.
    """

    name = "wsprism"
    lanes = frozenset({"ext", "hot"})

    def __init__(self, python: str | None = None) -> None:
        self._python = [sys.executable] if python is None else [python, "-I"]

    def missing(self) -> str | None:
        return None if self._says("-m", "wsprism", "--version") else f"the wsprism package for {self._python[0]}"

    def version(self) -> str:
        """With what it says of itself: compiled or pure."""
        return f"{self._says('-m', 'wsprism', '--version')}, {self._says('--version')}"

    def _says(self, *arguments: str) -> str:
        try:
            told = subprocess.run([*self._python, *arguments], capture_output=True, text=True, check=True)
        except (OSError, subprocess.CalledProcessError):
            return ""
        return told.stdout.strip()

    def command(self, options: Options) -> Sequence[str]:
        if options.backend == "plain":
            return [sys.executable, "-m", "load.plain_client", str(options.port), str(options.backend_port)]
        node_rooms = _NODE_ROOMS if options.broker_url else ""
        tenants = "".join(
            _TENANT.format(tenant=tenant, hot_flush_ms=options.hot_flush_ms, node_rooms=node_rooms)
            for tenant in ("bench", "neighbour")
        )
        if options.backend:
            tenant = _TENANT.format(tenant="backend", hot_flush_ms=0, node_rooms=node_rooms)
            tenants += tenant.replace('"chat:*"', '"chat:*", "ask:*"').replace('"1:*"', '"1:*", "9:*"')
            tenants += _backend(options)
        streams = options.backend == "stream"
        path = options.directory / "wsprism.yaml"
        path.write_text(
            _CONFIGURATION.format(
                host=HOST,
                port=options.port,
                spare_port=options.spare_port,
                internal=_INTERNAL.format(host=HOST, port=options.internal_port, key=API_KEY) if streams else "",
                broker=_BROKER.format(url=options.broker_url, node=options.node) if options.broker_url else "",
                tenants=tenants,
            )
        )
        return [*self._python, "-m", "wsprism", "--config", str(path)]

    def companion(self, options: Options) -> Sequence[str]:
        if options.backend:
            conduct = _CONDUCT.get(options.backend, options.backend)
            ports = (options.backend_port, options.spare_port, options.internal_port)
            return [sys.executable, "-m", "load.backend", conduct, *map(str, ports)]
        return [sys.executable, "-m", "load.sink", str(options.spare_port)]

    def ready(self, port: int) -> bool:
        """With an internal listener the public one has no ``/readyz``."""
        status, _ = http_get(port, "/readyz")
        return status == 200 or (status == 404 and http_get(port, "/healthz")[0] == 200)

    def request(self, member: Member, port: int) -> bytes:
        target = f"/v1/ws?tenant={member.tenant}&ticket=dev:u{member.number}"
        return upgrade_request(target, f"{HOST}:{port}")

    def login(self, member: Member) -> bytes:  # noqa: ARG002 - the same for everybody
        return b""

    def logged_in(self, received: bytes) -> bool:
        return b'"authed"' in received

    def subscribe(self, member: Member, lane: str) -> bytes:  # noqa: ARG002 - both lanes join alike
        return text_frame(b'{"v":1,"svc":"room","type":"join","room":"%s"}' % member.room.encode())

    def joined(self, received: bytes) -> bool:
        return b'"joined"' in received

    def publish(self, member: Member, payload: bytes, lane: str) -> bytes:
        if lane == "hot" and member.says in ("chat", "input"):
            return binary_frame((_INPUT_HEADER if member.says == "input" else _HOT_HEADER) + payload)
        if member.says == "ask":
            return text_frame(b'{"v":1,"svc":"ask","type":"x","data":"%s"}' % payload)
        if member.says == "move":
            return self._moves(member, payload)
        moves = self._moves(member, b"") if member.says == "mixed" else b""
        message = b'{"v":1,"svc":"chat","type":"send","room":"%s","data":{"msg":"%s"}}'
        return moves + text_frame(message % (member.room.encode(), payload))

    @staticmethod
    def _moves(member: Member, payload: bytes) -> bytes:
        """A join of another room, and a leave."""
        move = b'{"v":1,"svc":"room","type":"%s","room":"moves%d","trace":"%s"}'
        room = member.number % 10
        return text_frame(move % (b"join", room, payload)) + text_frame(move % (b"leave", room, b""))

    def accounting(self, port: int) -> dict[str, float]:
        status, text = http_get(port, "/metrics")
        if status != 200:
            return {}
        totals = total_by_name(text)
        wanted = {name: f"wsprism_queue_{name}_total" for name in _ACCOUNTS[:5]}
        wanted |= {name: f"wsprism_{name}_total" for name in _ACCOUNTS[5:]}
        return {name: totals[metric] for name, metric in wanted.items() if metric in totals}


def _backend(options: Options) -> str:
    """What the tenant ``backend`` has besides what all have."""
    streams = options.backend == "stream"
    news = "      events: [joined, left, publication]\n      event_batch: {max_delay_ms: 50}\n"
    return _BACKEND_TENANT.format(
        batch=32 if options.backend == "batch" else 1,
        hot=", 9: {kind: backend}" if streams else "",
        way="stream: true" if streams else _URL.format(host=HOST, port=options.backend_port),
        events=news if options.backend == "events" else "",
    )
