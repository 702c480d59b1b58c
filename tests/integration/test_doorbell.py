"""The doorbell over a real Valkey: heard across processes, after silence and restarts, never in the way."""

import asyncio
import gc
import logging
import os
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from functools import partial
from uuid import uuid4

import pytest
from redis.asyncio import Redis
from taskiq import TaskiqMessage, TaskiqMiddleware

from adapters.taskiq import DoorbellBroker, LocalBell, TaskiqDoorbell, hears_own_ring, listening, look
from adapters.taskiq.broker import CONNECTIONS_MAX
from payments_core.errors import Unavailable
from payments_core.ports import Doorbell
from tests.patience import PATIENCE_SECONDS, until
from tests.servers import Server


@pytest.fixture
def channel() -> str:
    return f"test:{uuid4().hex}"


@pytest.fixture
async def server(redis_url: str) -> AsyncIterator[Redis]:
    """Looks at Valkey from outside."""
    async with Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
async def opened() -> AsyncIterator[AsyncExitStack]:
    """Closes what a test opened, in the reverse order."""
    async with AsyncExitStack() as stack:
        yield stack


async def listens(server: Redis, channel: str) -> None:
    async def holds() -> bool:
        [(_, count)] = await server.pubsub_numsub(channel)
        return bool(count == 1)

    await until(holds)


async def listener_ids(server: Redis) -> list[str]:
    return [client["id"] for client in await server.client_list(_type="pubsub")]


async def calls(server: Redis, command: str) -> int:
    stats = await server.info("commandstats")
    return int(stats.get(f"cmdstat_{command}", {"calls": 0})["calls"])


async def ring_until_heard(doorbell: Doorbell, bell: LocalBell) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        doorbell.ring()
        while not await bell.wait(0.1):
            doorbell.ring()


def said(caplog: pytest.LogCaptureFixture, text: str) -> list[str]:
    return [message for message in caplog.messages if text in message]


class Attempts(TaskiqMiddleware):
    """Counts the rings that a broker was asked to send."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def pre_send(self, message: TaskiqMessage) -> TaskiqMessage:
        self.count += 1
        return message


@pytest.fixture
def nobody() -> str:
    """An address where nothing listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"redis://127.0.0.1:{free.getsockname()[1]}"


