"""The names that authors of services stand on: none goes and none is added without its version saying so."""

from __future__ import annotations

import wsprism.plugin
from wsprism.plugin import Context, Service

NAMES = {
    "Context",
    "DROP",
    "Effects",
    "PASS",
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
}


def public(kind: type) -> set[str]:
    return {name for name in dir(kind) if not name.startswith("_")}


def test_the_module_offers_these_names() -> None:
    assert set(wsprism.plugin.__all__) == NAMES
    assert wsprism.plugin.__version__ == "1.0"


def test_a_context_offers_these_names() -> None:
    assert public(Context) == {"log", "now_ms", "options", "room", "seq", "sid", "state", "tenant", "type", "user"}


def test_a_service_offers_these_decorators() -> None:
    assert public(Service) == {"every", "hot", "joined", "left", "migrate", "on"}
