"""``wsprism ticket mint`` and ``wsprism ticket inspect``."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from wsprism.cli import exits, ticket_inspect
from wsprism.cli.arguments import Commands, add_api_arguments, complete_files

__all__ = ["add", "run_mint"]


def add(commands: Commands) -> None:
    """Two commands below one."""
    parser = commands.add_parser("ticket", help="mint or inspect tickets")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    mint = actions.add_parser(
        "mint",
        help="make a ticket for a user",
        description="Print a ticket by what the tenant's auth in --config holds, or a one-time ticket of the gateway at"
        " --url. Only the ticket goes to standard output.",
    )
    add_api_arguments(mint)
    mint.add_argument("--tenant", help="default with --config: the only one")
    mint.add_argument("--user", default="user:dev", help="the user id (default %(default)s)")
    mint.add_argument("--kind", help="of the tenant's auth, if it has several: dev, tokens, jwt or one_time")
    mint.add_argument("--ttl-s", type=int, default=3600, metavar="S", help="seconds of validity (default %(default)s)")
    mint.add_argument("--room", action="append", metavar="PATTERN", help="may join these rooms only; repeatable")
    mint.add_argument("--read-only", action="store_true", help="may not publish")
    mint.add_argument("--claim", action="append", default=[], metavar="NAME=JSON", help="a further claim; repeatable")
    complete_files(mint.add_argument("--key-file", metavar="PEM", help="private key that signs a JWT"))
    mint.add_argument("--key-id", metavar="KID", help="the key's id in a JWT's header")
    mint.add_argument("--algorithm", help="of a JWT (default: the first that the key fits)")
    mint.set_defaults(run=run_mint, usage_error=mint.error)
    ticket_inspect.add(actions)


def run_mint(arguments: argparse.Namespace) -> int:
    """The ticket alone on standard output, what it is on standard error. Raises OperatorError when none can be made."""
    from wsprism.cli.internal_api import api_of
    from wsprism.cli.minting import Wanted, find_tenant, mint, mint_one_time
    from wsprism.settings import load_settings

    wanted = Wanted(
        user=arguments.user,
        ttl_s=arguments.ttl_s,
        rooms=arguments.room,
        read_only=arguments.read_only,
        claims=dict(_claim(text, arguments) for text in arguments.claim),
        key_file=arguments.key_file,
        key_id=arguments.key_id,
        algorithm=arguments.algorithm,
    )
    if arguments.config is not None:
        tenant = find_tenant(load_settings(arguments.config), arguments.tenant)
        minted = mint(tenant, wanted, lambda: api_of(arguments, tenant=tenant.id), arguments.kind)
    else:
        if arguments.url is None or arguments.tenant is None:
            arguments.usage_error("name a --config, or a --url and a --tenant")
        minted = mint_one_time(api_of(arguments), arguments.tenant, wanted)
    print(minted.about, file=sys.stderr)
    print(minted.ticket)
    return exits.OK


def _claim(text: str, arguments: argparse.Namespace) -> tuple[str, Any]:
    """``level=3`` is a number; what is no JSON is a string."""
    name, equals, value = text.partition("=")
    if not name or not equals:
        arguments.usage_error(f"a claim is NAME=JSON, not {text!r}")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value
