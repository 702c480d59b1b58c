"""How the server does what a store says to it: statements as they were executed, and their plans.

A statement is prepared and run as a connection of the service comes to run it: some times planned for its values, and
then by the plan that the server settles on, which may be one for any values. Both plans are judged.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import psycopg
from psycopg import sql
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.integration.hearing import heard

PLANNED_FOR_VALUES: Final = 5
"""How many times the server plans a prepared statement for its values before it weighs a plan for any."""
PARAMETER: Final = re.compile(r"%\((\w+)\)s|%%")
SETTINGS: Final = "SET LOCAL statement_timeout = '60s'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A statement that was executed, with the first of its sets of parameters."""

    statement: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A step of a plan that reads a table or sorts, with how many rows it looked at or sorted (estimated: unless run).

    `table` is empty for a sort.
    """

    kind: str
    table: str
    rows: int
    filtered: int


@contextmanager
def hearing(engine: AsyncEngine, said: list[Said]) -> Generator[None]:
    """Note what is executed in the block."""

    with heard(engine, lambda statement, parameters: said.append(Said(statement=statement, parameters=parameters))):
        yield


def plans(connection: psycopg.Connection, said: Said) -> Sequence[Mapping[str, Any]]:
    """Return the plan for the values and the plan that is settled on, as run; nothing of it stays.

    What cannot be run again, an insertion, is planned only.
    """
    names: list[str] = []

    def place(found: re.Match[str]) -> str:
        if found[1] is None:
            return "%"
        if found[1] not in names:
            names.append(found[1])
        return f"${names.index(found[1]) + 1}"

    prepared = PARAMETER.sub(place, said.statement)
    values = sql.SQL(", ").join(sql.Literal(said.parameters[name]) for name in names)
    execute = sql.SQL("EXECUTE said ({})").format(values) if names else sql.SQL("EXECUTE said")
    with connection.transaction(force_rollback=True):
        connection.execute(SETTINGS)
        connection.execute(f"PREPARE said AS {prepared}".encode())
        first = _explained(connection, execute)
        for _ in range(PLANNED_FOR_VALUES):
            connection.execute(sql.SQL("EXPLAIN ") + execute)
        settled = _explained(connection, execute)
        connection.execute("DEALLOCATE said")
    return [first, settled]


def _explained(connection: psycopg.Connection, execute: sql.Composable) -> Mapping[str, Any]:
    for options in ("ANALYZE, TIMING OFF, FORMAT JSON", "FORMAT JSON"):
        try:
            with connection.transaction(force_rollback=True):
                row = connection.execute(sql.SQL(f"EXPLAIN ({options}) ") + execute).fetchone()
                assert row is not None
                plan: Mapping[str, Any] = row[0][0]["Plan"]
                return plan
        except psycopg.errors.IntegrityError:
            continue
    raise AssertionError("a plan alone breaks no constraint")


def nodes(plan: Mapping[str, Any]) -> Iterator[Node]:
    """Return the steps that read tables, and those that sort."""
    loops = plan.get("Actual Loops", 1)
    passed = plan.get("Actual Rows", plan["Plan Rows"]) * loops
    filtered = (plan.get("Rows Removed by Filter", 0) + plan.get("Rows Removed by Index Recheck", 0)) * loops
    kind = plan["Node Type"]
    if "Relation Name" in plan and kind != "ModifyTable":
        yield Node(kind=kind, table=plan["Relation Name"], rows=round(passed + filtered), filtered=round(filtered))
    elif "Sort" in kind:
        yield Node(kind=kind, table="", rows=round(passed), filtered=0)
    for part in plan.get("Plans", ()):
        yield from nodes(part)


def pages(plan: Mapping[str, Any]) -> int:
    """Return how many pages were looked at."""
    return int(plan.get("Shared Hit Blocks", 0) + plan.get("Shared Read Blocks", 0))
