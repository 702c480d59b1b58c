"""What a list of transactions is asked for: the filters of the API, a search, and days as whoever looks counts them."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from entrypoints.http.console.days import FROM, TO, read_span
from entrypoints.http.console.visits import Visit
from entrypoints.http.query import CURRENCY, Parameter, Query
from entrypoints.http.resources.transactions import (
    CUSTOMER_REFERENCE,
    MAX_AMOUNT,
    MIN_AMOUNT,
    PAYMENT_KEY,
    REFERENCE,
    STATUS,
    filter_of,
)
from payments_core.checks import METADATA_KEY_LENGTH_MAX, METADATA_VALUE_LENGTH_MAX, Faults
from payments_core.errors import Fault, Invalid
from payments_core.ports import TransactionFilter
from payments_core.search import TEXT_LENGTH_MAX

_AS_THE_API: Final[tuple[Parameter[object], ...]] = (
    STATUS,
    PAYMENT_KEY,
    REFERENCE,
    CUSTOMER_REFERENCE,
    CURRENCY,
    MIN_AMOUNT,
    MAX_AMOUNT,
)
RARELY_USED: Final = (
    "payment_key",
    "reference",
    "customer_reference",
    "metadata_key",
    "metadata_value",
    "min_amount",
    "max_amount",
)
"""Fields of the form that are shown when they are asked for."""
FIELDS: Final = ("text", "status", "currency", FROM, TO, *RARELY_USED)


def given(visit: Visit) -> dict[str, str]:
    """Return what is asked for, by field, as it was typed: what links to other pages of the same list carry."""
    return {name: text for name in FIELDS if (text := visit.query.get(name)) is not None}


def read_filter(visit: Visit) -> TransactionFilter:
    """Return the filter that the address asks for. Raises Invalid with all that is malformed."""
    faults = Faults()
    found = _as_the_api(visit, faults)
    text, metadata = _searched(visit, faults)
    after, before = read_span(visit.query, visit.zone, faults)
    faults.raise_if_any()
    return replace(found, text=text, metadata=metadata, created_after=after, created_before=before)


def _as_the_api(visit: Visit, faults: Faults) -> TransactionFilter:
    values: dict[str, object] = {}
    for parameter in _AS_THE_API:
        text = visit.query.get(parameter.name)
        value = None if text is None else parameter.parse(parameter.name, text)
        if isinstance(value, Fault):
            _note(faults, value)
            if parameter is CURRENCY:
                # What an amount is, nobody can say then; and that the currency is malformed was said.
                return TransactionFilter()
        elif value is not None:
            values[parameter.name] = value
    try:
        return filter_of(Query(values=values))
    except Invalid as invalid:
        for fault in invalid.faults:
            _note(faults, fault)
        return TransactionFilter()


def _note(faults: Faults, fault: Fault) -> None:
    # The API writes names of fields as code.
    faults.add(fault.field, fault.code, fault.message.replace("`", ""))


def _searched(visit: Visit, faults: Faults) -> tuple[str | None, tuple[str, str] | None]:
    text, key, value = (visit.query.get(name) for name in ("text", "metadata_key", "metadata_value"))
    faults.text("text", text, longest=TEXT_LENGTH_MAX)
    faults.text("metadata_key", key, longest=METADATA_KEY_LENGTH_MAX)
    faults.text("metadata_value", value, longest=METADATA_VALUE_LENGTH_MAX)
    if key is None and value is not None:
        faults.add("metadata_key", "required", "Name the key that has this value.")
    if key is not None and value is None:
        faults.add("metadata_value", "required", "Write the value that this key has, whole.")
    return text, None if key is None or value is None else (key, value)
