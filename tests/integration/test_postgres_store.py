"""The store's contracts on a real Postgres."""

import os
from collections.abc import AsyncIterator

import pytest

from adapters.postgres import PostgresStore, create_engine
from adapters.security.vault import AeadVault
from payments_core.testing.claims import ClaimsContract
from payments_core.testing.credentials import CredentialsContract
from payments_core.testing.store import StoreContract
from payments_core.testing.views import ViewsContract


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[PostgresStore]:
    engine = create_engine(database_url)
    yield PostgresStore(engine, vault=AeadVault([b"k" * 32], entropy=os.urandom))
    await engine.dispose()


class TestPostgresStore(StoreContract):
    """Supplies `store`."""


class TestPostgresViews(ViewsContract):
    """Supplies `store`."""


class TestPostgresClaims(ClaimsContract):
    """Supplies `store`."""


class TestPostgresCredentials(CredentialsContract):
    """Supplies `store`."""
