"""Serves the files of ``static/`` below ``/ui/``, with the headers that keep the page to itself.

All files are read once, at the start. What the page may connect to is this listener and the public one. Only the SDK,
which is nobody's secret, may be imported by pages of other origins: for a first try without a build step.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Callable
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web

from wsprism.settings import GatewaySettings, ListenAddress
from wsprism.transport.http.server import Handler, only_get

__all__ = ["PATH", "Site"]

PATH: Final = "/ui/"

_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'{public}; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
_FOR_ALL: Final = {"Access-Control-Allow-Origin": "*"}
_is_host_name = re.compile(r"[A-Za-z0-9._-]{1,253}").fullmatch


class Site:
    """``gateway`` gives the settings in force, ``public`` where the public listener listens."""

    def __init__(self, gateway: Callable[[], GatewaySettings], public: Callable[[], ListenAddress]) -> None:
        self._gateway = gateway
        self._public = public
        self._files = {PATH + name: _File(name, body) for name, body in _read(resources.files(__package__) / "static")}

    @property
    def routes(self) -> dict[str, Handler]:
        """By path."""
        paths = [PATH.removesuffix("/"), PATH, f"{PATH}listener.json", *self._files]
        return dict.fromkeys(paths, only_get(self._handle))

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if not self._gateway().internal.ui:
            return web.Response(
                status=404, text="there is no page here: gateway.internal.ui is false\n", headers=_HEADERS
            )
        if not request.path.startswith(PATH):
            return web.Response(status=308, headers={**_HEADERS, "Location": PATH})
        public = self._public_url(request)
        if request.path == f"{PATH}listener.json":
            headers = {**_HEADERS, "Cache-Control": "no-store"}
            return web.json_response({"url": public}, headers=headers)
        file = self._files[f"{PATH}index.html" if request.path == PATH else request.path]
        policy = _POLICY.format(public="" if public is None else f" {_origin(public)}")
        sdk = request.path.startswith(f"{PATH}sdk/")
        headers = {**_HEADERS, "Content-Security-Policy": policy, "ETag": file.etag, **(_FOR_ALL if sdk else {})}
        if request.headers.get("If-None-Match") == file.etag:
            return web.Response(status=304, headers=headers)
        return web.Response(body=file.body, headers={**headers, "Content-Type": file.content_type})

    def _public_url(self, request: web.BaseRequest) -> str | None:
        """Where clients connect to, as a page can: ``ws://host:port``. None: nobody can tell."""
        gateway = self._gateway()
        if gateway.public_url is not None:
            return gateway.public_url
        listen = self._public()
        host = _host_of(request.headers.get("Host", ""))
        if listen.path is not None or host is None:
            return None
        return f"{'ws' if gateway.tls.cert_file is None else 'wss'}://{host}:{listen.port}"


class _File:
    """One file, ready to be served."""

    def __init__(self, name: str, body: bytes) -> None:
        self.body = body
        self.content_type = _TYPES["." + name.rpartition(".")[2]]
        self.etag = f'"{hashlib.sha256(body).hexdigest()[:20]}"'


def _read(folder: Traversable, prefix: str = "") -> list[tuple[str, bytes]]:
    found = []
    for one in folder.iterdir():
        if one.is_dir():
            found += _read(one, f"{prefix}{one.name}/")
        elif "." + one.name.rpartition(".")[2] in _TYPES:
            found.append((prefix + one.name, one.read_bytes()))
    return found


def _host_of(header: str) -> str | None:
    """The host of a ``Host`` header, when it is one and nothing else: it becomes part of a policy."""
    host = re.sub(r":[0-9]{1,5}$", "", header) if not header.endswith("]") else header
    if host.startswith("[") and host.endswith("]"):
        try:
            return f"[{ipaddress.IPv6Address(host[1:-1])}]"
        except ValueError:
            return None
    return host if _is_host_name(host) else None


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
