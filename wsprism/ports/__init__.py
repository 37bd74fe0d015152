"""What the gateway's core needs of the outside, as protocols: one file a port, all names from here.

``realtime`` and ``services`` speak to these only; ``transport`` and ``adapters`` implement them; ``app`` plugs them
together. Nothing here knows aiohttp, OpenTelemetry or a file system.
"""

from wsprism.ports.backend import BackendFigures, BackendLine, BackendPort, CallResult, NewsPort, Unanswered
from wsprism.ports.broker import (
    Batch,
    Broker,
    Draft,
    RoomListener,
    Subscription,
    Window,
    WindowItem,
)
from wsprism.ports.clock import Clock
from wsprism.ports.hosted_services import HostedService, RoomWatcher, ServiceCounts, ServiceHost, ServiceStatus
from wsprism.ports.listed import Listed, ListedRoom, ListedSession, RoomCounts, SessionFilter, SessionKey
from wsprism.ports.ordered import Ordered
from wsprism.ports.presence import EntryPage, PresenceBroker, PresenceEntry
from wsprism.ports.registry import (
    Answer,
    Departed,
    LostMember,
    LostSession,
    Opened,
    Registry,
    RegistryListener,
    SessionOpening,
)
from wsprism.ports.room_store import HistoryItem, KeepPublication, Kept, Mirror, RoomStore
from wsprism.ports.services import ExtService, FilteringService, HotService, HotVerdict, ServiceContext
from wsprism.ports.shared_state import Claim, KeyTaken, SharedState
from wsprism.ports.state_store import StateKind, StateStore
from wsprism.ports.streams import StreamCalls, StreamHub, StreamPeer
from wsprism.ports.tickets import Authenticator, Principal, TicketRefusal, TicketRequest
from wsprism.ports.tracer import Tracer
from wsprism.ports.transport import Transport
from wsprism.ports.unavailable import Unavailable
from wsprism.ports.values import Values, ValuesBroker

__all__ = [
    "Answer",
    "Authenticator",
    "BackendFigures",
    "BackendLine",
    "BackendPort",
    "Batch",
    "Broker",
    "CallResult",
    "Claim",
    "Clock",
    "Departed",
    "Draft",
    "EntryPage",
    "ExtService",
    "FilteringService",
    "HistoryItem",
    "HostedService",
    "HotService",
    "HotVerdict",
    "KeepPublication",
    "Kept",
    "KeyTaken",
    "Listed",
    "ListedRoom",
    "ListedSession",
    "LostMember",
    "LostSession",
    "Mirror",
    "NewsPort",
    "Opened",
    "Ordered",
    "PresenceBroker",
    "PresenceEntry",
    "Principal",
    "Registry",
    "RegistryListener",
    "RoomCounts",
    "RoomListener",
    "RoomStore",
    "RoomWatcher",
    "ServiceContext",
    "ServiceCounts",
    "ServiceHost",
    "ServiceStatus",
    "SessionFilter",
    "SessionKey",
    "SessionOpening",
    "SharedState",
    "StateKind",
    "StateStore",
    "StreamCalls",
    "StreamHub",
    "StreamPeer",
    "Subscription",
    "TicketRefusal",
    "TicketRequest",
    "Tracer",
    "Transport",
    "Unanswered",
    "Unavailable",
    "Values",
    "ValuesBroker",
    "Window",
    "WindowItem",
]
