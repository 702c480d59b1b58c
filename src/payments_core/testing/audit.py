"""What every audit log must pass: written with the deed or not at all, shown to whom it concerns, newest first."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import pytest

from payments_core.audit import HERE, NOBODY, Action, AuditEntry
from payments_core.errors import Duplicate, StaleWrite
from payments_core.ids import MerchantId
from payments_core.page import Position
from payments_core.ports import AuditFilter, Window
from payments_core.testing.builders import NOW, SECOND, a_merchant, an_audit_entry
from payments_core.testing.subject import Shop, Store, open_shop, put, read_all, refused_unit, write

ANY = AuditFilter()
MICROSECOND = timedelta(microseconds=1)


async def _seen(
    store: Store, shop: Shop, filter: AuditFilter = ANY, *, livemode: bool = False, limit: int = 2
) -> Sequence[AuditEntry]:
    async with store.view(shop.merchant.id, livemode) as view:
        return await read_all(lambda window: view.audit(window, filter), limit=limit)


async def _seen_by_staff(
    store: Store, filter: AuditFilter = ANY, merchant: MerchantId | None = None, *, limit: int = 2
) -> Sequence[AuditEntry]:
    return await read_all(lambda window: store.oversight.audit(window, filter, merchant), limit=limit)


def _row(shop: Shop, number: int) -> list[AuditEntry]:
    """Return entries of successive seconds, the oldest first."""
    return [an_audit_entry(shop.merchant, at=NOW + each * SECOND) for each in range(number)]


class AuditContract:
    """Adapters supply `store`."""

    @pytest.mark.parametrize("by_unit", [True, False])
    async def test_an_audit_entry_comes_out_as_it_went_in(self, store: Store, by_unit: bool) -> None:
        shop = await open_shop(store)
        full = replace(
            an_audit_entry(shop.merchant), detail={"text": "Größe 👩🏽‍💻 'q' \\", "list": [1, None, True], "a": {}}
        )
        bare = replace(
            an_audit_entry(shop.merchant, livemode=None),
            actor=NOBODY,
            address=HERE.address,
            request_id=None,
            subject=None,
            detail={},
            action="what.a.later.version.wrote",
        )
        if by_unit:
            await put(store, full, bare)
        else:
            await store.audit.append(full)
            await store.audit.append(bare)
        assert {entry.id: entry for entry in await _seen(store, shop)} == {full.id: full, bare.id: bare}
        assert len(await _seen_by_staff(store)) == 2

    async def test_an_entry_is_written_with_its_deed_or_not_at_all(self, store: Store) -> None:
        shop = await open_shop(store)
        await write(store, shop.merchant)
        async with refused_unit(store, StaleWrite) as work:
            work.merchants.save(shop.merchant)
            work.audit.add(an_audit_entry(shop.merchant))
        with suppress(RuntimeError):
            async with store.begin() as work:
                work.audit.add(an_audit_entry(shop.merchant))
                raise RuntimeError
        assert not await _seen_by_staff(store)

    async def test_no_entry_takes_the_place_of_another(self, store: Store) -> None:
        shop = await open_shop(store)
        entry = an_audit_entry(shop.merchant)
        await store.audit.append(entry)
        with pytest.raises(Duplicate):
            await store.audit.append(replace(entry, action=Action.LOGIN_FAILED))
        async with refused_unit(store, Duplicate) as work:
            work.audit.add(replace(entry, action=Action.LOGIN_FAILED))
        assert await _seen_by_staff(store) == [entry]

    async def test_a_unit_writes_entries_of_nobodys_and_none_of_a_merchant_that_was_never_stored(
        self, store: Store
    ) -> None:
        nobodys = an_audit_entry(None)
        await put(store, nobodys)
        async with refused_unit(store, StaleWrite) as work:
            work.audit.add(an_audit_entry(a_merchant()))
        assert await _seen_by_staff(store) == [nobodys]

    async def test_an_entry_of_a_unit_moves_the_revision_and_one_that_is_appended_does_not(self, store: Store) -> None:
        shop = await open_shop(store)
        before = await store.revision(shop.merchant.id)
        await store.audit.append(an_audit_entry(shop.merchant))
        assert await store.revision(shop.merchant.id) == before
        await put(store, an_audit_entry(shop.merchant))
        assert await store.revision(shop.merchant.id) == before + 1

    async def test_a_merchant_sees_the_entries_of_its_mode_and_of_both(self, store: Store) -> None:
        shop, other = await open_shop(store), await open_shop(store)
        test, live, both = (an_audit_entry(shop.merchant, livemode=livemode) for livemode in (False, True, None))
        await put(store, test, live, both, an_audit_entry(other.merchant))
        await store.audit.append(an_audit_entry(None))
        assert set(map(_id, await _seen(store, shop))) == {test.id, both.id}
        assert set(map(_id, await _seen(store, shop, livemode=True))) == {live.id, both.id}

    async def test_staff_see_those_of_everybody_and_of_nobody(self, store: Store) -> None:
        shop, other = await open_shop(store), await open_shop(store)
        mine, theirs = an_audit_entry(shop.merchant, at=NOW), an_audit_entry(other.merchant, at=NOW + SECOND)
        nobodys = an_audit_entry(None, livemode=None, at=NOW + 2 * SECOND)
        await put(store, mine)
        await put(store, theirs)
        await store.audit.append(nobodys)
        assert await _seen_by_staff(store) == [nobodys, theirs, mine]
        assert await _seen_by_staff(store, merchant=shop.merchant.id) == [mine]
        assert await _seen_by_staff(store, merchant=a_merchant().id) == []

    async def test_pages_are_newest_first_and_go_both_ways(self, store: Store) -> None:
        shop = await open_shop(store)
        entries = _row(shop, 5)
        await put(store, *entries)
        newest_first = entries[::-1]
        assert await _seen(store, shop) == newest_first
        assert await _seen_by_staff(store) == newest_first
        async with store.view(shop.merchant.id, False) as view:
            back = await view.audit(Window(limit=2, position=Position(key=newest_first[3].id, backwards=True)), ANY)
        assert list(back.items) == newest_first[1:3]

    async def test_filters_take_what_they_say(self, store: Store) -> None:
        shop = await open_shop(store)
        first, second, third = _row(shop, 3)
        second = replace(second, action=Action.API_KEY_MADE)
        await put(store, first, second, third)
        for filter, wanted in (
            (AuditFilter(action=Action.API_KEY_MADE), [second]),
            (AuditFilter(subject=third.subject), [third]),
            (AuditFilter(created_after=first.at), [third, second]),
            (AuditFilter(created_before=third.at), [second, first]),
            (AuditFilter(created_after=first.at - MICROSECOND, created_before=second.at), [first]),
            (AuditFilter(action=Action.LOGIN_FAILED), []),
        ):
            assert await _seen(store, shop, filter) == wanted
            assert await _seen_by_staff(store, filter) == wanted


def _id(entry: AuditEntry) -> str:
    return entry.id
