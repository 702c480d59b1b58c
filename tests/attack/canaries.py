"""Texts that must not turn up where they don't belong, and the search for them in whatever form."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import Final
from urllib.parse import quote, quote_plus

import psycopg
from psycopg import sql
from redis import Redis
from redis.connection import Connection
from redis.exceptions import RedisError

BASE64_UNIT_BYTES: Final = 3


class Canaries:
    """Secrets by name, each searched for as it is, in hexadecimal digits, in base 64 and percent-encoded."""

    def __init__(self) -> None:
        self._forms: Final[dict[str, set[bytes]]] = {}
        self.texts: Final[dict[str, str]] = {}

    def add(self, name: str, text: str) -> str:
        """Search for this text too from now on; return it."""
        assert len(text) >= 12, f"{name} is too short to be told from what is there by chance"
        self.texts[name] = text
        self._forms[name] = set(_forms_of(text))
        return text

    def found_in(self, where: bytes, *, allowed: frozenset[str] = frozenset()) -> set[str]:
        """Return the names of those that are in it."""
        folded = where.lower()
        return {
            name for name, forms in self._forms.items() if name not in allowed and any(form in folded for form in forms)
        }


def _forms_of(text: str) -> Iterator[bytes]:
    plain = text.encode()
    for form in (plain, plain.hex().encode(), quote(text).encode(), quote_plus(text, safe="").encode()):
        yield form.lower()
    yield json.dumps(text)[1:-1].encode().lower()
    # In the middle of something longer its characters depend on where it begins: all three ways, without the ends.
    for before in range(BASE64_UNIT_BYTES):
        encoded = base64.b64encode(b"\0" * before + plain)
        middle = encoded[4 if before else 0 : -4]
        yield middle.lower()
        yield middle.translate(bytes.maketrans(b"+/", b"-_")).lower()


def dump_of(database_url: str) -> bytes:
    """Return all rows of all tables as text; bytes are in hexadecimal digits."""
    tables = "SELECT schemaname, tablename FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
    out = bytearray()
    with psycopg.connect(database_url.replace("+psycopg", "")) as connection:
        for schema, table in connection.execute(tables).fetchall():
            statement = sql.SQL("COPY {} TO STDOUT").format(sql.Identifier(schema, table))
            with connection.cursor().copy(statement) as rows:
                for row in rows:
                    out += row
    return bytes(out)


def keys_of(client: Redis) -> bytes:
    """Return all that a Redis holds now: keys, and values of strings."""
    out = bytearray()
    for key in client.scan_iter():
        out += key + b" " + (client.get(key) or b"" if client.type(key) == b"string" else b"") + b"\n"
    return bytes(out)


@contextmanager
def monitoring(redis_url: str) -> Generator[bytearray, None, None]:
    """Give what is said to a Redis while the block runs, published messages included."""
    heard = bytearray()
    with Redis.from_url(redis_url) as client:
        connection: Connection = client.connection_pool.get_connection()
        connection.send_command("MONITOR")  # type: ignore[no-untyped-call]
        assert connection.read_response() == b"OK"

        def listen() -> None:
            try:
                while True:
                    heard.extend(connection.read_response() + b"\n")
            except (OSError, RedisError):
                return  # it was ended

        thread = threading.Thread(target=listen)
        thread.start()
        try:
            yield heard
        finally:
            client.client_kill_filter(_id=str(_id_of_monitor(client)), skipme=True)
            thread.join()


def _id_of_monitor(client: Redis) -> int:
    monitors: list[Mapping[str, str]] = [one for one in client.client_list() if "O" in one["flags"]]
    return int(monitors[0]["id"])
