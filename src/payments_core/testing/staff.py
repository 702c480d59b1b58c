"""What every store must pass for the accounts and sessions of staff, which are no merchant's.

What the suite settles where the ports leave room: a unit that writes only what is staff's moves no revision, and may
write entries of the audit log beside it that are nobody's; an entry of a merchant's moves that one's as ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from payments_core.errors import Duplicate, NotFound, StaleWrite
from payments_core.ids import StaffId, StaffSessionId
from payments_core.ports import AuditFilter, Unique, Window
from payments_core.staff_member import StaffMember, StaffSession
from payments_core.testing.builders import (
    NEVER_STORED,
    NOW,
    SECOND,
    a_merchant,
    a_staff_member,
    a_staff_session,
    an_audit_entry,
)
from payments_core.testing.subject import Store, open_shop, refused_unit

TEXT = "Größe “M” 😀"


async def _put(store: Store, *things: StaffMember | StaffSession) -> None:
    async with store.begin() as work:
        for thing in things:
            if isinstance(thing, StaffMember):
                work.staff_members.add(thing)
            else:
                work.staff_sessions.add(thing)


async def _member(store: Store, id: StaffId) -> StaffMember:
    async with store.begin() as work:
        return await work.staff_members.get(id)


async def _session(store: Store, id: StaffSessionId) -> StaffSession:
    async with store.begin() as work:
        return await work.staff_sessions.get(id)


async def _valid_of(store: Store, member: StaffMember) -> Sequence[StaffSessionId]:
    async with store.begin() as work:
        return [session.id for session in await work.staff_sessions.valid_of(member.id, at=NOW)]


class StaffContract:
    """Adapters supply `store`."""

    async def test_a_member_and_a_session_come_out_as_they_went_in(self, store: Store) -> None:
        plain = a_staff_member()
        full = replace(a_staff_member(email="größe+1@例え.example"), name=TEXT, password_hash=TEXT, disabled_at=NOW)
        session = replace(a_staff_session(full), revoked_at=NOW)
        await _put(store, plain, full, session)
        assert await _member(store, plain.id) == replace(plain, version=1)
        assert await _member(store, full.id) == replace(full, version=1)
        assert await _session(store, session.id) == replace(session, version=1)

    async def test_what_is_saved_comes_out_so(self, store: Store) -> None:
        member = a_staff_member()
        session = a_staff_session(member)
        await _put(store, member, session)
        changed = replace(member, name=TEXT, version=1).change_password(TEXT).disable(NOW)
        async with store.begin() as work:
            work.staff_members.save(changed)
            work.staff_sessions.save(replace(session, version=1).revoke(NOW))
        assert await _member(store, member.id) == replace(changed, version=2)
        assert (await _session(store, session.id)).revoked_at == NOW

    async def test_what_is_not_there_is_not_found(self, store: Store) -> None:
        for text in ("stf_none", *NEVER_STORED):
            with pytest.raises(NotFound):
                await _member(store, StaffId(text))
            with pytest.raises(NotFound):
                await _session(store, StaffSessionId(text))
            assert await store.oversight.staff_session(StaffSessionId(text)) is None
            async with store.begin() as work:
                assert await work.staff_members.by_email(text) is None

    async def test_an_email_address_belongs_to_one_of_the_staff_and_may_be_a_merchants_too(self, store: Store) -> None:
        first, second = (a_staff_member(email="zoë@example.com") for _ in range(2))
        await _put(store, first)
        async with store.begin() as work:
            work.merchants.add(a_merchant(email="zoë@example.com"))
        async with store.begin() as work:
            found = await work.staff_members.by_email("zoë@example.com")
            assert found is not None
            assert found.id == first.id
        with pytest.raises(Duplicate) as refused:
            await _put(store, second)
        assert refused.value.constraint == Unique.STAFF_EMAIL
        with pytest.raises(NotFound):
            await _member(store, second.id)

    async def test_the_second_writer_of_one_version_of_what_is_staffs_is_refused(self, store: Store) -> None:
        member = a_staff_member()
        session = a_staff_session(member)
        await _put(store, member, session)
        member, session = await _member(store, member.id), await _session(store, session.id)
        async with store.begin() as work:
            work.staff_members.save(member)
            work.staff_sessions.save(session)
        for thing in (member, session):
            async with refused_unit(store, StaleWrite) as work:
                if isinstance(thing, StaffMember):
                    work.staff_members.save(thing)
                else:
                    work.staff_sessions.save(thing)
        async with refused_unit(store, StaleWrite) as work:
            work.staff_members.save(a_staff_member())

    async def test_of_many_writers_at_once_each_is_refused_or_moves_the_version(self, store: Store) -> None:
        member = a_staff_member()
        await _put(store, member)
        read = await _member(store, member.id)

        async def write() -> bool:
            try:
                async with store.begin() as work:
                    work.staff_members.save(read)
            except StaleWrite:
                return False
            return True

        assert sum(await asyncio.gather(*(write() for _ in range(10)))) == 1
        assert (await _member(store, member.id)).version == read.version + 1

    async def test_valid_sessions_are_the_members_own_that_have_not_ended(self, store: Store) -> None:
        member, other = a_staff_member(), a_staff_member()
        first, second = a_staff_session(member), a_staff_session(member)
        ended = replace(a_staff_session(member), revoked_at=NOW - SECOND)
        expired = replace(a_staff_session(member), expires_at=NOW)
        await _put(store, member, other, second, first, ended, expired, a_staff_session(other))
        assert await _valid_of(store, member) == [first.id, second.id]
        async with store.begin() as work:
            third = a_staff_session(member)
            work.staff_sessions.add(third)
            work.staff_sessions.save((await work.staff_sessions.get(first.id)).revoke(NOW))
            valid = await work.staff_sessions.valid_of(member.id, at=NOW)
            assert [session.id for session in valid] == [second.id, third.id]

    async def test_a_session_is_seen_with_its_member_however_either_has_ended(self, store: Store) -> None:
        member = replace(a_staff_member(), disabled_at=NOW)
        session = replace(a_staff_session(member), revoked_at=NOW)
        await _put(store, member, a_staff_member(), session)
        holder = await store.oversight.staff_session(session.id)
        assert holder is not None
        assert holder.session == replace(session, version=1)
        assert holder.member == replace(member, version=1)

    async def test_the_staff_are_listed_the_oldest_first(self, store: Store) -> None:
        members = [a_staff_member() for _ in range(3)]
        await _put(store, *members[::-1])
        assert [one.id for one in await store.oversight.staff_members(limit=9)] == [one.id for one in members]
        assert [one.id for one in await store.oversight.staff_members(limit=2)] == [one.id for one in members[:2]]

    async def test_what_is_staffs_goes_with_an_entry_of_nobodys_or_not_at_all(self, store: Store) -> None:
        member = a_staff_member()
        await _put(store, member)
        entry = an_audit_entry(None)
        async with store.begin() as work:
            work.staff_members.save(await work.staff_members.get(member.id))
            work.audit.add(entry)
        async with refused_unit(store, StaleWrite) as work:
            work.staff_members.save(replace(member, version=1))
            work.audit.add(an_audit_entry(None))
        found = await store.oversight.audit(Window(limit=9), AuditFilter(), None)
        assert found.items == [entry]

    async def test_it_moves_no_revision_but_that_of_a_merchant_whose_entry_goes_with_it(self, store: Store) -> None:
        shop = await open_shop(store)
        before = await store.revision(shop.merchant.id)
        member = a_staff_member()
        await _put(store, member)
        assert await store.revision(shop.merchant.id) == before
        async with store.begin() as work:
            work.staff_members.save(await work.staff_members.get(member.id))
            work.audit.add(an_audit_entry(shop.merchant))
        assert await store.revision(shop.merchant.id) == before + 1
        assert (await _member(store, member.id)).version == 2
