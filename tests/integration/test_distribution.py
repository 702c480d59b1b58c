"""The tables could be distributed over servers by merchant: every key begins with one, every statement names one.

`docs/scaling.md` says what that is for. What a merchant's request causes is taken down while one makes every call of
the API; so is what a worker does for it. The exceptions stand here with their reasons, and nothing else passes.
"""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import httpx
import psycopg
import pytest
from sqlalchemy import Index, Table, UniqueConstraint

from adapters.postgres import PostgresStore, create_engine
from adapters.postgres.tables import OF_STAFF, metadata
from adapters.security.vault import AeadVault
from entrypoints.http.app import OPERATIONS
from entrypoints.http.operations import Operation
from payments_core.testing.builders import NOW
from payments_core.testing.subject import open_shop
from tests.unit.http_shop import PASSWORD, Api, Shop, open_api

VAULT: Final = AeadVault([b"k" * 32], entropy=os.urandom)
TABLES: Final = [table for table in metadata.sorted_tables if table.schema and table.name not in OF_STAFF]
"""All but the few rows of staff's, which are no merchant's: they would stay whole, on one server."""

UNIQUE_OVER_ALL: Final[Mapping[str, str]] = {
    "uq_merchants_email": "who logs in or registers names an address and nobody's id",
    "uq_api_keys_digest": "who calls shows a key and nobody's id",
    "uq_refresh_tokens_digest": "who comes for the next pair shows a token and nobody's id",
}
"""Unique constraints without a merchant: each needs a reference table of its own on several servers."""

BY_A_CREDENTIAL: Final[Mapping[str, str]] = {
    "payments.merchants.email = ": "the account is found by its address",
    "payments.api_keys.digest = ": "the caller is found by the digest of its key",
    "payments.refresh_tokens.digest = ": "the session is found by the digest of its token",
}
"""Conditions that stand in the place of a merchant, and why."""

BY_WHAT_IS_DUE: Final[Mapping[str, str]] = {
    "UPDATE payments.jobs SET lease_token=(payments.jobs.lease_token + ": "jobs are claimed by when they are due",
    "UPDATE payments.deliveries SET lease_token=(payments.deliveries.lease_token + ": "and so are deliveries",
}
"""Words of the statements by which workers find work of all merchants."""

USED: Final = re.compile(r"(?:FROM|JOIN|UPDATE|USING|,) payments\.(\w+)\b(?!\.)(?: AS (\w+))?")
INSERTED: Final = re.compile(r"INSERT INTO payments\.(\w+) \(([^)]*)\)")
ANCHOR: Final = re.compile(
    r"payments\.merchants\.id = %\(|merchant_id = (?:ANY \()?%\(|IN \(\(%\("
    r"|unnest\(%\(\w*(?:merchant_id|of_merchants_id)\)"
    # `rows` are made of a parameter: see `statements.given_rows`.
    r"|merchant_id = rows\.merchant_id|payments\.merchants\.id = rows\.id"
)
"""Where a statement takes its merchants from."""


# ── tables


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_every_primary_key_begins_with_the_merchant(table: Table) -> None:
    first = next(iter(table.primary_key))
    assert first.name == ("id" if table.name == "merchants" else "merchant_id")


def test_what_is_unique_without_a_merchant_is_on_the_list() -> None:
    unique: list[UniqueConstraint | Index] = []
    for table in TABLES:
        unique += [one for one in table.constraints if isinstance(one, UniqueConstraint)]
        unique += [index for index in table.indexes if index.unique]
    assert {str(one.name) for one in unique if "merchant_id" not in one.columns} == set(UNIQUE_OVER_ALL)


def test_no_merchants_table_names_one_of_staffs_or_is_named_by_one() -> None:
    for table in metadata.sorted_tables:
        named = {key.referred_table.name for key in table.foreign_key_constraints}
        assert not named or (named <= OF_STAFF) is (table.name in OF_STAFF)


def test_every_foreign_key_stays_within_a_merchant() -> None:
    for table in TABLES:
        for key in table.foreign_key_constraints:
            column, referred = key.column_keys[0], key.elements[0].column.name
            assert (column, referred) in {("merchant_id", "merchant_id"), ("merchant_id", "id")}, key


