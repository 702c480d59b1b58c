"""The memory store passes the contracts of every store."""

from __future__ import annotations

import pytest

from adapters.memory.store import MemoryStore
from payments_core.errors import NotFound
from payments_core.testing.builders import a_merchant, a_payment_key, a_transaction
from payments_core.testing.claims import ClaimsContract
from payments_core.testing.credentials import CredentialsContract
from payments_core.testing.store import Store, StoreContract
from payments_core.testing.subject import open_shop, put, stored
from payments_core.testing.views import ViewsContract


@pytest.fixture
def store() -> Store:
    return MemoryStore()


class TestMemoryStore(StoreContract):
    pass


class TestMemoryViews(ViewsContract):
    pass


class TestMemoryClaims(ClaimsContract):
    pass


class TestMemoryCredentials(CredentialsContract):
    pass


async def test_what_belongs_to_nobody_is_refused_with_its_whole_unit(store: Store) -> None:
    shop = await open_shop(store)
    transaction = a_transaction(shop.key)
    with pytest.raises(NotFound):
        await put(store, transaction, a_payment_key(a_merchant()))
    with pytest.raises(NotFound):
        await stored(store, transaction)
