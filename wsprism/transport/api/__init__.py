"""The internal API: what a backend and an operator call (docs/api.md)."""

from wsprism.transport.api.calls import GatewayControl
from wsprism.transport.api.openapi import document
from wsprism.transport.api.service import Api

__all__ = ["Api", "GatewayControl", "document"]
