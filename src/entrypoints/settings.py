"""The settings: one frozen dataclass, read once from the environment (and a `.env` file).

An unknown `PAYMENTS_*` name only warns: orchestrators inject names of their own, such as `PAYMENTS_PORT`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Final, Literal, TypeAlias, TypeVar

T = TypeVar("T")
Network: TypeAlias = IPv4Network | IPv6Network

PREFIX: Final = "PAYMENTS_"
ENV_FILE: Final = Path(".env")
SECRET_KEY_LENGTH_MIN: Final = 32
LOOPBACK: Final[tuple[Network, ...]] = (ip_network("127.0.0.0/8"), ip_network("::1/128"))


class SettingsError(Exception):
    """A setting that doesn't parse or isn't safe; the message is one line that says which, why and what is right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Every setting with its default for development; `.env.example` explains each."""

    env: Literal["development", "production"] = "development"
    database_url: str | None = None
    redis_url: str | None = None
    secret_key: str | None = field(default=None, repr=False)
    webhook_allowed_networks: tuple[Network, ...] = ()
    webhook_allow_http: bool = False
    webhook_ports: frozenset[int] = frozenset({443, 8443})
    registration: Literal["open", "closed"] = "open"
    metrics_port: int = 9464
    rate_limits: bool = True
    sandbox_latency_seconds: tuple[float, float] = (0.2, 0.2)
    sandbox_approval_rate: float = 1.0
    sandbox_seed: int | None = None
    trusted_proxies: tuple[Network, ...] = ()
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["console", "json"] | None = None
