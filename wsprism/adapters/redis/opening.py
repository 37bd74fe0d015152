"""Opening a connection to the primary, wherever it is now: over TCP, TLS or a Unix socket, or as Sentinel says."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from wsprism.adapters.redis.address import Address, Credentials, Endpoint, Tls
from wsprism.adapters.redis.connection import Bounds, RedisConnection, greet, told
from wsprism.adapters.redis.errors import RedisUnreachable
from wsprism.adapters.redis.protocol import Pushed
from wsprism.adapters.redis.server import check_info
from wsprism.errors import OperatorError

__all__ = ["Opener", "tls_context"]


def _ignored(_: object) -> None:
    """Nobody is told."""


class Opener:
    """Opens connections to ``address``. The files that it names are read now. Raises OperatorError."""

    def __init__(self, address: Address, bounds: Bounds | None = None) -> None:
        self.address = address
        self.bounds = bounds or Bounds()
        self._tls = None if address.tls is None else tls_context(address.tls)

    async def open(
        self, name: str, pushed: Pushed = _ignored, lost: Callable[[str], object] = _ignored
    ) -> RedisConnection:
        """A connection to the primary, named ``name`` there. Raises OperatorError or RedisUnreachable."""
        address = self.address
        endpoint = address.endpoints[0] if address.master is None else await self._ask_sentinels(address, name)
        where = str(endpoint)
        connection = await self._greeted(endpoint, name, address.credentials, address.db, pushed)
        try:
            assert connection.server is not None
            if not connection.server.role:
                raise OperatorError(f"at {where} is a Sentinel: write sentinel://{where}/<name of the primary>")
            if connection.server.role != "master":
                raise RedisUnreachable(f"Redis at {where} is a {connection.server.role}, not the primary")
            run_id = check_info(await told(connection, where, "INFO", "server", "memory"), where)
            connection.server = replace(connection.server, run_id=run_id)
            if connection.over is not None:
                raise RedisUnreachable(f"Redis at {where} is away: {connection.over}")
        except BaseException:
            await connection.close()
            raise
        connection.on_lost = lost
        return connection

    async def _greeted(
        self, endpoint: Endpoint, name: str, credentials: Credentials | None, db: int, pushed: Pushed
    ) -> RedisConnection:
        loop, bounds = asyncio.get_running_loop(), self.bounds
        connection = RedisConnection(loop, pushed, bounds)
        try:
            async with asyncio.timeout(bounds.connect_s):
                if endpoint.path is not None:
                    await loop.create_unix_connection(lambda: connection, endpoint.path)
                else:
                    await loop.create_connection(lambda: connection, endpoint.host, endpoint.port, ssl=self._tls)
                await greet(connection, str(endpoint), name, credentials, db)
        except TimeoutError:
            await connection.close()
            raise RedisUnreachable(f"Redis at {endpoint} gave no answer within {bounds.connect_s:g} s") from None
        except OSError as error:
            await connection.close()
            raise RedisUnreachable(f"Redis at {endpoint} cannot be reached: {error}") from error
        except BaseException:
            await connection.close()
            raise
        return connection

    async def _ask_sentinels(self, address: Address, name: str) -> Endpoint:
        faults: list[str] = []
        for sentinel in address.endpoints:
            try:
                found = await self._ask_sentinel(sentinel, name, address)
            except (RedisUnreachable, OperatorError) as error:
                faults.append(str(error))
            else:
                if found is not None:
                    return found
                faults.append(f"the sentinel at {sentinel} knows no primary {address.master!r}")
        raise RedisUnreachable("no sentinel knows the primary: " + "; ".join(faults))

    async def _ask_sentinel(self, sentinel: Endpoint, name: str, address: Address) -> Endpoint | None:
        credentials = address.sentinel_credentials
        connection = await self._greeted(sentinel, name, credentials, 0, _ignored)
        try:
            command = ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", address.master or "")
            return _endpoint_of(await told(connection, str(sentinel), *command))
        finally:
            await connection.close()


def tls_context(tls: Tls) -> ssl.SSLContext:
    """Raises OperatorError for files that cannot be used."""
    try:
        context = ssl.create_default_context(cafile=tls.ca_file)
        if tls.cert_file is not None:
            context.load_cert_chain(tls.cert_file, tls.key_file)
    except (OSError, ssl.SSLError) as error:
        names = ", ".join(name for name in (tls.ca_file, tls.cert_file, tls.key_file) if name is not None)
        raise OperatorError(f"the TLS files of gateway.broker.url cannot be used ({names}): {error}") from error
    return context


def _endpoint_of(answer: Any) -> Endpoint | None:
    match answer:
        case [bytes() as host, bytes() as port] if port.isdigit():
            return Endpoint(host.decode("ascii", "replace"), int(port))
        case _:
            return None
