"""The built-in services, and the registry that a tenant's configuration makes of them."""

from wsprism.services.chat import ChatService
from wsprism.services.hot import BackendHotService, EchoService, RelayService
from wsprism.services.relay import RelayExtService
from wsprism.services.reply import ReplyService
from wsprism.services.room import RoomService
from wsprism.services.state import StateService
from wsprism.services.webhook import WebhookService

__all__ = [
    "BackendHotService",
    "ChatService",
    "EchoService",
    "RelayExtService",
    "RelayService",
    "ReplyService",
    "RoomService",
    "StateService",
    "WebhookService",
]
