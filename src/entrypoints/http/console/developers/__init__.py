"""What developers need: keys, a first payment, calls to copy, events, idempotency keys and the audit log."""

from __future__ import annotations

from typing import Final

from entrypoints.http.console.developers import api_keys, events, examples, first_payment, keys, records

PAGES: Final = (
    *keys.PAGES,
    *api_keys.PAGES,
    *first_payment.PAGES,
    *examples.PAGES,
    *events.PAGES,
    *records.PAGES,
)
