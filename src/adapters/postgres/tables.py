"""The one home of the tables.

They live in a schema of their own, so that they can be installed next to somebody else's. Each primary key begins with
`merchant_id` where the rows belong to a merchant: this is what they would be distributed by. The accounts and sessions
of staff are no merchant's, and few: they would stay whole (OF_STAFF). Three things are unique over all merchants:
e-mail addresses and digests of API keys, which would need a reference table each then, and digests of refresh tokens,
which would carry their merchant instead (`docs/scaling.md`).

Ids and keys compare by their bytes (`COLLATE "C"`): `ORDER BY id` agrees with Python and with the time in the id.

Foreign keys stand where rows are few: keys, sessions, endpoints, refunds. None stands on what each payment writes
(transactions, attempts, events, deliveries, jobs, idempotency records): a check each, on rows that the same commit has
expected already, or of which the commit holds the merchant's revision.

Rows that each payment changes have room beside them for their next version, and no index on what changes: then a change
touches no index (a HOT update), and the version before goes without a vacuum. A payment's two updates of its
transaction and one of its attempt wrote 2.6 kB of log so, and 4.0 kB without; the tables are a tenth larger. Not so
jobs: their claims find by an index what nobody holds, and change it.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ColumnElement,
    Computed,
    Date,
    DateTime,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    PrimaryKeyConstraint,
    Table,
    UniqueConstraint,
    func,
    literal_column,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSON

from adapters.postgres.column_types import Text
from payments_core.attempt import AttemptKind, AttemptState
from payments_core.job import JobKind
from payments_core.merchant import ApiKeyKind
from payments_core.refund import RefundStatus
from payments_core.transaction import REFUNDS_MAX, Status, StatusReason
from payments_core.webhook import DeliveryStatus

SCHEMA: Final = "payments"

metadata: Final = MetaData(
    schema=SCHEMA,
    naming_convention={
        "pk": "pk_%(table_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(referred_table_name)s",
    },
)

KEY: Final = Text(collation="C")
TIME: Final = DateTime(timezone=True)


ROOM: Final = {"fillfactor": "60"}
"""For the next version of most rows. With 50 a few more updates find room, and the tables are a fifth larger."""
VACUUMED_EARLY: Final = {"autovacuum_vacuum_scale_factor": "0.02", "autovacuum_analyze_scale_factor": "0.02"}
"""For tables that grow for ever: a fifth of them, the server's own measure, would be more than a night's work."""
VACUUMED_OFTEN: Final = {
    "autovacuum_vacuum_scale_factor": "0",
    "autovacuum_vacuum_threshold": "1000",
    "autovacuum_vacuum_cost_delay": "0",
}
"""For small tables of which all rows change all the time: each minute, and at full speed, for some milliseconds."""


def _key(name: str, *, nullable: bool = False) -> Column[str]:
    return Column(name, KEY, nullable=nullable)


def _text(name: str, *, nullable: bool = False) -> Column[str]:
    return Column(name, Text, nullable=nullable)


def _mode() -> Column[bool]:
    return Column("livemode", Boolean, nullable=False)


def _time(name: str, *, nullable: bool = False) -> Column[object]:
    return Column(name, TIME, nullable=nullable)


def _count(name: str) -> Column[int]:
    return Column(name, Integer, nullable=False)


def _minor(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False)


def _failure() -> Iterable[Column[object] | Column[str] | Column[bool]]:
    yield _text("failure_code", nullable=True)
    yield _text("failure_message", nullable=True)
    yield _text("failure_gateway_code", nullable=True)
    yield Column("failure_retryable", Boolean, nullable=True)


def _one_of(column: str, values: type[StrEnum]) -> CheckConstraint:
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=column)


def _currency() -> CheckConstraint:
    return CheckConstraint("currency ~ '^[A-Z]{3}$'", name="currency")


def _whole_failure() -> CheckConstraint:
    return CheckConstraint("num_nulls(failure_code, failure_message, failure_retryable) IN (0, 3)", name="failure")


def overall(table: Table) -> ColumnElement[str]:
    """Return what orders rows of all merchants by their ids.

    It is worth the same as the id, and has an index of its own. An index on the id itself the planner would take for
    the list of one merchant, too, and pass over all others' rows.
    """
    id: Column[str] = table.c.id
    return id.concat(literal_column("''"))


def _of_merchant() -> ForeignKeyConstraint:
    return ForeignKeyConstraint(["merchant_id"], [f"{SCHEMA}.merchants.id"])


merchants: Final = Table(
    "merchants",
    metadata,
    _key("id"),
    _key("email"),
    _text("name", nullable=True),
    _text("password_hash"),
    _time("created_at"),
    _time("suspended_at", nullable=True),
    _count("version"),
    PrimaryKeyConstraint("id"),
    UniqueConstraint("email", name="uq_merchants_email"),
)

merchant_revisions: Final = Table(
    "merchant_revisions",
    metadata,
    _key("merchant_id"),
    _minor("revision"),
    _minor("events"),
    PrimaryKeyConstraint("merchant_id"),
    _of_merchant(),
    # Room for more than the next version: while somebody reads for long, versions stay that the table could do without.
    postgresql_with={"fillfactor": "50", **VACUUMED_OFTEN},
    comment="Moved by each commit that touches the merchant: the lock on its row makes these one after another.",
)

api_keys: Final = Table(
    "api_keys",
    metadata,
    _key("merchant_id"),
    _key("id"),
    _mode(),
    _text("kind"),
    _text("name", nullable=True),
    Column("scopes", ARRAY(Text), nullable=False),
    _key("digest"),
    _text("prefix"),
    _text("last_four"),
    _time("created_at"),
    _time("expires_at", nullable=True),
    _time("revoked_at", nullable=True),
    _time("last_used_at", nullable=True),
    _count("version"),
    # Those that came after the first version, which would not read a key that has one of them among its scopes.
    Column("later_scopes", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    PrimaryKeyConstraint("merchant_id", "id"),
    UniqueConstraint("digest", name="uq_api_keys_digest"),
    _of_merchant(),
    _one_of("kind", ApiKeyKind),
)
# Keys that have ended stay, and there may be many times as many as are good for something. So it is with payment keys
# and endpoints.
Index(
    "ix_api_keys_valid", api_keys.c.merchant_id, api_keys.c.expires_at, postgresql_where=api_keys.c.revoked_at.is_(None)
)

payment_keys: Final = Table(
    "payment_keys",
    metadata,
    _key("merchant_id"),
    _mode(),
    _key("id"),
    _key("key"),
    Column("is_active", Boolean, nullable=False),
    _time("created_at"),
    _count("version"),
    PrimaryKeyConstraint("merchant_id", "livemode", "id"),
    UniqueConstraint("merchant_id", "livemode", "key", name="uq_payment_keys_key"),
    _of_merchant(),
)
Index(
    "ix_payment_keys_active",
    payment_keys.c.merchant_id,
    payment_keys.c.livemode,
    postgresql_where=payment_keys.c.is_active,
)

sessions: Final = Table(
    "sessions",
    metadata,
    _key("merchant_id"),
    _key("id"),
    _mode(),
    _time("created_at"),
    _time("expires_at"),
    _time("revoked_at", nullable=True),
    _count("version"),
    PrimaryKeyConstraint("merchant_id", "id"),
    _of_merchant(),
)
# Those that have ended are found by it and removed, with their tokens.
Index("ix_sessions_expires_at", sessions.c.expires_at)

refresh_tokens: Final = Table(
    "refresh_tokens",
    metadata,
    _key("merchant_id"),
    _key("digest"),
    _key("session_id"),
    _time("created_at"),
    _time("expires_at"),
    _time("spent_at", nullable=True),
    _count("version"),
    PrimaryKeyConstraint("merchant_id", "digest"),
    UniqueConstraint("digest", name="uq_refresh_tokens_digest"),
    ForeignKeyConstraint(["merchant_id", "session_id"], [f"{SCHEMA}.sessions.merchant_id", f"{SCHEMA}.sessions.id"]),
)
Index("ix_refresh_tokens_session", refresh_tokens.c.merchant_id, refresh_tokens.c.session_id)

transactions: Final = Table(
    "transactions",
    metadata,
    _key("merchant_id"),
    _mode(),
    _key("id"),
    _key("payment_key_id"),
    _minor("amount_minor"),
    _text("currency"),
    _text("status"),
    _text("status_reason", nullable=True),
    _time("created_at"),
    _time("updated_at"),
    _time("completed_at", nullable=True),
    _text("gateway"),
    _text("gateway_reference", nullable=True),
    _text("payment_method", nullable=True),
    _text("description", nullable=True),
    _key("reference", nullable=True),
    _key("customer_reference", nullable=True),
    Column("metadata", JSON, nullable=False),
    *_failure(),
    _minor("refunded_minor"),
    _minor("refund_pending_minor"),
    _count("refunds_count"),
    _count("facts"),
    _count("version"),
    # Backwards it is the list, newest first. The other lists that a merchant asks for often have an index each; every
    # other filter (status, currency, amounts) looks at no more than `SCAN_ROWS_MAX` rows of one of them.
    PrimaryKeyConstraint("merchant_id", "livemode", "id"),
    _currency(),
    _one_of("status", Status),
    _one_of("status_reason", StatusReason),
    CheckConstraint("amount_minor > 0", name="amount"),
    CheckConstraint("refunded_minor >= 0", name="refunded"),
    CheckConstraint("refund_pending_minor >= 0", name="refund_pending"),
    CheckConstraint("refunded_minor + refund_pending_minor <= amount_minor", name="refunds_within_amount"),
    CheckConstraint(f"refunds_count BETWEEN 0 AND {REFUNDS_MAX}", name="refunds_count"),
    CheckConstraint(f"status <> '{Status.SUCCEEDED}' OR completed_at IS NOT NULL", name="completed"),
    _whole_failure(),
    postgresql_with=ROOM | VACUUMED_EARLY,
)
Index(
    "uq_transactions_reference",
    transactions.c.merchant_id,
    transactions.c.livemode,
    transactions.c.reference,
    unique=True,
    postgresql_where=transactions.c.reference.is_not(None),
)
Index(
    "ix_transactions_customer_reference",
    transactions.c.merchant_id,
    transactions.c.livemode,
    transactions.c.customer_reference,
    transactions.c.id,
    postgresql_where=transactions.c.customer_reference.is_not(None),
)
Index(
    "ix_transactions_payment_key",
    transactions.c.merchant_id,
    transactions.c.livemode,
    transactions.c.payment_key_id,
    transactions.c.id,
)

refunds: Final = Table(
    "refunds",
    metadata,
    _key("merchant_id"),
    _mode(),
    _key("id"),
    _key("transaction_id"),
    _minor("amount_minor"),
    _text("currency"),
    _text("status"),
    _text("status_reason", nullable=True),
    _time("created_at"),
    _time("updated_at"),
    _text("reason", nullable=True),
    Column("metadata", JSON, nullable=False),
    _text("gateway_reference", nullable=True),
    *_failure(),
    _count("version"),
    PrimaryKeyConstraint("merchant_id", "livemode", "id"),
    ForeignKeyConstraint(
        ["merchant_id", "livemode", "transaction_id"],
        [f"{SCHEMA}.transactions.merchant_id", f"{SCHEMA}.transactions.livemode", f"{SCHEMA}.transactions.id"],
    ),
    _currency(),
    _one_of("status", RefundStatus),
    _one_of("status_reason", StatusReason),
    CheckConstraint("amount_minor > 0", name="amount"),
    _whole_failure(),
)
Index("ix_refunds_transaction", refunds.c.merchant_id, refunds.c.transaction_id, refunds.c.id)

attempts: Final = Table(
    "attempts",
    metadata,
    _key("merchant_id"),
    _key("id"),
    _mode(),
    _text("kind"),
    _key("transaction_id"),
    _key("refund_id", nullable=True),
    Column("subject_id", KEY, Computed("COALESCE(refund_id, transaction_id)", persisted=True), nullable=False),
    _minor("amount_minor"),
    _text("currency"),
    _text("gateway"),
    _text("payment_method", nullable=True),
    _text("charge_reference", nullable=True),
    _time("prepared_at"),
    _time("called_at"),
    _text("state"),
    _text("reference", nullable=True),
    _text("detail", nullable=True),
    _count("lookups"),
    _time("updated_at"),
    _text("request_id", nullable=True),
    _count("version"),
    Column("needs_review", Boolean, Computed(f"state = '{AttemptState.NEEDS_REVIEW}'", persisted=True), nullable=False),
    PrimaryKeyConstraint("merchant_id", "id"),
    # Two attempts of one subject could move the money twice.
    UniqueConstraint("merchant_id", "subject_id", name="uq_attempts_subject"),
    _currency(),
    _one_of("kind", AttemptKind),
    _one_of("state", AttemptState),
    CheckConstraint("amount_minor > 0", name="amount"),
    CheckConstraint(f"(kind = '{AttemptKind.REFUND}') = (refund_id IS NOT NULL)", name="refund"),
    postgresql_with=ROOM | VACUUMED_EARLY,
)
# Few, and looked for among all there are. By a column of its own: each payment changes `state`, and hardly one this.
Index(
    "ix_attempts_needs_review",
    attempts.c.merchant_id,
    attempts.c.id,
    postgresql_where=attempts.c.needs_review,
)
# A gateway's books name attempts, and no merchants.
Index("ix_attempts_id", attempts.c.id)

endpoints: Final = Table(
    "endpoints",
    metadata,
    _key("merchant_id"),
    _mode(),
    _key("id"),
    _text("url"),
    Column("events", ARRAY(Text), nullable=False),
    _text("description", nullable=True),
    Column("enabled", Boolean, nullable=False),
    Column("secret_sealed", LargeBinary, nullable=False),
    Column("old_secrets_sealed", LargeBinary, nullable=True),
    _time("created_at"),
    _time("failing_since", nullable=True),
    _time("removed_at", nullable=True),
    _count("version"),
    # The default is for processes of an earlier version, which run on while this one is installed.
    Column("subscribed_at", TIME, nullable=False, server_default=func.now()),
    PrimaryKeyConstraint("merchant_id", "livemode", "id"),
    _of_merchant(),
    CheckConstraint("NOT enabled OR removed_at IS NULL", name="removed"),
    postgresql_with=VACUUMED_OFTEN,
)
Index(
    "ix_endpoints_present",
    endpoints.c.merchant_id,
    endpoints.c.livemode,
    endpoints.c.id,
    postgresql_where=endpoints.c.removed_at.is_(None),
)

events: Final = Table(
    "events",
    metadata,
    _key("merchant_id"),
    _key("id"),
    _mode(),
    _text("type"),
    _key("transaction_id", nullable=True),
    Column("sequence", Integer, nullable=True),
    _time("at"),
    Column("body", LargeBinary, nullable=False),
    _text("request_id", nullable=True),
    _key("only_endpoint_id", nullable=True),
    _minor("position"),
    PrimaryKeyConstraint("merchant_id", "id"),
    UniqueConstraint("merchant_id", "position", name="uq_events_position"),
    CheckConstraint("position > 0", name="position"),
    CheckConstraint("(transaction_id IS NULL) = (sequence IS NULL)", name="sequence"),
    postgresql_with=VACUUMED_EARLY,
)
# The list of one mode, which the unique positions of both modes together don't give without passing over the other's.
Index("ix_events_list", events.c.merchant_id, events.c.livemode, events.c.position)
Index(
    "uq_events_sequence",
    events.c.merchant_id,
    events.c.transaction_id,
    events.c.sequence,
    unique=True,
    postgresql_where=events.c.transaction_id.is_not(None),
)

# Kept by a trigger on `events` (migration 0007), which adds up what each INSERT brought: whatever version of a process
# writes an event, it counts. Amounts are `numeric`: the largest ones pass a `bigint` after 90,000 payments.
daily_totals: Final = Table(
    "daily_totals",
    metadata,
    _key("merchant_id"),
    _mode(),
    Column("day", Date, nullable=False),
    _key("currency"),
    _minor("accepted"),
    _minor("succeeded"),
    Column("succeeded_minor", Numeric, nullable=False),
    _minor("failed"),
    _minor("canceled"),
    _minor("refunds"),
    Column("refunded_minor", Numeric, nullable=False),
    PrimaryKeyConstraint("merchant_id", "livemode", "day", "currency"),
    # Of these a few change all the time, as the counters do, which are locked by whoever changes them.
    postgresql_with={"fillfactor": "50", **VACUUMED_OFTEN},
)

deliveries: Final = Table(
    "deliveries",
    metadata,
    _key("merchant_id"),
    _key("endpoint_id"),
    _key("id"),
    _mode(),
    _key("event_id"),
    _text("event_type"),
    _text("status"),
    _time("created_at"),
    _time("updated_at"),
    _time("due_at", nullable=True),
    _count("tries"),
    Column("attempts", JSON, nullable=False),
    _count("lease_token"),
    _time("lease_expires_at", nullable=True),
    _count("version"),
    PrimaryKeyConstraint("merchant_id", "endpoint_id", "id"),
    _one_of("status", DeliveryStatus),
    CheckConstraint(f"status <> '{DeliveryStatus.PENDING}' OR due_at IS NOT NULL", name="due"),
    postgresql_with=ROOM | VACUUMED_EARLY,
)
_PENDING: Final = text(f"status = '{DeliveryStatus.PENDING}'")
_FAILED: Final = text(f"status = '{DeliveryStatus.EXHAUSTED}' OR status = '{DeliveryStatus.CANCELED}'")
# A claim goes from endpoint to endpoint: one with a long queue costs the others nothing. There is no index by due time
# alone: the planner would take it for a claim and pass over the whole queue of the endpoint that is full.
Index(
    "ix_deliveries_due",
    deliveries.c.merchant_id,
    deliveries.c.endpoint_id,
    deliveries.c.due_at,
    postgresql_where=_PENDING,
)
# What a replay of failures sends again: few among many that arrived.
Index(
    "ix_deliveries_failed",
    deliveries.c.merchant_id,
    deliveries.c.endpoint_id,
    deliveries.c.id,
    postgresql_where=_FAILED,
)

jobs: Final = Table(
    "jobs",
    metadata,
    _key("merchant_id"),
    _key("id"),
    _mode(),
    _text("kind"),
    _key("subject"),
    _time("due_at"),
    _time("created_at"),
    _count("failures"),
    _text("last_error", nullable=True),
    _time("dead_at", nullable=True),
    _count("lease_token"),
    _time("lease_expires_at", nullable=True),
    _text("request_id", nullable=True),
    PrimaryKeyConstraint("merchant_id", "id"),
    _one_of("kind", JobKind),
    postgresql_with=ROOM | VACUUMED_OFTEN,
)
CLAIMABLE_AT: Final = func.greatest(jobs.c.due_at, jobs.c.lease_expires_at)
"""From when on a living job can be claimed: due, and its lease at an end (where there is none, `greatest` leaves it
out)."""
# A claim begins where it finds something to take, and passes over nothing that others hold. The price is a touch of
# the indices by each claim and each longer lease.
Index("ix_jobs_claimable", CLAIMABLE_AT, postgresql_where=jobs.c.dead_at.is_(None))
Index("ix_jobs_dead", jobs.c.merchant_id, jobs.c.id, postgresql_where=jobs.c.dead_at.is_not(None))

idempotency_records: Final = Table(
    "idempotency_records",
    metadata,
    _key("merchant_id"),
    _mode(),
    _key("key"),
    _text("route"),
    _count("status"),
    _key("digest"),
    Column("fields", JSON, nullable=False),
    Column("body_sealed", LargeBinary, nullable=False),
    _key("resource", nullable=True),
    _time("created_at"),
    _time("expires_at"),
    PrimaryKeyConstraint("merchant_id", "livemode", "key"),
    postgresql_with=VACUUMED_EARLY,
)
# Expired ones are found by it and removed. An index of ranges would be smaller, but what is removed makes room for new
# rows among the old: soon each range would have some of either, and all of the table would be read.
Index("ix_idempotency_records_expires_at", idempotency_records.c.expires_at)

# Written and read, never changed: a trigger of migration 0005 refuses updates, deletes and TRUNCATE.
audit_entries: Final = Table(
    "audit_entries",
    metadata,
    _key("merchant_id"),
    _key("id"),
    Column("livemode", Boolean, nullable=True),
    _time("at"),
    _text("action"),
    _text("actor_kind"),
    _text("actor_id", nullable=True),
    _text("address", nullable=True),
    _text("request_id", nullable=True),
    _key("subject", nullable=True),
    Column("detail", JSON, nullable=False),
    Column("overall_id", KEY, Computed("id", persisted=True), nullable=False),
    PrimaryKeyConstraint("merchant_id", "id"),
    postgresql_with=VACUUMED_EARLY,
)
# What staff see of all merchants. An index on `id` itself the planner would take for the list of one merchant, too, and
# pass over all others' entries.
Index("ix_audit_entries_overall", audit_entries.c.overall_id)

# Whoever runs the service: few, and no merchant's.
staff_members: Final = Table(
    "staff_members",
    metadata,
    _key("id"),
    _key("email"),
    _text("name"),
    _text("password_hash"),
    _time("created_at"),
    _time("disabled_at", nullable=True),
    _count("version"),
    PrimaryKeyConstraint("id"),
    UniqueConstraint("email", name="uq_staff_members_email"),
)

staff_sessions: Final = Table(
    "staff_sessions",
    metadata,
    _key("id"),
    _key("member_id"),
    _time("created_at"),
    _time("expires_at"),
    _time("revoked_at", nullable=True),
    _count("version"),
    PrimaryKeyConstraint("id"),
    ForeignKeyConstraint(["member_id"], [f"{SCHEMA}.staff_members.id"]),
)
Index(
    "ix_staff_sessions_valid",
    staff_sessions.c.member_id,
    staff_sessions.c.expires_at,
    postgresql_where=staff_sessions.c.revoked_at.is_(None),
)
# Expired ones are found by it and removed.
Index("ix_staff_sessions_expires_at", staff_sessions.c.expires_at)
OF_STAFF: Final = frozenset({staff_members.name, staff_sessions.name})
"""The tables whose rows are no merchant's: small, and whole on one server."""
for _table in (transactions, refunds, payment_keys, endpoints):
    Index(f"ix_{_table.name}_overall", overall(_table))
