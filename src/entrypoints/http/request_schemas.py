"""What is sent, body by body: closed, strict, and true in the document. The core checks lengths and meanings."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import UNSET as ABSENT
from msgspec import Meta, Struct, UnsetType

from entrypoints.http.query import parse_time
from entrypoints.http.request_fields import (
    AMOUNT,
    DESCRIPTION,
    EMAIL,
    EVENTS,
    LIVEMODE,
    NAME,
    NEW_PASSWORD,
    PASSWORD,
    SANDBOX_SCRIPTS,
    URL,
    EventName,
    Livemode,
    Metadata,
    ScopeName,
    text,
    time,
)
from entrypoints.http.response_schemas import example_id
from payments_core import (
    AddEndpoint,
    ChangeEndpoint,
    Fault,
    Invalid,
    LogIn,
    MakeApiKey,
    Pay,
    RefundTransaction,
    Register,
    Replay,
)
from payments_core.event import ALL_EVENTS
from payments_core.ids import ID_LENGTH_MAX, TransactionId
from payments_core.merchant import EMAIL_LENGTH_MAX, Scope
from payments_core.refund import REASON_LENGTH_MAX
from payments_core.transaction import DESCRIPTION_LENGTH_MAX, PAYMENT_METHOD_LENGTH_MAX, REFERENCE_LENGTH_MAX
from payments_core.values import UNSET


class _Body(Struct, forbid_unknown_fields=True, frozen=True):
    """Fields that may be left out may also be null, which means the same unless the field says otherwise."""


class RegisterBody(_Body, frozen=True):
    """A new account."""

    email: Annotated[str, EMAIL]
    password: Annotated[str, NEW_PASSWORD]
    name: Annotated[str | None, NAME] = None

    def command(self) -> Register:
        """Return what is to be done."""
        return Register(email=self.email, password=self.password, name=self.name)


class LogInBody(_Body, frozen=True):
    """Who logs in."""

    email: Annotated[str, EMAIL]
    password: Annotated[str, PASSWORD]
    livemode: Livemode = False

    def command(self) -> LogIn:
        """Return what is to be done."""
        return LogIn(email=_bounded(self.email), password=self.password, livemode=self.livemode)


class TokenBody(_Body, frozen=True):
    """Who logs in; `email` or `username`, which mean the same."""

    password: Annotated[str, PASSWORD]
    email: Annotated[str | None, EMAIL] = None
    username: Annotated[str | None, text("Another name for `email`.", None, longest=EMAIL_LENGTH_MAX)] = None
    livemode: Livemode = False

    def command(self) -> LogIn:
        """Return what is to be done; raise Invalid unless just one of the two names is given."""
        if self.email is not None and self.username is not None:
            raise Invalid.field("username", "not_with_email", "Means the same as `email`: give one of them.")
        email = self.username if self.email is None else self.email
        if email is None:
            raise Invalid.field("email", "missing", "Is required.")
        return LogIn(email=_bounded(email), password=self.password, livemode=self.livemode)


class RefreshBody(_Body, frozen=True):
    """The refresh token, which is spent."""

    refresh: Annotated[str, Meta(examples=["rt_…"])]


class PasswordBody(_Body, frozen=True):
    """The old password and the new one."""

    password: Annotated[str, PASSWORD]
    new_password: Annotated[str, NEW_PASSWORD]


class ApiKeyBody(_Body, frozen=True):
    """A new API key; what is left out is as the caller's own."""

    name: Annotated[str | None, NAME] = None
    scopes: Annotated[
        list[ScopeName] | None,
        Meta(
            description="What the key may do: at most what the caller may.",
            examples=[[str(Scope.TRANSACTIONS_READ), str(Scope.TRANSACTIONS_WRITE)]],
            extra_json_schema={"minItems": 1},
        ),
    ] = None
    expires_at: Annotated[str | None, time("When it ends; never, unless given.", "2099-01-01T00:00:00Z")] = None
    livemode: Annotated[bool | None, LIVEMODE] = None

    def __post_init__(self) -> None:
        _time_of(self.expires_at)

    def command(self) -> MakeApiKey:
        """Return what is to be done."""
        scopes = None if self.scopes is None else tuple(self.scopes)
        return MakeApiKey(name=self.name, scopes=scopes, expires_at=_time_of(self.expires_at), livemode=self.livemode)


