"""Defects of webhooks, each put into the code on purpose."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any, Final
from unittest.mock import patch

from payments_core.ports import Answered, ClaimedDelivery, Notifier, Unreached
from payments_core.use_cases import deliver_webhook
from payments_core.webhook import Delivery, DeliveryAttempt, DeliveryStatus, Endpoint
from tests.simulation.mutant import Mutant


@contextmanager
def _delivered_before_it_is_posted() -> Iterator[None]:
    async def post(notifier: Notifier, claimed: ClaimedDelivery, at: Any) -> Answered | Unreached:
        posting.append(asyncio.ensure_future(original(notifier, claimed, at)))
        return Answered(status_code=204, milliseconds=0, excerpt="")

    posting: list[asyncio.Future[Answered | Unreached]] = []
    original = deliver_webhook._post
    with patch.object(deliver_webhook, "_post", post):
        yield


def _a_failed_webhook_is_given_up() -> AbstractContextManager[object]:
    def fail(self: Delivery, attempt: DeliveryAttempt, **_: object) -> Delivery:
        return self._end(DeliveryStatus.EXHAUSTED, attempt)

    return patch.object(Delivery, "fail", fail)


def _one_failure_disables() -> AbstractContextManager[object]:
    return patch.object(Endpoint, "has_failed_too_long", lambda _self, **_: True)


def _disabled_in_silence() -> AbstractContextManager[object]:
    return patch.object(deliver_webhook, "record_endpoint_event", lambda *_, **__: None)


@contextmanager
def _a_try_counts_twice() -> Iterator[None]:
    def fail(self: Delivery, attempt: DeliveryAttempt, **how: Any) -> Delivery:
        return original(replace(self, tries=self.tries + 1), attempt, **how)

    original = Delivery.fail
    with patch.object(Delivery, "fail", fail):
        yield


@contextmanager
def _what_is_exhausted_is_called_canceled() -> Iterator[None]:
    def end(self: Delivery, status: DeliveryStatus, attempt: DeliveryAttempt) -> Delivery:
        status = DeliveryStatus.CANCELED if status is DeliveryStatus.EXHAUSTED else status
        return original(self, status, attempt)

    original = Delivery._end
    with patch.object(Delivery, "_end", end):
        yield


def _promised_again_and_not_queued() -> AbstractContextManager[object]:
    return patch.object(Delivery, "queue_again", lambda self, **_: self)


WEBHOOK_MUTANTS: Final[tuple[Mutant, ...]] = (
    Mutant(name="a webhook is delivered before it is posted", patch=_delivered_before_it_is_posted),
    Mutant(name="a webhook that failed is given up", patch=_a_failed_webhook_is_given_up),
    Mutant(name="one failure disables an endpoint", patch=_one_failure_disables),
    Mutant(name="an endpoint is disabled in silence", patch=_disabled_in_silence),
    Mutant(name="a failed post counts twice", patch=_a_try_counts_twice),
    Mutant(name="an exhausted webhook is called canceled", patch=_what_is_exhausted_is_called_canceled),
    Mutant(name="a webhook is promised again and not queued", patch=_promised_again_and_not_queued),
)
