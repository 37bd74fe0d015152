"""``wsprism nodes``: the processes that share a broker, as one of them sees all."""

from __future__ import annotations

import argparse
import json

from wsprism.cli import exits
from wsprism.cli.arguments import Commands
from wsprism.cli.call import add_call_arguments
from wsprism.cli.listing import print_table

__all__ = ["add", "run"]


def add(commands: Commands) -> None:
    """Wants a key for all tenants."""
    parser = commands.add_parser(
        "nodes",
        help="list the nodes that share a broker",
        description="A node that differs has another configuration than most, but for what is each node's own; "
        "one that is silent has said nothing for half a lease, as one that died; "
        "one that is draining has been told to end.",
    )
    add_call_arguments(parser, tenant=False)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """A line a node."""
    from wsprism.cli.internal_api import api_of

    answer = api_of(arguments).call("GET", "/v1/nodes")
    if arguments.json:
        print(json.dumps(answer))
        return exits.OK
    rows = [
        (
            one["name"],
            one["incarnation"],
            f"{one['lease_age_ms'] / 1000:.1f} s" + (" silent" if one["silent"] else ""),
            f"{one['connections']}" + (" draining" if one["draining"] else ""),
            one["version"],
            one["configuration_hash"] + (" differs" if one["differs"] else ""),
        )
        for one in answer["items"]
    ]
    print_table(("name", "incarnation", "seen before", "connections", "version", "configuration"), rows)
    return exits.OK
