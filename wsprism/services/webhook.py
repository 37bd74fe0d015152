"""``webhook``: a service whose messages the tenant's backend answers, in effects (docs/backend.md)."""

from __future__ import annotations

from typing import Final

from wsprism.effects import AskBackend
from wsprism.ports import ServiceContext
from wsprism.protocol.envelope import Envelope

__all__ = ["WebhookService"]

_ASK: Final = AskBackend()


class WebhookService:
    """Takes every type: what they mean is the backend's business."""

    types = None

    def handle(self, context: ServiceContext, envelope: Envelope) -> AskBackend:  # noqa: ARG002
        return _ASK
