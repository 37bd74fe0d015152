"""What is wrong with a service of the operator's code, and where it stands in the configuration."""

from __future__ import annotations

from wsprism.errors import OperatorError
from wsprism.services.python import LoadFault

__all__ = ["CodeFault"]


class CodeFault(OperatorError):
    """A service of the configuration that is none; ``path`` is its key's within its tenant."""

    def __init__(self, path: tuple[str, ...], fault: LoadFault) -> None:
        super().__init__(str(fault))
        self.path = path
        self.fault = fault
