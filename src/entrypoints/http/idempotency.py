"""The header `Idempotency-Key`, and what a request was."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from entrypoints.http.arrivals import Arrival
from payments_core.errors import Fault, Invalid
from payments_core.idempotency import Once, fingerprint, parse_key
from payments_core.values import Json

HEADER: Final = "Idempotency-Key"


def read_once(arrival: Arrival, *, secret: bytes, route: str, status: int, body: Mapping[str, Json]) -> Once | None:
    """Return what makes this request one with its repetitions, or None where it has no key.

    `route` is method and path without a trailing slash. Raises Invalid (`invalid_idempotency_key`).
    """
    given = arrival.all(b"idempotency-key")
    if not given:
        return None
    if len(given) > 1:
        fault = Fault(field=HEADER, code="duplicate_header", message="Is given more than once.")
        raise Invalid([fault], code="invalid_idempotency_key")
    key = parse_key(given[0])
    return Once(key=key, route=route, status=status, fingerprint=fingerprint(secret, route=route, body=body))
