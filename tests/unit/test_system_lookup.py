"""The system's resolver behind webhooks: one look-up of a host at a time, shared by all who ask for it."""

import asyncio
import socket
import threading
from collections.abc import Iterator, Sequence

import pytest

from adapters.http import resolver
from adapters.http.resolver import SystemLookup
from tests.patience import PATIENCE_SECONDS, until_seen

ADDRESS = "192.0.2.1"


class NameServer:
    """Answers for no host that is silent until it is told to; knows every host but one."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.speaks = threading.Event()

    def getaddrinfo(self, host: str, *_: object, **__: object) -> list[tuple[object, ...]]:
        self.asked.append(host)
        if host.startswith("silent"):
            self.speaks.wait(PATIENCE_SECONDS)
        if host.endswith("unknown"):
            raise OSError("no such name")
        return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (ADDRESS, 0))]

    async def seen(self) -> list[str]:
        return list(self.asked)

    async def is_asked_for(self, host: str) -> None:
        """Wait until it is, and whoever else asks for the host had turns enough to wait for the same answer."""
        await until_seen(self.seen, [host])
        for _ in range(100):
            await asyncio.sleep(0)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[NameServer]:
    made = NameServer()
    monkeypatch.setattr(socket, "getaddrinfo", made.getaddrinfo)
    yield made
    made.speaks.set()


def ask(look_up: SystemLookup, host: str) -> asyncio.Task[Sequence[str]]:
    async def asked() -> Sequence[str]:
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await look_up(host)

    return asyncio.create_task(asked())


async def leave(task: asyncio.Task[Sequence[str]]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_all_who_ask_for_a_host_take_one_place(server: NameServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolver, "LOOKUPS_MAX", 2)
    look_up = SystemLookup()
    waiting = [ask(look_up, "silent.example") for _ in range(10)]
    await server.is_asked_for("silent.example")
    assert await ask(look_up, "other.example") == [ADDRESS]
    server.speaks.set()
    assert await asyncio.gather(*waiting) == [[ADDRESS]] * 10
    assert server.asked == ["silent.example", "other.example"]


async def test_who_leaves_takes_the_answer_from_nobody_else(server: NameServer) -> None:
    look_up = SystemLookup()
    first, second = ask(look_up, "silent.example"), ask(look_up, "silent.example")
    await server.is_asked_for("silent.example")
    await leave(first)
    server.speaks.set()
    assert await second == [ADDRESS]
    assert server.asked == ["silent.example"]


async def test_a_look_up_that_everybody_left_is_there_for_the_next_who_asks(server: NameServer) -> None:
    look_up = SystemLookup()
    first = ask(look_up, "silent.example")
    await server.is_asked_for("silent.example")
    await leave(first)
    second = ask(look_up, "silent.example")
    await asyncio.sleep(0)
    server.speaks.set()
    assert await second == [ADDRESS]
    assert server.asked == ["silent.example"]


async def test_who_leaves_before_there_was_a_place_leaves_the_wait_to_the_next(
    server: NameServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resolver, "LOOKUPS_MAX", 1)
    look_up = SystemLookup()
    silent = ask(look_up, "silent.example")
    await server.is_asked_for("silent.example")
    first, second = ask(look_up, "other.example"), ask(look_up, "other.example")
    await asyncio.sleep(0)
    await leave(first)
    server.speaks.set()
    assert await silent == await second == [ADDRESS]
    assert server.asked == ["silent.example", "other.example"]


async def test_a_host_without_an_address_is_so_for_all_who_ask(server: NameServer) -> None:
    look_up = SystemLookup()
    waiting = [ask(look_up, "silent.unknown") for _ in range(3)]
    await server.is_asked_for("silent.unknown")
    server.speaks.set()
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert [str(outcome) for outcome in outcomes] == ["no such name"] * 3
    assert server.asked == ["silent.unknown"]


async def test_nothing_is_kept_of_an_answer(server: NameServer) -> None:
    look_up = SystemLookup()
    for _ in range(3):
        assert await look_up("other.example") == [ADDRESS]
        with pytest.raises(OSError, match="no such name"):
            await look_up("unknown")
    assert server.asked == ["other.example", "unknown"] * 3


async def test_a_thread_that_cannot_be_had_is_told_and_leaves_the_host_free(
    server: NameServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_thread(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    look_up = SystemLookup()
    with monkeypatch.context() as exhausted:
        exhausted.setattr(threading.Thread, "start", no_thread)
        for _ in range(resolver.LOOKUPS_MAX + 1):
            with pytest.raises(RuntimeError):
                await ask(look_up, "shop.example")
    assert await ask(look_up, "shop.example") == [ADDRESS]
