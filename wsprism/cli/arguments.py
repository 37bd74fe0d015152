"""Arguments that several commands share."""

from __future__ import annotations

import argparse
from typing import TypeAlias

__all__ = ["Commands", "add_config", "complete_files"]

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
