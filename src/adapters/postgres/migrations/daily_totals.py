"""How events are added to the daily totals: in the trigger, and for those that were there before it.

It belongs to the migrations 0007 and 0008, and is never changed: whoever counts otherwise writes a new one.
`payments_core.totals` says what counts.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, text

BATCH_EVENTS_MAX: Final = 5_000
"""Of one merchant, in a transaction: it holds the rows of some days for as long as it takes to write them."""
CURRENCY: Final = '"currency":"'
AMOUNT: Final = '"amount":"'
AMOUNT_BYTES_MAX: Final = 24
"""More than the largest amount and the quotation mark behind it have."""


def adding(events: str) -> str:
    """Return the statement that adds events, a name or a query in parentheses, to the totals of their days.

    Rows are locked in the order of their keys. An amount is written with exactly its currency's decimals: without the
    point it is minor units. It and the currency are cut out of the body, in which they stand before anything that a
    merchant wrote: to read all of it as JSON would take ten times as long, with every payment waiting. What is rare is
    read as JSON.
    """
    return f"""
        INSERT INTO payments.daily_totals AS total
            (merchant_id, livemode, day, currency,
             accepted, succeeded, succeeded_minor, failed, canceled, refunds, refunded_minor)
        SELECT merchant_id, livemode, day, currency,
            count(*) FILTER (WHERE type = 'transaction.created'),
            count(*) FILTER (WHERE entered = 'succeeded') - count(*) FILTER (WHERE was = 'succeeded'),
            coalesce(sum(minor) FILTER (WHERE entered = 'succeeded'), 0)
                - coalesce(sum(minor) FILTER (WHERE was = 'succeeded'), 0),
            count(*) FILTER (WHERE entered = 'failed') - count(*) FILTER (WHERE was = 'failed'),
            count(*) FILTER (WHERE entered = 'canceled') - count(*) FILTER (WHERE was = 'canceled'),
            count(*) FILTER (WHERE type = 'refund.succeeded') - count(*) FILTER (WHERE type = 'refund.failed'),
            coalesce(sum(minor) FILTER (WHERE type = 'refund.succeeded'), 0)
                - coalesce(sum(minor) FILTER (WHERE type = 'refund.failed'), 0)
        FROM (
            SELECT merchant_id, livemode, (at AT TIME ZONE 'UTC')::date AS day, type,
                encode(substr(body, currency_at + {len(CURRENCY)}, 3), 'escape') AS currency,
                CASE WHEN type <> 'transaction.created' THEN
                    replace(split_part(encode(substr(body, amount_at + {len(AMOUNT)}, {AMOUNT_BYTES_MAX}), 'escape'),
                        '"', 1), '.', '')::numeric
                END AS minor,
                CASE type
                    WHEN 'transaction.succeeded' THEN 'succeeded'
                    WHEN 'transaction.failed' THEN 'failed'
                    WHEN 'transaction.canceled' THEN 'canceled'
                    WHEN 'transaction.corrected' THEN data ->> 'to'
                END AS entered,
                CASE type WHEN 'transaction.corrected' THEN data ->> 'from' END AS was
            FROM (
                SELECT merchant_id, livemode, at, type, body,
                    position('{CURRENCY}'::bytea IN body) AS currency_at,
                    position('{AMOUNT}'::bytea IN body) AS amount_at,
                    CASE WHEN type IN ('transaction.corrected', 'refund.failed')
                        THEN convert_from(body, 'UTF8')::json -> 'data'
                    END AS data
                FROM {events} AS event
                WHERE type IN ('transaction.created', 'transaction.succeeded', 'transaction.failed',
                    'transaction.canceled', 'transaction.corrected', 'refund.succeeded', 'refund.failed')
                OFFSET 0
            ) AS found
            WHERE currency_at > 0 AND amount_at > 0
                AND (type <> 'refund.failed' OR data #>> '{{failure,code}}' = 'returned')
            OFFSET 0
        ) AS counted
        GROUP BY merchant_id, livemode, day, currency
        ORDER BY merchant_id, livemode, day, currency
        ON CONFLICT (merchant_id, livemode, day, currency) DO UPDATE SET
            accepted = total.accepted + excluded.accepted,
            succeeded = total.succeeded + excluded.succeeded,
            succeeded_minor = total.succeeded_minor + excluded.succeeded_minor,
            failed = total.failed + excluded.failed,
            canceled = total.canceled + excluded.canceled,
            refunds = total.refunds + excluded.refunds,
            refunded_minor = total.refunded_minor + excluded.refunded_minor
    """  # noqa: S608 - constants of this module, and what the migrations call events


_ARE_LEFT: Final = text("SELECT to_regclass('payments.uncounted_events') IS NOT NULL")
_NEXT: Final = text("""
    SELECT merchant_id, counted, last FROM payments.uncounted_events ORDER BY merchant_id LIMIT 1 FOR UPDATE
""")
_ADD: Final = text(
    adding(
        "(SELECT * FROM payments.events WHERE merchant_id = :merchant AND position > :counted AND position <= :until)"
    )
)
_COUNTED: Final = text("UPDATE payments.uncounted_events SET counted = :until WHERE merchant_id = :merchant")
_DONE: Final = text("DELETE FROM payments.uncounted_events WHERE merchant_id = :merchant")


def add_some(connection: Connection) -> bool:
    """Add a batch of one merchant's events from before the trigger; say whether there was one to add."""
    if not connection.scalar(_ARE_LEFT):
        return False
    row = connection.execute(_NEXT).one_or_none()
    if row is None:
        return False
    until = min(row.counted + BATCH_EVENTS_MAX, row.last)
    connection.execute(_ADD, {"merchant": row.merchant_id, "counted": row.counted, "until": until})
    if until < row.last:
        connection.execute(_COUNTED, {"merchant": row.merchant_id, "until": until})
    else:
        connection.execute(_DONE, {"merchant": row.merchant_id})
    return True
