"""nats-server over its WebSocket listener: the NATS protocol inside binary frames, one subject for each room."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence

from load.client_frames import binary_frame, upgrade_request
from load.peers.base import HOST, Member, Options, first_line_of, http_get

__all__ = ["Nats"]

_CONFIGURATION = """\
host: {host}
port: -1
http: "{host}:{monitor}"
ping_interval: "1h"
max_connections: 100000
authorization {{ token: bench }}
websocket {{ listen: "{host}:{port}", no_tls: true, compression: false }}
"""

_CONNECT = json.dumps({"verbose": False, "pedantic": False, "echo": True, "auth_token": "bench"}).encode()


class Nats:
    """Authentication by token, no TLS, no compression."""

    name = "nats"
    lanes = frozenset({"ext"})

    def __init__(self) -> None:
        self._monitor = 0

    def missing(self) -> str | None:
        return None if shutil.which("nats-server") else "nats-server (Debian: nats-server)"

    def version(self) -> str:
        return first_line_of(subprocess.run(["nats-server", "--version"], capture_output=True, text=True).stdout)

    def command(self, options: Options) -> Sequence[str]:
        self._monitor = options.spare_port
        path = options.directory / "nats.conf"
        path.write_text(_CONFIGURATION.format(host=HOST, port=options.port, monitor=options.spare_port))
        return ["nats-server", "-c", str(path)]

    def companion(self, options: Options) -> Sequence[str]:  # noqa: ARG002 - it needs none
        return ()

    def ready(self, port: int) -> bool:  # noqa: ARG002 - asks the monitor
        return http_get(self._monitor, "/healthz")[0] == 200

    def request(self, member: Member, port: int) -> bytes:  # noqa: ARG002 - the subscription names the member's room
        return upgrade_request("/", f"{HOST}:{port}")

    def login(self, member: Member) -> bytes:  # noqa: ARG002 - the same for everybody
        return binary_frame(b"CONNECT %s\r\nPING\r\n" % _CONNECT)

    def logged_in(self, received: bytes) -> bool:
        return b"PONG\r\n" in received

    def subscribe(self, member: Member, lane: str) -> bytes:  # noqa: ARG002 - one lane
        subject = _subject(member)
        return binary_frame(b"CONNECT %s\r\nSUB %s 1\r\nPING\r\n" % (_CONNECT, subject))

    def joined(self, received: bytes) -> bool:
        return b"PONG\r\n" in received

    def publish(self, member: Member, payload: bytes, lane: str) -> bytes:  # noqa: ARG002 - one lane
        return binary_frame(b"PUB %s %d\r\n%s\r\n" % (_subject(member), len(payload), payload))

    def accounting(self, port: int) -> dict[str, float]:  # noqa: ARG002 - asks the monitor
        status, text = http_get(self._monitor, "/varz")
        if status != 200:
            return {}
        figures = json.loads(text)
        return {"sent": float(figures["out_msgs"]), "slow_disconnects": float(figures["slow_consumers"])}


def _subject(member: Member) -> bytes:
    return f"{member.tenant}.{member.room}".encode()
