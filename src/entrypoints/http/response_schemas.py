"""What comes back, field by field: the documented shape of what `payments_core.describe` gives.

Nothing is encoded with these types: they are what the OpenAPI document is made of, and tests hold both together.
Fields are only ever added, and enumerations are open: a client passes over what it doesn't know.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, Any, Final, TypeAlias

from msgspec import Meta, Struct

from payments_core.audit import Action, ActorKind
from payments_core.event import API_VERSION, EventType
from payments_core.merchant import ApiKeyKind, Scope
from payments_core.refund import RefundStatus
from payments_core.transaction import REFUNDS_SHOWN_MAX, Status, StatusReason
from payments_core.webhook import ATTEMPTS_KEPT_MAX, EXCERPT_LENGTH_MAX, DeliveryStatus

_ID_BODY: Final = "01K5Z8Q2H4N6T7V9XBCDEFGHJK"


def example_id(prefix: str) -> str:
    """Return an id as the document shows it."""
    return f"{prefix}_{_ID_BODY}"


def _open(values: Iterable[StrEnum], description: str) -> Meta:
    known = ", ".join(f"`{value}`" for value in values)
    return Meta(description=f"{description} Known values: {known}; more may come.", examples=[str(next(iter(values)))])


_TIME: Final = Meta(
    description="RFC 3339, UTC, microseconds.",
    examples=["2026-03-01T09:30:15.123457Z"],
    extra_json_schema={"format": "date-time"},
)
Time: TypeAlias = Annotated[str, _TIME]
Metadata: TypeAlias = Annotated[dict[str, str], Meta(description="What you sent.", examples=[{"order": "123"}])]
Livemode: TypeAlias = Annotated[bool, Meta(description="False in test mode.", examples=[False])]
TransactionId: TypeAlias = Annotated[str, Meta(examples=[example_id("txn")])]
Currency: TypeAlias = Annotated[str, Meta(description="ISO 4217, in capitals.", examples=["USD"])]
TransactionStatus: TypeAlias = Annotated[
    str, _open(Status, "Final are `succeeded`, `failed`, `canceled`; treat an unknown one as not final.")
]
RefundState: TypeAlias = Annotated[str, _open(RefundStatus, "A succeeded refund may still fail: the bank returned it.")]
Reason: TypeAlias = Annotated[str | None, _open(StatusReason, "Why it is where it is.")]
Type: TypeAlias = Annotated[str, _open(EventType, "What happened.")]
ScopeName: TypeAlias = Annotated[str, _open(Scope, "What the key may do.")]


def _amount(description: str, example: str = "100.00") -> Meta:
    return Meta(description=f"{description} Decimal, with exactly the currency's decimals.", examples=[example])


class Merchant(Struct, frozen=True):
    """An account."""

    id: Annotated[str, Meta(examples=[example_id("mer")])]
    email: Annotated[str, Meta(examples=["shop@example.com"])]
    name: Annotated[str | None, Meta(examples=["Corner Shop"])]
    created_at: Time


class RegisteredMerchant(Merchant, frozen=True):
    """A new account with its first API key."""

    api_key: Annotated[str, Meta(description="A secret, shown this once.", examples=["sk_test_…"])]


class SessionKey(Struct, frozen=True):
    """An API key that a login made, and that expires."""

    api_key: Annotated[str, Meta(description="A secret, shown this once.", examples=["sk_test_…"])]
    expires_at: Time
    merchant: Merchant


class TokenPair(Struct, frozen=True):
    """An access token, and the refresh token that gets the next pair, once."""

    access: Annotated[str, Meta(description="Send it as `Authorization: Bearer …`.", examples=["eyJ…"])]
    refresh: Annotated[str, Meta(description="Good for one refresh.", examples=["rt_…"])]
    token_type: Annotated[str, Meta(examples=["Bearer"])]
    expires_in: Annotated[int, Meta(description="Seconds until the access token expires.", examples=[300])]


class ApiKey(Struct, frozen=True):
    """An API key; its secret was shown when it was made."""

    id: Annotated[str, Meta(examples=[example_id("apk")])]
    livemode: Livemode
    kind: Annotated[str, _open(ApiKeyKind, "A server's key, or one that a login made and that expires.")]
    name: Annotated[str | None, Meta(examples=["shop backend"])]
    scopes: Annotated[list[ScopeName], Meta(examples=[[str(Scope.TRANSACTIONS_READ), str(Scope.TRANSACTIONS_WRITE)]])]
    prefix: Annotated[str, Meta(examples=["sk_test_4eC3"])]
    last_four: Annotated[str, Meta(examples=["9zQx"])]
    created_at: Time
    expires_at: Time | None
    last_used_at: Time | None


class NewApiKey(ApiKey, frozen=True):
    """A new API key with its secret."""

    api_key: Annotated[str, Meta(description="A secret, shown this once.", examples=["sk_test_…"])]


class PaymentKey(Struct, frozen=True):
    """A channel through which payments come; not a secret."""

    id: Annotated[str, Meta(examples=[example_id("key")])]
    livemode: Livemode
    key: Annotated[str, Meta(description="The `payment_key` of a payment.", examples=["pk_test_…"])]
    is_active: Annotated[bool, Meta(examples=[True])]
    created_at: Time


class Failure(Struct, frozen=True):
    """Why money did not move."""

    code: Annotated[str, Meta(description="For programs; more may come.", examples=["insufficient_funds"])]
    message: Annotated[str, Meta(examples=["The card has insufficient funds."])]
    gateway_code: Annotated[str | None, Meta(description="The gateway's own code.", examples=["51"])]
    retryable: Annotated[bool, Meta(description="Whether another try may succeed.", examples=[False])]


class Refund(Struct, frozen=True):
    """Money given back."""

    id: Annotated[str, Meta(examples=[example_id("rfn")])]
    livemode: Livemode
    transaction: TransactionId
    amount: Annotated[str, _amount("What is given back.", "30.00")]
    currency: Currency
    status: RefundState
    status_reason: Reason
    reason: Annotated[str | None, Meta(examples=["Two items returned"])]
    metadata: Metadata
    failure: Failure | None
    created_at: Time
    updated_at: Time


class Transaction(Struct, frozen=True):
    """One payment."""

    id: TransactionId
    livemode: Livemode
    status: TransactionStatus
    status_reason: Reason
    amount: Annotated[str, _amount("What is paid.")]
    currency: Currency
    amount_refunded: Annotated[str, _amount("What went back.", "0.00")]
    amount_refund_pending: Annotated[str, _amount("What is on its way back.", "0.00")]
    amount_refundable: Annotated[str, _amount("What could be refunded now.", "100.00")]
    description: Annotated[str | None, Meta(examples=["Order #123"])]
    reference: Annotated[str | None, Meta(examples=["order-123"])]
    customer_reference: Annotated[str | None, Meta(examples=["customer-7"])]
    metadata: Metadata
    payment_method: Annotated[str | None, Meta(examples=["pm_approve"])]
    payment_key: Annotated[
        str, Meta(description="The id of the payment key that it came through.", examples=[example_id("key")])
    ]
    gateway: Annotated[str, Meta(examples=["sandbox"])]
    gateway_reference: Annotated[str | None, Meta(examples=["sandbox_ch_1"])]
    failure: Failure | None
    refunds: Annotated[list[Refund], Meta(description=f"The latest {REFUNDS_SHOWN_MAX}, the newest first.")]
    created_at: Time
    updated_at: Time
    completed_at: Time | None


class Actor(Struct, frozen=True):
    """Who did it."""

    kind: Annotated[str, _open(ActorKind, "By what somebody was recognised.")]
    id: Annotated[
        str | None, Meta(description="Of the credential, or what one of the staff is called.", examples=["apk_1"])
    ]


class AuditEntry(Struct, frozen=True):
    """One line of the audit log."""

    id: Annotated[str, Meta(examples=[example_id("aud")])]
    livemode: Annotated[bool | None, Meta(description="Null where it concerns both modes.", examples=[False])]
    at: Time
    action: Annotated[str, _open(Action, "What was done, or tried.")]
    actor: Actor
    address: Annotated[str | None, Meta(description="From where, as far as known.", examples=["192.0.2.7"])]
    request_id: Annotated[str | None, Meta(examples=["req_1"])]
    subject: Annotated[str | None, Meta(description="The id of what it was done to.", examples=[example_id("rfn")])]
    detail: Annotated[
        dict[str, Any],
        Meta(
            description="More of it, by the action; never a secret.", examples=[{"amount": "30.00", "currency": "USD"}]
        ),
    ]


class Webhook(Struct, frozen=True):
    """An endpoint to which events are sent."""

    id: Annotated[str, Meta(examples=[example_id("whk")])]
    livemode: Livemode
    url: Annotated[str, Meta(examples=["https://shop.example.com/webhooks"])]
    events: Annotated[list[str], Meta(description="Event types, or `*` for all.", examples=[["*"]])]
    description: Annotated[str | None, Meta(examples=["Order system"])]
    enabled: Annotated[bool, Meta(examples=[True])]
    created_at: Time


class WebhookWithSecret(Webhook, frozen=True):
    """An endpoint with the secret that signs what it gets (Standard Webhooks 1.0.0)."""

    secret: Annotated[str, Meta(description="Shown now and never again.", examples=["whsec_…"])]


class DeliveryAttempt(Struct, frozen=True):
    """One post to an endpoint."""

    number: Annotated[int, Meta(examples=[1])]
    at: Time
    milliseconds: Annotated[int, Meta(examples=[84])]
    status_code: Annotated[int | None, Meta(description="What the receiver answered.", examples=[200])]
    error: Annotated[str | None, Meta(description="Why nothing came back.", examples=[None])]
    response: Annotated[
        str, Meta(description=f"The first {EXCERPT_LENGTH_MAX:,} characters of the answer.", examples=["ok"])
    ]


class Delivery(Struct, frozen=True):
    """One event on its way to one endpoint."""

    id: Annotated[str, Meta(examples=[example_id("dlv")])]
    livemode: Livemode
    endpoint: Annotated[str, Meta(examples=[example_id("whk")])]
    event: Annotated[str, Meta(description="Also the header `webhook-id`.", examples=[example_id("evt")])]
    event_type: Type
    status: Annotated[str, _open(DeliveryStatus, "`exhausted`: all attempts are used.")]
    next_attempt_at: Time | None
    attempts: Annotated[list[DeliveryAttempt], Meta(description=f"The latest {ATTEMPTS_KEPT_MAX}, the oldest first.")]
    created_at: Time
    updated_at: Time


class Event(Struct, frozen=True):
    """Something that happened, letter by letter as webhooks send it."""

    id: Annotated[str, Meta(examples=[example_id("evt")])]
    type: Type
    api_version: Annotated[str, Meta(examples=[API_VERSION])]
    livemode: Livemode
    timestamp: Time
    sequence: Annotated[
        int | None,
        Meta(description="Counts the events of a transaction and its refunds from 1; null for `webhook.*`."),
    ]
    data: Annotated[dict[str, Any], Meta(description="The resource as it was then.")]


class IdempotencyKey(Struct, frozen=True):
    """What an idempotency key did."""

    key: Annotated[str, Meta(examples=["order-123-pay"])]
    livemode: Livemode
    route: Annotated[str, Meta(examples=["POST /api/transactions/pay"])]
    status: Annotated[int, Meta(examples=[201])]
    resource: Annotated[str | None, Meta(description="The id of what it made.", examples=[example_id("txn")])]
    created_at: Time
    expires_at: Annotated[str, _TIME, Meta(description="From then on the key is free.")]


class Replayed(Struct, frozen=True):
    """How many deliveries were queued."""

    queued: Annotated[int, Meta(examples=[3])]


class ProblemField(Struct, frozen=True):
    """One field that is at fault."""

    field: Annotated[str, Meta(description="Its path; empty for the whole query or body.", examples=["amount"])]
    code: Annotated[str, Meta(description="For programs.", examples=["too_many_decimals"])]
    message: Annotated[str, Meta(description="For people.", examples=["USD has at most 2 decimals."])]


class Problem(Struct, frozen=True, omit_defaults=True):
    """What went wrong (RFC 9457). `code` is contract, `title` and `detail` are prose."""

    type: Annotated[str, Meta(description="A page that explains it.", examples=["/problems/invalid_request"])]
    title: Annotated[str, Meta(examples=["Invalid request"])]
    status: Annotated[int, Meta(examples=[400])]
    detail: Annotated[str, Meta(examples=["amount: USD has at most 2 decimals."])]
    code: Annotated[str, Meta(examples=["invalid_request"])]
    retryable: Annotated[bool, Meta(description="Whether the same request may work later.", examples=[False])]
    request_id: Annotated[str, Meta(examples=["req_0f8fad5bd9cb469fa165708673e3d2b1"])]
    errors: Annotated[list[ProblemField], Meta(description="All fields at fault; only where fields are.")] = []


class Health(Struct, frozen=True):
    """Whether the service works, and what is wrong."""

    status: Annotated[str, Meta(description="`ok`, `degraded` or `unavailable`.", examples=["ok"])]
    checks: Annotated[
        dict[str, str],
        Meta(description="For each thing looked at: `ok`, or what is wrong with it.", examples=[{"store": "ok"}]),
    ] = {}
