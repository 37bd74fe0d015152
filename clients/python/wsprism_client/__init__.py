"""A client for wsPrism gateways.

async with Client("wss://example.org", tenant="acme", ticket=fetch_ticket) as client:
    room = client.room("chat:1")
    await room.publish("send", {"msg": "hi"})
    async for message in room:
        print(message["data"])
"""

from wsprism_client._client import Client
from wsprism_client._errors import WsPrismError
from wsprism_client._room import Room

__all__ = ["Client", "Room", "WsPrismError"]
