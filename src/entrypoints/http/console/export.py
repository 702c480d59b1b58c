"""The transactions of a list as a file of comma-separated values (RFC 4180), of any size."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Final

from entrypoints.export_places import EXPORTS_OF_ONE_MAX, NoExportPlace
from entrypoints.http.console.page import page
from entrypoints.http.console.transaction_filter import read_filter
from entrypoints.http.console.transactions import SECTION, show_no_transactions
from entrypoints.http.console.visits import Visit
from entrypoints.http.responses import BARE, NO_STORE, Reply, StreamedReply
from payments_core.describe import JsonObject
from payments_core.errors import Invalid
from payments_core.ports import TransactionFilter
from payments_core.values import Json

COLUMNS: Final = (
    "id",
    "created_at",
    "status",
    "status_reason",
    "amount",
    "amount_refunded",
    "amount_refund_pending",
    "amount_refundable",
    "currency",
    "description",
    "reference",
    "customer_reference",
    "payment_method",
    "payment_key",
    "gateway",
    "gateway_reference",
    "failure_code",
    "failure_message",
    "metadata",
    "updated_at",
    "completed_at",
    "livemode",
)
PIECE_BYTES: Final = 64 * 1024
"""About as much is sent at once: what the server holds for one client that reads slowly."""
_FORMULAS: Final = tuple(
    "=+-@\t\r\n\N{FULLWIDTH EQUALS SIGN}\N{FULLWIDTH PLUS SIGN}\N{FULLWIDTH HYPHEN-MINUS}\N{FULLWIDTH COMMERCIAL AT}"
)
"""With what begins a cell that a spreadsheet would reckon with (OWASP, CSV injection; ASVS 5.0, 1.2.10)."""
_TEXT: Final = (b"content-type", b"text/csv; charset=utf-8; header=present")
TOO_MANY: Final = (
    f"As many exports as can be are under way now, {EXPORTS_OF_ONE_MAX} of one account. Wait for one to end."
)


@page("/transactions.csv", section=SECTION)
async def export_transactions(visit: Visit) -> Reply:
    """Give all transactions that pass the filter, the newest first."""
    try:
        pieces = _pieces(visit, read_filter(visit))
        name = f"transactions-{visit.services.clock.now():%Y-%m-%d}.csv"
        saved = (b"content-disposition", f'attachment; filename="{name}"'.encode())
        return await StreamedReply.begin(200, (*BARE, _TEXT, saved, NO_STORE, *visit.headers), pieces)
    except Invalid as invalid:
        return show_no_transactions(visit, faults=invalid)
    except NoExportPlace:
        return show_no_transactions(visit, error=TOO_MANY, status=429)


async def _pieces(visit: Visit, asked: TransactionFilter) -> AsyncGenerator[bytes]:
    with visit.services.exports.take(visit.caller.merchant):
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(COLUMNS)
        async with aclosing(visit.payments.read.export(visit.caller, asked)) as batches:
            async for batch in batches:
                for one in batch:
                    writer.writerow(_row(one))
                    if text.tell() >= PIECE_BYTES:
                        yield _taken(text)
                if text.tell():
                    yield _taken(text)
        if text.tell():
            yield _taken(text)


def _taken(text: io.StringIO) -> bytes:
    piece = text.getvalue().encode()
    text.seek(0)
    text.truncate()
    return piece


def _row(one: JsonObject) -> Sequence[str]:
    failure = one["failure"]
    of_failure: Mapping[str, Json] = failure if isinstance(failure, dict) else {}
    values = {
        **one,
        "failure_code": of_failure.get("code"),
        "failure_message": of_failure.get("message"),
        "metadata": json.dumps(one["metadata"], ensure_ascii=False) if one["metadata"] else None,
        "livemode": "true" if one["livemode"] else "false",
    }
    return [_cell(values[name]) for name in COLUMNS]


def _cell(value: Json) -> str:
    """Return a value as text, and one that a spreadsheet would take for a formula with a `'` before it."""
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(_FORMULAS) else text


PAGES: Final = (export_transactions,)
