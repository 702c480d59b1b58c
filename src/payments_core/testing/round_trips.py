"""What goes into a store comes out equal, its version apart: the least and the most of each thing."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from payments_core.attempt import AttemptState
from payments_core.event import EventType
from payments_core.idempotency import Fingerprint
from payments_core.keys import digest
from payments_core.merchant import ApiKeyKind, Scope
from payments_core.money import AMOUNT_MINOR_MAX
from payments_core.testing.builders import (
    NOW,
    SECOND,
    a_job,
    a_merchant,
    a_record,
    a_refresh_token,
    a_refund,
    a_room,
    a_session,
    a_transaction,
    an_api_key,
    an_attempt,
    an_endpoint,
    an_event,
)
from payments_core.testing.changes import one_of_each
from payments_core.testing.subject import Kept, Shop, Store, open_shop, put, stored, write
from payments_core.transaction import Failure, StatusReason
from payments_core.webhook import DeliveryAttempt, OldSecret, make_secret

TEXT = "Größe “M” … naïve café, 価格 ٣, 👩🏽‍💻🏴‍☠️, 'quoted' \"twice\" \\back\\ %s {x} $1 :name\ttab\nline  two blanks "
"""What storage tends to lose or to read as its own."""
LONG_METADATA = {f"ключ {number} {TEXT[:20]}": (TEXT * 10)[:500] for number in range(50)}
EARLY = datetime(2001, 2, 3, 4, 5, 6, 7, tzinfo=UTC)
LATE = datetime(2099, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
FAILURE = Failure(code="card_declined", message=TEXT, gateway_code="51…ñ", retryable=True)


def _fullest(shop: Shop) -> list[Kept]:
    """Return one new thing of each kind with every field filled, behind those that it names."""
    transaction = replace(
        a_transaction(shop.live_key, amount_minor=AMOUNT_MINOR_MAX, code="JPY", reference=TEXT[:100]),
        description=TEXT,
        customer_reference=TEXT[:100],
        metadata=LONG_METADATA,
        payment_method="pm_😀",
    )
    succeeded = replace(
        transaction.process(at=LATE)[0].succeed(at=LATE, gateway_reference=TEXT)[0],
        refunded_minor=AMOUNT_MINOR_MAX - 7,
        refund_pending_minor=7,
        refunds_count=2,
        facts=12,
    )
    failed = replace(a_transaction(shop.key), metadata={"": ""}).process(at=NOW)[0].fail(at=NOW, failure=FAILURE)[0]
    doubted = a_transaction(shop.key).process(at=NOW)[0].doubt(at=NOW, reason=StatusReason.NEEDS_REVIEW)
    canceled = a_transaction(shop.key).cancel(at=NOW, reason=StatusReason.SUSPENDED)[0]
    refund = replace(
        a_refund(succeeded, amount_minor=AMOUNT_MINOR_MAX - 7), reason=TEXT, metadata=LONG_METADATA
    ).succeed(at=LATE, gateway_reference="re_😀")
    returned = replace(refund, id=a_refund(succeeded).id).fail(at=NOW, failure=FAILURE)
    attempt = replace(
        an_attempt(refund),
        charge_reference=TEXT,
        payment_method="pm_😀",
        state=AttemptState.NEEDS_REVIEW,
        reference=TEXT,
        detail=TEXT,
        lookups=9,
        updated_at=LATE,
        request_id="req-1",
    )
    session = replace(a_session(shop.merchant, livemode=True), revoked_at=LATE)
    endpoint = replace(
        an_endpoint(shop.merchant, livemode=True, events=("refund.failed", "transaction.created", "future.type")),
        url="https://bücher.example/ü?q=%20&x=😀",
        description=TEXT,
        enabled=False,
        old_secrets=(
            OldSecret(secret=make_secret(b"1" * 32), until=LATE),
            OldSecret(secret=make_secret(b"2" * 32), until=EARLY),
        ),
        failing_since=EARLY,
    )
    api_key = replace(
        an_api_key(shop.merchant, livemode=True),
        kind=ApiKeyKind.SESSION,
        name=TEXT,
        scopes=frozenset({Scope.REFUNDS_WRITE, Scope.EVENTS_READ}),
        expires_at=LATE,
        revoked_at=EARLY,
    )
    return [
        replace(a_merchant(), email="größe+1@例え.example", name=TEXT, password_hash=TEXT, suspended_at=LATE),
        succeeded,
        failed,
        doubted,
        canceled,
        refund,
        returned,
        attempt,
        session,
        replace(a_refresh_token(session), spent_at=LATE),
        endpoint,
        api_key,
        replace(an_api_key(shop.merchant), scopes=frozenset()),
    ]


class RoundTripsContract:
    """Adapters supply `store`."""

    async def test_things_with_their_fields_filled_come_out_as_they_went_in(self, store: Store) -> None:
        shop = await open_shop(store)
        things = _fullest(shop)
        await put(store, *things)
        for thing in things:
            read = await stored(store, thing)
            assert read == replace(thing, version=read.version)

    async def test_things_with_their_fields_empty_come_out_as_they_went_in(self, store: Store) -> None:
        shop = await open_shop(store)
        things: list[Kept] = [replace(a_merchant(), name=None), *one_of_each(shop).values()]
        await put(store, *things)
        for thing in things:
            read = await stored(store, thing)
            assert read == replace(thing, version=read.version)
            assert read.version == 1

    async def test_saved_fields_come_out_as_they_went_in(self, store: Store) -> None:
        shop = await open_shop(store)
        transaction, endpoint = a_transaction(shop.key), an_endpoint(shop.merchant)
        attempt, session = an_attempt(transaction), a_session(shop.merchant)
        token, api_key = a_refresh_token(session), an_api_key(shop.merchant)
        refund = a_refund(transaction)
        await put(store, transaction, refund, attempt, session, token, endpoint, api_key)
        changed: list[Kept] = [
            replace(shop.merchant, name=TEXT, password_hash=TEXT, suspended_at=LATE, version=1),
            replace(transaction.process(at=LATE)[0].fail(at=LATE, failure=FAILURE)[0], version=1),
            replace(refund.fail(at=LATE, failure=FAILURE), version=1),
            replace(attempt.approve(TEXT, LATE).looked_up(), version=1),
            replace(session.revoke(LATE), version=1),
            replace(token.spend(LATE), version=1),
            replace(
                endpoint.rotate_secret(make_secret(b"2" * 32), at=NOW).failed(at=LATE),
                url="https://example.org/ü",
                events=("refund.failed",),
                description=TEXT,
                version=1,
            ),
            replace(api_key.expire_by(LATE).revoke(NOW), name=TEXT, version=1),
            shop.key.deactivate(),
        ]
        await write(store, *changed)
        for thing in changed:
            assert await stored(store, thing) == replace(thing, version=2)

    async def test_fields_can_be_emptied_again(self, store: Store) -> None:
        shop = await open_shop(store)
        transaction = a_transaction(shop.key).process(at=NOW)[0].doubt(at=NOW, reason=StatusReason.OUTCOME_UNKNOWN)
        old_secrets = (OldSecret(secret=make_secret(b"1" * 32), until=NOW),)
        endpoint = replace(an_endpoint(shop.merchant), description=TEXT, old_secrets=old_secrets).failed(at=NOW)
        await put(store, transaction, endpoint)
        changed: list[Kept] = [
            replace(transaction.succeed(at=LATE, gateway_reference="ch_1")[0], version=1),
            replace(endpoint.succeeded(), description=None, old_secrets=(), version=1),
            replace(shop.merchant, name=None),
        ]
        await write(store, *changed)
        for thing in changed:
            assert await stored(store, thing) == replace(thing, version=2)

    @pytest.mark.parametrize("filled", [False, True])
    async def test_an_event_comes_out_as_it_went_in(self, store: Store, filled: bool) -> None:
        shop = await open_shop(store)
        event = an_event(shop.merchant, type=EventType.WEBHOOK_DISABLED)
        if filled:
            transaction, endpoint = a_transaction(shop.key), an_endpoint(shop.merchant)
            await put(store, transaction, endpoint)
            event = replace(
                an_event(shop.merchant, transaction=transaction, sequence=301, only=endpoint),
                body=f'{{"text": "{TEXT}"}}'.encode() * 200,
                request_id="req-1",
            )
        await put(store, event)
        async with store.view(shop.merchant.id, False) as view:
            assert await view.event(event.id) == replace(event, position=1)

    @pytest.mark.parametrize("filled", [False, True])
    async def test_a_record_comes_out_as_it_went_in(self, store: Store, filled: bool) -> None:
        shop = await open_shop(store)
        record = replace(
            a_record(shop.merchant), body=b"", resource=None, fingerprint=Fingerprint(digest=digest("none"), fields={})
        )
        if filled:
            record = replace(
                record,
                key='~!"\\ key ' * 20,
                route="POST /api/webhooks/whk_1/replay/",
                status=202,
                body=bytes(range(256)) + TEXT.encode(),
                resource="whk_1",
                fingerprint=Fingerprint(
                    digest=digest("all"), fields={name: digest(name)[:32] for name in ("amount", "größe 😀", "")}
                ),
            )
        await put(store, record)
        async with store.begin() as work:
            read = await work.idempotency.get(shop.merchant.id, False, record.key, at=record.created_at)
        async with store.view(shop.merchant.id, False) as view:
            assert await view.record(record.key, at=record.created_at) == read == record

    @pytest.mark.parametrize("filled", [False, True])
    async def test_a_job_comes_out_as_it_went_in(self, store: Store, filled: bool) -> None:
        shop = await open_shop(store)
        transaction = a_transaction(shop.key)
        job = a_job(transaction)
        if filled:
            job = replace(job, failures=11, last_error=TEXT, request_id="req-1", due_at=EARLY)
        await put(store, transaction, job)
        (claimed,) = await store.claims.claim_jobs(at=NOW, limit=5, lease=60 * SECOND)
        assert claimed == replace(job, lease_token=1, lease_expires_at=NOW + 60 * SECOND)

    async def test_a_delivery_comes_out_as_it_went_in(self, store: Store) -> None:
        shop = await open_shop(store)
        endpoint = an_endpoint(shop.merchant)
        await put(store, endpoint)
        await put(store, an_event(shop.merchant))
        (claimed,) = await store.claims.claim_deliveries(at=NOW, room=a_room(), lease=60 * SECOND)
        answered = DeliveryAttempt(number=1, at=NOW, milliseconds=15_000, status_code=500, excerpt=TEXT * 10)
        failed = claimed.delivery.fail(answered, now=NOW, retry_after=None, jitter=0.3)
        async with store.begin() as work:
            work.deliveries.save(failed)
        async with store.begin() as work:
            read = await work.deliveries.get(shop.merchant.id, endpoint.id, failed.id)
            assert read == replace(failed, version=read.version)
            unreached = DeliveryAttempt(number=2, at=LATE, milliseconds=0, error="tls: größe 😀")
            delivered = read.deliver(unreached)
            work.deliveries.save(delivered)
        async with store.begin() as work:
            read = await work.deliveries.get(shop.merchant.id, endpoint.id, failed.id)
        assert read == replace(delivered, version=read.version)
        assert read.attempts == (answered, unreached)
