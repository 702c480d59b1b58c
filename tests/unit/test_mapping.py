"""Fields, columns and the mapping between them say the same."""

from dataclasses import MISSING, Field, fields, is_dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from adapters.postgres import tables
from adapters.postgres.mapping import Kind, Kinds, kinds
from payments_core.attempt import AttemptState
from payments_core.errors import Unreadable
from payments_core.ids import delivery_id
from payments_core.testing.builders import (
    a_job,
    a_merchant,
    a_payment_key,
    a_record,
    a_refresh_token,
    a_refund,
    a_session,
    a_staff_member,
    a_staff_session,
    a_transaction,
    an_api_key,
    an_attempt,
    an_audit_entry,
    an_endpoint,
    an_event,
)
from payments_core.transaction import Failure, Status, StatusReason
from payments_core.webhook import Delivery, DeliveryAttempt, DeliveryStatus, OldSecret

AT = datetime(2026, 4, 5, 6, 7, 8, 9, tzinfo=UTC)
FAILURE = Failure(code="card_declined", message="Declined.", gateway_code="51", retryable=True)


class LabelVault:
    """Writes the context before what it seals."""

    def seal(self, plain: bytes, /, *, context: str) -> bytes:
        return context.encode() + b"|" + plain

    def open(self, sealed: bytes, /, *, context: str) -> bytes:
        found, _, plain = sealed.partition(b"|")
        if found != context.encode():
            raise Unreadable("another context")
        return plain


KINDS = kinds(LabelVault())


def _filled() -> dict[str, object]:
    """Return one thing of each kind of which no field has its default."""
    merchant = replace(a_merchant(), suspended_at=AT, version=2)
    key = replace(a_payment_key(merchant, livemode=True), version=2)
    session = a_session(merchant, livemode=True)
    member = replace(a_staff_member(), disabled_at=AT, version=2)
    transaction = replace(
        a_transaction(key, reference="r", customer_reference="c", metadata={"b": "2", "a": "1"}),
        status=Status.SUCCEEDED,
        status_reason=StatusReason.NEEDS_REVIEW,
        description="d",
        payment_method="pm",
        gateway_reference="ch_1",
        failure=FAILURE,
        refunded_minor=3,
        refund_pending_minor=4,
        refunds_count=5,
        completed_at=AT,
        facts=6,
        version=7,
    )
    refund = replace(
        a_refund(transaction),
        status_reason=StatusReason.OUTCOME_UNKNOWN,
        reason="r",
        metadata={"k": "v"},
        gateway_reference="re_1",
        failure=FAILURE,
        version=2,
    )
    endpoint = replace(
        an_endpoint(merchant, livemode=True),
        old_secrets=(OldSecret(secret="whsec_old", until=AT), OldSecret(secret="whsec_older", until=AT)),
        failing_since=AT + timedelta(1),
        removed_at=AT + timedelta(2),
        version=2,
    )
    event = replace(
        an_event(merchant, livemode=True, transaction=transaction, sequence=9, only=endpoint),
        request_id="q",
        position=8,
    )
    return {
        "merchants": merchant,
        "payment_keys": key,
        "api_keys": replace(
            an_api_key(merchant, livemode=True),
            expires_at=AT,
            revoked_at=AT + timedelta(1),
            last_used_at=AT + timedelta(2),
            version=2,
        ),
        "sessions": replace(session, revoked_at=AT, version=2),
        "refresh_tokens": replace(a_refresh_token(session), spent_at=AT, version=2),
        "transactions": transaction,
        "refunds": refund,
        "attempts": replace(
            an_attempt(refund),
            payment_method="pm",
            charge_reference="ch_1",
            state=AttemptState.UNKNOWN,
            reference="re_1",
            detail="timeout",
            lookups=3,
            request_id="q",
            version=2,
        ),
        "audit_entries": replace(an_audit_entry(merchant, livemode=True), request_id="q"),
        "endpoints": endpoint,
        "events": event,
        "deliveries": Delivery(
            id=delivery_id(event.id, endpoint.id),
            merchant=merchant.id,
            livemode=True,
            endpoint=endpoint.id,
            event=event.id,
            event_type=event.type,
            status=DeliveryStatus.EXHAUSTED,
            created_at=AT,
            updated_at=AT + timedelta(1),
            due_at=AT + timedelta(2),
            tries=1,
            attempts=(DeliveryAttempt(number=1, at=AT, milliseconds=2, status_code=500, error="e", excerpt="x"),),
            lease_token=3,
            lease_expires_at=AT + timedelta(3),
            version=4,
        ),
        "jobs": replace(
            a_job(refund),
            failures=1,
            last_error="e",
            dead_at=AT,
            lease_token=2,
            lease_expires_at=AT + timedelta(1),
            request_id="q",
        ),
        "records": a_record(merchant, livemode=True),
        "staff_members": member,
        "staff_sessions": replace(a_staff_session(member), revoked_at=AT, version=2),
    }


