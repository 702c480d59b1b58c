"""Which URLs make an engine, and what is said where it doesn't reach its server."""

from typing import Any, cast

import psycopg
import pytest

from adapters.postgres.engine import driver_url
from adapters.postgres.errors import Rejected, translation
from adapters.postgres.health import cause_of
from adapters.postgres.running import Driver
from payments_core.errors import Unavailable


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_every_way_to_write_postgres_means_psycopg(scheme: str) -> None:
    url = driver_url(f"{scheme}://merchant:s%40crt@db.example.com:5433/payments?sslmode=require")
    made = url.render_as_string(hide_password=False)
    assert made == "postgresql+psycopg://merchant:s%40crt@db.example.com:5433/payments?sslmode=require"


@pytest.mark.parametrize(
    "url", ["", "payments", "mysql://localhost/payments", "postgresql+asyncpg://localhost/payments"]
)
def test_other_urls_are_refused_without_showing_their_password(url: str) -> None:
    with pytest.raises(ValueError, match="postgresql://") as refused:
        driver_url(url.replace("//", "//me:hush@"))
    assert "hush" not in str(refused.value)


def test_what_stands_in_the_place_of_a_port_is_not_shown() -> None:
    with pytest.raises(ValueError, match="postgresql://") as refused:
        driver_url("postgresql://localhost:hush/payments")
    assert "hush" not in str(refused.value)


@pytest.mark.parametrize(
    "state", ["is starting up", "is not yet accepting connections", "is shutting down", "is in recovery mode"]
)
def test_a_server_between_two_states_is_not_taken_for_one_without_the_database(state: str) -> None:
    error = psycopg.OperationalError(f'connection to server on socket "s" failed: FATAL:  the database system {state}')
    assert cause_of(error) == "it is starting or stopping: try again"


class Confused:
    """Stands for a connection to a pooler that lost its server in the middle of a COMMIT."""

    closed = False

    async def commit(self) -> None:
        raise psycopg.InternalError("received 2 results from command 'COMMIT'")


async def test_a_connection_that_answers_what_was_not_asked_is_lost_and_the_store_away() -> None:
    driver = Driver(cast("psycopg.AsyncConnection[Any]", Confused()))
    with pytest.raises(psycopg.InternalError) as confused:
        await driver.commit()
    assert driver.is_lost
    assert isinstance(translation(confused.value), Unavailable)


def test_what_the_server_calls_an_internal_error_of_its_own_is_no_lost_connection() -> None:
    assert isinstance(translation(psycopg.errors.InternalError_("")), Rejected)
