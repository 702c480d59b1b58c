"""A Postgres of a test's own that processes of other users reach: poolers and replicas don't run as root either."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final
from uuid import uuid4

import psycopg
from psycopg import sql
from sqlalchemy import make_url

from adapters.embedded import EmbeddedPostgres
from adapters.embedded.account import Account, stand_in_for_root

TRUSTING: Final = "local all all trust\nlocal replication all trust\n"
PORT: Final = 5432


class ReachablePostgres:
    """Where it runs, as whom, and databases of it."""

    def __init__(self, server: EmbeddedPostgres, directory: Path, *, place: Path) -> None:
        self.server: Final = server
        self.directory: Final = directory
        self.place: Final = place

    @property
    def sockets(self) -> Path:
        """The directory of its socket, which is that of its data."""
        return self.directory / "data"

    @property
    def account(self) -> Account | None:
        """Whom it runs as, where this process is root."""
        return stand_in_for_root(self.sockets)

    def url(self, database: str) -> str:
        """Where tests reach a database of it."""
        return make_url(self.server.url).set(database=database).render_as_string(hide_password=False)

    async def clone(self, template: str) -> str:
        """Return the name of a new database that is like another one, of which nobody is connected to."""
        name = f"test_{uuid4().hex}"
        async with await psycopg.AsyncConnection.connect(self.server.dsn, autocommit=True) as connection:
            made = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template))
            await connection.execute(made)
        return name

    async def drop(self, database: str) -> None:
        """Drop a database, whoever is connected to it: a pooler keeps connections that nobody uses."""
        async with await psycopg.AsyncConnection.connect(self.server.dsn, autocommit=True) as connection:
            await connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(database)))

    async def cut(self, database: str) -> None:
        """End every connection to a database."""
        async with await psycopg.AsyncConnection.connect(self.server.dsn, autocommit=True) as connection:
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [database]
            )

    async def open(self) -> None:
        """Let everybody in who reaches the socket."""
        (self.sockets / "pg_hba.conf").write_text(TRUSTING)
        async with await psycopg.AsyncConnection.connect(self.server.dsn, autocommit=True) as connection:
            await connection.execute("SELECT pg_reload_conf()")


@asynccontextmanager
async def reachable_postgres() -> AsyncGenerator[ReachablePostgres]:
    """Run one while the block runs; its socket can be reached from below a directory that all may pass through."""
    place = Path(tempfile.mkdtemp(prefix="pay-"))
    place.chmod(0o755)  # noqa: ASYNC240 - a test's own
    directory = place / "primary"
    try:
        async with EmbeddedPostgres(directory, durable=False) as server:
            directory.chmod(0o711)
            postgres = ReachablePostgres(server, directory, place=place)
            await postgres.open()
            yield postgres
    finally:
        shutil.rmtree(place)


def given_to(account: Account | None, *paths: Path) -> None:
    """Make the account the owner of these paths and of all below them."""
    if account is None:
        return
    for path in paths:
        for each in (path, *path.rglob("*")):
            os.chown(each, account.user_id, account.group_id, follow_symlinks=False)
