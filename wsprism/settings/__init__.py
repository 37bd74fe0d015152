"""wsprism.yaml: its models, and the reader that turns a file into them or into a list of every fault."""

from wsprism.config_file import Fault, ListenAddress, SettingsError
from wsprism.settings.auth import AuthSettings, DevAuth, JwtAuth, OneTimeAuth, TokensAuth, WebhookAuth
from wsprism.settings.backend import BackendSettings, WebhookServiceSettings
from wsprism.settings.builtin import StateSettings
from wsprism.settings.changes import Change, compare, keep
from wsprism.settings.cluster import BrokerSettings, NodeSettings
from wsprism.settings.contradictions import fault_of_workers
from wsprism.settings.files import Digests, changed_files, code_files, file_digests, named_files
from wsprism.settings.loader import load_settings
from wsprism.settings.models import (
    FlushSettings,
    GatewaySettings,
    HandshakeLimitSettings,
    HttpLimitsSettings,
    InternalKeySettings,
    InternalSettings,
    LoggingSettings,
    Settings,
    TlsSettings,
)
from wsprism.settings.plain import configuration_hash, masked, shared_hash
from wsprism.settings.python_services import PythonHotSettings, PythonServiceSettings
from wsprism.settings.rooms import RoomSettings
from wsprism.settings.schema import json_schema
from wsprism.settings.tenants import TenantSettings

__all__ = [
    "AuthSettings",
    "BackendSettings",
    "BrokerSettings",
    "Change",
    "DevAuth",
    "Digests",
    "Fault",
    "FlushSettings",
    "GatewaySettings",
    "HandshakeLimitSettings",
    "HttpLimitsSettings",
    "InternalKeySettings",
    "InternalSettings",
    "JwtAuth",
    "ListenAddress",
    "LoggingSettings",
    "NodeSettings",
    "OneTimeAuth",
    "PythonHotSettings",
    "PythonServiceSettings",
    "RoomSettings",
    "Settings",
    "SettingsError",
    "StateSettings",
    "TenantSettings",
    "TlsSettings",
    "TokensAuth",
    "WebhookAuth",
    "WebhookServiceSettings",
    "changed_files",
    "code_files",
    "compare",
    "configuration_hash",
    "fault_of_workers",
    "file_digests",
    "json_schema",
    "keep",
    "load_settings",
    "masked",
    "named_files",
    "shared_hash",
]
