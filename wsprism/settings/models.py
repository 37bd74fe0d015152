"""The whole configuration: the gateway's own part, logging, and the list of tenants."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, WithJsonSchema, field_validator
from pydantic_core import PydanticCustomError

from wsprism.config_file import ListenAddress
from wsprism.settings.base import FilePath, Model, Secret, Strings, Text, to_tuple
from wsprism.settings.cluster import BrokerSettings, NodeSettings
from wsprism.settings.listen import Listen
from wsprism.settings.tenants import TenantSettings
from wsprism.settings.urls import PublicUrl

__all__ = [
    "FlushSettings",
    "GatewaySettings",
    "HandshakeLimitSettings",
    "HttpLimitsSettings",
    "InternalKeySettings",
    "InternalSettings",
    "LoggingSettings",
    "Settings",
    "TlsSettings",
]

Level = Literal["debug", "info", "warning", "error"]

Component = Literal[
    "actors", "api", "backend", "connection", "gateway", "handshake",
    "http", "redis", "reload", "service", "services", "telemetry", "tenant", "tickets", "tls", "workers",
]  # fmt: skip
"""What logs: component ``x`` is the logger ``wsprism.x``."""


class HandshakeLimitSettings(Model):
    """How many handshakes are let in, per address and in all."""

    enabled: bool = Field(False, description="whether handshakes are limited")
    global_rps: float = Field(100, gt=0, description="handshakes per second, from all addresses")
    global_burst: int = Field(200, gt=0, description="handshakes at once, from all addresses")
    per_ip_rps: float = Field(10, gt=0, description="handshakes per second and address (IPv6: per /64)")
    per_ip_burst: int = Field(50, gt=0, description="handshakes at once and address")
    max_ip_entries: int = Field(50000, gt=0, description="addresses remembered; the least recently seen is forgotten")


class FlushSettings(Model):
    """Pacing of writes."""

    share: float = Field(
        0.67, gt=0, le=1, description="largest part of the loop's time that sending takes; 1 = never hold"
    )
    max_delay_ms: int = Field(10, ge=0, le=100, description="the longest that anything is held to gather writes")


class DiagnosticsSettings(Model):
    """For conformance suites."""

    may_be_empty = frozenset({"echo_path"})

    echo_path: str | None = Field(None, description="a path that echoes WebSocket messages; unset: none")

    @field_validator("echo_path")
    @classmethod
    def _is_free_path(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"/[A-Za-z0-9._~/-]+", value):
            raise PydanticCustomError("path", "must be a path of letters, digits and . _ ~ / -")
        if value in ("/v1/ws", "/healthz", "/readyz", "/metrics"):
            raise PydanticCustomError("taken", "must be a path that nothing else is served at")
        return value


def _all_or_ids(value: Any) -> Any:
    ids = to_tuple(value)
    if value != "all" and not (isinstance(ids, tuple) and all(isinstance(one, str) for one in ids)):
        raise PydanticCustomError("all_or_ids", "must be all, or a list of tenant ids")
    return ids


class InternalKeySettings(Model):
    """One key of the internal API."""

    name: Text = Field(description="stands in logs in place of the key")
    key: Secret = Field(description="the bearer token")
    tenants: Annotated[Literal["all"] | Strings, BeforeValidator(_all_or_ids)] = Field(
        "all", description="the tenants that it may touch, or `all`"
    )
    read_only: bool = Field(False, description="it may look (GET), and change nothing")


def _told_apart(keys: tuple[InternalKeySettings, ...]) -> tuple[InternalKeySettings, ...]:
    names: set[str] = set()
    secrets: dict[str, str] = {}
    for key in keys:
        if key.name in names:
            raise PydanticCustomError("keys", "two entries have the name {name}: give each its own", _named(key.name))
        other = secrets.setdefault(key.key.get_secret_value(), key.name)
        if other != key.name:
            words = _named(other) | {"other": repr(key.name)}
            raise PydanticCustomError("keys", "{name} and {other} have the same key: give each its own", words)
        names.add(key.name)
    return keys


def _named(name: str) -> dict[str, str]:
    return {"name": repr(name)}


class InternalSettings(Model):
    """The internal listener."""

    listen: Listen | None = Field(None, description="metrics, readiness and the API move here; unset: no API")
    ui: bool = Field(True, description="the dashboard and playground at `/ui/` of this listener")
    api_keys: Annotated[tuple[InternalKeySettings, ...], BeforeValidator(to_tuple), AfterValidator(_told_apart)] = (
        Field((), description="keys of the internal API")
    )


def _number_as_text(value: Any) -> Any:
    return str(value) if isinstance(value, float) else value


class TlsSettings(Model):
    """TLS of the public listener."""

    cert_file: FilePath | None = Field(None, description="certificate chain in PEM")
    key_file: FilePath | None = Field(None, validate_default=True, description="private key in PEM")
    min_version: Annotated[
        Literal["1.2", "1.3"], BeforeValidator(_number_as_text), WithJsonSchema({"enum": ["1.2", "1.3", 1.2, 1.3]})
    ] = Field("1.2", description="oldest TLS version that is spoken")

    @field_validator("key_file")
    @classmethod
    def _both_or_none(cls, value: str | None, info: ValidationInfo) -> str | None:
        if "cert_file" in info.data and (info.data["cert_file"] is None) != (value is None):
            given = "cert_file" if value is None else "key_file"
            raise PydanticCustomError(
                "tls", "cert_file and key_file belong together, found only {given}", {"given": given}
            )
        return value


def _endpoint(value: str) -> str:
    """A base URL, or host:port. Credentials belong into headers: the endpoint is logged."""
    try:
        parts = urlsplit(value if "://" in value else f"grpc://{value}")
        is_whole = parts.scheme in ("http", "https") or (parts.scheme == "grpc" and bool(parts.port))
    except ValueError:
        is_whole = False
    if not is_whole or not parts.hostname:
        raise PydanticCustomError("endpoint", "must be http://host:port, https://host:port or (gRPC) host:port")
    if parts.username is not None:
        raise PydanticCustomError("url", "must be without a user and password")
    return value


Endpoint = Annotated[str, AfterValidator(_endpoint)]


class TracingSettings(Model):
    """Traces over OTLP."""

    may_be_empty = frozenset({"endpoint"})

    protocol: Literal["grpc", "http"] = Field("http", description="how the collector is spoken to")
    endpoint: Endpoint | None = Field(
        None, description="base of the collector, such as http://host:4318; for grpc host:4317; unset: no traces"
    )
    sample_ratio: float = Field(0.01, ge=0, le=1, description="share of messages that are traced")
    headers: dict[str, Secret] = Field({}, description="headers of each export")

    @field_validator("endpoint")
    @classmethod
    def _http_needs_a_url(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None and info.data.get("protocol") == "http" and "://" not in value:
            raise PydanticCustomError("endpoint", "must be a URL such as http://host:4318 for protocol http")
        return value


class MetricsSettings(Model):
    """Metrics over OTLP, besides /metrics."""

    may_be_empty = frozenset({"otlp_endpoint"})

    otlp_endpoint: Endpoint | None = Field(
        None, description="base of the collector: a URL for HTTP, host:port for gRPC; unset: Prometheus only"
    )
    interval_s: int = Field(15, ge=1, le=3600, description="between two exports")


class HttpLimitsSettings(Model):
    """Bounds before the upgrade."""

    handshake_timeout_ms: int = Field(
        5000, ge=100, le=60000, description="for the whole head of a request, TLS handshake included"
    )
    max_half_open: int = Field(
        1000,
        ge=1,
        description="sockets without a request; the oldest gives way. Also tickets of a tenant being judged",
    )
    max_header_bytes: int = Field(
        16384, ge=1024, le=1048576, description="largest head of a request, its line and all fields"
    )


def _network(value: str) -> str:
    try:
        ipaddress.ip_network(value)
    except ValueError as exc:
        raise PydanticCustomError("network", "must be a network such as {example}", {"example": _meant(value)}) from exc
    return value


def _meant(network: str) -> str:
    """The network that an address with bits beyond its prefix is in, else an example."""
    try:
        return str(ipaddress.ip_network(network, strict=False))
    except ValueError:
        return "10.0.0.0/8 or fd00::/8"


class GatewaySettings(Model):
    """The process."""

    listen: Listen = Field(
        ListenAddress("0.0.0.0", 8080),
        description="host:port, [::]:8080 or unix:/path",
        json_schema_extra={"default": "0.0.0.0:8080"},
    )
    ping_interval_ms: int = Field(20000, ge=5000, le=120000, description="between two pings of a connection")
    idle_timeout_ms: int = Field(
        60000,
        ge=10000,
        le=600000,
        validate_default=True,
        description="without a pong or a whole message: close 4001; above the ping interval",
    )
    writer_send_timeout_ms: int = Field(1500, ge=50, le=60000, description="without progress in sending: close 4000")
    drain_grace_ms: int = Field(2000, ge=0, le=600000, description="for all connections to end after SIGTERM")
    drain_notice_ms: int = Field(
        0, ge=0, le=600000, description="`/readyz` fails so long at least before the listener closes"
    )
    handshake_limit: HandshakeLimitSettings = Field(HandshakeLimitSettings(), description="limits on handshakes")
    public_url: PublicUrl | None = Field(
        None,
        description="where clients connect, such as wss://rt.example.org; unset: the playground tries the listener",
    )
    compression: bool = Field(False, description="negotiate permessage-deflate, without context takeover")
    explain_refusals: Literal["browsers", "always", "never"] = Field(
        "browsers", description="to whom a refusal is told after the upgrade, where a page can read it"
    )
    state_file: FilePath | None = Field(None, description="where state outlives a restart (SQLite); unset: nowhere")
    flush: FlushSettings = Field(FlushSettings(), description="pacing of writes")
    diagnostics: DiagnosticsSettings = Field(DiagnosticsSettings(), description="for conformance suites")
    internal: InternalSettings = Field(InternalSettings(), description="the internal listener")
    trusted_proxies: Annotated[tuple[Annotated[str, AfterValidator(_network)], ...], BeforeValidator(to_tuple)] = Field(
        (), description="networks whose X-Forwarded-For and Forwarded are believed"
    )
    broker: BrokerSettings | None = Field(None, description="what nodes share; unset: one process, in memory")
    node: NodeSettings = Field(NodeSettings(), description="this process among others")
    workers: int = Field(
        1, ge=0, le=256, description="processes on this machine, each a node; 0: one a core; all but 1 need the broker"
    )
    tls: TlsSettings = Field(TlsSettings(), description="TLS of the public listener")
    tracing: TracingSettings = Field(TracingSettings(), description="traces")
    metrics: MetricsSettings = Field(MetricsSettings(), description="metrics over OTLP")
    limits: HttpLimitsSettings = Field(HttpLimitsSettings(), description="bounds before the upgrade")

    @field_validator("idle_timeout_ms")
    @classmethod
    def _above_ping(cls, value: int, info: ValidationInfo) -> int:
        if value <= info.data.get("ping_interval_ms", 0):
            raise PydanticCustomError("idle", "must be greater than ping_interval_ms")
        return value


class LoggingSettings(Model):
    """Logs on standard error."""

    format: Literal["auto", "json", "console"] = Field("auto", description="auto: console on a terminal, else JSON")
    level: Level = Field("info", description="the least level that is logged")
    levels: dict[Component, Level] = Field({}, description="a component's own level")


def _whole_number(value: Any) -> Any:
    """A Literal takes what is equal, and ``true`` is equal to 1."""
    if type(value) is not int:
        raise PydanticCustomError("version", "must be 1")
    return value


class Settings(Model):
    """wsprism.yaml."""

    version: Annotated[Literal[1], BeforeValidator(_whole_number)] = Field(description="1, the form of this file")
    gateway: GatewaySettings = Field(GatewaySettings(), description="the process")
    logging: LoggingSettings = Field(LoggingSettings(), description="logs")
    tenants: Annotated[tuple[TenantSettings, ...], BeforeValidator(to_tuple)] = Field(
        description="the tenants", min_length=1
    )
