"""The dashboard and playground: static files on the internal listener, a client of the internal API."""

from wsprism.transport.ui.site import Site

__all__ = ["Site"]
