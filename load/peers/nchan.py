"""nchan in nginx with one worker: a WebSocket that publishes to and subscribes the channel named in its path."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from load.client_frames import text_frame, upgrade_request
from load.peers.base import HOST, Member, Options, first_line_of, http_get

__all__ = ["Nchan"]

_MODULES = (Path("/usr/lib/nginx/modules/ngx_nchan_module.so"), Path("/usr/lib64/nginx/modules/ngx_nchan_module.so"))

_CONFIGURATION = """\
daemon off;
user root;
worker_processes 1;
worker_rlimit_nofile 20000;
pid {directory}/nginx.pid;
error_log stderr error;
load_module {module};
events {{ worker_connections 19000; }}
http {{
  access_log off;
  client_body_temp_path {directory}/body;
  proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
  nchan_shared_memory_size 512m;
  nchan_message_buffer_length 20000;
  nchan_message_timeout 5s;
  nchan_max_channel_subscribers 100000;
  server {{
    listen {host}:{port} backlog=4096;
    location = /ready {{ return 200; }}
    location ~ ^/ws/(.+)$ {{ nchan_pubsub websocket; nchan_channel_id $1; }}
  }}
}}
"""


class Nchan:
    """No authentication (nginx would ask a backend for it)."""

    name = "nchan"
    lanes = frozenset({"ext"})

    def missing(self) -> str | None:
        if shutil.which("nginx") and any(path.exists() for path in _MODULES):
            return None
        return "nginx with nchan (Debian: nginx, libnginx-mod-nchan)"

    def version(self) -> str:
        text = first_line_of(subprocess.run(["nginx", "-v"], capture_output=True, text=True).stderr)
        return text.removeprefix("nginx version: ") + " with nchan"

    def command(self, options: Options) -> Sequence[str]:
        module = next(path for path in _MODULES if path.exists())
        path = options.directory / "nginx.conf"
        path.write_text(_CONFIGURATION.format(directory=options.directory, module=module, host=HOST, port=options.port))
        return ["nginx", "-e", "stderr", "-p", str(options.directory), "-c", str(path)]

    def companion(self, options: Options) -> Sequence[str]:  # noqa: ARG002 - it needs none
        return ()

    def ready(self, port: int) -> bool:
        return http_get(port, "/ready")[0] == 200

    def request(self, member: Member, port: int) -> bytes:
        return upgrade_request(f"/ws/{member.tenant}-{member.room}", f"{HOST}:{port}")

    def login(self, member: Member) -> bytes:  # noqa: ARG002 - the same for everybody
        return b""

    def logged_in(self, received: bytes) -> bool:  # noqa: ARG002 - the upgrade's answer says it
        return True

    def subscribe(self, member: Member, lane: str) -> bytes:  # noqa: ARG002 - the path has said it
        return b""

    def joined(self, received: bytes) -> bool:  # noqa: ARG002 - the upgrade's answer says it
        return True

    def publish(self, member: Member, payload: bytes, lane: str) -> bytes:  # noqa: ARG002 - the path names the channel
        return text_frame(payload)

    def accounting(self, port: int) -> dict[str, float]:  # noqa: ARG002 - it keeps no account of deliveries
        return {}
