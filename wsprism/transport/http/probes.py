"""What probes and scrapers ask: ``/healthz``, ``/readyz`` and ``/metrics``. The answers are others' business."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

from wsprism.transport.http.server import Handler, only_get

__all__ = ["Probes"]


class Probes:
    """``render`` gives the metrics as ``content_type``. ``failed``: nobody can be served until a restart.

    ``unready``: why nobody should be sent here now, if so.
    """

    def __init__(
        self,
        draining: Callable[[], bool],
        failed: Callable[[], bool],
        unready: Callable[[], str | None],
        render: Callable[[], Awaitable[bytes]],
        content_type: str,
    ) -> None:
        self._draining = draining
        self._failed = failed
        self._unready = unready
        self._render = render
        self._content_type = content_type

    @property
    def liveness(self) -> dict[str, Handler]:
        """For every listener."""
        return {"/healthz": only_get(self._healthz)}

    @property
    def for_operators(self) -> dict[str, Handler]:
        """For the internal listener, or for the only one."""
        return {"/readyz": only_get(self._readyz), "/metrics": only_get(self._metrics)}

    async def _healthz(self, _: web.BaseRequest) -> web.StreamResponse:
        return web.json_response({"status": "ok"})

    async def _readyz(self, _: web.BaseRequest) -> web.StreamResponse:
        if self._draining():
            return web.json_response({"status": "draining"}, status=503)
        if self._failed():
            return web.json_response({"status": "failed"}, status=503)
        unready = self._unready()
        if unready is not None:
            return web.json_response({"status": unready}, status=503)
        return web.json_response({"status": "ready"})

    async def _metrics(self, _: web.BaseRequest) -> web.StreamResponse:
        return web.Response(body=await self._render(), headers={"Content-Type": self._content_type})
