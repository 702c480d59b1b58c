"""An installation's own schedules: when webhooks are tried again, when unknown outcomes are looked up."""

from datetime import UTC, datetime, timedelta

import pytest

from adapters.memory import HandClock, MemoryNotifier, memory_payments
from payments_core import AddEndpoint, Caller, Pay, Payments, Register
from payments_core.gateway import Capabilities, Outcome, Sighting, Submission, Unknown
from payments_core.ids import TransactionId
from payments_core.ports import Answered
from payments_core.schedules import STEPS_MAX, Schedules
from payments_core.worker import Worker

SECOND = timedelta(seconds=1)
QUICK = Schedules(lookups=[SECOND, 2 * SECOND], deliveries=[timedelta(0), 3 * SECOND])


class SilentGateway:
    """Never says what became of a call."""

    capabilities = Capabilities(
        name="silent", livemode=False, key_retention=timedelta(days=1), quiet_period=timedelta(minutes=1)
    )

    async def submit(self, submission: Submission, /) -> Outcome:
        return Unknown(why="cut")

    async def lookup(self, submission: Submission, /) -> Sighting:
        return Unknown(why="cut")


async def opened(payments: Payments) -> tuple[Caller, str]:
    account = await payments.register(Register(email="shop@example.com", password="correct horse battery staple"))
    caller = await payments.authenticator.by_api_key(str(account.json["api_key"]))
    channel = await payments.make_payment_key(caller)
    return caller, str(channel.json["key"])


async def later(clock: HandClock, worker: Worker, by: timedelta) -> None:
    clock.move(by)
    await worker.sweep_until_idle()


async def test_an_unknown_outcome_needs_a_person_behind_the_last_step() -> None:
    clock = HandClock(datetime(2026, 1, 1, tzinfo=UTC))
    payments, worker = memory_payments(gateway=SilentGateway(), clock=clock, schedules=QUICK)
    caller, channel = await opened(payments)
    id = (await payments.pay(caller, Pay(payment_key=channel, amount="1.00", currency="USD"))).json["id"]
    reasons = []
    for wait in (timedelta(0), SECOND, 2 * SECOND):
        await later(clock, worker, wait)
        reasons.append((await payments.read.transaction(caller, TransactionId(str(id)))).value["status_reason"])
    assert reasons == ["outcome_unknown", "outcome_unknown", "needs_review"]


async def test_a_webhook_is_exhausted_behind_the_last_step() -> None:
    clock = HandClock(datetime(2026, 1, 1, tzinfo=UTC))
    notifier = MemoryNotifier(lambda _: Answered(status_code=500, milliseconds=1, excerpt=""))
    payments, worker = memory_payments(notifier=notifier, clock=clock, schedules=QUICK)
    caller, channel = await opened(payments)
    await payments.add_endpoint(caller, AddEndpoint(url="https://example.com/hook", events=("transaction.created",)))
    await payments.pay(caller, Pay(payment_key=channel, amount="1.00", currency="USD"))
    for wait in (timedelta(0), 4 * SECOND, timedelta(days=30)):
        await later(clock, worker, wait)
    assert len(notifier.sent) == len(QUICK.deliveries)


@pytest.mark.parametrize("steps", [[], [-SECOND], [SECOND] * (STEPS_MAX + 1)])
def test_a_schedule_without_steps_with_too_many_or_back_in_time_is_refused(steps: list[timedelta]) -> None:
    with pytest.raises(ValueError, match="a schedule has"):
        Schedules(lookups=steps)


def test_a_schedule_of_deliveries_whose_first_would_have_to_wait_is_refused() -> None:
    with pytest.raises(ValueError, match="is made at once"):
        Schedules(deliveries=[SECOND, SECOND])
