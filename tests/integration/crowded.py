"""A store that has grown: a merchant with a million transactions and all that follows them, and others beside it.

The rows are made by the server. Their ids are such as the core makes: the same first characters, then a number, so
that a kind's ids lie some days apart.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

import psycopg

from payments_core.ids import (
    ApiKeyId,
    AttemptId,
    DeliveryId,
    EndpointId,
    EventId,
    JobId,
    MerchantId,
    PaymentKeyId,
    RefundId,
    SessionId,
    StaffId,
    StaffSessionId,
    TransactionId,
    lowest_id,
)
from payments_core.testing.builders import NOW

TRANSACTIONS: Final = 1_000_000
OTHERS: Final = 300
"""Merchants beside the big one, with a few transactions each."""
DIGITS: Final = 7
SAME: Final = lowest_id("txn", NOW)[4:7]
ZEROS: Final = "0" * (26 - len(SAME) - DIGITS)
ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

HELD_JOBS: Final = 40_000
"""By ten workers with as many as they take, longer due than those that nobody holds."""
HELD_DELIVERIES: Final = 1_000
"""By ten workers with as many as they take of one merchant: a hundred of each of ten endpoints, longer due."""

CUSTOMER: Final = "often"
"""The customer of every second transaction, all through the first of the two payment keys that are used."""


def an_id(prefix: str, number: int) -> str:
    """Return the id of the thing with this number."""
    return f"{prefix}_{SAME}{number:0{DIGITS}}{ZEROS}"


def time_of(id: str) -> datetime:
    """Return the time in an id."""
    number = 0
    for character in id[4:]:
        number = number * 32 + ALPHABET.index(character)
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=number >> 74)


BIG: Final = MerchantId(an_id("mer", 0))
OTHER: Final = MerchantId(an_id("mer", 1))
KEYS: Final = (PaymentKeyId(an_id("key", 0)), PaymentKeyId(an_id("key", 1)))
REFUNDED: Final = TransactionId(an_id("txn", 0))
"""Has as many refunds as a transaction can have."""
TRANSACTION: Final = TransactionId(an_id("txn", 100_000))
REFUND: Final = RefundId(an_id("rfn", 5_000))
ATTEMPT: Final = AttemptId(an_id("att", 100_000))
EVENT: Final = EventId(an_id("evt", 200_000))
JOB: Final = JobId(an_id("job", 1))
ENDPOINT: Final = EndpointId(an_id("whk", 0))
"""Most deliveries of it are done."""
FULL: Final = EndpointId(an_id("whk", 1))
"""All deliveries of it wait."""
DELIVERY: Final = DeliveryId(an_id("dlv", 100_000))
API_KEY: Final = ApiKeyId(an_id("apk", 0))
SESSION: Final = SessionId(an_id("ses", 0))
RECORD: Final = "key-399999"
MEMBER: Final = StaffId(an_id("stf", 0))
STAFF_SESSION: Final = StaffSessionId(an_id("sss", 0))

_SEED: Final = (
    "merchants SELECT {mer}, 'm' || n || '@example.com', 'Shop', 'hash', {now}, NULL, 1"
    " FROM generate_series(0, {others}) n",
    "merchant_revisions SELECT {mer}, 1, CASE n WHEN 0 THEN {many} ELSE 0 END FROM generate_series(0, {others}) n",
    "payment_keys SELECT {big}, false, {key}, 'pk_' || n, n < 2, {now}, 1 FROM generate_series(0, 20000) n",
    "api_keys SELECT {big}, {apk}, false, CASE n WHEN 0 THEN 'server' ELSE 'session' END, NULL, '{{}}', 'digest' || n,"
    " 'sk_test_', 'last', {now}, CASE WHEN n > 0 THEN {now} - interval '1 day' END, NULL, NULL, 1"
    " FROM generate_series(0, 20000) n",
    "sessions SELECT {mer_in_turn}, {ses}, false, {now}, "
    " {now} + CASE n % 301 WHEN 0 THEN 1 ELSE -1 END * interval '1 day', NULL, 1"
    " FROM generate_series(0, 20000) n",
    "refresh_tokens SELECT {mer_in_turn}, 'digest' || token, {ses}, {now}, {now}, NULL, 1"
    " FROM (SELECT token, token % 20001 AS n FROM generate_series(0, 40000) token)",
    "transactions SELECT CASE WHEN n % 50 = 7 THEN {mer_of_others} ELSE {big} END, false, {txn},"
    " {prefix_key} || n % 2 || {zeros}, n % 1000 + 1, CASE n % 90001 WHEN 0 THEN 'EUR' ELSE 'USD' END,"
    " CASE n % 1001 WHEN 0 THEN 'failed' ELSE 'succeeded' END, NULL, {now}, {now}, {now}, 'sandbox', NULL, NULL, NULL,"
    " 'ref-' || n, CASE n % 2 WHEN 0 THEN '{customer}' END, '{{}}', NULL, NULL, NULL, NULL, 0, 0, 0, 2, 3"
    " FROM generate_series(0, {many}) n",
    "refunds SELECT {big}, false, {rfn}, {prefix_txn} || lpad((CASE WHEN n < 100 THEN 0 ELSE n * 5 END)::text, 7, '0')"
    " || {zeros}, 1, 'USD', 'succeeded', NULL, {now}, {now}, NULL, '{{}}', NULL, NULL, NULL, NULL, NULL, 1"
    " FROM generate_series(0, 100000) n",
    "attempts (merchant_id, id, livemode, kind, transaction_id, amount_minor, currency, gateway, prepared_at,"
    " called_at, state, lookups, updated_at, version)"
    " SELECT {big}, {att}, false, 'charge', {txn}, 1, 'USD', 'sandbox', {now}, {now},"
    " CASE n % 9001 WHEN 0 THEN 'needs_review' ELSE 'approved' END, 0, {now}, 2"
    " FROM generate_series(0, 300000) n",
    "endpoints SELECT {big}, false, {whk}, 'https://example.com', '{{*}}', NULL, n < 20, '', NULL, {now}, NULL,"
    " CASE WHEN n >= 20 THEN {now} END, 1, {now} FROM generate_series(0, 20000) n",
    "events SELECT {big}, {evt}, false, CASE n % 2 WHEN 0 THEN 'transaction.created' ELSE 'transaction.succeeded' END,"
    " {prefix_txn} || lpad((n / 2)::text, 7, '0') || {zeros}, n % 2 + 1, {now}, '{{}}', NULL, NULL, n + 1"
    " FROM generate_series(0, 400000) n",
    "daily_totals SELECT {mer}, false, DATE '2025-01-01' + day, currency, 1, 1, 1, 0, 0, 0, 0"
    " FROM generate_series(0, 40) n, generate_series(0, 799) day, (VALUES ('EUR'), ('USD')) c(currency)",
    "deliveries SELECT {big}, {prefix_whk} || '000000' || (n / 200000) || {zeros}, {dlv}, false, {evt},"
    " 'transaction.created',"
    " CASE WHEN n >= 200000 THEN 'pending' WHEN n % 1001 = 0 THEN 'exhausted' ELSE 'delivered' END,"
    " {now}, {now}, CASE WHEN n >= 200000 THEN {now} END, 0, '[]', 0, NULL, 1 FROM generate_series(0, 230000) n",
    "deliveries SELECT {big}, {prefix_whk} || '000000' || held % 10 || {zeros}, {dlv}, false, {evt},"
    " 'transaction.created', 'pending', {now}, {now}, {now} - interval '1 minute', 0, '[]', 1,"
    " {now} + interval '30 seconds', 2"
    " FROM (SELECT held, 300000 + held AS n FROM generate_series(1, {held_deliveries}) held)",
    "jobs SELECT {big}, {job}, false, 'charge', {txn}, {now}, {now}, 0, NULL,"
    " CASE n % 9001 WHEN 0 THEN {now} END, 0, NULL, NULL FROM generate_series(0, 100000) n",
    "jobs SELECT {big}, {job}, false, 'charge', {txn}, {now} - interval '1 minute', {now}, 0, NULL, NULL, 1,"
    " {now} + interval '30 seconds', NULL"
    " FROM (SELECT 200000 + held AS n FROM generate_series(1, {held_jobs}) held)",
    "idempotency_records SELECT {big}, false, 'key-' || n, 'POST /', 201, '', '{{}}', '', NULL, {now},"
    " {now} + (n - 100000) * interval '1 second' FROM generate_series(0, 400000) n",
    "audit_entries (merchant_id, id, livemode, at, action, actor_kind, actor_id, address, request_id, subject, detail)"
    " SELECT CASE n % 50 WHEN 7 THEN {mer_of_others} WHEN 8 THEN '' ELSE {big} END, {aud},"
    " CASE n % 3 WHEN 0 THEN false WHEN 1 THEN true END, {now},"
    " CASE n % 90001 WHEN 0 THEN 'password.reset' ELSE 'login.failed' END, 'nobody', NULL, '192.0.2.7', NULL, {txn},"
    " '{{}}' FROM generate_series(0, 300000) n",
    "staff_members SELECT {stf}, 's' || n || '@example.com', 'Ada', 'hash', {now}, NULL, 1"
    " FROM generate_series(0, 300) n",
    "staff_sessions SELECT {sss}, {prefix_stf} || lpad((n % 301)::text, 7, '0') || {zeros}, {now},"
    " {now} + CASE n % 301 WHEN 0 THEN 1 ELSE -1 END * interval '1 day', NULL, 1 FROM generate_series(0, 20000) n",
)


def _texts() -> dict[str, str]:
    """Return what stands for the names in braces."""
    kinds = ("mer", "key", "apk", "ses", "txn", "rfn", "att", "whk", "evt", "dlv", "job", "aud", "stf", "sss")
    number = f"lpad(n::text, {DIGITS}, '0') || '{ZEROS}'"
    return {
        "now": f"'{NOW.isoformat()}'::timestamptz",
        "many": str(TRANSACTIONS),
        "others": str(OTHERS),
        "held_jobs": str(HELD_JOBS),
        "held_deliveries": str(HELD_DELIVERIES),
        "big": f"'{BIG}'",
        "zeros": f"'{ZEROS}'",
        "customer": CUSTOMER,
        "mer_in_turn": f"'mer_{SAME}' || lpad((n % {OTHERS})::text, {DIGITS}, '0') || '{ZEROS}'",
        "mer_of_others": f"'mer_{SAME}' || lpad((1 + n / 50 % {OTHERS})::text, {DIGITS}, '0') || '{ZEROS}'",
        "prefix_key": f"'key_{SAME}{'0' * (DIGITS - 1)}'",
        "prefix_txn": f"'txn_{SAME}'",
        "prefix_stf": f"'stf_{SAME}'",
        "prefix_whk": f"'whk_{SAME}'",
        **{kind: f"'{kind}_{SAME}' || {number}" for kind in kinds},
    }


def crowd(dsn: str) -> None:
    """Fill the empty, migrated database as fast as may be.

    It loses what no plan depends on, checks, references and its log. Indices that are no constraints are made anew
    when the rows are there.
    """
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("SET maintenance_work_mem = '256MB'")
        for table, constraint in connection.execute(
            "SELECT conrelid::regclass::text, conname FROM pg_constraint"
            " WHERE connamespace = 'payments'::regnamespace AND contype IN ('c', 'f') ORDER BY contype DESC"
        ).fetchall():
            _execute(connection, f"ALTER TABLE {table} DROP CONSTRAINT {constraint}")
        indices = connection.execute(
            "SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index"
            " WHERE indrelid::regclass::text LIKE 'payments.%'"
            " AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)"
        ).fetchall()
        for name, _ in indices:
            _execute(connection, f"DROP INDEX {name}")
        for rows in _SEED:
            table, _, query = rows.format(**_texts()).partition(" ")
            _execute(connection, f"ALTER TABLE payments.{table} SET UNLOGGED")
            _execute(connection, f"INSERT INTO payments.{table} {query}")
        for _, definition in indices:
            _execute(connection, definition)
        connection.execute("VACUUM ANALYZE")


def _execute(connection: psycopg.Connection, statement: str) -> None:
    connection.execute(statement.encode())
