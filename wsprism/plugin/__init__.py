"""What a service in Python is written with (docs/services.md). This module is the whole of its public face.

It has a version of its own: within one, no name goes and none changes its meaning. ``wsprism.plugin.testing`` drives a
service without a gateway.
"""

from typing import Final

from wsprism.plugin.context import Context
from wsprism.plugin.effects import (
    DROP,
    PASS,
    Effects,
    disconnect,
    join,
    leave,
    publish,
    publish_hot,
    refuse,
    reply,
    send,
    send_hot,
)
from wsprism.plugin.service import Service

__all__ = [
    "DROP",
    "PASS",
    "Context",
    "Effects",
    "Service",
    "__version__",
    "disconnect",
    "join",
    "leave",
    "publish",
    "publish_hot",
    "refuse",
    "reply",
    "send",
    "send_hot",
]

__version__: Final = "1.0"
