"""The internal listener of several workers: what is asked of all is put together, all else one of them answers."""

from wsprism.transport.front.front import Front
from wsprism.transport.front.seen import WorkerSeen, WorkersSeen

__all__ = ["Front", "WorkerSeen", "WorkersSeen"]
