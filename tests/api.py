"""A backend for tests: calls the internal API of a gateway in this process over a real socket."""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import aiohttp
from yarl import URL

from tests.conftest import Running, StartGateway

__all__ = ["ADMIN", "INTERNAL", "SCOPED", "Answer", "Backend", "start_with_api"]

ADMIN, SCOPED = "k-admin-0123456789", "k-acme-0123456789"
INTERNAL: dict[str, object] = {
    "listen": "127.0.0.1:0",
    "api_keys": [{"name": "admin", "key": ADMIN}, {"name": "scoped", "key": SCOPED, "tenants": ["acme"]}],
}
OTHER_TENANT: dict[str, object] = {"id": "other", "auth": {"kind": "dev"}}


@dataclass(frozen=True, slots=True)
class Answer:
    """What was answered; ``json`` is None when the body is not JSON."""

    status: int
    json: Any
    headers: Any

    @property
    def code(self) -> str:
        """The problem's code; it must be a problem."""
        assert self.headers["Content-Type"].startswith("application/problem+json"), self
        assert self.json["status"] == self.status
        code = self.json["code"]
        assert isinstance(code, str)
        return code


class Backend:
    """``async with Backend(base) as backend`` calls paths below ``/v1`` as they stand, percent-encoding and all."""

    def __init__(self, base: str, key: str | None = ADMIN) -> None:
        self.base = base
        self._headers = {"Authorization": f"Bearer {key}"} if key is not None else {}
        self._session = aiohttp.ClientSession()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self._session.close()

    async def call(self, method: str, path: str, json: Any = None, **options: Any) -> Answer:
        """One call; ``json`` is its body, ``headers`` and ``data`` go through."""
        headers = self._headers | options.pop("headers", {})
        if json is not None:
            options["json"] = json
        url = URL(f"{self.base}{path}", encoded=True)
        async with self._session.request(method, url, headers=headers, **options) as response:
            shown = "json" in response.headers.get("Content-Type", "")
            return Answer(response.status, await response.json(content_type=None) if shown else None, response.headers)

    async def get(self, path: str, **options: Any) -> Answer:
        return await self.call("GET", path, **options)

    async def post(self, path: str, json: Any = None, **options: Any) -> Answer:
        return await self.call("POST", path, json, **options)


async def start_with_api(start_gateway: StartGateway, **options: Any) -> tuple[Running, str]:
    """A gateway with the tenants ``acme`` and ``other``, and where its internal listener is."""
    gateway = options.pop("gateway", {})
    running = await start_gateway(
        gateway={"internal": INTERNAL, **gateway}, tenants=[OTHER_TENANT, *options.pop("tenants", [])], **options
    )
    return running, f"http://{running.process.internal_address}"