@pytest.fixture
def mute() -> Iterator[str]:
    """An address that takes connections and never says a word."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield f"redis://127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def addresses(redis_url: str, nobody: str, mute: str) -> dict[str, str]:
    return {"there": redis_url, "nobody": nobody, "mute": mute}


class TestRings:
    async def test_a_ring_wakes_the_listener_of_another_process_and_the_ringers_own(
        self, redis_url: str, server: Redis, channel: str, opened: AsyncExitStack
    ) -> None:
        far, near = DoorbellBroker(redis_url, channel=channel), DoorbellBroker(redis_url, channel=channel)
        for broker in (far, near):
            await opened.enter_async_context(broker)
        await opened.enter_async_context(listening(far))
        doorbell = await opened.enter_async_context(TaskiqDoorbell(near))
        await listens(server, channel)

        doorbell.ring()

        assert await near.bell.wait(0)
        assert await far.bell.wait(PATIENCE_SECONDS)

    async def test_every_listener_on_the_channel_is_woken_and_none_on_another(
        self, redis_url: str, server: Redis, channel: str, opened: AsyncExitStack
    ) -> None:
        channels = [channel, channel, f"{channel}:other"]
        brokers = [DoorbellBroker(redis_url, channel=name) for name in channels]
        for broker in brokers:
            await opened.enter_async_context(broker)
            await opened.enter_async_context(listening(broker))

        async def all_listen() -> bool:
            counts = await server.pubsub_numsub(channel, f"{channel}:other")
            return [count for _, count in counts] == [2, 1]

        await until(all_listen)
        ringer = DoorbellBroker(redis_url, channel=channel)
        await opened.enter_async_context(ringer)
        async with TaskiqDoorbell(ringer) as doorbell:
            doorbell.ring()

        first, second, other = brokers
        assert await first.bell.wait(PATIENCE_SECONDS)
        assert await second.bell.wait(PATIENCE_SECONDS)
        assert not await other.bell.wait(0)

    async def test_a_thousand_rings_in_one_go_are_one_message(
        self, redis_url: str, server: Redis, channel: str
    ) -> None:
        before = await calls(server, "publish")

        async def sent(count: int) -> bool:
            return await calls(server, "publish") >= before + count

        broker = DoorbellBroker(redis_url, channel=channel)
        async with broker, TaskiqDoorbell(broker) as doorbell:
            for burst in (1, 2):
                for _ in range(1000):
                    doorbell.ring()
                await until(partial(sent, burst))
        assert await calls(server, "publish") == before + 2

    async def test_a_ring_just_before_the_close_is_still_sent(
        self, redis_url: str, server: Redis, channel: str, opened: AsyncExitStack
    ) -> None:
        far, near = DoorbellBroker(redis_url, channel=channel), DoorbellBroker(redis_url, channel=channel)
        for broker in (far, near):
            await opened.enter_async_context(broker)
        await opened.enter_async_context(listening(far))
        await listens(server, channel)
        async with TaskiqDoorbell(near) as doorbell:
            doorbell.ring()
        assert await far.bell.wait(PATIENCE_SECONDS)

    async def test_a_ring_after_the_close_still_wakes_its_own_process(self, redis_url: str, channel: str) -> None:
        broker = DoorbellBroker(redis_url, channel=channel)
        async with broker, TaskiqDoorbell(broker) as doorbell:
            pass
        doorbell.ring()
        assert await broker.bell.wait(0)


class TestListening:
    async def test_silence_longer_than_its_time_outs_does_not_end_it(
        self, redis_url: str, server: Redis, channel: str, opened: AsyncExitStack
    ) -> None:
        far = DoorbellBroker(redis_url, channel=channel, publish_timeout_seconds=0.2, quiet_seconds=0.3)
        near = DoorbellBroker(redis_url, channel=channel)
        for broker in (far, near):
            await opened.enter_async_context(broker)
        await opened.enter_async_context(listening(far))
        doorbell = await opened.enter_async_context(TaskiqDoorbell(near))
        await listens(server, channel)
        listener, pings = await listener_ids(server), await calls(server, "ping")

        async def quiet_twice() -> bool:
            return await calls(server, "ping") >= pings + 2

        await until(quiet_twice)
        await ring_until_heard(doorbell, far.bell)

        assert await listener_ids(server) == listener

    async def test_nonsense_on_the_channel_is_passed_over(
        self, redis_url: str, server: Redis, channel: str, opened: AsyncExitStack
    ) -> None:
        far, near = DoorbellBroker(redis_url, channel=channel), DoorbellBroker(redis_url, channel=channel)
        for broker in (far, near):
            await opened.enter_async_context(broker)
        await opened.enter_async_context(listening(far))
        doorbell = await opened.enter_async_context(TaskiqDoorbell(near))
        await listens(server, channel)
        listener = await listener_ids(server)

        await server.publish(channel, b"\x80\x04nonsense")
        await server.publish(channel, b'{"task_name": "unknown"}')
        assert not await far.bell.wait(0)
        await ring_until_heard(doorbell, far.bell)

        assert await listener_ids(server) == listener

    async def test_it_outlives_more_lost_connections_than_its_pool_holds(
        self, redis_url: str, server: Redis, channel: str, opened: AsyncExitStack
    ) -> None:
        far, near = DoorbellBroker(redis_url, channel=channel), DoorbellBroker(redis_url, channel=channel)
        for broker in (far, near):
            await opened.enter_async_context(broker)
        await opened.enter_async_context(listening(far))
        doorbell = await opened.enter_async_context(TaskiqDoorbell(near))

        for _ in range(CONNECTIONS_MAX + 1):
            await ring_until_heard(doorbell, far.bell)
            await server.client_kill_filter(_type="pubsub")
        await ring_until_heard(doorbell, far.bell)

    async def test_it_hears_again_after_the_server_was_restarted(
        self,
        valkey_server: Server,
        redis_url: str,
        server: Redis,
        channel: str,
        opened: AsyncExitStack,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        caplog.set_level(logging.INFO, "adapters.taskiq")
        far, near = DoorbellBroker(redis_url, channel=channel), DoorbellBroker(redis_url, channel=channel)
        for broker in (far, near):
            await opened.enter_async_context(broker)
        await opened.enter_async_context(listening(far))
        doorbell = await opened.enter_async_context(TaskiqDoorbell(near))
        await ring_until_heard(doorbell, far.bell)

        await valkey_server.kill()

        async def noticed() -> bool:
            return bool(said(caplog, "listening for rings fails"))

        await until(noticed)
        await valkey_server.start()
        await ring_until_heard(doorbell, far.bell)

        assert len(said(caplog, "listening for rings fails")) == 1
        assert len(said(caplog, "listening for rings works again")) == 1

    async def test_a_server_that_hangs_without_closing_is_noticed_and_heard_again(
        self,
        redis_url: str,
        server: Redis,
        channel: str,
        opened: AsyncExitStack,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        far = DoorbellBroker(redis_url, channel=channel, publish_timeout_seconds=0.3, quiet_seconds=0.1)
        near = DoorbellBroker(redis_url, channel=channel)
        for broker in (far, near):
            await opened.enter_async_context(broker)
        await opened.enter_async_context(listening(far))
        doorbell = await opened.enter_async_context(TaskiqDoorbell(near))
        await ring_until_heard(doorbell, far.bell)
        process = (await server.info("server"))["process_id"]

        async def noticed() -> bool:
            return bool(said(caplog, "listening for rings fails"))

        os.kill(process, signal.SIGSTOP)
        try:
            await until(noticed)
        finally:
            os.kill(process, signal.SIGCONT)
        await ring_until_heard(doorbell, far.bell)

    async def test_it_begins_before_the_server_is_there(
        self, valkey_server: Server, redis_url: str, channel: str, opened: AsyncExitStack
    ) -> None:
        await valkey_server.stop()
        try:
            broker = DoorbellBroker(redis_url, channel=channel)
            await opened.enter_async_context(broker)
            await opened.enter_async_context(listening(broker))
        finally:
            await valkey_server.start()
        near = DoorbellBroker(redis_url, channel=channel)
        await opened.enter_async_context(near)
        doorbell = await opened.enter_async_context(TaskiqDoorbell(near))
        await ring_until_heard(doorbell, broker.bell)


class TestWithoutAServer:
    @pytest.mark.parametrize("address", ["nobody", "mute"])
    async def test_rings_return_at_once_stay_local_and_are_complained_of_once(
        self, address: str, addresses: dict[str, str], caplog: pytest.LogCaptureFixture
    ) -> None:
        broker = DoorbellBroker(addresses[address], publish_timeout_seconds=0.05)
        attempts = Attempts()
        async with broker.with_middlewares(attempts), TaskiqDoorbell(broker) as doorbell, listening(broker):

            async def failed_often() -> bool:
                doorbell.ring()
                return attempts.count >= 4 and bool(said(caplog, "listening for rings fails"))

            for _ in range(1000):
                doorbell.ring()
            assert attempts.count == 0, "rings are sent off the way of whoever rings"
            assert await broker.bell.wait(0)
            await until(failed_often)
        assert len(said(caplog, "sending rings fails")) == 1
        assert len(said(caplog, "listening for rings fails")) == 1

    @pytest.mark.parametrize("address", ["there", "nobody", "mute"])
    async def test_the_close_comes_to_an_end_and_leaves_nothing_behind(
        self, address: str, addresses: dict[str, str]
    ) -> None:
        before = asyncio.all_tasks()
        attempts = Attempts()
        broker = DoorbellBroker(addresses[address])

        async def under_way() -> bool:
            return attempts.count >= 1

        async with (
            asyncio.timeout(PATIENCE_SECONDS),
            broker.with_middlewares(attempts),
            TaskiqDoorbell(broker) as doorbell,
            listening(broker),
        ):
            doorbell.ring()
            await until(under_way)
            doorbell.ring()
        assert asyncio.all_tasks() == before
        del broker, doorbell
        gc.collect()

    @pytest.mark.parametrize("query", ["", "socket_timeout=1"])
    @pytest.mark.parametrize("address", ["there", "nobody", "mute"])
    async def test_a_listener_ends_whenever_it_is_cancelled(
        self, address: str, query: str, addresses: dict[str, str]
    ) -> None:
        url = addresses[address]
        for steps in range(60):
            broker = DoorbellBroker(f"{url}{'&' if '?' in url else '?'}{query}")
            messages = broker.listen()
            hearing = asyncio.ensure_future(anext(messages))
            for _ in range(steps):
                await asyncio.sleep(0)
            hearing.cancel()
            await asyncio.wait({hearing}, timeout=PATIENCE_SECONDS)
            assert hearing.cancelled(), f"cancelled after {steps} steps"
            await messages.aclose()
            await broker.shutdown()


class TestTheLook:
    async def test_finds_nothing_while_rings_are_sent_and_heard(
        self, redis_url: str, channel: str, opened: AsyncExitStack
    ) -> None:
        broker = DoorbellBroker(redis_url, channel=channel)
        await opened.enter_async_context(broker)
        doorbell = await opened.enter_async_context(TaskiqDoorbell(broker))
        ears = await opened.enter_async_context(listening(broker))
        await look(broker, doorbell, ears)
        await look(broker, doorbell, None)

    async def test_tells_an_outage_and_its_end_without_another_ring(
        self, valkey_server: Server, redis_url: str, channel: str, opened: AsyncExitStack
    ) -> None:
        broker = DoorbellBroker(redis_url, channel=channel)
        await opened.enter_async_context(broker)
        doorbell = await opened.enter_async_context(TaskiqDoorbell(broker))
        await valkey_server.stop()
        with pytest.raises(Unavailable, match="the queue's Redis does not answer"):
            await look(broker, doorbell, None)
        doorbell.ring()

        async def told() -> bool:
            return doorbell.trouble == "sending rings fails"

        await until(told)
        with pytest.raises(Unavailable, match="sending rings fails"):
            await look(broker, doorbell, None)
        await valkey_server.start()

        async def over() -> bool:
            return doorbell.trouble is None

        await until(over)
        await look(broker, doorbell, None)

    async def test_tells_a_listener_that_lost_its_server(self, nobody: str, opened: AsyncExitStack) -> None:
        broker = DoorbellBroker(nobody)
        await opened.enter_async_context(broker)
        ears = await opened.enter_async_context(listening(broker))

        async def told() -> bool:
            return ears.trouble == "listening for rings fails"

        await until(told)

    @pytest.mark.parametrize(
        ("name", "said"),
        [
            ("doorbell-sender", "rings are not sent any more"),
            ("doorbell-listener", "nobody listens for rings any more"),
        ],
    )
    async def test_tells_a_task_that_ended(
        self, name: str, said: str, redis_url: str, channel: str, opened: AsyncExitStack
    ) -> None:
        broker = DoorbellBroker(redis_url, channel=channel)
        await opened.enter_async_context(broker)
        doorbell = await opened.enter_async_context(TaskiqDoorbell(broker))
        ears = await opened.enter_async_context(listening(broker))
        [task] = [each for each in asyncio.all_tasks() if each.get_name() == name]
        task.cancel()
        await asyncio.wait({task})
        with pytest.raises(Unavailable, match=said):
            await look(broker, doorbell, ears)

    async def test_hears_its_own_ring_where_there_is_a_server(self, redis_url: str, nobody: str) -> None:
        assert await hears_own_ring(redis_url, within_seconds=PATIENCE_SECONDS)
        assert not await hears_own_ring(nobody, within_seconds=0.2)


class TestLocalBell:
    async def test_a_ring_between_the_look_and_the_wait_is_not_lost(self) -> None:
        bell = LocalBell()
        bell.ring()
        assert await bell.wait(0)

    async def test_many_rings_before_a_wait_are_one(self) -> None:
        bell = LocalBell()
        for _ in range(3):
            bell.ring()
        assert await bell.wait(0)
        assert not await bell.wait(0)

    async def test_a_ring_ends_a_wait_that_is_under_way(self) -> None:
        bell = LocalBell()
        waiting = asyncio.create_task(bell.wait(PATIENCE_SECONDS))
        await asyncio.sleep(0)
        bell.ring()
        assert await waiting

    async def test_a_wait_that_is_cancelled_takes_no_ring(self) -> None:
        bell = LocalBell()
        waiting = asyncio.create_task(bell.wait(PATIENCE_SECONDS))
        await asyncio.sleep(0)
        bell.ring()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert await bell.wait(0)