class PayBody(_Body, frozen=True):
    """A payment."""

    payment_key: Annotated[str, Meta(description="The `key` of a payment key.", examples=["pk_test_…"])]
    amount: Annotated[str, AMOUNT]
    currency: Annotated[
        str,
        Meta(
            description="An active ISO 4217 code of money, case ignored.",
            examples=["USD"],
            extra_json_schema={"minLength": 3, "maxLength": 3},
        ),
    ]
    description: Annotated[
        str | None,
        text("For people; no card numbers.", "Order #123", longest=DESCRIPTION_LENGTH_MAX, shortest=0),
    ] = None
    metadata: Metadata = None
    payment_method: Annotated[
        str | None,
        text(
            f"What the gateway charges; required in live mode. In test mode it scripts the outcome: {SANDBOX_SCRIPTS}.",
            "pm_approve",
            longest=PAYMENT_METHOD_LENGTH_MAX,
        ),
    ] = None
    reference: Annotated[
        str | None,
        text("An id of your own; no two transactions share one.", "order-123", longest=REFERENCE_LENGTH_MAX),
    ] = None
    customer_reference: Annotated[
        str | None, text("Your id of the customer.", "customer-7", longest=REFERENCE_LENGTH_MAX)
    ] = None

    def command(self) -> Pay:
        """Return what is to be done."""
        return Pay(
            payment_key=self.payment_key,
            amount=self.amount,
            currency=self.currency,
            description=self.description,
            metadata=self.metadata or {},
            payment_method=self.payment_method,
            reference=self.reference,
            customer_reference=self.customer_reference,
        )


class RefundBody(_Body, frozen=True):
    """A refund."""

    transaction: Annotated[str, text("Which transaction.", example_id("txn"), longest=ID_LENGTH_MAX)]
    amount: Annotated[str | None, AMOUNT, Meta(description="All that is left, unless given.")] = None
    reason: Annotated[
        str | None,
        text("For people; no card numbers.", "Two items returned", longest=REASON_LENGTH_MAX, shortest=0),
    ] = None
    metadata: Metadata = None

    def command(self) -> RefundTransaction:
        """Return what is to be done."""
        return RefundTransaction(
            transaction=TransactionId(self.transaction),
            amount=self.amount,
            reason=self.reason,
            metadata=self.metadata or {},
        )


class WebhookBody(_Body, frozen=True):
    """A new endpoint."""

    url: Annotated[str, URL]
    events: Annotated[list[EventName] | None, EVENTS] = None
    description: Annotated[str | None, DESCRIPTION] = None

    def command(self) -> AddEndpoint:
        """Return what is to be done."""
        events = (ALL_EVENTS,) if self.events is None else tuple(self.events)
        return AddEndpoint(url=self.url, events=events, description=self.description)


class WebhookChanges(_Body, frozen=True):
    """What is to be different; fields left out stay as they are, and null empties `description`."""

    url: Annotated[str, URL] | UnsetType = ABSENT
    events: Annotated[list[EventName], EVENTS] | UnsetType = ABSENT
    description: Annotated[str | None, DESCRIPTION] | UnsetType = ABSENT
    enabled: Annotated[bool, Meta(description="Whether events are sent.", examples=[True])] | UnsetType = ABSENT

    def command(self) -> ChangeEndpoint:
        """Return what is to be done."""
        return ChangeEndpoint(
            url=UNSET if isinstance(self.url, UnsetType) else self.url,
            events=UNSET if isinstance(self.events, UnsetType) else tuple(self.events),
            description=UNSET if isinstance(self.description, UnsetType) else self.description,
            enabled=UNSET if isinstance(self.enabled, UnsetType) else self.enabled,
        )


class ReplayBody(_Body, frozen=True):
    """Which events are to be sent again."""

    since: Annotated[str, time("From this time on.", "2026-03-01T00:00:00Z")]
    until: Annotated[str | None, time("Before this time; now, unless given.", "2026-03-02T00:00:00Z")] = None
    only_failed: Annotated[bool, Meta(description="Only those that never arrived.", examples=[True])] = False

    def __post_init__(self) -> None:
        _time_of(self.since)
        _time_of(self.until)

    def command(self) -> Replay:
        """Return what is to be done."""
        since = _time_of(self.since)
        assert since is not None
        return Replay(since=since, until=_time_of(self.until), only_failed=self.only_failed)


def _bounded(email: str) -> str:
    """Return the address, or its start: still nobody's, but not too long to be looked for and counted."""
    return email[: EMAIL_LENGTH_MAX + 1]


def _time_of(text: str | None) -> datetime | None:
    """Return the time; raise ValueError for one that is none, by which msgspec refuses the body as for a wrong type."""
    found = None if text is None else parse_time("", text)
    if isinstance(found, Fault):
        raise ValueError(found.message)
    return found
