"""Webhooks: endpoints, deliveries, the retry schedule, signing and verification (Standard Webhooks 1.0.0)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from payments_core.card_numbers import mask_card_numbers
from payments_core.event import ALL_EVENTS, EventType
from payments_core.ids import DeliveryId, EndpointId, EventId, MerchantId

ENDPOINTS_MAX: Final = 20
URL_LENGTH_MAX: Final = 2048
DESCRIPTION_LENGTH_MAX: Final = 500
SECRET_BYTES: Final = 32
SECRET_BYTES_MIN: Final = 24
"""Of a secret that `verify` takes: an empty or short one would let anybody sign (Standard Webhooks: 24 to 64)."""
SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - the prefix of secrets, not one
SECRET_OVERLAP: Final = timedelta(hours=24)
OLD_SECRETS_MAX: Final = 8
"""Rotations within SECRET_OVERLAP beyond this many end the oldest early."""
TOLERANCE: Final = timedelta(seconds=300)
EXCERPT_LENGTH_MAX: Final = 2048
"""Of a receiver's answer, in characters; the rest is not kept."""
ATTEMPTS_KEPT_MAX: Final = 50
"""Of one delivery, the latest: more come only by retries and replays."""
REPLAY_WINDOW_MAX: Final = timedelta(days=30)
REPLAYED_MAX: Final = 10_000
"""By one replay, which is one commit."""
DELIVERIES_SHOWN_MAX: Final = 200
STORY_EVENTS_MAX: Final = 100
REMOVED_SHOWN_MAX: Final = 20
"""What is shown of one transaction's deliveries: as many, of as many events, of as many endpoints that are gone."""
DISABLED_AFTER: Final = timedelta(days=5)
SIGNATURES_MAX: Final = 16
"""How many signatures of one header `verify` looks at."""

RETRY_SCHEDULE: Final[Sequence[timedelta]] = (
    timedelta(0),
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=20),
    timedelta(hours=24),
)
"""When each attempt is due, counted from the end of the one before it."""
JITTER: Final = 0.2
RETRY_AFTER_STEPS_MAX: Final = 2
"""`Retry-After` is honoured up to this many times the step."""


class DeliveryStatus(StrEnum):
    """The states of a delivery; only a pending one is attempted."""

    PENDING = "pending"
    DELIVERED = "delivered"
    EXHAUSTED = "exhausted"
    CANCELED = "canceled"


