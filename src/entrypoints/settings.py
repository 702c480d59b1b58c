"""The settings: one frozen dataclass, read once from the environment (and a `.env` file).

An unknown `PAYMENTS_*` name only warns: orchestrators inject names of their own, such as `PAYMENTS_PORT`.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from entrypoints.env_file import read_env_file
from entrypoints.secret import Secret
from entrypoints.server_urls import PLACEHOLDERS, may_be_overheard, weakness_of_password
from entrypoints.setting_types import (
    MAKE_ONE,
    PORT_MAX,
    Network,
    delivery_schedule,
    hidden,
    host,
    latency,
    limit,
    networks,
    number,
    one_of,
    ports,
    postgres_url,
    proxy_url,
    redis_url,
    schedule,
    secret_keys,
    share,
    switch,
)
from entrypoints.web_names import host_names, origins
from payments_core.attempt import LOOKUP_SCHEDULE
from payments_core.job import LEASE
from payments_core.limits import (
    API_PER_MERCHANT,
    CONSOLE_PER_VISITOR,
    LOGIN_DELAY,
    LOGIN_PER_ACCOUNT_AND_ADDRESS,
    LOGIN_PER_ADDRESS,
    REGISTRATION_PER_ADDRESS,
    Limit,
)
from payments_core.webhook import RETRY_SCHEDULE

PREFIX: Final = "PAYMENTS_"
ENV_FILE: Final = Path(".env")
LOOPBACK: Final[tuple[Network, ...]] = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
DISTINCT_CHARACTERS_MIN: Final = 10
NEW_PASSWORD: Final = "make one with `openssl rand -hex 24`"  # noqa: S105 - how to make one
ENCRYPT: Final = "for Postgres say ?sslmode=verify-full, for Redis rediss://"
LEASE_SECONDS_MIN: Final = 4
"""With less, a pause of the machine between two heartbeats would look like the end of a worker."""
LEASE_SECONDS_MAX: Final = 60 * 60
CONNECTIONS_MIN: Final = 4
"""One that commits, two whose commits wait for what others hold, briefly and longer, and one that reads meanwhile."""
CONNECTIONS_MAX: Final = 1_000
HSTS_SECONDS: Final = 365 * 24 * 60 * 60
"""A year, the least that ASVS 5.0 (3.4.1) takes."""
HSTS_SECONDS_MAX: Final = 10 * HSTS_SECONDS
HTTP_CONNECTIONS_MIN: Final = 16
HTTP_CONNECTIONS_MAX: Final = 100_000
Needed: TypeAlias = Literal["database_url", "secret_key"]
NOT_SET: Final[Mapping[Needed, str]] = {
    "database_url": "PAYMENTS_DATABASE_URL is not set: .env.example shows one, and `payments up` brings a Postgres of "
    "its own.",
    "secret_key": f"PAYMENTS_SECRET_KEY is not set: {MAKE_ONE}, the same for all processes.",
}
"""What is said where a process needs a setting that has no default."""


class SettingsError(Exception):
    """Settings that don't parse or aren't safe; the message has a line for each: which, why and what is right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Every setting with its default for development; `.env.example` explains each.

    `notices` is no setting: what start-up has to say about the others, a line each.
    """

    env: Literal["development", "production"] = "development"
    database_url: Secret | None = None
    database_replica_url: Secret | None = None
    database_pooler: Literal["none", "transaction"] = "none"
    database_connections: int = 10
    redis_url: Secret | None = None
    secret_key: Secret | None = None
    webhook_allowed_networks: tuple[Network, ...] = ()
    webhook_allow_http: bool = False
    webhook_ports: frozenset[int] = frozenset({443, 8443})
    webhook_proxy: Secret | None = None
    webhook_schedule: tuple[timedelta, ...] = tuple(RETRY_SCHEDULE)
    lookup_schedule: tuple[timedelta, ...] = tuple(LOOKUP_SCHEDULE)
    lease_seconds: int = round(LEASE.total_seconds())
    registration: Literal["open", "closed"] = "open"
    metrics_port: int = 9464
    metrics_host: str = "127.0.0.1"
    rate_limits: bool = True
    limit_login_account: Limit = LOGIN_PER_ACCOUNT_AND_ADDRESS
    limit_login_delay: Limit = LOGIN_DELAY
    limit_login_address: Limit = LOGIN_PER_ADDRESS
    limit_registration: Limit = REGISTRATION_PER_ADDRESS
    limit_api: Limit = API_PER_MERCHANT
    limit_console: Limit = CONSOLE_PER_VISITOR
    sandbox_latency_seconds: tuple[float, float] = (0.2, 0.2)
    sandbox_approval_rate: float = 1.0
    sandbox_seed: int | None = None
    trusted_proxies: tuple[Network, ...] = ()
    allowed_hosts: frozenset[str] = frozenset()
    cors_origins: frozenset[str] = frozenset()
    hsts_seconds: int = HSTS_SECONDS
    http_connections: int = 1_000
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["console", "json"] | None = None
    notices: tuple[str, ...] = ()

    @property
    def lease(self) -> timedelta:
        """How long a worker holds what it has claimed without a sign of life."""
        return timedelta(seconds=self.lease_seconds)

    @property
    def limits(self) -> Mapping[str, Limit]:
        """The limits by their names."""
        chosen = (
            self.limit_login_account,
            self.limit_login_delay,
            self.limit_login_address,
            self.limit_registration,
            self.limit_api,
            self.limit_console,
        )
        return {limit.name: limit for limit in chosen}


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One row of the table: its field, its default as one would write it, and how its text is read.

    `read` gives the value of the text or raises ValueError, which shows nothing of a text that may hold a secret.
    """

    field: str
    default: str
    read: Callable[[str], object]

    @property
    def name(self) -> str:
        """The name in the environment."""
        return PREFIX + self.field.upper()


