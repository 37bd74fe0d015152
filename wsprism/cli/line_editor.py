"""A line that is being typed on a terminal. Pure: keys in, whole lines out, and how the row looks meanwhile."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

__all__ = ["PROMPT", "LineEditor"]

PROMPT: Final = "> "

_MAX_HISTORY: Final = 500
_ENTER: Final = "\r\n"
_SEQUENCE: Final = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|O[@-~]|[^\[O])")
"""A whole escape sequence: CSI, SS3, or Alt with a key."""
_MAX_SEQUENCE: Final = 32
_NAMES: Final = {
    "\x1b[D": "left", "\x1bOD": "left", "\x02": "left",
    "\x1b[C": "right", "\x1bOC": "right", "\x06": "right",
    "\x1b[A": "up", "\x1bOA": "up", "\x10": "up",
    "\x1b[B": "down", "\x1bOB": "down", "\x0e": "down",
    "\x1b[H": "home", "\x1bOH": "home", "\x1b[1~": "home", "\x01": "home",
    "\x1b[F": "end", "\x1bOF": "end", "\x1b[4~": "end", "\x05": "end",
    "\x1b[3~": "delete",
    "\x7f": "backspace", "\x08": "backspace",
    "\x15": "kill_before", "\x0b": "kill_after", "\x17": "kill_word",
}  # fmt: skip
_END_OF_INPUT: Final = "\x04"


class LineEditor:
    """``text`` is what is typed so far, ``cursor`` where in it the next character goes."""

    def __init__(self) -> None:
        self._history: list[str] = []
        self._shown_from_history: int | None = None
        self._draft = ""
        self._pending = ""
        self.text = ""
        self.cursor = 0

    def feed(self, keys: str) -> list[str | None]:
        """The lines that these keys complete; None among them: the end of input."""
        lines: list[str | None] = []
        keys = self._pending + keys
        self._pending = ""
        at = 0
        while at < len(keys):
            key = keys[at]
            if key == "\x1b":
                found = _SEQUENCE.match(keys, at)
                if found is None:
                    if len(keys) - at < _MAX_SEQUENCE:
                        self._pending = keys[at:]
                    break
                key = found[0]
            at += len(key)
            if key in _ENTER:
                lines.append(self._enter())
            elif key == _END_OF_INPUT:
                if not self.text:
                    lines.append(None)
                else:
                    self._act("delete")
            elif key in _NAMES:
                self._act(_NAMES[key])
            elif len(key) == 1 and key.isprintable():
                self.text = self.text[: self.cursor] + key + self.text[self.cursor :]
                self.cursor += 1
        return lines

    def row(self, columns: int) -> str:
        """The prompt and as much of the text around the cursor as fits; the terminal's cursor ends where keys go.

        Only printable characters and backspaces, so that it can stand in any row.
        """
        room = max(1, columns - _width(PROMPT) - 1)
        first = self.cursor
        taken = 0
        while first > 0 and taken + _width(self.text[first - 1]) <= room:
            first -= 1
            taken += _width(self.text[first])
        last = self.cursor
        while last < len(self.text) and taken + _width(self.text[last]) <= room:
            taken += _width(self.text[last])
            last += 1
        return PROMPT + self.text[first:last] + "\b" * _width(self.text[self.cursor : last])

    def _enter(self) -> str:
        line, self.text, self.cursor = self.text, "", 0
        if line.strip() and self._history[-1:] != [line]:
            self._history = [*self._history, line][-_MAX_HISTORY:]
        self._shown_from_history, self._draft = None, ""
        return line

    def _act(self, name: str) -> None:
        before, after = self.text[: self.cursor], self.text[self.cursor :]
        match name:
            case "left":
                self.cursor = max(0, self.cursor - 1)
            case "right":
                self.cursor = min(len(self.text), self.cursor + 1)
            case "home":
                self.cursor = 0
            case "end":
                self.cursor = len(self.text)
            case "backspace":
                self._become(before[:-1], after)
            case "delete":
                self._become(before, after[1:])
            case "kill_before":
                self._become("", after)
            case "kill_after":
                self._become(before, "")
            case "kill_word":
                self._become(before.rstrip().rpartition(" ")[0] + " " if " " in before.rstrip() else "", after)
            case "up" | "down":
                self._recall(-1 if name == "up" else 1)

    def _become(self, before: str, after: str) -> None:
        self.text, self.cursor = before + after, len(before)

    def _recall(self, step: int) -> None:
        at = len(self._history) if self._shown_from_history is None else self._shown_from_history
        if not 0 <= at + step <= len(self._history):
            return
        if self._shown_from_history is None:
            self._draft = self.text
        at += step
        is_draft = at == len(self._history)
        self._shown_from_history = None if is_draft else at
        self._become(self._draft if is_draft else self._history[at], "")


def _width(text: str) -> int:
    """Columns on a terminal."""
    return sum(
        0 if unicodedata.combining(one) else 2 if unicodedata.east_asian_width(one) in "WF" else 1 for one in text
    )
