"""A page deep in a list against the first one, neither of them cached."""

from __future__ import annotations

import asyncio
import socket
import time
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import httpx
import psycopg

from tests.benchmark import requests
from tests.benchmark.case import Case, Tell
from tests.benchmark.figures import MILLISECONDS, Figure, Outcome, Target, median
from tests.benchmark.options import Options
from tests.benchmark.reads import LIST
from tests.benchmark.seeding import full_store
from tests.benchmark.world import World

RATIO: Final = Target(most=1.5)
PAGE: Final = 20
STEP: Final = 100
"""The largest page, by which the depth is reached."""
READ_BYTES: Final = 1 << 20
ANSWER_SECONDS: Final = 30.0
MOVE: Final = b"UPDATE payments.merchant_revisions SET revision = revision + 1 WHERE merchant_id = %s"


async def measure_depth(world: World, options: Options, tell: Tell) -> Outcome:
    """Read both pages in turn on one connection; before each the revision moves, so that no page is known."""
    form, merchant = options.form, world.merchants[0]
    async with full_store(world, form, tell) as store, store.fleet.api() as port:
        tell(f"going to depth {form.depth:,}")
        cursor = await _cursor_at(port, merchant.headers, form.depth)
        pages = {
            "first": requests.get(merchant, f"{LIST}?limit={PAGE}"),
            "deep": requests.get(merchant, f"{LIST}?limit={PAGE}&cursor={cursor}"),
        }
        tell("both pages in turn")
        seconds, names = await asyncio.to_thread(
            _in_turn,
            port,
            {name: page.before_key.encode() for name, page in pages.items()},
            dsn=store.dsn,
            merchant=merchant.id,
            pairs=form.pairs,
        )
    first, deep = median(seconds["first"]), median(seconds["deep"])
    return Outcome(
        figures=(
            Figure(
                name=f"page at depth {form.depth:,} ÷ first page", value=deep / first, unit="x", target=RATIO, digits=2
            ),
            Figure(name="first page, uncached, p50", value=first * MILLISECONDS, unit="ms", digits=2),
            Figure(name=f"page at depth {form.depth:,}, uncached, p50", value=deep * MILLISECONDS, unit="ms", digits=2),
        ),
        notes=(f"one connection, {form.pairs} of each in turn; the revision moves before each read",),
        faults=[] if len(names) == 2 * form.pairs else ["a page came from the cache: two have one name"],
    )


async def _cursor_at(port: int, headers: dict[str, str], depth: int) -> str:
    """Return the cursor of the page behind so many transactions."""
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=ANSWER_SECONDS) as client:
        target = f"{LIST}?limit={STEP}"
        for _ in range(depth // STEP):
            answer = await client.get(target, headers=headers)
            assert answer.status_code == 200, f"{target}: {answer.status_code} {answer.text}"
            target = answer.json()["next"]
            assert target is not None, f"the list is shorter than {depth}"
    return parse_qs(urlsplit(target).query)["cursor"][0]


def _in_turn(
    port: int, pages: dict[str, bytes], *, dsn: str, merchant: str, pairs: int
) -> tuple[dict[str, list[float]], set[str]]:
    """Read the pages in turn; return the seconds of each and the names (ETags) of all answers."""
    seconds: dict[str, list[float]] = {name: [] for name in pages}
    names: set[str] = set()
    with (
        psycopg.connect(dsn, autocommit=True) as connection,
        socket.create_connection(("127.0.0.1", port), ANSWER_SECONDS) as client,
    ):
        for name in (*pages, *pages):  # to warm up
            _ask(client, pages[name])
        for _ in range(pairs):
            for name, request in pages.items():
                connection.execute(MOVE, (merchant,))
                begun = time.perf_counter()
                head = _ask(client, request)
                seconds[name].append(time.perf_counter() - begun)
                names.add(head["etag"])
    return seconds, names


def _ask(client: socket.socket, request: bytes) -> dict[str, Any]:
    """Send a request and read its whole answer; return the answer's head."""
    client.sendall(request)
    received = b""
    while b"\r\n\r\n" not in received:
        received += _more(client)
    head, _, body = received.partition(b"\r\n\r\n")
    status, *lines = head.decode("latin-1").split("\r\n")
    assert status.split()[1] == "200", f"{status}: {body[:200]!r}"
    fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    while len(body) < int(fields["content-length"]):
        body += _more(client)
    return fields


def _more(client: socket.socket) -> bytes:
    received = client.recv(READ_BYTES)
    assert received, "the API closed the connection"
    return received


DEPTH: Final = Case(
    name="list-depth", what="a page deep in the list against the first one, uncached", measure=measure_depth
)
