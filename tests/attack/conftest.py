"""The real servers of the integration tests, for attacks that need one."""

from tests.integration.conftest import (  # noqa: F401 - fixtures
    database_url,
    engine,
    postgres_server,
    redis_url,
    running_postgres,
    running_valkey,
    template_database,
    valkey_server,
)
