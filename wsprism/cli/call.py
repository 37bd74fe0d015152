"""What the commands that call the internal API share: whom they ask, which tenant they mean, how an answer is told."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from wsprism.cli.arguments import add_api_arguments
from wsprism.cli.exits import UsageError

if TYPE_CHECKING:
    from wsprism.cli.internal_api import Api

__all__ = ["add_call_arguments", "counted", "tell", "tenant_api"]


def add_call_arguments(parser: argparse.ArgumentParser, *, tenant: bool = True) -> None:
    """Where the API is and with which key; ``--json``; whose sessions and rooms are meant."""
    add_api_arguments(parser)
    if tenant:
        parser.add_argument("--tenant", help="default with --config: the only one")
    parser.add_argument("--json", action="store_true", help="print the API's answer as one JSON object")


def tenant_api(arguments: argparse.Namespace) -> tuple[Api, str]:
    """The API and the tenant that is meant. Raises UsageError when neither arguments nor configuration name it."""
    from wsprism.cli.internal_api import api_of

    tenant: str | None = arguments.tenant
    if tenant is None:
        if arguments.config is None:
            raise UsageError("name a --tenant (or a --config that has only one)")
        from wsprism.cli.minting import find_tenant
        from wsprism.settings import load_settings

        tenant = find_tenant(load_settings(arguments.config), None).id
    return api_of(arguments, tenant=tenant), tenant


def tell(arguments: argparse.Namespace, answer: Any, line: str) -> None:
    """The answer for machines, or a ``line`` for people, in which nothing acts on the terminal."""
    from wsprism.cli.console import visible

    print(json.dumps(answer) if arguments.json else visible(line))


def counted(number: int, what: str) -> str:
    """``1 session``, ``2 sessions``."""
    return f"{number} {what}{'' if number == 1 else 's'}"
