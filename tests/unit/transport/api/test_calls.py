"""What an ask to a tenant comes to for the caller, when it is not a number."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from actors import ActorStoppedError, AskTimeoutError, MailboxFullError
from wsprism.policy.decisions import Denied, Reason
from wsprism.protocol.codes import ErrorCode
from wsprism.realtime.rules import TenantContext
from wsprism.realtime.tenant.backend_messages import AmbiguousSid
from wsprism.transport.api.calls import ask_tenant
from wsprism.transport.api.problems import CODES, Problem


def tenant(outcome: Any) -> TenantContext:
    async def ask(message: object, timeout_s: float) -> Any:
        del message, timeout_s
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return cast(TenantContext, SimpleNamespace(ref=SimpleNamespace(ask=ask), cut_off=False))


async def test_a_number_is_the_answer() -> None:
    assert await ask_tenant(tenant(3), object()) == 3


@pytest.mark.parametrize(
    ("outcome", "status", "code", "retry_after"),
    [
        (MailboxFullError("t"), 503, "RESOURCE_EXHAUSTED", "1"),
        (ActorStoppedError("t"), 503, "RESOURCE_EXHAUSTED", "1"),
        (AskTimeoutError("t", 1.0), 503, "TIMEOUT", "1"),
        (Denied(Reason.MAILBOX_FULL, ErrorCode.RESOURCE_EXHAUSTED, 1), 503, "RESOURCE_EXHAUSTED", "1"),
        (Denied(Reason.REVOCATIONS_FULL, ErrorCode.RESOURCE_EXHAUSTED), 503, "RESOURCE_EXHAUSTED", None),
        (Denied(Reason.ROOM_FULL, ErrorCode.RESOURCE_EXHAUSTED), 409, "RESOURCE_EXHAUSTED", None),
        (Denied(Reason.TOO_MANY_ROOMS, ErrorCode.RESOURCE_EXHAUSTED), 409, "RESOURCE_EXHAUSTED", None),
        (AmbiguousSid(), 409, "BAD_REQUEST", None),
    ],
)
async def test_every_other_end_is_a_problem(outcome: Any, status: int, code: str, retry_after: str | None) -> None:
    problem = await ask_tenant(tenant(outcome), object())
    assert isinstance(problem, Problem)
    assert (problem.status, problem.code or CODES[problem.status]) == (status, code)
    assert problem.headers.get("Retry-After") == retry_after
