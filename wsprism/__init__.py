"""wsPrism: a multi-tenant realtime gateway on WebSockets, with a reliable and a lossy lane on every connection.

Only what says which one this is lives here; each subpackage is its own face, and importing this one costs nothing.
"""

from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import find_spec

__all__ = ["__version__", "build_kind", "is_compiled"]

__version__ = "0.1.0"


def is_compiled() -> bool:
    """Whether the hot modules (``[tool.wsprism.compile]`` in pyproject.toml) are native code; all are, or none."""
    spec = find_spec("qos.outbound")
    return spec is not None and str(spec.origin).endswith(tuple(EXTENSION_SUFFIXES))


def build_kind() -> str:
    """The same as a word: ``compiled`` or ``pure``."""
    return "compiled" if is_compiled() else "pure"
