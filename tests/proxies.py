"""The proxies of config/proxies, run from the shipped files with other ports, certificates and time limits."""

from __future__ import annotations

import contextlib
import os
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.certificates import Certificate
from tests.components import free_port, program, running

__all__ = ["PROXIES", "Proxy", "run_proxy", "run_proxy_of_nodes"]

SHIPPED = Path(__file__).parents[1] / "config" / "proxies"


@dataclass(frozen=True, slots=True)
class Proxy:
    """A running one: where it listens, its main process, its directory, and the files there that it logs to."""

    base: str
    process: Process
    directory: Path
    logs: tuple[Path, ...]

    def logged(self) -> str:
        """All that it wrote so far."""
        return "".join(path.read_text(errors="replace") for path in self.logs if path.exists())


@dataclass(frozen=True, slots=True)
class Run:
    """What one run of a proxy needs to know."""

    directory: Path
    port: int
    gateways: Sequence[str]
    certificate: Certificate
    silence_s: int | None


@contextlib.asynccontextmanager
async def run_proxy(
    name: str, directory: Path, gateways: Sequence[str], certificate: Certificate, silence_s: int | None = None
) -> AsyncIterator[Proxy]:
    """Run one in front of gateways, each ``host:port`` (nginx: or ``unix:/path``); ``silence_s`` replaces its limit on
    silence."""
    directory = directory / f"{name}-{silence_s}"
    directory.mkdir()
    run = Run(directory, free_port(), gateways, certificate, silence_s)
    output = directory / "output.log"
    logs = (output, directory / "access.log", directory / "error.log")
    env = {"XDG_DATA_HOME": str(directory), "XDG_CONFIG_HOME": str(directory)}
    async with running(*PROXIES[name](run), port=run.port, output=output, env=env) as process:
        yield Proxy(f"https://127.0.0.1:{run.port}", process, directory, logs)


@contextlib.asynccontextmanager
async def run_proxy_of_nodes(directory: Path, nodes: Sequence[str]) -> AsyncIterator[Proxy]:
    """The nginx of compose.nodes.yaml in front of two nodes, each ``host:port``."""
    port, (one, two), output = free_port(), nodes, directory / "output.log"
    site = _replaced(
        "nginx-nodes.conf",
        ("listen 8080", f"listen 127.0.0.1:{port}"),
        ("server 172.30.80.11:8080", f"server {one}"),
        ("server 172.30.80.12:8080", f"server {two}"),
    )
    async with running(*_nginx_of(directory, site), port=port, output=output) as process:
        yield Proxy(f"http://127.0.0.1:{port}", process, directory, (output,))


def _nginx(run: Run) -> tuple[str, ...]:
    site = _replaced(
        "nginx.conf",
        ("listen 443 ssl", f"listen 127.0.0.1:{run.port} ssl"),
        ("/etc/ssl/wsprism/fullchain.pem", str(run.certificate.cert)),
        ("/etc/ssl/wsprism/privkey.pem", str(run.certificate.key)),
        ("/var/log/nginx/wsprism.log", str(run.directory / "access.log")),
        ("/var/log/nginx/error.log", str(run.directory / "error.log")),
        (
            "    server 127.0.0.1:8080 max_fails=0;\n",
            "".join(f"    server {address} max_fails=0;\n" for address in run.gateways),
        ),
        ("proxy_read_timeout 75s", f"proxy_read_timeout {run.silence_s or 75}s"),
    )
    return _nginx_of(run.directory, site)


def _nginx_of(directory: Path, site: str) -> tuple[str, ...]:
    nginx = program("nginx")
    (directory / "site.conf").write_text(site)
    temporary = "".join(
        f"{kind}_temp_path {directory}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    user = "user root;\n" if os.geteuid() == 0 else ""  # a worker must reach sockets in the test's own directory
    main = directory / "nginx.conf"
    main.write_text(
        f"{user}daemon off;\npid {directory}/nginx.pid;\nworker_processes 1;\nerror_log stderr warn;\n"
        f"events {{ worker_connections 512; }}\nhttp {{\n{temporary}include {directory}/site.conf;\n}}\n"
    )
    return nginx, "-p", str(directory), "-c", str(main)


def _haproxy(run: Run) -> tuple[str, ...]:
    haproxy = program("haproxy")
    config = _replaced(
        "haproxy.cfg",
        ("bind :443", f"bind 127.0.0.1:{run.port}"),
        ("/etc/ssl/wsprism/combined.pem", str(run.certificate.combined)),
        ("log /dev/log local0 info", "log stdout format raw local0 info"),
        ("maxconn 60000", "maxconn 512"),
        (
            "    server one 127.0.0.1:8080\n",
            "".join(f"    server gateway{number} {address}\n" for number, address in enumerate(run.gateways)),
        ),
        ("timeout tunnel 75s", f"timeout tunnel {run.silence_s or 75}s"),
    )
    path = run.directory / "haproxy.cfg"
    path.write_text(config)
    return haproxy, "-db", "-f", str(path)


def _caddy(run: Run) -> tuple[str, ...]:
    caddy = program("caddy")
    config = _replaced(
        "Caddyfile",
        (
            "rt.example.com {\n",
            f"https://127.0.0.1:{run.port} {{\n\ttls {run.certificate.cert} {run.certificate.key}\n",
        ),
        ("reverse_proxy 127.0.0.1:8080", "reverse_proxy " + " ".join(run.gateways)),
    )
    path = run.directory / "Caddyfile"
    path.write_text("{\n\tadmin off\n\tauto_https disable_redirects\n\tskip_install_trust\n}\n" + config)
    return caddy, "run", "--adapter", "caddyfile", "--config", str(path)


def _replaced(name: str, *changes: tuple[str, str]) -> str:
    text = (SHIPPED / name).read_text()
    for old, new in changes:
        assert text.count(old) == 1, (name, old)
        text = text.replace(old, new)
    return text


PROXIES: dict[str, Callable[[Run], tuple[str, ...]]] = {"nginx": _nginx, "haproxy": _haproxy, "caddy": _caddy}
