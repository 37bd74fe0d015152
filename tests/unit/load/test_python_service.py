"""The chat in Python that is measured is the built-in one, and the gateway is started with it."""

from __future__ import annotations

from pathlib import Path

from load.peers.base import Options
from load.python_service import PythonChat, chat
from wsprism.plugin import publish
from wsprism.plugin.testing import Harness
from wsprism.settings import PythonServiceSettings, load_settings


def test_it_says_what_the_built_in_chat_says() -> None:
    [said] = Harness(chat()).message("send", {"msg": "hi"}, user="user:ann")
    assert said == publish("msg", {"from": "user:ann", "msg": "hi"})


def test_the_gateway_is_started_with_it(tmp_path: Path) -> None:
    PythonChat().command(Options(tmp_path, 8080, 8081, 0, "", 8082, 8083))
    settings = load_settings(tmp_path / "wsprism.yaml")
    services = [tenant.services.ext["chat"] for tenant in settings.tenants]
    assert services
    assert all(isinstance(one, PythonServiceSettings) for one in services)