_URLS_IN_UP: Final = "an embedded server in `up` and `demo`"

SETTINGS: Final[Sequence[Setting]] = (
    Setting(field="env", default="development", read=one_of("development", "production")),
    Setting(field="database_url", default=_URLS_IN_UP, read=hidden(postgres_url)),
    Setting(field="database_replica_url", default="none", read=hidden(postgres_url)),
    Setting(field="database_pooler", default="none", read=one_of("none", "transaction")),
    Setting(field="database_connections", default="10", read=number(CONNECTIONS_MIN, CONNECTIONS_MAX)),
    Setting(field="redis_url", default=_URLS_IN_UP, read=hidden(redis_url)),
    Setting(field="secret_key", default="made once in the data directory by `up`", read=hidden(secret_keys)),
    Setting(field="webhook_allowed_networks", default="loopback in `up` and `demo`, else empty", read=networks),
    Setting(field="webhook_allow_http", default="on in `up` and `demo`, else off", read=switch),
    Setting(field="webhook_ports", default="443,8443", read=ports),
    Setting(field="webhook_proxy", default="none", read=hidden(proxy_url)),
    Setting(field="webhook_schedule", default="0s,5s,5m,30m,2h,5h,10h,14h,20h,24h", read=delivery_schedule),
    Setting(field="lookup_schedule", default="1s,5s,30s,5m,1h,1d,1d,1d,1d,1d", read=schedule),
    Setting(field="lease_seconds", default="60", read=number(LEASE_SECONDS_MIN, LEASE_SECONDS_MAX)),
    Setting(field="registration", default="open, in production closed", read=one_of("open", "closed")),
    Setting(field="metrics_port", default="9464, off in `demo`", read=number(0, PORT_MAX)),
    Setting(field="metrics_host", default="127.0.0.1", read=host),
    Setting(field="rate_limits", default="on", read=switch),
    Setting(field="limit_login_account", default="10/15m", read=limit(LOGIN_PER_ACCOUNT_AND_ADDRESS)),
    Setting(field="limit_login_delay", default="15/15m", read=limit(LOGIN_DELAY)),
    Setting(field="limit_login_address", default="30/1m", read=limit(LOGIN_PER_ADDRESS)),
    Setting(field="limit_registration", default="10/1h", read=limit(REGISTRATION_PER_ADDRESS)),
    Setting(field="limit_api", default="200/2s", read=limit(API_PER_MERCHANT)),
    Setting(field="limit_console", default="300/1m", read=limit(CONSOLE_PER_VISITOR)),
    Setting(field="sandbox_latency_seconds", default="0.2", read=latency),
    Setting(field="sandbox_approval_rate", default="1.0", read=share),
    Setting(field="sandbox_seed", default="none", read=number(0, 2**63 - 1)),
    Setting(field="trusted_proxies", default="empty", read=networks),
    Setting(field="allowed_hosts", default="empty", read=host_names),
    Setting(field="cors_origins", default="empty", read=origins),
    Setting(field="hsts_seconds", default="31536000", read=number(0, HSTS_SECONDS_MAX)),
    Setting(field="http_connections", default="1000", read=number(HTTP_CONNECTIONS_MIN, HTTP_CONNECTIONS_MAX)),
    Setting(field="log_level", default="info", read=one_of("debug", "info", "warning", "error")),
    Setting(field="log_format", default="`console` at a terminal, else `json`", read=one_of("console", "json")),
)
"""All settings, in the order of `.env.example` and of the README."""


