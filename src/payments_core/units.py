"""Running use cases: begin a unit, act, commit; again after a lost race; one effect for each idempotency key."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, TypeAlias, TypeVar, cast

from payments_core.describe import JsonObject
from payments_core.errors import Conflict, Duplicate, Refused, StaleWrite, Unavailable
from payments_core.idempotency import KEPT, TURN_WAIT_SECONDS, Once, Record, check_same
from payments_core.ids import SEED_BYTES, MerchantId, Moment
from payments_core.merchant import Caller
from payments_core.mutexes import Mutexes
from payments_core.ports import Begin, Clock, Doorbell, Entropy, Unique, UnitOfWork
from payments_core.values import Encode

T = TypeVar("T")

UNIT_TRIES_MAX: Final = 20
"""Each lost race is another's success, so that even hot aggregates get through; then the caller hears Unavailable."""
DUPLICATE_TRIES_MAX: Final = 2
"""A taken value is believed when it is met twice: the first time a twin with the same key may have taken it."""


class Behind(StrEnum):
    """Whose units run behind the requests."""

    JOBS = "jobs"
    DELIVERIES = "deliveries"


UNITS_BEHIND_MAX: Final[Mapping[Behind, int]] = {Behind.JOBS: 100, Behind.DELIVERIES: 100}
"""Units of workers at once in one process, however much work is under way: as many as a store commits together.

Each payment makes several deliveries: with places in common, money would wait behind the telling of it.
"""

Act: TypeAlias = Callable[[UnitOfWork, Moment], Awaitable[T]]
"""What a use case does inside a unit. It may run several times and must depend on nothing but its arguments."""


def turn_at(merchant: MerchantId, kind: str, id: str = "") -> str:
    """Return the name of the turn at a merchant's thing: an id of somebody else's names another one."""
    return f"{merchant}:{kind}:{id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What a command has to say: its answer as plain values, and the id of what it made."""

    answer: JsonObject | None
    resource: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the merchant is told: the public JSON, the same over HTTP and when an idempotency key replays it."""

    body: bytes = field(repr=False)
    resource: str | None = None
    replayed: bool = False

    @property
    def json(self) -> JsonObject:
        """The body, read."""
        return cast(JsonObject, json.loads(self.body)) if self.body else {}


_TAKEN: Final = {
    Unique.MERCHANT_EMAIL: ("email_taken", "An account with this e-mail address exists already."),
    Unique.STAFF_EMAIL: ("email_taken", "Somebody of the staff has this e-mail address already."),
    Unique.TRANSACTION_REFERENCE: ("reference_taken", "Another transaction has this reference."),
}


class Units:
    """The loop around every unit of work."""

    def __init__(self, *, begin: Begin, clock: Clock, entropy: Entropy, encode: Encode, doorbell: Doorbell) -> None:
        self._begin = begin
        self._clock = clock
        self._entropy = entropy
        self._encode = encode
        self._doorbell = doorbell
        self._mutexes = Mutexes()
        self._behind = {work: asyncio.Semaphore(number) for work, number in UNITS_BEHIND_MAX.items()}

    def moment(self) -> Moment:
        """Return this moment, with ids of its own, for what needs no unit."""
        return Moment(self._clock.now(), self._entropy(SEED_BYTES))

    async def run(self, act: Act[T], *, on: str | None = None) -> T:
        """Run `act` in a unit and commit; run it again with the same ids and time where it lost a race.

        `on` names the aggregate that callers contend for: inside this process they take turns.
        Raises what `act` refuses, Conflict for a value that is taken, Unavailable where no race could be won.
        """
        if on is None:
            return await self._tries(act)
        async with self._mutexes.hold(on, timeout_seconds=TURN_WAIT_SECONDS, too_late=_too_many):
            return await self._tries(act)

    async def run_behind(self, act: Act[T], *, of: Behind, on: str | None = None) -> T:
        """Run a unit for which nobody waits; few at once, so that requests find room in the store beside them."""
        async with self._behind[of]:
            return await self.run(act, on=on)

    async def answer(
        self, act: Act[Made], *, caller: Caller, once: Once | None, on: str | None = None, rings: bool = False
    ) -> Answer:
        """Run a command of a merchant; with `once`, have one effect for its key and the same answer each time.

        `rings` says that the command promises work, of which the workers should hear.
        """
        if once is None:
            made = await self.run(act, on=on)
            answer = Answer(body=self._body(made), resource=made.resource)
        else:
            answer = await self._answer_once(act, caller, once, on)
        if rings and not answer.replayed:
            self._doorbell.ring()
        return answer

    async def _answer_once(self, act: Act[Made], caller: Caller, once: Once, on: str | None) -> Answer:
        # Everyone takes a key before an aggregate, so that no two wait for each other.
        key = turn_at(caller.merchant, f"once:{caller.livemode}", once.key)
        async with self._mutexes.hold(key, timeout_seconds=TURN_WAIT_SECONDS, too_late=_twin_at_work):
            return await self.run(self._with_record(act, caller, once), on=on)

    def _with_record(self, act: Act[Made], caller: Caller, once: Once) -> Act[Answer]:
        async def act_once(work: UnitOfWork, moment: Moment) -> Answer:
            # Nearly every key is new, so that the first run does not look: if it isn't, the commit says so.
            if moment.is_again:
                record = await work.idempotency.get(caller.merchant, caller.livemode, once.key, at=moment.now)
                if record is not None:
                    return _replay(record, once)
            try:
                made = await act(work, moment)
            except Refused:
                # A twin may have committed before, which this refusal comes from then, or is none of its business.
                record = await work.idempotency.get(caller.merchant, caller.livemode, once.key, at=moment.now)
                if record is None:
                    raise
                raise StaleWrite("a twin came first") from None
            body = self._body(made)
            work.idempotency.add(_record(caller, once, moment, body, made.resource))
            return Answer(body=body, resource=made.resource)

        return act_once

    async def _tries(self, act: Act[T]) -> T:
        # Made behind the wait for a turn: who comes later has a later time.
        moment = self.moment()
        duplicates = 0
        for _ in range(UNIT_TRIES_MAX):
            try:
                async with self._begin() as work:
                    return await act(work, moment)
            except StaleWrite:
                pass
            except Duplicate as duplicate:
                duplicates += 1
                if duplicates >= DUPLICATE_TRIES_MAX and duplicate.constraint in _TAKEN:
                    raise Conflict(*_TAKEN[Unique(duplicate.constraint)]) from None
            moment = moment.again()
        raise _too_many()

    def _body(self, made: Made) -> bytes:
        return b"" if made.answer is None else self._encode(made.answer)


def _too_many() -> Unavailable:
    return Unavailable("Too many requests work on the same thing; try again.")


def _twin_at_work() -> Conflict:
    return Conflict("idempotency_key_in_use", "A request with this idempotency key is still at work.", retryable=True)


def _replay(record: Record, once: Once) -> Answer:
    check_same(record, once)
    return Answer(body=record.body, resource=record.resource, replayed=True)


def _record(caller: Caller, once: Once, moment: Moment, body: bytes, resource: str | None) -> Record:
    return Record(
        merchant=caller.merchant,
        livemode=caller.livemode,
        key=once.key,
        route=once.route,
        status=once.status,
        fingerprint=once.fingerprint,
        body=body,
        resource=resource,
        created_at=moment.now,
        expires_at=moment.now + KEPT,
    )
