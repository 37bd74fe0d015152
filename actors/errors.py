"""The errors of the actor runtime, one tree under `ActorError`.

Owns what `ask` and `spawn` may raise. A full mailbox or a dead actor is a value (`False`) for `tell`, never an
exception. Knows nothing of the classes that raise them.
"""

__all__ = [
    "ActorError",
    "ActorFailedError",
    "ActorStoppedError",
    "AskTimeoutError",
    "MailboxFullError",
    "NameTakenError",
    "TaskCancelledError",
]


class ActorError(Exception):
    """Root of everything that this package raises of its own; `path` names the actor concerned."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path

    def __str__(self) -> str:
        return f"{self.path}: {self._text()}"

    def _text(self) -> str:
        return "actor error"


class AskTimeoutError(ActorError, TimeoutError):
    """No answer came within `timeout_s`; a question that still waits in the mailbox will not be handled any more."""

    def __init__(self, path: str, timeout_s: float) -> None:
        super().__init__(path)
        self.args = (path, timeout_s)
        self.timeout_s = timeout_s

    def _text(self) -> str:
        return f"no answer within {self.timeout_s:g} s"


class ActorStoppedError(ActorError):
    """The actor was stopped before it answered, or before it was asked, or before it could spawn."""

    def _text(self) -> str:
        return "actor is stopped"


class ActorFailedError(ActorStoppedError):
    """The instance that was to answer failed first; `__cause__` is what it raised, where that is known."""

    def _text(self) -> str:
        return "actor failed before it answered"


class MailboxFullError(ActorError):
    """The mailbox refused the question, or shed it for a newer message."""

    def _text(self) -> str:
        return "mailbox is full"


class NameTakenError(ActorError, ValueError):
    """A sibling of that name lives, or has not finished stopping."""

    def _text(self) -> str:
        return "name is taken"


class TaskCancelledError(ActorError):
    """A task of `context.run` was cancelled, by itself or by somebody who is not the runtime."""

    def _text(self) -> str:
        return "task was cancelled"
