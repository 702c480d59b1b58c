"""How Postgres is reached: directly or through a pooler, over how many connections, with a replica or without."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from functools import partial

from adapters.postgres import AsyncEngine, Bounds, PostgresStore, ReplicaViews, create_engine
from adapters.postgres.engine import BOUNDS
from adapters.postgres.health import lacking, ping
from adapters.postgres.mapping import kinds
from adapters.postgres.replica import REPLICA_BOUNDS
from adapters.postgres.role import unbounded
from adapters.postgres.views import open_view
from entrypoints.checks import answers, nothing_missing, nothing_unbounded, readable
from entrypoints.services import HealthCheck
from entrypoints.settings import Settings
from payments_core.ports import Vault, Views


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """The store, the views that are read, and checks: those that everything stands on, and of what makes it faster."""

    store: PostgresStore
    views: Views
    vital: Mapping[str, HealthCheck]
    useful: Mapping[str, HealthCheck]


def open_database(settings: Settings, url: str, vault: Vault, opened: AsyncExitStack) -> Database:
    """Return what is at the URL, and at the replica's where there is one; nothing is connected yet, `opened` closes."""
    engine = engine_of(settings, url)
    opened.push_async_callback(engine.dispose)
    store = PostgresStore(engine, vault=vault, connections_max=settings.database_connections)
    vital = {
        "store": answers(partial(ping, engine), "is it up, and PAYMENTS_DATABASE_URL right?"),
        "migrations": nothing_missing(partial(lacking, engine)),
        "secrets": readable(store.open_a_secret),
    }
    if is_pooled(settings):
        vital["bounds"] = nothing_unbounded(partial(unbounded, engine))
    if settings.database_replica_url is None:
        return Database(store=store, views=store, vital=vital, useful={})
    replica = engine_of(settings, settings.database_replica_url.reveal(), bounds=REPLICA_BOUNDS)
    opened.push_async_callback(replica.dispose)
    return Database(
        store=store,
        views=ReplicaViews(store, partial(open_view, replica, kinds(vault))),
        vital=vital,
        useful={"replica": answers(partial(ping, replica), "everything is read from the database itself")},
    )


def engine_of(settings: Settings, url: str, *, bounds: Bounds = BOUNDS) -> AsyncEngine:
    """Return an engine with as many connections as the settings allow, which knows of their pooler."""
    number = settings.database_connections
    bounds = replace(bounds, connections_max=number, connections_kept=number)
    return create_engine(url, bounds=bounds, pooled=is_pooled(settings))


def is_pooled(settings: Settings) -> bool:
    """Say whether a pooler in transaction mode is in between."""
    return settings.database_pooler == "transaction"
