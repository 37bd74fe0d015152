"""The built-in services, and the registry that a tenant's configuration makes of them."""

from wsprism.services.chat import ChatService
from wsprism.services.hot import BackendHotService, EchoService, RelayService
from wsprism.services.room import RoomService
from wsprism.services.webhook import WebhookService

__all__ = ["BackendHotService", "ChatService", "EchoService", "RelayService", "RoomService", "WebhookService"]
