"""Typed, prefixed, time-ordered ids.

An id is a prefix, `_` and 26 characters of Crockford's base 32 (no I, L, O, U): 56 bits of microseconds since 1970,
then 74 random bits. Ids of one kind therefore sort by the time at which they were made, which lets lists page by id
alone and turns a time into a bound on ids. To everyone outside they are opaque.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, NewType

MerchantId = NewType("MerchantId", str)
ApiKeyId = NewType("ApiKeyId", str)
SessionId = NewType("SessionId", str)
PaymentKeyId = NewType("PaymentKeyId", str)
TransactionId = NewType("TransactionId", str)
RefundId = NewType("RefundId", str)
AttemptId = NewType("AttemptId", str)
EndpointId = NewType("EndpointId", str)
DeliveryId = NewType("DeliveryId", str)
EventId = NewType("EventId", str)
JobId = NewType("JobId", str)
AuditEntryId = NewType("AuditEntryId", str)
StaffId = NewType("StaffId", str)
StaffSessionId = NewType("StaffSessionId", str)

ID_LENGTH_MAX: Final = 255
"""What a client must reckon with; ours are 30 long."""

BODY_LENGTH: Final = 26
RANDOM_BITS: Final = 74
MICROSECONDS_MAX: Final = (1 << 56) - 1
SEED_BYTES: Final = 32

_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS: Final = [a + b for a in _ALPHABET for b in _ALPHABET]
_SHIFTS: Final = range(10 * (BODY_LENGTH // 2 - 1), -1, -10)
_HEAD_SHIFTS: Final = _SHIFTS[:5]
"""Of what begins every id of one time: 50 of its 56 bits."""
_TAIL_SHIFTS: Final = _SHIFTS[5:]
_RANDOM: Final = (1 << RANDOM_BITS) - 1
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def microseconds(at: datetime) -> int:
    """Return the microseconds since 1970 of an aware time."""
    return (at - _EPOCH) // _MICROSECOND


def time_at(microseconds: int) -> datetime:
    """Return the time so many microseconds after 1970."""
    return _EPOCH + microseconds * _MICROSECOND


def _encode(number: int, shifts: Iterable[int] = _SHIFTS) -> str:
    """Return 130 bits as 26 characters, or those of them that `shifts` names, two for each."""
    return "".join([_PAIRS[number >> shift & 1023] for shift in shifts])


def lowest_id(prefix: str, at: datetime, *, shift: timedelta = timedelta(0)) -> str:
    """Return a bound: ids of this kind made at `at` + `shift` or later sort at or above it, earlier ones below.

    Ids have room for times from 1970 to the year 4253; other times bound as the nearest of these, those too to which
    `shift` leads and for which there is no datetime.
    """
    time = microseconds(at) + shift // _MICROSECOND
    return f"{prefix}_{_encode(min(max(time, 0), MICROSECONDS_MAX) << RANDOM_BITS)}"


def made_at(id: str) -> datetime:
    """Return the time at which an id of ours was made, to the microsecond. Raises ValueError where it is none."""
    body = id.partition("_")[2]
    if len(body) != BODY_LENGTH or not set(body) <= set(_ALPHABET):
        raise ValueError(f"{id} is no id")
    number = 0
    for character in body:
        number = number << 5 | _ALPHABET.index(character)
    return _EPOCH + (number >> RANDOM_BITS) * _MICROSECOND


def delivery_id(event: EventId, endpoint: EndpointId) -> DeliveryId:
    """Return the id of an event's delivery to an endpoint.

    It follows from the two, so that a store can make it in the statement that inserts the delivery: the event's time
    (its first eleven characters), then fifteen hexadecimal digits of an MD5 over both ids (60 bits; no secret).
    """
    digest = hashlib.md5(f"{event}{endpoint}".encode(), usedforsecurity=False).hexdigest()
    return DeliveryId(f"dlv_{event[4:15]}{digest[:15].upper()}")


@dataclass(slots=True)
class Moment:
    """The time at which a command runs and the ids that it will make.

    A command that is run again after a lost race gets `again()`: the same time and, in the same order, the same ids.
    `is_again` tells it so: what it took for granted the first time it has to look at then.
    """

    now: datetime
    seed: bytes
    is_again: bool = False
    _made: int = field(default=0, init=False)
    _time: int = field(default=-1, init=False)
    _head: str = field(default="", init=False)

    def id(self, prefix: str) -> str:
        """Return the next id of this moment."""
        self._made += 1
        noise = hashlib.blake2b(self.seed + self._made.to_bytes(4, "big"), digest_size=10).digest()
        if not self._head:
            self._time = microseconds(self.now) << RANDOM_BITS
            self._head = _encode(self._time, _HEAD_SHIFTS)
        number = self._time | int.from_bytes(noise, "big") & _RANDOM
        return f"{prefix}_{self._head}{_encode(number, _TAIL_SHIFTS)}"

    def secret(self, length: int) -> bytes:
        """Return the next bytes for a secret, as unpredictable as the seed (32 bytes)."""
        self._made += 1
        return hashlib.shake_256(b"secret" + self.seed + self._made.to_bytes(4, "big")).digest(length)

    def again(self) -> Moment:
        """Return this moment from its start."""
        return Moment(self.now, self.seed, is_again=True)
