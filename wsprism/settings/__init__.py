"""wsprism.yaml: its models, and the reader that turns a file into them or into a list of every fault."""

from wsprism.settings.address import ListenAddress
from wsprism.settings.auth import AuthSettings, DevAuth, JwtAuth, OneTimeAuth, TokensAuth, WebhookAuth
from wsprism.settings.faults import Fault, SettingsError
from wsprism.settings.loader import configuration_hash, load_settings, masked
from wsprism.settings.models import (
    GatewaySettings,
    HandshakeLimitSettings,
    HttpLimitsSettings,
    InternalKeySettings,
    LoggingSettings,
    Settings,
    TlsSettings,
)
from wsprism.settings.schema import json_schema
from wsprism.settings.tenants import TenantSettings

__all__ = [
    "AuthSettings",
    "DevAuth",
    "Fault",
    "GatewaySettings",
    "HandshakeLimitSettings",
    "HttpLimitsSettings",
    "InternalKeySettings",
    "JwtAuth",
    "ListenAddress",
    "LoggingSettings",
    "OneTimeAuth",
    "Settings",
    "SettingsError",
    "TenantSettings",
    "TlsSettings",
    "TokensAuth",
    "WebhookAuth",
    "configuration_hash",
    "json_schema",
    "load_settings",
    "masked",
]
