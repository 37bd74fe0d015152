"""One call of the internal API on its way to a handler, and what handlers may ask of the gateway.

A handler gets a ``Call`` whose path, query and body are checked already, and returns an answer or a ``Problem``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from pydantic import BaseModel

from actors import ActorFailedError, ActorStoppedError, AskTimeoutError, MailboxFullError
from wsprism.policy.decisions import Denied
from wsprism.protocol.codes import ErrorCode
from wsprism.realtime.counters import GatewayCounters
from wsprism.realtime.rules import TenantContext
from wsprism.realtime.tenant.backend_messages import AmbiguousSid
from wsprism.realtime.tenant.over_nodes import AWAY
from wsprism.realtime.view import NodeInfo
from wsprism.realtime.vitals import Vitals
from wsprism.settings import Settings
from wsprism.transport.api.keys import ApiKey
from wsprism.transport.api.problems import Problem, problem_of
from wsprism.transport.api.rates import RateMeter
from wsprism.transport.api.trends import Trends

__all__ = ["Call", "CallHandler", "GatewayControl", "ReloadOutcome", "ask_tenant", "settle"]

ASK_TIMEOUT_S: Final = 10.0

_OVERLOADED = Problem(503, "the tenant is overloaded; nothing was done", headers={"Retry-After": "1"})
_FAILED = Problem(503, "the tenant failed meanwhile; it may have been done in part", headers={"Retry-After": "1"})
_TIMEOUT = Problem(503, "no answer in time", ErrorCode.TIMEOUT, {"Retry-After": "1"})
_UNSETTLED = Problem(
    503, "done, and not on the disk yet: a crash might forget it", ErrorCode.TIMEOUT, {"Retry-After": "5"}
)
_AMBIGUOUS = Problem(409, "several users have a session with this sid: name the user too", ErrorCode.BAD_REQUEST)


class ReloadOutcome(Protocol):
    """What a reload did; a change is told by its ``str``, secrets masked."""

    @property
    def applied(self) -> bool: ...
    @property
    def changed(self) -> Sequence[object]: ...
    @property
    def needs_restart(self) -> Sequence[object]: ...


class GatewayControl(Protocol):
    """The gateway as the internal API sees and steers it."""

    @property
    def settings(self) -> Settings: ...
    @property
    def counters(self) -> GatewayCounters: ...
    @property
    def vitals(self) -> Vitals: ...

    def tenant(self, tenant_id: str) -> TenantContext | None: ...
    def tenants(self) -> Iterable[TenantContext]: ...
    def connections(self) -> int: ...
    def draining(self) -> bool: ...
    def uptime_s(self) -> float: ...
    def begin_drain(self) -> None: ...

    async def nodes(self) -> Sequence[NodeInfo] | None:
        """None: they cannot be asked now."""
        ...

    async def reload(self) -> ReloadOutcome:
        """Raises SettingsError with every fault; the configuration in force stays then."""
        ...


@dataclass(frozen=True, slots=True)
class Call:
    """``tenant`` is that of the path, for calls that have one; ``path`` the other names in it, decoded."""

    gateway: GatewayControl
    rates: RateMeter
    key: ApiKey
    path: Mapping[str, str]
    query: Any = None
    body: Any = None
    one_tenant: TenantContext | None = field(default=None)
    timeout_s: float = ASK_TIMEOUT_S
    """How long an actor is waited for: longer than the caller waits, where the call's key remembers the answer."""
    trends: Trends | None = None
    """Of the last minutes, for calls over HTTP."""

    @property
    def tenant(self) -> TenantContext:
        """The tenant of the path."""
        assert self.one_tenant is not None
        return self.one_tenant


CallHandler = Callable[[Call], Awaitable[BaseModel | Problem]]


async def ask_tenant(tenant: TenantContext, message: object, timeout_s: float = ASK_TIMEOUT_S) -> int | Problem:
    """Ask the tenant actor for what it answers with a number; every other end is a problem.

    Nothing was done then, unless the answer was not there in time: work in slices that has begun goes on.
    """
    if tenant.cut_off:
        return problem_of(AWAY)
    try:
        answer: int | Denied | AmbiguousSid = await tenant.ref.ask(message, timeout_s)
    except MailboxFullError:
        return _OVERLOADED
    except AskTimeoutError:
        return _TIMEOUT
    except ActorFailedError:
        return _FAILED
    except ActorStoppedError:
        return _OVERLOADED
    if isinstance(answer, Denied):
        return problem_of(answer)
    return _AMBIGUOUS if isinstance(answer, AmbiguousSid) else answer


async def settle(tenant: TenantContext) -> Problem | None:
    """Wait until what was done survives a crash, where anything does; a problem when the disk takes too long."""
    if tenant.state is None:
        return None
    try:
        async with asyncio.timeout(ASK_TIMEOUT_S):
            await tenant.state.settled()
    except TimeoutError:
        return _UNSETTLED
    return None