@dataclass(frozen=True, slots=True, kw_only=True)
class OldSecret:
    """A secret that was replaced and signs, beside its successors, until its time is over."""

    secret: str = field(repr=False)
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where a merchant wants events. `failing_since` is when it began to only fail; a success clears it.

    `subscribed_at` is when its present subscription began: it was made, its `events` changed, or it was enabled again.
    """

    id: EndpointId
    merchant: MerchantId
    livemode: bool
    url: str
    events: tuple[str, ...]
    description: str | None
    enabled: bool
    secret: str = field(repr=False)
    created_at: datetime
    subscribed_at: datetime
    old_secrets: tuple[OldSecret, ...] = ()
    failing_since: datetime | None = None
    removed_at: datetime | None = None
    version: int = 0

    def listens_to(self, type: EventType) -> bool:
        """Say whether events of this type are to be sent here."""
        return self.enabled and self.removed_at is None and (ALL_EVENTS in self.events or type in self.events)

    def rotate_secret(self, secret: str, *, at: datetime) -> Endpoint:
        """Return the endpoint with a new secret; old ones sign too for SECRET_OVERLAP, the latest OLD_SECRETS_MAX."""
        living = [old for old in self.old_secrets if at < old.until]
        old_secrets = (OldSecret(secret=self.secret, until=at + SECRET_OVERLAP), *living)[:OLD_SECRETS_MAX]
        return replace(self, secret=secret, old_secrets=old_secrets)

    def secrets_at(self, at: datetime) -> tuple[str, ...]:
        """Return the secrets that sign at that time, the newest first."""
        return (self.secret, *(old.secret for old in self.old_secrets if at < old.until))

    def disable(self) -> Endpoint:
        """Return the endpoint that is sent nothing any more."""
        return replace(self, enabled=False)

    def enable(self, *, at: datetime) -> Endpoint:
        """Return the endpoint that is sent events again from now on, its clock of failure at zero."""
        return replace(self, enabled=True, failing_since=None, subscribed_at=at)

    def subscribe(self, events: tuple[str, ...], *, at: datetime) -> Endpoint:
        """Return the endpoint that listens to these from now on: this same object where nothing changes."""
        return self if events == self.events else replace(self, events=events, subscribed_at=at)

    def remove(self, *, at: datetime) -> Endpoint:
        """Return the endpoint that is gone for its merchant; its deliveries keep a place to belong to."""
        return replace(self, enabled=False, removed_at=at)

    def succeeded(self) -> Endpoint:
        """Return the endpoint after a success: this same object where nothing changes."""
        return self if self.failing_since is None else replace(self, failing_since=None)

    def failed(self, *, at: datetime) -> Endpoint:
        """Return the endpoint after a failure: this same object where nothing changes."""
        return self if self.failing_since is not None else replace(self, failing_since=at)

    def has_failed_too_long(self, *, at: datetime) -> bool:
        """Say whether it has only failed for DISABLED_AFTER."""
        return self.failing_since is not None and at - self.failing_since >= DISABLED_AFTER


def excerpt_of(answer: str) -> str:
    """Return what is kept of a receiver's answer: its start, without card numbers and what could not be shown.

    Characters that don't print go first, as they can hide inside a number. The cut to EXCERPT_LENGTH_MAX is left to
    the search, as it could leave most of one.
    """
    return mask_card_numbers("".join(map(_shown, answer)), kept=EXCERPT_LENGTH_MAX)


def _shown(character: str) -> str:
    if character.isprintable() or character in "\n\t":
        return character
    return " " if character.isspace() else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryAttempt:
    """One post to an endpoint: what came back (`status_code`, `excerpt`), or why nothing did (`error`)."""

    number: int
    at: datetime
    milliseconds: int
    status_code: int | None = None
    error: str | None = None
    excerpt: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One event on its way to one endpoint. It is its own job: `due_at`, `lease_token`, `lease_expires_at`.

    `tries` counts attempts since it was last (re)queued and picks the step of the schedule; `attempts` keeps the
    latest ATTEMPTS_KEPT_MAX of all. A claim raises `lease_token`; whoever holds an older one has lost it.
    """

    id: DeliveryId
    merchant: MerchantId
    livemode: bool
    endpoint: EndpointId
    event: EventId
    event_type: EventType
    status: DeliveryStatus
    created_at: datetime
    updated_at: datetime
    due_at: datetime | None
    tries: int = 0
    attempts: tuple[DeliveryAttempt, ...] = field(default=())
    lease_token: int = 0
    lease_expires_at: datetime | None = None
    version: int = 0

    def deliver(self, attempt: DeliveryAttempt) -> Delivery:
        """Return the delivery that arrived."""
        return self._end(DeliveryStatus.DELIVERED, attempt)

    def cancel(self, attempt: DeliveryAttempt) -> Delivery:
        """Return the delivery whose endpoint wants nothing any more."""
        return self._end(DeliveryStatus.CANCELED, attempt)

    def fail(
        self,
        attempt: DeliveryAttempt,
        *,
        now: datetime,
        retry_after: timedelta | None,
        jitter: float,
        schedule: Sequence[timedelta] = RETRY_SCHEDULE,
    ) -> Delivery:
        """Return the delivery that is due again, counted from now, or exhausted; `jitter` is random from -1 to 1."""
        tries = self.tries + 1
        if tries >= len(schedule):
            return self._end(DeliveryStatus.EXHAUSTED, attempt)
        step = schedule[tries]
        wait = step * (1 + JITTER * jitter)
        if retry_after is not None:
            wait = max(wait, min(retry_after, step * RETRY_AFTER_STEPS_MAX))
        return replace(
            self,
            tries=tries,
            attempts=self._with(attempt),
            due_at=now + wait,
            lease_expires_at=None,
            updated_at=attempt.at,
        )

    def note(self, attempt: DeliveryAttempt) -> Delivery:
        """Return the delivery that was ended by something else while it was under way."""
        return replace(self, attempts=self._with(attempt), lease_expires_at=None, updated_at=attempt.at)

    def queue_again(self, *, at: datetime) -> Delivery:
        """Return the delivery, due now, with its whole schedule before it."""
        return replace(self, status=DeliveryStatus.PENDING, due_at=at, tries=0, updated_at=at)

    @property
    def next_attempt_number(self) -> int:
        """The number of the next attempt, from 1."""
        return self.attempts[-1].number + 1 if self.attempts else 1

    def _with(self, attempt: DeliveryAttempt) -> tuple[DeliveryAttempt, ...]:
        return (*self.attempts, attempt)[-ATTEMPTS_KEPT_MAX:]

    def _end(self, status: DeliveryStatus, attempt: DeliveryAttempt) -> Delivery:
        return replace(
            self,
            status=status,
            tries=self.tries + 1,
            attempts=self._with(attempt),
            due_at=None,
            lease_expires_at=None,
            updated_at=attempt.at,
        )


