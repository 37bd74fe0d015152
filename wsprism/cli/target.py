"""Where a gateway listens, found in a URL or in its configuration, and one HTTP request to it.

Reads only the listeners' addresses of a configuration: a fault elsewhere in a file that is being edited says nothing
about the gateway that runs. Standard library besides the YAML reader, for ``health`` runs every few seconds.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from wsprism.cli.exits import UsageError
from wsprism.errors import OperatorError

__all__ = ["Answer", "Target", "ask", "internal_listener", "parse_url", "public_listener", "tls_context"]

_DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}
_MAX_ANSWER_BYTES = 64 * 2**20


@dataclass(frozen=True, slots=True)
class Target:
    """A listener: a Unix socket when ``unix_path`` is set, else ``host`` and ``port``. ``path`` is what a URL named."""

    host: str = "127.0.0.1"
    port: int = 0
    unix_path: str | None = None
    tls: bool = False
    verify: bool = True
    path: str = ""

    def __str__(self) -> str:
        if self.unix_path is not None:
            return f"unix:{self.unix_path}"
        return f"{'https' if self.tls else 'http'}://{self._authority}"

    @property
    def websocket(self) -> str:
        """As it is called where a WebSocket is meant."""
        return str(self) if self.unix_path is not None else f"{'wss' if self.tls else 'ws'}://{self._authority}"

    @property
    def _authority(self) -> str:
        return f"{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer."""

    status: int
    body: bytes

    def json(self) -> Any:
        """The body as JSON; None when it is something else."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None


def parse_url(url: str, *, verify: bool = True) -> Target:
    """From ``http(s)://host:port/path``, ``ws(s)://…`` or ``unix:/path``. Raises UsageError for anything else."""
    shown = url.partition("?")[0]  # a ticket may stand behind it
    if url.startswith("unix:/"):
        return Target(unix_path=url.removeprefix("unix:"))
    try:
        parts = urlsplit(url)
        default_port = _DEFAULT_PORTS[parts.scheme]
        port = parts.port or default_port
    except (ValueError, KeyError) as exc:
        raise UsageError(f"not a URL of a gateway: {shown!r} (http://host:port, ws://host:port or unix:/path)") from exc
    if not parts.hostname:
        raise UsageError(f"the URL names no host: {shown!r}")
    tls = parts.scheme in ("https", "wss")
    return Target(parts.hostname, port, tls=tls, verify=verify, path=parts.path)


def public_listener(config: str) -> Target:
    """Where ``config`` has clients connect. Raises OperatorError when it does not say."""
    gateway = _gateway(config)
    tls = _mapping(gateway, "tls").get("cert_file") is not None
    return _listener(gateway.get("listen", "0.0.0.0:8080"), "gateway.listen", tls=tls)


def internal_listener(config: str) -> Target | None:
    """Where ``config`` has operators and backends connect; None: nowhere but at the public listener."""
    listen = _mapping(_gateway(config), "internal").get("listen")
    return None if listen is None else _listener(listen, "gateway.internal.listen", tls=False)


def _gateway(config: str) -> Mapping[str, Any]:
    from wsprism.config_file import read_document

    return _mapping(read_document(config, os.environ).data, "gateway")


def _mapping(data: Any, key: str) -> Mapping[str, Any]:
    value = data.get(key) if isinstance(data, dict) else None
    return value if isinstance(value, dict) else {}


def _listener(text: Any, key: str, *, tls: bool) -> Target:
    from wsprism.config_file import parse_listen

    try:
        address = parse_listen(text)
    except (ValueError, TypeError, AttributeError) as exc:
        raise OperatorError(f"{key} is no address: {text!r}") from exc
    if address.path is not None:
        return Target(unix_path=address.path, tls=tls, verify=False)
    if address.port == 0:
        raise OperatorError(f"{key} has port 0: the port that it got is not in the configuration; use --url")
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address.host, address.host)
    # The gateway's certificate names the host that clients know, which is not the address asked here.
    return Target(host, address.port, tls=tls, verify=False)


def ask(
    target: Target,
    method: str,
    path: str,
    *,
    body: Any = None,
    key: str | None = None,
    timeout_s: float = 5.0,
) -> Answer:
    """One request, with ``body`` as JSON and ``key`` as bearer token. Raises OperatorError when nobody answers."""
    headers = {"Accept": "application/json", "Connection": "close"}
    if key is not None:
        headers["Authorization"] = f"Bearer {key}"
    if body is not None:
        headers["Content-Type"] = "application/json"
    connection = _connection(target, timeout_s)
    try:
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        response = connection.getresponse()
        return Answer(response.status, response.read(_MAX_ANSWER_BYTES))
    except ssl.SSLCertVerificationError as exc:
        raise OperatorError(f"{target}: {exc.verify_message} (--insecure takes any certificate)") from exc
    except TimeoutError as exc:
        raise OperatorError(f"{target} does not answer within {timeout_s:g} s") from exc
    except (OSError, http.client.HTTPException) as exc:
        raise OperatorError(f"{target} cannot be reached: {_why(exc)}") from exc
    finally:
        connection.close()


def _why(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__


def _connection(target: Target, timeout_s: float) -> http.client.HTTPConnection:
    if target.unix_path is not None:
        return _UnixConnection(target.unix_path, timeout_s, tls_context(target) if target.tls else None)
    if not target.tls:
        return http.client.HTTPConnection(target.host, target.port, timeout=timeout_s)
    return http.client.HTTPSConnection(target.host, target.port, timeout=timeout_s, context=tls_context(target))


def tls_context(target: Target) -> ssl.SSLContext:
    """Checks the certificate, unless the target says not to."""
    context = ssl.create_default_context()
    if not target.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout_s: float, context: ssl.SSLContext | None) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path
        self._context = context

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)
        if self._context is not None:
            self.sock = self._context.wrap_socket(self.sock, server_hostname=self.host)
