"""One history: a merchant, its clients, our processes and all others, from the first request to the last verdict."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from random import Random
from typing import Final

from adapters.memory import MemoryAccessTokens, MemoryPasswords, MemoryRateLimits, MemoryStore
from payments_core import AddEndpoint, Caller, Payments, Ports, keys
from payments_core.errors import Unavailable
from payments_core.ids import SEED_BYTES, EndpointId, MerchantId, Moment, PaymentKeyId
from payments_core.job import HEARTBEATS_PER_LEASE, LEASE, SWEEP_EVERY, Job
from payments_core.merchant import Merchant, PaymentKey
from payments_core.verification import Terms, Verification
from payments_core.verification.report import Report
from payments_core.webhook import Delivery
from payments_core.worker import Worker
from tests.simulation.claims import SimulatedClaims
from tests.simulation.clients import Clients
from tests.simulation.doorbell import Bell, Doorbell
from tests.simulation.end import End
from tests.simulation.gateway import SimulatedGateway
from tests.simulation.loop import Stuck
from tests.simulation.plan import Fault, Plan
from tests.simulation.receivers import Receiver, SimulatedReceivers
from tests.simulation.rules import RULES
from tests.simulation.store import SimulatedStore, Witness
from tests.simulation.world import CLOCK_JUMP_SECONDS_MAX, EPOCH, STOP_SECONDS_MAX, Clock, Process, World

SUBSCRIPTION_MARGIN_SECONDS: Final = 2 * (CLOCK_JUMP_SECONDS_MAX + STOP_SECONDS_MAX)
"""So far apart two times may be, of which the earlier is called the later."""
LOOK_SECONDS_MAX: Final = 12 * 3600.0
LOOK_AGAIN_SECONDS: Final = 600.0
DAYS_MAX: Final = 40
"""In which everything must have come to its end after the faults are over."""
DRAINS_SHARE: Final = 0.02
"""Of the sweeps of a worker: then it ends in good order."""
PATIENCE: Final = timedelta(seconds=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Breach:
    """A rule that did not hold, and what shows it."""

    rule: str
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What became of a history."""

    plan: Plan
    breaches: tuple[Breach, ...]
    trace: tuple[str, ...]
    steps: int