# ── statements


@dataclass(slots=True)
class TakenDown:
    """The statements of requests, those of the worker between them, and which calls were made."""

    of_requests: dict[str, None] = field(default_factory=dict)
    of_worker: dict[str, None] = field(default_factory=dict)
    calls: set[str] = field(default_factory=set)
    within_request: bool = False

    async def begin(self, _request: httpx.Request) -> None:
        self.within_request = True

    async def end(self, answer: httpx.Response) -> None:
        self.within_request = False
        assert answer.is_success, (answer.request.url, answer.status_code)
        self.calls.add(name_of(answer.request))

    def note(self, statement: object) -> None:
        text = statement.decode() if isinstance(statement, bytes) else str(statement)
        found = self.of_requests if self.within_request else self.of_worker
        found[" ".join(text.split())] = None


@pytest.fixture
async def taken_down(database_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[TakenDown]:
    engine, taken_down = create_engine(database_url), TakenDown()
    # At the driver, as not all that is executed there comes by way of SQLAlchemy.
    for name in ("execute", "executemany"):
        monkeypatch.setattr(psycopg.AsyncCursor, name, _noting(getattr(psycopg.AsyncCursor, name), taken_down))
    store = PostgresStore(engine, vault=VAULT)
    async with open_api(store=store) as api:  # type: ignore[arg-type]  # the application over Postgres, for once
        api.client.event_hooks = {"request": [taken_down.begin], "response": [taken_down.end]}
        await make_every_call(api)
        taken_down.within_request = True
        await look_at_everything_at_a_glance(store)
        yield taken_down
    await engine.dispose()


def _noting(method: Callable[..., Awaitable[object]], taken_down: TakenDown) -> Callable[..., Awaitable[object]]:
    async def note(cursor: object, statement: object, *rest: object, **more: object) -> object:
        taken_down.note(statement)
        return await method(cursor, statement, *rest, **more)

    return note


async def test_every_statement_that_a_merchant_causes_names_the_merchant(taken_down: TakenDown) -> None:
    assert taken_down.calls == {operation.name for operation in OPERATIONS}
    assert len(taken_down.of_requests) > len(OPERATIONS)
    assert exceptions_among(taken_down.of_requests) == set(BY_A_CREDENTIAL)


async def test_no_statement_that_a_merchant_or_a_worker_causes_is_about_staff(taken_down: TakenDown) -> None:
    said = " ".join([*taken_down.of_requests, *taken_down.of_worker])
    assert [name for name in OF_STAFF if name in said] == []


async def test_every_statement_that_a_worker_causes_names_a_merchant_but_for_those_that_find_work(
    taken_down: TakenDown,
) -> None:
    assert exceptions_among(taken_down.of_worker) == set(BY_WHAT_IS_DUE)


def exceptions_among(statements: Iterable[str]) -> set[str]:
    """Return the signs of those that name no merchant, and whole those that have no sign."""
    signs = (*BY_A_CREDENTIAL, *BY_WHAT_IS_DUE)
    without = [statement for statement in statements if tables_without_a_merchant(statement)]
    return {next((sign for sign in signs if sign in statement), statement) for statement in without}


@pytest.mark.parametrize(
    ("statement", "without"),
    [
        ("SELECT 1", []),
        ("SELECT payments.jobs.id FROM payments.jobs WHERE payments.jobs.merchant_id = %(m)s", []),
        ("SELECT payments.jobs.id FROM payments.jobs WHERE payments.jobs.id = %(m)s", ["jobs"]),
        ("SELECT j.id FROM payments.jobs AS j WHERE j.merchant_id = %(m)s", []),
        ("SELECT j.id FROM payments.jobs AS j WHERE j.id = %(m)s AND payments.jobs.merchant_id = %(m)s", ["jobs"]),
        ("UPDATE payments.jobs SET id = 1 WHERE (payments.jobs.merchant_id, payments.jobs.id) IN ((%(a)s, %(b)s))", []),
        (
            "UPDATE payments.jobs SET id = 1 FROM (SELECT id FROM payments.jobs) AS own"
            " WHERE payments.jobs.merchant_id = own.merchant_id",
            ["jobs"],
        ),
        (
            "SELECT * FROM payments.events JOIN payments.jobs"
            " ON payments.jobs.merchant_id = payments.events.merchant_id WHERE payments.events.id = %(id)s",
            ["anchor"],
        ),
        (
            "DELETE FROM payments.jobs USING unnest(%(merchant_id)s, %(id)s) AS own(merchant_id, id)"
            " WHERE payments.jobs.merchant_id = own.merchant_id",
            [],
        ),
        (
            "SELECT * FROM json_to_recordset(CAST(%(rows)s AS JSON)) AS rows(merchant_id TEXT)"
            " JOIN payments.jobs ON payments.jobs.merchant_id = rows.merchant_id",
            [],
        ),
        ("INSERT INTO payments.jobs (merchant_id, id) VALUES (%(m)s, %(id)s)", []),
        ("INSERT INTO payments.jobs (id) VALUES (%(id)s)", ["jobs"]),
        ("SELECT * FROM payments.merchants WHERE payments.merchants.email = %(e)s", ["merchants"]),
        ("SELECT * FROM payments.merchants WHERE payments.merchants.id = %(m)s", []),
    ],
)
def test_a_statement_without_a_merchant_is_known_by_its_words(statement: str, without: Sequence[str]) -> None:
    assert tables_without_a_merchant(statement) == without


def tables_without_a_merchant(statement: str) -> list[str]:
    """Return the tables of which some SELECT, or the statement itself, does not say whose rows it means.

    A merchant is a parameter, a column of a parameter's array, or that of another table; where it is always the last,
    that is `anchor`.
    """
    missing: list[str] = []
    used = False
    for scope in _scopes(statement):
        for table, alias in USED.findall(scope):
            used = True
            if not _is_said(scope, table, alias or f"payments.{table}"):
                missing.append(table)
    inserted = INSERTED.findall(statement)
    missing += [table for table, columns in inserted if table != "merchants" and "merchant_id" not in columns]
    return ["anchor"] if used and not missing and ANCHOR.search(statement) is None else missing


def _is_said(scope: str, table: str, name: str) -> bool:
    column = re.escape(f"{name}.{'id' if table == 'merchants' else 'merchant_id'}")
    return re.search(rf"(?<![\w.]){column} = |= {column}(?!\w)|\({column}, [^()]*\) IN ", scope) is not None


def _scopes(statement: str) -> list[str]:
    """Return each SELECT of a statement without those within it, and what is left of the statement."""
    open_scopes, closed = [""], list[str]()
    selects: list[bool] = []
    for piece in re.split(r"(\((?:SELECT )?|\))", statement):
        if piece == ")" and selects.pop():
            closed.append(open_scopes.pop())
            open_scopes[-1] += "()"
        elif piece == "(SELECT ":
            selects.append(True)
            open_scopes.append(piece.removeprefix("("))
        else:
            selects += [False] * (piece == "(")
            open_scopes[-1] += piece
    return [each for scope in (*closed, *open_scopes) for each in scope.split(" UNION ALL ")]


def name_of(request: httpx.Request) -> str:
    """Return the name of the operation that a request was for."""
    return next(operation.name for operation in OPERATIONS if _is_of(request, operation))


def _is_of(request: httpx.Request, operation: Operation) -> bool:
    template = re.sub(r"\\{\w+\\}", "[^/]+", re.escape(operation.path.rstrip("/")))
    path = request.url.path.rstrip("/")
    return request.method == operation.method and re.fullmatch(template, path) is not None


async def look_at_everything_at_a_glance(store: PostgresStore) -> None:
    """Read what a merchant sees in the console and no call of the API gives."""
    shop = await open_shop(store)
    async with store.view(shop.merchant.id, False) as view:
        await view.totals(NOW.date(), NOW.date())
        await view.waiting(at=NOW)
        await view.endpoints_health(at=NOW)


async def make_every_call(api: Api) -> None:
    """Make each call of the API with success."""
    shop = await api.open_shop()
    endpoint = (await shop.add_webhook())["id"]
    paid = await shop.paid(key="first", reference="order-1", customer_reference="customer-1")
    refund = (await shop.post("/api/refunds/", {"transaction": paid["id"], "amount": "1.00"})).json()["id"]
    await api.work()
    await make_calls_of_payments(shop, paid["id"], refund)
    await make_calls_of_webhooks(shop, endpoint)
    await make_calls_of_accounts(shop)


async def make_calls_of_payments(shop: Shop, paid: str, refund: str) -> None:
    await shop.post(f"/api/transactions/{(await shop.pay())['id']}/cancel/")
    event = (await shop.get("/api/events/")).json()["results"][0]["id"]
    for path in (
        f"/api/transactions/{paid}/",
        f"/api/transactions/{paid}/events/",
        "/api/transactions/",
        "/api/transactions/?limit=1",
        "/api/transactions/?status=succeeded&currency=USD&min_amount=1.00",
        "/api/transactions/?reference=order-1",
        "/api/transactions/?customer_reference=customer-1",
        f"/api/transactions/?payment_key={shop.payment_key_id}",
        "/api/transactions/?created_after=2026-01-01T00:00:00Z&created_before=2027-01-01T00:00:00Z",
        f"/api/refunds/{refund}/",
        "/api/refunds/",
        f"/api/refunds/?transaction={paid}",
        f"/api/events/{event}/",
        "/api/events/?type=transaction.created",
        f"/api/events/?transaction={paid}",
        "/api/events/?created_after=2026-01-01T00:00:00Z&created_before=2027-01-01T00:00:00Z",
        "/api/idempotency_keys/first/",
        "/api/audit/?action=refund.made&created_after=2026-01-01T00:00:00Z",
        "/api/payments/payment_key/",
    ):
        await shop.get(path)
    await shop.pay(key="first", reference="order-1", customer_reference="customer-1")
    key = (await shop.post("/api/payments/payment_key/")).json()["id"]
    await shop.get(f"/api/payments/payment_key/{key}/")
    await shop.delete(f"/api/payments/payment_key/{key}/")


async def make_calls_of_webhooks(shop: Shop, endpoint: str) -> None:
    place = f"/api/webhooks/{endpoint}"
    deliveries = (await shop.get(f"{place}/deliveries/")).json()["results"]
    await shop.get(f"{place}/deliveries/?status=delivered&event_type=transaction.created")
    await shop.post(f"{place}/deliveries/{deliveries[-1]['id']}/retry/")
    for body in ({"since": "2026-02-20T00:00:00Z", "only_failed": True}, {"since": "2026-02-20T00:00:00Z"}):
        await shop.post(f"{place}/replay/", body)
    await shop.post(f"{place}/test/")
    await shop.post(f"{place}/rotate_secret/")
    await shop.get(f"{place}/")
    await shop.get("/api/webhooks/")
    await shop.patch(f"{place}/", {"enabled": False})
    await shop.delete(f"{place}/")


async def make_calls_of_accounts(shop: Shop) -> None:
    login = {"email": shop.email, "password": PASSWORD}
    await shop.get("/api/auth/me/")
    key = (await shop.post("/api/auth/api_keys/", {"name": "another"})).json()["id"]
    await shop.get("/api/auth/api_keys/")
    await shop.get(f"/api/auth/api_keys/{key}/")
    rotated = (await shop.post(f"/api/auth/api_keys/{key}/rotate/")).json()["id"]
    await shop.delete(f"/api/auth/api_keys/{rotated}/")
    client = shop.api.client
    session = (await client.post("/api/auth/login/", json=login)).json()["api_key"]
    await client.post("/api/auth/logout/", headers={"authorization": f"Token {session}"})
    pair = (await client.post("/api/auth/token/", json=login)).json()
    pair = (await client.post("/api/auth/token/refresh/", json={"refresh": pair["refresh"]})).json()
    await client.get("/api/auth/me/", headers={"authorization": f"Bearer {pair['access']}"})
    await shop.post("/api/auth/password/", {"password": PASSWORD, "new_password": f"{PASSWORD} again"})
