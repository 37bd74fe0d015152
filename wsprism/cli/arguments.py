"""Arguments that several commands share."""

from __future__ import annotations

import argparse
from typing import TypeAlias

__all__ = ["Commands", "add_access_arguments", "add_api_arguments", "add_config", "complete_files"]

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"

_FILES = {
    "bash": "_shtab_compgen_files",
    "zsh": "_files",
    "fish": "(__fish_complete_path (commandline -ct))",
}
"""What shtab's scripts call to complete a file's name, by shell."""


def add_config(parser: argparse._ActionsContainer, *, required: bool = True) -> None:
    """``--config FILE``."""
    complete_files(parser.add_argument("--config", metavar="FILE", required=required, help="the configuration"))


def complete_files(action: argparse.Action) -> None:
    """Let shells complete file names for this argument."""
    action.complete = _FILES  # type: ignore[attr-defined]


def add_api_arguments(parser: argparse.ArgumentParser) -> None:
    """``--config`` or ``--url``, and the key."""
    add_config(parser, required=False)
    parser.add_argument("--url", help="the internal API: http://host:port or unix:/path (default: as in --config)")
    parser.add_argument("--api-key", metavar="KEY", help="default: $WSPRISM_API_KEY, else one of --config")
    parser.add_argument("--insecure", action="store_true", help="take any TLS certificate")


def add_access_arguments(parser: argparse.ArgumentParser) -> None:
    """A URL or a configuration, tenant, ticket, and how to speak to it; ``access.find_access`` reads them."""
    parser.add_argument("url", nargs="?", metavar="URL", help="ws://host:port, wss://… or unix:/path")
    add_config(parser, required=False)
    parser.add_argument("--tenant", help="default with --config: the only one")
    parser.add_argument("--ticket", help="default: $WSPRISM_TICKET, else one made with --config")
    parser.add_argument("--origin", help="the Origin header, as a browser would send it")
    parser.add_argument("--versioned", action="store_true", help="versioned hot framing (with --config: as it says)")
    parser.add_argument("--insecure", action="store_true", help="take any TLS certificate")
