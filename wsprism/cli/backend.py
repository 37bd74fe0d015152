"""``wsprism backend listen`` and ``wsprism backend test``: for whoever builds a backend."""

from __future__ import annotations

import argparse

from wsprism.cli import exits
from wsprism.cli.arguments import Commands, add_config

__all__ = ["add"]


def add(commands: Commands) -> None:
    """Two commands below one."""
    parser = commands.add_parser("backend", help="receive what a gateway asks and tells, or ask a backend")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    listen = actions.add_parser(
        "listen",
        help="a receiver for development: verifies, prints and answers",
        description="Print one line for each call of a gateway. Decisions are answered with a yes, messages with"
        " --answer, news with 204. What is not signed with the secret is refused with 401.",
    )
    listen.add_argument("--secret", metavar="whsec_…", help="default: $WSPRISM_BACKEND_SECRET")
    listen.add_argument("--listen", default="127.0.0.1:9000", metavar="HOST:PORT", help="default: %(default)s")
    listen.add_argument(
        "--answer", default='{"effects": []}', metavar="JSON", help="to each message (default %(default)s)"
    )
    listen.add_argument("--count", type=int, metavar="N", help="end after so many calls")
    listen.set_defaults(run=_listen)
    test = actions.add_parser(
        "test",
        help="ask the backend of a tenant a signed ping question, and say what came back",
        description="Exit code 0: it answered 200; 1: it did not.",
    )
    add_config(test)
    test.add_argument("--tenant", help="default: the only one")
    test.set_defaults(run=_test)


def _listen(arguments: argparse.Namespace) -> int:
    from wsprism.cli.backend_listen import listen

    return listen(arguments)


def _test(arguments: argparse.Namespace) -> int:
    """Ask as the gateway would: same signature, time and bounds."""
    import asyncio
    import sys
    import time

    from actors import LoopScheduler
    from wsprism.adapters.backend.backend import HttpBackend
    from wsprism.cli.minting import find_tenant
    from wsprism.composition.backends import plan_of
    from wsprism.errors import OperatorError
    from wsprism.ports import Unanswered
    from wsprism.settings import load_settings

    tenant = find_tenant(load_settings(arguments.config), arguments.tenant)
    plan = plan_of(tenant)
    if plan is None or plan.url is None:
        raise OperatorError(f"tenant {tenant.id} has no backend.url")

    async def ask() -> object:
        scheduler = LoopScheduler(asyncio.get_running_loop())
        backend = HttpBackend(tenant.id, plan, scheduler, "test", lambda body: body)
        try:
            return await backend.ping()
        finally:
            await backend.close()

    began = time.monotonic()
    answer = asyncio.run(ask())
    took_ms = round((time.monotonic() - began) * 1000)
    if isinstance(answer, Unanswered):
        print(f"{plan.url}: {answer.result.value}: {answer.why} ({took_ms} ms)", file=sys.stderr)
        return exits.FAILED
    shown = answer.decode("utf-8", "replace") if isinstance(answer, bytes) else ""
    print(f"{plan.url}: 200 in {took_ms} ms: {shown[:200]}")
    return exits.OK
