"""The clients of one merchant: they ask again with the same key until they are told, and remember what they were."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from payments_core import Caller, ChangeEndpoint, Once, Pay, Payments, RefundTransaction, Replay
from payments_core.errors import OutcomeUnknown, Refused, Unavailable
from payments_core.idempotency import fingerprint
from payments_core.ids import DeliveryId, EndpointId, EventId, TransactionId
from payments_core.money import Money, currency
from payments_core.units import Answer
from payments_core.webhook import Delivery, DeliveryStatus
from tests.simulation.plan import Act, Fault, Operation
from tests.simulation.world import (
    CLOCK_JUMP_SECONDS_MAX,
    EPOCH,
    STOP_SECONDS_MAX,
    ConnectionLost,
    Process,
    World,
)

ASKED_MAX: Final = 2_000
PAUSE_SECONDS_MAX: Final = 20.0
ANSWER_LOST_SHARE: Final = 0.15
CURRENCY: Final = currency("USD")
WINDOW: Final = timedelta(days=1)
CLOCKS_APART_MAX: Final = timedelta(seconds=2 * (CLOCK_JUMP_SECONDS_MAX + STOP_SECONDS_MAX))
"""Whatever is so far inside of a window by the world's clock is inside by everybody's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a client was told in the end: an answer, or a refusal."""

    key: str
    operation: Operation
    answer: Answer | None
    refusal: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedAgain:
    """An event that had been dealt with when a client asked for it once more, at `since` in seconds of the world."""

    endpoint: EndpointId
    event: EventId
    since: float


@dataclass
class Clients:
    """`told` is their ledger: all that the system has acknowledged."""

    world: World
    caller: Caller
    payment_key: str
    endpoints: list[EndpointId]
    facades: dict[Process, Payments]
    deliveries_of: Callable[[EndpointId], list[Delivery]]
    told: list[Told] = field(default_factory=list)
    wanted_again: dict[str, list[WantedAgain]] = field(default_factory=dict)
    _paid: dict[int, asyncio.Event] = field(default_factory=dict)
    _payments: dict[int, TransactionId] = field(default_factory=dict)
    _deliveries: dict[str, DeliveryId] = field(default_factory=dict)

    async def act(self) -> None:
        """Do all that the plan says, and return when everything was answered."""
        operations = self.world.plan.operations
        self._paid = {one.of: asyncio.Event() for one in operations if one.act is Act.PAY}
        await asyncio.gather(*(self._act(number, one) for number, one in enumerate(operations)))

    async def _act(self, number: int, operation: Operation) -> None:
        await asyncio.sleep(operation.at)
        key = f"{operation.act} {number}"
        if operation.act in (Act.REFUND, Act.CANCEL):
            if operation.of not in self._paid:
                return
            await self._paid[operation.of].wait()
        calls = 2 if operation.twin else 1
        await asyncio.gather(*(self._ask_until_told(key, operation) for _ in range(calls)))

    async def _ask_until_told(self, key: str, operation: Operation) -> None:
        for _ in range(ASKED_MAX):
            try:
                answer = await self._ask(key, operation)
            except (ConnectionLost, Unavailable, OutcomeUnknown) as error:
                self.world.note(f"client: {key}: {type(error).__name__}")
            except Refused as refused:
                if not refused.retryable:
                    self._note(Told(key=key, operation=operation, answer=None, refusal=refused.code))
                    return
            else:
                self._note(Told(key=key, operation=operation, answer=answer))
                return
            await asyncio.sleep(self.world.random.uniform(0, PAUSE_SECONDS_MAX))
        raise AssertionError(f"{key} was never answered")

    def _note(self, told: Told) -> None:
        self.told.append(told)
        self.world.note(f"client: {told.key}: told {told.refusal or (told.answer and told.answer.resource)}")
        if told.operation.act is Act.PAY:
            if told.answer is not None:
                self._payments[told.operation.of] = TransactionId(str(told.answer.resource))
            self._paid[told.operation.of].set()

    async def _ask(self, key: str, operation: Operation) -> Answer:
        apis = self.world.running("api")
        if not apis:
            raise ConnectionLost("nobody listens")
        process = self.world.random.choice(apis)
        answer = await process.call(lambda: self._call(self.facades[process], process, key, operation))
        if self.world.happens(Fault.ANSWER, ANSWER_LOST_SHARE):
            raise ConnectionLost("the answer was lost on its way")
        return answer

    def _call(self, payments: Payments, process: Process, key: str, operation: Operation) -> Awaitable[Answer]:
        route = f"POST /{self._named(key, operation)}"
        once = Once(key=key, route=route, status=201, fingerprint=fingerprint(b"", route=route, body={}))
        caller, act = self.caller, operation.act
        calls: dict[Act, Callable[[], Awaitable[Answer]]] = {
            Act.PAY: lambda: payments.pay(caller, self._pay(key, operation), once=once),
            Act.REFUND: lambda: payments.refund(caller, self._refund(operation), once=once),
            Act.CANCEL: lambda: payments.cancel(
                caller, self._payments.get(operation.of, TransactionId("txn_none")), once=once
            ),
            Act.SWITCH: lambda: self._switch(payments, operation),
            Act.REMOVE: lambda: self._remove(payments, operation),
            Act.REPLAY: lambda: payments.replay(caller, self._endpoint(operation), _window(process), once=once),
            Act.RETRY: lambda: payments.retry_delivery(
                caller, self._endpoint(operation), self._delivery(key, operation), once=once
            ),
        }
        return calls[act]()

    def _pay(self, key: str, operation: Operation) -> Pay:
        return Pay(
            payment_key=self.payment_key,
            amount=_text(operation.amount_minor),
            currency=CURRENCY.code,
            payment_method=operation.method,
            metadata={"key": key},
        )

    def _refund(self, operation: Operation) -> RefundTransaction:
        amount = _text(operation.amount_minor) if operation.amount_minor else None
        transaction = self._payments.get(operation.of, TransactionId("txn_none"))
        return RefundTransaction(transaction=transaction, amount=amount)

    async def _switch(self, payments: Payments, operation: Operation) -> Answer:
        enable = self.world.random.random() < 0.5
        return await payments.change_endpoint(self.caller, self._endpoint(operation), ChangeEndpoint(enabled=enable))

    async def _remove(self, payments: Payments, operation: Operation) -> Answer:
        await payments.remove_endpoint(self.caller, self._endpoint(operation))
        return Answer(body=b"")

    def _named(self, key: str, operation: Operation) -> str:
        """Return what the request's path names, as the API's paths do."""
        match operation.act:
            case Act.CANCEL:
                return self._payments.get(operation.of, TransactionId("txn_none"))
            case Act.RETRY:
                return self._delivery(key, operation)
            case Act.REPLAY:
                endpoint = self._endpoint(operation)
                if key not in self.wanted_again:
                    now = EPOCH + timedelta(seconds=self.world.loop.seconds)
                    first, last = now - WINDOW + CLOCKS_APART_MAX, now - CLOCKS_APART_MAX
                    there = self.deliveries_of(endpoint)
                    self._want_again(key, [one for one in there if first < one.created_at < last])
                return endpoint
            case _:
                return ""

    def _delivery(self, key: str, operation: Operation) -> DeliveryId:
        """Return which delivery a client wants again, the same each time that it asks."""
        if key not in self._deliveries:
            there = self.deliveries_of(self._endpoint(operation))
            chosen = [self.world.random.choice(there)] if there else []
            self._deliveries[key] = chosen[0].id if chosen else DeliveryId("dlv_none")
            self._want_again(key, chosen)
        return self._deliveries[key]

    def _want_again(self, key: str, deliveries: Sequence[Delivery]) -> None:
        """Remember what a client wants to be posted once more; a post of what is pending may be under way already."""
        ended = [one for one in deliveries if one.status is not DeliveryStatus.PENDING]
        now = self.world.loop.seconds
        self.wanted_again[key] = [WantedAgain(endpoint=one.endpoint, event=one.event, since=now) for one in ended]

    def _endpoint(self, operation: Operation) -> EndpointId:
        return self.endpoints[operation.of % len(self.endpoints)] if self.endpoints else EndpointId("whk_none")


def _window(process: Process) -> Replay:
    return Replay(since=process.clock.now() - WINDOW)


def _text(amount_minor: int) -> str:
    return Money(amount_minor=amount_minor, currency=CURRENCY).format()
