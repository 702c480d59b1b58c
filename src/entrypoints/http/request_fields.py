"""What the document says of fields that are sent: meaning, bounds, an example. The core checks them."""

from __future__ import annotations

from typing import Annotated, Final, TypeAlias

from msgspec import Meta

from entrypoints.http.docs.quantities import in_bytes
from entrypoints.http.query import AMOUNT_PATTERN
from payments_core import webhook
from payments_core.checks import (
    METADATA_BYTES_MAX,
    METADATA_ENTRIES_MAX,
    METADATA_KEY_LENGTH_MAX,
    METADATA_VALUE_LENGTH_MAX,
)
from payments_core.event import ALL_EVENTS, EventType
from payments_core.merchant import (
    EMAIL_LENGTH_MAX,
    NAME_LENGTH_MAX,
    PASSWORD_LENGTH_MAX,
    PASSWORD_LENGTH_MIN,
    Scope,
)


def text(description: str, example: object, *, longest: int, shortest: int = 1, **more: object) -> Meta:
    """Return what the document says of a text: its bounds in characters."""
    # Not msgspec's own min_length and max_length: it would stop at the first fault, the core names all.
    schema = {"minLength": shortest, "maxLength": longest, **more}
    return Meta(description=description, examples=[example], extra_json_schema=schema)


NAME: Final = text("What you call it.", "Corner Shop", longest=NAME_LENGTH_MAX)
EMAIL: Final = text("An e-mail address.", "shop@example.com", longest=EMAIL_LENGTH_MAX, format="email")
NEW_PASSWORD: Final = text(
    f"{PASSWORD_LENGTH_MIN} to {PASSWORD_LENGTH_MAX} characters, not a common one.",
    "correct horse battery",
    longest=PASSWORD_LENGTH_MAX,
    shortest=PASSWORD_LENGTH_MIN,
)
PASSWORD: Final = Meta(description="The account's password.", examples=["correct horse battery"])
LIVEMODE: Final = Meta(description="The mode of what is made.", examples=[False])
METADATA: Final = Meta(
    description=f"Up to {METADATA_ENTRIES_MAX} texts, {in_bytes(METADATA_BYTES_MAX)} in all; no card numbers.",
    examples=[{"order": "123"}],
    extra_json_schema={
        "maxProperties": METADATA_ENTRIES_MAX,
        "propertyNames": {"minLength": 1, "maxLength": METADATA_KEY_LENGTH_MAX},
        "additionalProperties": {"type": "string", "maxLength": METADATA_VALUE_LENGTH_MAX},
    },
)
EVENTS: Final = Meta(
    description="Event types, or `*` for all, future ones included.",
    examples=[[ALL_EVENTS]],
    extra_json_schema={"minItems": 1, "maxItems": len(EventType) + 1},
)
URL: Final = text(
    "Where events are posted to: `https`, an address of the public internet.",
    "https://shop.example.com/webhooks",
    longest=webhook.URL_LENGTH_MAX,
    format="uri",
)
DESCRIPTION: Final = text(
    "For people; no card numbers.", "Order #123", longest=webhook.DESCRIPTION_LENGTH_MAX, shortest=0
)
AMOUNT: Final = Meta(
    description="A decimal string over zero with at most the currency's decimals, never a number.",
    examples=["100.00"],
    extra_json_schema={"pattern": AMOUNT_PATTERN},
)

SANDBOX_SCRIPTS: Final = (
    "`pm_approve` (also when left out), `pm_decline_insufficient_funds`, `pm_decline_expired`, `pm_decline_fraud`, "
    "`pm_timeout_charged`, `pm_timeout_not_charged`, `pm_error_once`, `pm_slow`, `pm_refund_fails`, "
    "`pm_refund_returned_late` or `pm_corrected_late`; any other is declined"
)


def time(description: str, example: str) -> Meta:
    """Return what the document says of a time; by its format, bodies are searched for times that are none."""
    return Meta(description=description, examples=[example], extra_json_schema={"format": "date-time"})


EventName: TypeAlias = Annotated[str, Meta(extra_json_schema={"enum": [ALL_EVENTS, *EventType]})]
ScopeName: TypeAlias = Annotated[str, Meta(extra_json_schema={"enum": [*Scope]})]
Livemode: TypeAlias = Annotated[bool, LIVEMODE]
Metadata: TypeAlias = Annotated[dict[str, str] | None, METADATA]