NAMES = [field.name for field in fields(Kinds)]


def _kind(name: str) -> Kind[Any]:
    kind = getattr(KINDS, name)
    assert isinstance(kind, Kind)
    return kind


def _default(field: "Field[Any]") -> object:
    return field.default if field.default_factory is MISSING else field.default_factory()


def _of_default(thing: object, path: str = "") -> list[str]:
    """Return the paths of the fields that have their defaults, in what the thing holds too."""
    found: list[str] = []
    if is_dataclass(thing) and not isinstance(thing, type):
        for field in fields(thing):
            value = getattr(thing, field.name)
            if value == _default(field):
                found.append(f"{path}{field.name}")
            found.extend(_of_default(value, f"{path}{field.name}."))
    if isinstance(thing, tuple):
        for item in thing:
            found.extend(_of_default(item, path))
    return found


def test_each_kind_has_a_thing_with_every_field_filled() -> None:
    filled = _filled()
    assert sorted(filled) == sorted(NAMES)
    assert {name: _of_default(thing) for name, thing in filled.items()} == {name: [] for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_every_field_goes_into_a_row_and_comes_back(name: str) -> None:
    thing, kind = _filled()[name], _kind(name)
    assert kind.of_row(kind.to_row(thing)) == thing


@pytest.mark.parametrize("name", NAMES)
def test_every_column_is_written(name: str) -> None:
    kind = _kind(name)
    written = [column.name for column in kind.table.c if column.computed is None]
    assert sorted(kind.to_row(_filled()[name])) == sorted(written)


@pytest.mark.parametrize("name", NAMES)
def test_the_identity_is_the_primary_key(name: str) -> None:
    thing, kind = _filled()[name], _kind(name)
    row = kind.to_row(thing)
    assert kind.identity_of(thing) == tuple(row[column.name] for column in kind.table.primary_key)


def test_every_table_has_a_kind_but_the_counters_and_what_the_database_keeps_itself() -> None:
    mapped = {_kind(name).table.name for name in NAMES}
    assert mapped == {table.name for table in tables.metadata.tables.values()} - {"merchant_revisions", "daily_totals"}


def test_every_primary_key_begins_with_the_merchant_but_of_what_is_staffs() -> None:
    first = {table.name: next(iter(table.primary_key)).name for table in tables.metadata.tables.values()}
    assert {name for name, column in first.items() if column == "id"} == {"merchants", *tables.OF_STAFF}
    assert set(first.values()) == {"merchant_id", "id"}


def test_ids_and_keys_are_ordered_by_their_bytes() -> None:
    ordered = [column for table in tables.metadata.tables.values() for column in table.primary_key]
    texts = [column for column in ordered if column.name not in ("livemode", "day")]
    assert {getattr(column.type, "collation", None) for column in texts} == {"C"}


@pytest.mark.parametrize(
    ("name", "column", "context"),
    [
        ("endpoints", "secret_sealed", "endpoint:{id}"),
        ("endpoints", "old_secrets_sealed", "endpoint:{id}"),
        ("records", "body_sealed", "idempotency:{merchant_id}:1:{key}"),
    ],
)
def test_secrets_are_sealed_in_a_context_of_their_own(name: str, column: str, context: str) -> None:
    row = _kind(name).to_row(_filled()[name])
    assert row[column].startswith(context.format(**row).encode() + b"|")
    moved = row | ({"id": "whk_other"} if name == "endpoints" else {"key": "other"})
    with pytest.raises(Unreadable):
        _kind(name).of_row(moved)
