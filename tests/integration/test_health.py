"""Whether Postgres answers, and in words why it does not."""

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import make_url
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres import create_engine
from adapters.postgres.health import lacking, ping, see_server
from payments_core.errors import Unavailable
from tests.processes import free_port
from tests.servers import Server


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    made = create_engine(database_url)
    yield made
    await made.dispose()


async def test_a_server_that_is_there_says_what_it_is_and_what_time_it_has(database_url: str) -> None:
    seen = await see_server(database_url)
    assert seen.version.startswith("18")
    assert 0 <= seen.clock_skew_seconds < 1


async def test_a_look_tells_an_outage_and_its_end(engine: AsyncEngine, postgres_server: Server) -> None:
    await ping(engine)
    assert await lacking(engine) == []
    await postgres_server.stop()
    with pytest.raises(Unavailable, match="Postgres does not answer"):
        await ping(engine)
    with pytest.raises(Unavailable):
        await lacking(engine)
    await postgres_server.start()
    await ping(engine)


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({"database": "nowhere"}, "it has no such database"),
        ({"username": "nobody-known"}, "it refuses the user name or the password"),
        ({"query": {"sslmode": "bogus"}}, "look at sslmode"),
        ({"query": {"unknown": "1"}}, "the URL has an option that libpq does not know"),
    ],
)
async def test_a_url_that_is_wrong_for_the_server_is_told_by_what_is_wrong(
    database_url: str, change: dict[str, str], cause: str
) -> None:
    query = {**make_url(database_url).query, **dict(change.pop("query", {}))}  # type: ignore[arg-type]  # a mapping there
    url = make_url(database_url).set(**change, query=query, password="hunter2")  # type: ignore[arg-type]  # as there
    text = url.render_as_string(hide_password=False)
    with pytest.raises(Unavailable, match=cause) as told:
        await see_server(text)
    assert "hunter2" not in told.value.message
    engine = create_engine(text)
    with pytest.raises(Unavailable, match=cause) as said:
        await ping(engine)
    await engine.dispose()
    for value in ("hunter2", "nowhere", "nobody-known", "bogus"):
        assert value not in said.value.message


@pytest.mark.parametrize(
    ("where", "cause"),
    [("127.0.0.1", "nobody listens at this address"), ("nowhere.invalid", "its host name has no address")],
)
async def test_a_server_that_is_not_there_is_told_by_where_it_should_be(where: str, cause: str) -> None:
    with pytest.raises(Unavailable, match=cause):
        await see_server(f"postgresql://u:hunter2@{where}:{free_port()}/n")
