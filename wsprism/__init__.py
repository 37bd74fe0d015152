"""wsPrism: a multi-tenant realtime gateway on WebSockets, with a reliable and a lossy lane on every connection.

Only the version lives here; each subpackage is its own face, and importing this one costs nothing.
"""

__all__ = ["__version__"]

__version__ = "0.1.0"