def read_settings(
    environ: Mapping[str, str],
    *,
    defaults: Settings = Settings(),
    env_file: Path | None = ENV_FILE,
) -> Settings:
    """Return the settings of `environ`, else of the `.env` file, else `defaults`; an empty text is not set.

    `defaults` are what a command brings along (`up` its servers and its secret). Raises SettingsError with a line for
    each setting that doesn't parse or is not safe, or with the line of the file that doesn't parse.
    """
    given = _given(environ, env_file)
    values: dict[str, Any] = {}
    wrong: list[str] = []
    for setting in SETTINGS:
        text = given.get(setting.name)
        if text is None:
            continue
        try:
            values[setting.field] = setting.read(text)
        except ValueError as error:
            wrong.append(f"{setting.name}: {error}")
    if values.get("env", defaults.env) == "production":
        values.setdefault("registration", "closed")
    settings = replace(defaults, **values)
    if not wrong:
        wrong = _unsafe(settings)
    if wrong:
        raise SettingsError("\n".join(wrong))
    return replace(settings, notices=(*unknown_names(given), *_notices(settings, set(values))))


def needed(settings: Settings, *names: Needed) -> tuple[Secret, ...]:
    """Return the values of these settings; raise SettingsError with a line for each that is not set."""
    values: list[Secret] = []
    missing: list[str] = []
    for name in names:
        value: Secret | None = getattr(settings, name)
        if value is None:
            missing.append(NOT_SET[name])
        else:
            values.append(value)
    if missing:
        raise SettingsError("\n".join(missing))
    return tuple(values)


def unknown_names(given: Mapping[str, str]) -> list[str]:
    """Return a line for each `PAYMENTS_*` name that is no setting, with the one that may have been meant."""
    known = [setting.name for setting in SETTINGS]
    lines: list[str] = []
    for name in sorted(given):
        if name.startswith(PREFIX) and name not in known:
            close = difflib.get_close_matches(name, known, n=1, cutoff=0.8)
            lines.append(f"{name} is no setting" + (f"; did you mean {close[0]}?" if close else " and is ignored"))
    return lines


def _given(environ: Mapping[str, str], env_file: Path | None) -> dict[str, str]:
    """Return what is set, without blanks around; no value refers to another (`$` in a password is a `$`)."""
    try:
        written = {} if env_file is None else read_env_file(env_file, prefix=PREFIX)
    except ValueError as error:
        raise SettingsError(str(error)) from None
    both = [*written.items(), *((name, text) for name, text in environ.items() if text.strip())]
    return {name: text.strip() for name, text in both if name.startswith(PREFIX) and text.strip()}


def _unsafe(settings: Settings) -> list[str]:
    """Return a line for each secret with which production does not start."""
    if settings.env != "production":
        return []
    lines: list[str] = []
    proxy = [] if settings.webhook_proxy is None else [(f"{PREFIX}WEBHOOK_PROXY", settings.webhook_proxy)]
    for name, url in (*_servers(settings), *proxy):
        weakness = weakness_of_password(url.reveal())
        if weakness is not None:
            lines.append(f"{name}: {weakness}; {NEW_PASSWORD}")
    secrets = [] if settings.secret_key is None else settings.secret_key.reveal().split(",")
    if any(_is_guessable(secret.strip()) for secret in secrets):
        lines.append(f"{PREFIX}SECRET_KEY: looks like a placeholder, which production refuses; {MAKE_ONE}")
    return lines


def _servers(settings: Settings) -> Iterator[tuple[str, Secret]]:
    """Give the URLs of servers that are set, and the names of their settings."""
    for name in ("database_url", "database_replica_url", "redis_url"):
        url: Secret | None = getattr(settings, name)
        if url is not None:
            yield PREFIX + name.upper(), url


def _is_guessable(secret: str) -> bool:
    return secret.lower().startswith(PLACEHOLDERS) or len(set(secret)) < DISTINCT_CHARACTERS_MIN


def _notices(settings: Settings, chosen: set[str]) -> list[str]:
    """Return what weakens this installation: whatever somebody chose, and in production defaults of a command too."""
    production = settings.env == "production"

    def told(field: str) -> bool:
        return production or field in chosen

    lines: list[str] = []
    if settings.webhook_allowed_networks and told("webhook_allowed_networks"):
        named = ", ".join(map(str, settings.webhook_allowed_networks))
        lines.append(f"{PREFIX}WEBHOOK_ALLOWED_NETWORKS: merchants can send requests into {named}")
    if settings.webhook_allow_http and told("webhook_allow_http"):
        lines.append(f"{PREFIX}WEBHOOK_ALLOW_HTTP: webhooks may travel unencrypted")
    if not settings.rate_limits and told("rate_limits"):
        lines.append(f"{PREFIX}RATE_LIMITS: nothing is limited, logins included")
    lines += [
        f"{name}: what is said to this server may pass the network unencrypted; {ENCRYPT}"
        for name, url in _servers(settings)
        if production and may_be_overheard(url.reveal())
    ]
    if production and settings.registration == "open":
        lines.append(f"{PREFIX}REGISTRATION: anybody can open an account")
    if production and not settings.allowed_hosts:
        lines.append(f"{PREFIX}ALLOWED_HOSTS: requests are answered whatever host they name")
    return lines