class History:
    """The system under test and all around it."""

    def __init__(self, plan: Plan) -> None:
        self.world = World(plan)
        self._entropy = Random(f"entropy {plan.seed}").randbytes
        self._store = MemoryStore()
        self._gateway = SimulatedGateway(self.world)
        self._receivers = SimulatedReceivers(self.world)
        self._doorbell = Doorbell(self.world)
        self._witness = Witness(self._store._state, self._doorbell.look, self.world.loop.time)
        self._claims = SimulatedClaims(self.world, self._store.claims)
        self._facades: dict[Process, Payments] = {}

    def run(self) -> Result:
        """Live it, and judge it."""
        breaches: list[Breach] = []
        loop = self.world.loop
        asyncio.set_event_loop(loop)
        try:
            end = loop.run_until_complete(self._live())
        except (Stuck, AssertionError) as error:
            breaches.append(Breach(rule="the_history_ends", what=f"{type(error).__name__}: {error}"))
        else:
            breaches += [Breach(rule=rule.__name__, what=what) for rule in RULES for what in rule(end)]
        steps, trace = loop.ready.steps, tuple(self.world.trace)
        try:
            loop.bury()
        finally:
            asyncio.set_event_loop(None)
            loop.close()
        return Result(plan=self.world.plan, breaches=tuple(breaches), trace=trace, steps=steps)

    async def _live(self) -> End:
        world, plan = self.world, self.world.plan
        world.healing = True  # nothing goes wrong before there is something to go wrong
        caller, payment_key = await self._open_shop()
        for number in range(plan.apis):
            world.start(f"api {number}", self._start_api)
        endpoints = await self._open_endpoints(caller)
        for number in range(plan.workers):
            world.start(f"worker {number}", self._start_worker)
        world.healing = False
        clients = Clients(world, caller, payment_key, list(endpoints), self._facades, self._deliveries_of(caller))
        await clients.act()
        await asyncio.sleep(world.random.choice([0.0, 60.0, 3_600.0]))
        world.heal()
        await self._until_quiet()
        return End(
            world=world,
            state=self._store._state,
            clients=clients,
            gateway=self._gateway,
            receivers=endpoints,
            witness=self._witness,
            report=await self._verified(),
        )

    async def _verified(self) -> Report:
        return await Verification(
            books=self._store.books,
            ledgers=[self._gateway],
            clock=Clock(self.world),
            terms=Terms(subscription_margin=timedelta(seconds=SUBSCRIPTION_MARGIN_SECONDS)),
        ).run()

    # ── the merchant

    async def _open_shop(self) -> tuple[Caller, str]:
        moment = Moment(EPOCH, self._entropy(SEED_BYTES))
        merchant = Merchant(
            id=MerchantId(moment.id("mer")), email="shop@example.com", name=None, password_hash="", created_at=EPOCH
        )
        payment_key = PaymentKey(
            id=PaymentKeyId(moment.id("key")),
            merchant=merchant.id,
            livemode=False,
            key=keys.make_payment_key(moment.secret(keys.SECRET_BYTES), livemode=False),
            is_active=True,
            created_at=EPOCH,
        )
        async with self._store.begin() as work:
            work.merchants.add(merchant)
            work.payment_keys.add(payment_key)
        return Caller(merchant=merchant.id), payment_key.key

    async def _open_endpoints(self, caller: Caller) -> dict[EndpointId, Receiver]:
        facade = next(iter(self._facades.values()))
        opened: dict[EndpointId, Receiver] = {}
        for number in range(self.world.plan.endpoints):
            url = f"https://receiver-{number}.example/"
            made = await facade.add_endpoint(caller, AddEndpoint(url=url))
            receiver = self._receivers.listen(url, str(made.json["secret"]))
            receiver.is_bad = Fault.RECEIVER in self.world.plan.faults and self.world.random.random() < 0.1
            opened[EndpointId(str(made.resource))] = receiver
        return opened

    def _deliveries_of(self, caller: Caller) -> Callable[[EndpointId], list[Delivery]]:
        def deliveries_of(endpoint: EndpointId) -> list[Delivery]:
            table = self._store._state.account(caller.merchant).deliveries.get(endpoint)
            return list(table.oldest_first()) if table else []

        return deliveries_of

    # ── our processes

    def _facade(self, process: Process) -> Payments:
        store = SimulatedStore(self.world, self._witness)
        return Payments(
            Ports(
                begin=store.begin,
                views=self._store,
                credentials=self._store.credentials,
                oversight=self._store.oversight,
                audit=self._store.audit,
                passwords=MemoryPasswords(entropy=self._entropy),
                tokens=MemoryAccessTokens(),
                limits=MemoryRateLimits(clock=process.clock.now),
                gateways={False: self._gateway},
                notifier=self._receivers,
                doorbell=self._doorbell,
                clock=process.clock,
                entropy=self._entropy,
            )
        )

    def _start_api(self, process: Process) -> None:
        self._facades[process] = self._facade(process)

    def _start_worker(self, process: Process) -> None:
        bell = self._doorbell.bells[process] = Bell()
        worker = Worker(self._facade(process), self._claims, process.clock, wake=bell.rung.set)
        process.spawn(self._work(process, worker, bell.rung))

    async def _work(self, process: Process, worker: Worker, bell: asyncio.Event) -> None:
        """Sweep, wait for a ring or a second, beat, as the worker's entrypoint does."""
        beat_seconds = LEASE.total_seconds() / HEARTBEATS_PER_LEASE
        next_beat = self.world.loop.time() + beat_seconds
        while True:
            try:
                more = await worker.sweep()
                if self.world.loop.time() >= next_beat:
                    await worker.heartbeat()
                    next_beat = self.world.loop.time() + beat_seconds
            except Unavailable:
                more = False
            if self.world.happens(Fault.DRAIN, DRAINS_SHARE):
                self.world.note(f"{process.name} is asked to end")
                await worker.stop(patience=PATIENCE)
                self.world.kill(process)
                await asyncio.sleep(0)
            if not more:
                await self._wait(process, worker, bell)

    async def _wait(self, process: Process, worker: Worker, bell: asyncio.Event) -> None:
        """Wait for a ring, or for the time when something is due, or to be lost."""
        seconds = self._seconds_until_due() - process.clock.offset_seconds
        latest = LEASE.total_seconds() / HEARTBEATS_PER_LEASE if worker.in_flight else LOOK_SECONDS_MAX
        seconds = min(max(seconds, SWEEP_EVERY.total_seconds()), latest)
        try:
            async with asyncio.timeout(seconds):
                await bell.wait()
        except TimeoutError:
            pass
        bell.clear()

    # ── the end

    def _dues(self) -> list[float]:
        """Return when each piece of work that is left can be claimed, in seconds of the world."""
        state = self._store._state
        jobs = [job for job in state.jobs.values() if job.dead_at is None]
        work: list[Job | Delivery] = [*jobs, *state.pending_deliveries()]
        times = [max(one.due_at or EPOCH, one.lease_expires_at or EPOCH) for one in work]
        return [(at - EPOCH).total_seconds() for at in times]

    def _seconds_until_due(self) -> float:
        return min(self._dues(), default=math.inf) - self.world.loop.time()

    async def _until_quiet(self) -> None:
        last = self.world.loop.time() + timedelta(days=DAYS_MAX).total_seconds()
        while self._dues() and self.world.loop.time() < last:  # noqa: ASYNC110 - the time it takes is the loop's own
            await asyncio.sleep(max(LOOK_AGAIN_SECONDS, self._seconds_until_due()))


def run_history(plan: Plan) -> Result:
    """Live one history and judge it. The same plan gives the same trace."""
    return History(plan).run()
