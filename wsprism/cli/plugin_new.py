"""Writes a service in Python to begin with, and its test."""

from __future__ import annotations

import keyword
from pathlib import Path
from typing import Final

from wsprism.cli import exits
from wsprism.errors import OperatorError

__all__ = ["write_service"]

_SERVICE: Final = '''"""The service `{name}`. Try it with: python -m pytest test_{name}.py"""

from __future__ import annotations

import msgspec

from wsprism.plugin import Context, Effects, Service, publish, refuse, reply

MOST_NOTES = 100


class Board:
    """What one room knows: made at its first use, gone with its last member."""

    def __init__(self) -> None:
        self.notes: list[str] = []


class Note(msgspec.Struct):
    """The data of `note`. What does not fit is answered BAD_REQUEST before the handler runs."""

    text: str


service = Service(state=Board)


@service.on("note")
def note(context: Context, data: Note) -> Effects:
    """Every member hears of it, and who has said it is answered."""
    notes = context.state.notes
    if len(notes) >= MOST_NOTES:
        return [refuse("RESOURCE_EXHAUSTED", "the board is full")]
    notes.append(data.text)
    return [publish("noted", {{"by": context.user, "text": data.text}}), reply({{"notes": len(notes)}})]


@service.joined
def joined(context: Context) -> Effects:
    """Somebody comes to a room."""
    return [publish("came", {{"user": context.user}})]
'''

_TEST: Final = '''"""The service `{name}` without a gateway."""

from __future__ import annotations

import pytest
from {name} import MOST_NOTES, service

from wsprism.plugin import publish, reply
from wsprism.plugin.testing import Harness, Refused


def test_a_note_is_told_to_the_room_and_answered() -> None:
    harness = Harness(service)
    assert harness.join("ann", "lobby") == [publish("came", {{"user": "ann"}})]
    assert harness.message("note", {{"text": "hello"}}) == [
        publish("noted", {{"by": "ann", "text": "hello"}}),
        reply({{"notes": 1}}),
    ]
    assert harness.state("lobby").notes == ["hello"]


def test_a_full_board_takes_no_more() -> None:
    harness = Harness(service)
    harness.join("ann", "lobby")
    for _ in range(MOST_NOTES):
        harness.message("note", {{"text": "x"}})
    with pytest.raises(Refused) as refused:
        harness.message("note", {{"text": "x"}})
    assert refused.value.code == "RESOURCE_EXHAUSTED"


def test_what_is_no_note_is_refused() -> None:
    with pytest.raises(Refused) as refused:
        Harness(service).message("note", {{"text": 5}})
    assert refused.value.code == "BAD_REQUEST"
'''

_CONFIGURATION: Final = """in the configuration of a tenant:
  policy: {{ext_allowlist: ["room:*", "{name}:*"]}}
  services: {{ext: {{{name}: {{kind: python, file: {file}}}}}}}"""


def write_service(name: str, directory: str) -> int:
    """``name.py`` and ``test_name.py``. Raises OperatorError when one of them is there, or cannot be written."""
    if not name.isascii() or not name.isidentifier() or keyword.iskeyword(name):
        raise exits.UsageError(f"{name!r} is no name that Python can import: take letters, digits and _")
    folder = Path(directory)
    texts = {folder / f"{name}.py": _SERVICE, folder / f"test_{name}.py": _TEST}
    for path in texts:
        if path.exists():
            raise OperatorError(f"{path} is there already")
    for path, text in texts.items():
        try:
            with path.open("x", encoding="utf-8") as stream:
                stream.write(text.format(name=name))
        except OSError as error:
            raise OperatorError(f"{path} cannot be written: {error.strerror}") from error
        print(f"wrote {path}")
    print(_CONFIGURATION.format(name=name, file=folder / f"{name}.py"))
    return exits.OK
