"""The memory store passes the contracts of every store."""

from __future__ import annotations

import pytest

from adapters.memory.store import MemoryStore
from payments_core.ports import Leftovers
from payments_core.testing.books import BooksContract
from payments_core.testing.claims import ClaimsContract
from payments_core.testing.credentials import CredentialsContract
from payments_core.testing.leftovers import LeftoversContract
from payments_core.testing.oversight import OversightContract
from payments_core.testing.overview import OverviewContract
from payments_core.testing.store import StoreContract
from payments_core.testing.views import ViewsContract
from tests.unit.memory_tampering import MemoryTampering


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def tampering(store: MemoryStore) -> MemoryTampering:
    return MemoryTampering(store)


@pytest.fixture
def leftovers(store: MemoryStore) -> Leftovers:
    return store.leftovers


class TestMemoryStore(StoreContract):
    pass


class TestMemoryViews(ViewsContract):
    pass


class TestMemoryClaims(ClaimsContract):
    pass


class TestMemoryOversight(OversightContract):
    pass


class TestMemoryOverview(OverviewContract):
    pass


class TestMemoryCredentials(CredentialsContract):
    pass


class TestMemoryBooks(BooksContract):
    pass


class TestMemoryLeftovers(LeftoversContract):
    pass