class InvalidSignature(ValueError):
    """The request is not what its sender signed, or not from now, or not well-formed."""


def make_secret(random: bytes) -> str:
    """Return the signing secret made of 32 random bytes."""
    return SECRET_PREFIX + base64.b64encode(random).decode()


def _key(secret: str) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) < SECRET_BYTES_MIN:
        raise InvalidSignature(f"the secret is not `whsec_` and the base64 of at least {SECRET_BYTES_MIN} bytes")
    return key


def _signature(secret: str, id: str, timestamp: int, body: bytes) -> str:
    signed = f"{id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(_key(secret), signed, hashlib.sha256)).decode()


def sign(secrets: Sequence[str], *, id: str, at: datetime, body: bytes) -> dict[str, str]:
    """Return the three headers for a body; one signature for each secret, blank-separated."""
    timestamp = int(at.timestamp())
    return {
        "webhook-id": id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(_signature(secret, id, timestamp, body) for secret in secrets),
    }


def verify(secret: str, *, headers: Mapping[str, str], body: bytes, at: datetime) -> str:
    """Return the webhook's id where `body` is what the sender signed with `secret`, no more than TOLERANCE from `at`.

    `body` is the raw body as it came, `headers` any mapping (names in any case). Raises InvalidSignature for
    everything else: it fails closed on anything malformed. An id may come more than once; do its work once.
    """
    given = {name.lower(): value for name, value in headers.items()}
    id, stamp, signatures = (given.get(f"webhook-{name}", "") for name in ("id", "timestamp", "signature"))
    if not id or not signatures:
        raise InvalidSignature("a webhook header is missing")
    if not (stamp.isascii() and stamp.isdigit() and len(stamp) <= 12):
        raise InvalidSignature("the timestamp is not a number of seconds")
    if abs(at.timestamp() - int(stamp)) > TOLERANCE.total_seconds():
        raise InvalidSignature("the timestamp is too far from now")
    if not id.isascii() or not signatures.isascii():
        raise InvalidSignature("a webhook header is not ASCII")
    expected = _signature(secret, id, int(stamp), body)
    candidates = signatures.split(" ")[:SIGNATURES_MAX]
    if not any([hmac.compare_digest(expected, candidate) for candidate in candidates]):
        raise InvalidSignature("no signature matches")
    return id
