"""The floor: what pgbench commits of the same rows, one transaction for each payment, on the same server.

Its script writes the rows of one real payment again and again, into the same tables: as many bytes, other ids. What is
the same in all of them is part of the prepared statements, so that pgbench sends less than any service must.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psycopg.conninfo

from adapters.embedded.binaries import postgres_binaries
from tests.benchmark.loading import output
from tests.benchmark.store import ACCEPTED, SCHEMA, Literals, Store
from tests.benchmark.world import World

THREADS: Final = 2
ROUND: Final = 1_000_000_000
"""Ids of one round begin here times its number."""

# Time-ordered as ours are: in the order of the payments of all clients, nearly.
_BODY: Final = "lpad((:n)::text, 20, '0') || lpad((:client_id)::text, 6, '0')"
_TRANSACTION: Final = f"'txn_' || {_BODY}"
# What differs from payment to payment; everything else is the sample's.
OWN: Final[Mapping[str, Literals]] = {
    "idempotency_records": {"merchant_id": ":merchant", "key": f"'key-' || {_BODY}", "resource": _TRANSACTION},
    "transactions": {"merchant_id": ":merchant", "id": _TRANSACTION},
    "events": {
        "merchant_id": ":merchant",
        "id": f"'evt_' || {_BODY}",
        "transaction_id": _TRANSACTION,
        "position": ":position",
    },
    "jobs": {"merchant_id": ":merchant", "id": f"'job_' || {_BODY}", "subject": _TRANSACTION},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """What pgbench did."""

    rate: float
    latency_seconds: float


def write_script(world: World) -> Path:
    """Write the script with the rows of the sample; return its path. Each client has a merchant of its own."""
    ids = ", ".join(f"'{merchant.id}'" for merchant in world.merchants)
    lines = [
        r"\set n :n + 1",
        "BEGIN;",
        f"UPDATE {SCHEMA}.merchant_revisions SET revision = revision + 1, events = events + 1"
        f" WHERE merchant_id = (ARRAY[{ids}])[1 + (:client_id)::int % {len(world.merchants)}]"
        r" RETURNING merchant_id AS merchant, events AS position \gset",
        *(insert_of(table, _row(world, table)) for table in ACCEPTED),
        "COMMIT;",
    ]
    path = world.folder / "floor.sql"
    path.write_text("\n".join(lines) + "\n")
    return path


async def run_floor(store: Store, script: Path, *, connections: int, seconds: float, number: int) -> Floor:
    """Run the script so long with so many clients; return what was committed.

    `number` is the round's: no two rounds on one store may have the same.
    """
    binaries, _ = postgres_binaries(None)
    place = psycopg.conninfo.conninfo_to_dict(store.dsn)
    printed = await output(
        (
            str(binaries / "pgbench"),
            *(
                "--host",
                str(place["host"]),
                "--port",
                str(place["port"]),
                "--username",
                str(place["user"]),
                "--no-vacuum",
            ),
            *("--protocol", "prepared", "--client", str(connections), "--jobs", str(THREADS)),
            *("--time", str(max(1, int(seconds))), "--define", f"n={number * ROUND}"),
            *("--file", str(script), store.name),
        )
    )
    return read_floor(printed)


def read_floor(printed: str) -> Floor:
    """Read what pgbench printed; raise ValueError where it failed, or said something else."""
    rate = re.search(r"^tps = ([0-9.]+) ", printed, re.MULTILINE)
    latency = re.search(r"^latency average = ([0-9.]+) ms", printed, re.MULTILINE)
    failed = re.search(r"^number of failed transactions: ([1-9][0-9]*)", printed, re.MULTILINE)
    if rate is None or latency is None or failed is not None:
        raise ValueError(f"pgbench has not said what it committed: {printed[-500:]}")
    return Floor(rate=float(rate[1]), latency_seconds=float(latency[1]) / 1000)


def _row(world: World, table: str) -> Literals:
    return {**{column: hidden(literal) for column, literal in world.accepted[table].items()}, **OWN[table]}


def insert_of(table: str, values: Literals) -> str:
    """Return an insert of one row."""
    return f"INSERT INTO {SCHEMA}.{table} ({', '.join(values)}) VALUES ({', '.join(values.values())});"


def hidden(literal: str) -> str:
    """Return a literal in which pgbench takes nothing for a variable of its own, which it would in a string too."""
    if not re.search(":[A-Za-z_]", literal):
        return literal
    escaped = re.sub(r":(?=[A-Za-z_])", r"\\x3A", literal)
    return escaped if escaped.startswith("E'") else f"E{escaped}"
