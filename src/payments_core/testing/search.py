"""What every store's search among transactions must pass; `payments_core.search` says what is found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from payments_core.ids import TransactionId
from payments_core.ports import TransactionFilter
from payments_core.testing.builders import NEVER_STORED, a_refund, a_transaction
from payments_core.testing.subject import Shop, Store, open_shop, put, read_all
from payments_core.transaction import Transaction


async def _found(store: Store, shop: Shop, filter: TransactionFilter, *, livemode: bool = False) -> list[TransactionId]:
    async with store.view(shop.merchant.id, livemode) as view:
        return [one.id for one in await read_all(lambda window: view.transactions(window, filter), limit=2)]


async def _by_text(store: Store, shop: Shop, text: str, *, livemode: bool = False) -> list[TransactionId]:
    return await _found(store, shop, TransactionFilter(text=text), livemode=livemode)


def _ids(transactions: Sequence[Transaction]) -> list[TransactionId]:
    return [one.id for one in reversed(transactions)]


class SearchContract:
    """Adapters supply `store`."""

    async def test_a_search_looks_at_each_text_of_a_transaction(self, store: Store) -> None:
        shop = await open_shop(store)
        plain = a_transaction(shop.key)
        found = [
            replace(plain, id=a_transaction(shop.key).id, description="two needles here"),
            replace(plain, id=a_transaction(shop.key).id, reference="xneedlex"),
            replace(plain, id=a_transaction(shop.key).id, customer_reference="needle"),
            replace(plain, id=a_transaction(shop.key).id, gateway_reference="ch_needle"),
            a_transaction(shop.key, metadata={"a": "b", "the needle": "c"}),
            a_transaction(shop.key, metadata={"a": "b", "c": "this needle"}),
        ]
        others = [
            replace(plain, description="need", reference="le", payment_method="needle"),
            a_transaction(shop.key, metadata={"need": "le"}),
        ]
        await put(store, *found, *others)
        assert await _by_text(store, shop, "needle") == _ids(found)
        assert await _by_text(store, shop, "another") == []

    @pytest.mark.parametrize(
        ("text", "wanted"),
        [
            ("RED", ["Infrared", "scarlet RED"]),
            ("infraRED", ["Infrared"]),
            ("größe", ["Größe"]),
            ("GRÖSSE", []),
            ("GRÖßE", []),
            ("GRößE", ["Größe"]),
            ("İ", ["İstanbul"]),
            ("istanbul", []),
            ("K", ["kilo", "back\\slash"]),
            ("100%", ["100% off"]),
            ("%", ["100% off"]),
            ("_", ["a_b"]),
            ("a_b", ["a_b"]),
            ("\\", ["back\\slash"]),
            ("K\\S", ["back\\slash"]),
            ('"', ['say "yes"']),
            ('Y "YES', ['say "yes"']),
            ("\n", ["two\nlines"]),
            ("O\nL", ["two\nlines"]),
            ("\x1f", ["unit\x1fseparated"]),
            ("n", ["unit\x1fseparated", "two\nlines", "İstanbul", "Infrared"]),
            ("u001f", []),
            ("😀", ["smile 😀"]),
            (":", []),
            ('":"', []),
            ("{", []),
            ("'; --", ["'; -- drop"]),
        ],
    )
    @pytest.mark.parametrize("in_metadata", [False, True])
    async def test_a_text_is_found_letter_by_letter_but_for_the_case_of_ascii(
        self, store: Store, text: str, wanted: Sequence[str], in_metadata: bool
    ) -> None:
        shop = await open_shop(store)
        texts = (
            "Infrared",
            "scarlet RED",
            "Größe",
            "İstanbul",
            "100% off",
            "a_b",
            "back\\slash",
            'say "yes"',
            "two\nlines",
            "unit\x1fseparated",
            "smile 😀",
            "kilo",
            "'; -- drop",
        )
        transactions = {
            each: a_transaction(shop.key, metadata={"": each})
            if in_metadata
            else replace(a_transaction(shop.key), description=each)
            for each in texts
        }
        await put(store, *transactions.values())
        found = await _by_text(store, shop, text)
        names = [name for name, one in transactions.items() if one.id in found]
        assert sorted(names) == sorted(wanted)

    async def test_an_id_names_a_transaction_or_that_of_a_refund_and_nothing_else(self, store: Store) -> None:
        shop, other = await open_shop(store), await open_shop(store)
        one, two, theirs = a_transaction(shop.key), a_transaction(shop.key), a_transaction(other.key)
        live = a_transaction(shop.live_key)
        refund, live_refund, their_refund = a_refund(two), a_refund(live), a_refund(theirs)
        quoting = replace(a_transaction(shop.key), description=f"again: {one.id}, {refund.id}", reference=one.id)
        await put(store, one, two, theirs, live, refund, live_refund, their_refund, quoting)
        assert await _by_text(store, shop, one.id) == [one.id]
        assert await _by_text(store, shop, refund.id) == [two.id]
        assert await _by_text(store, shop, live_refund.id, livemode=True) == [live.id]
        for missing in (theirs.id, live.id, their_refund.id, live_refund.id):
            assert await _by_text(store, shop, missing) == []
        assert await _by_text(store, shop, one.id[:-1]) == [quoting.id]
        assert await _found(store, shop, TransactionFilter(text=one.id, currency="EUR")) == []
        assert await _found(store, shop, TransactionFilter(text=refund.id, currency="USD")) == [two.id]

    async def test_a_search_finds_nothing_of_another_merchant_or_mode(self, store: Store) -> None:
        shop, other = await open_shop(store), await open_shop(store)
        mine, live, theirs = (
            a_transaction(key, reference="needle", metadata={"k": "v"}) for key in (shop.key, shop.live_key, other.key)
        )
        await put(store, mine, live, theirs)
        for filter in (TransactionFilter(text="NEEDLE"), TransactionFilter(metadata=("k", "v"))):
            assert await _found(store, shop, filter) == [mine.id]
            assert await _found(store, shop, filter, livemode=True) == [live.id]
            assert await _found(store, other, filter) == [theirs.id]

    @pytest.mark.parametrize("text", NEVER_STORED)
    async def test_a_text_that_a_store_may_be_unable_to_hold_is_in_none(self, store: Store, text: str) -> None:
        shop = await open_shop(store)
        await put(store, a_transaction(shop.key, reference="order", metadata={"k": "v"}))
        for filter in (
            TransactionFilter(text=text),
            TransactionFilter(metadata=("k", text)),
            TransactionFilter(metadata=(text, "v")),
        ):
            assert await _found(store, shop, filter) == []

    @pytest.mark.parametrize(
        ("key", "value"),
        [
            ("order", "7"),
            ("Größe", "😀 'x'"),
            ('a"b', 'c\\d"'),
            ("a,b", 'x","y":"z'),
            ("lines", "one\ntwo\ttabbed\x1f"),
            ("empty", ""),
            ("0", "zero"),
            ("-1", "last"),
            ("a.b", "{c}"),
        ],
    )
    async def test_metadata_is_found_by_its_key_and_value_letter_by_letter(
        self, store: Store, key: str, value: str
    ) -> None:
        shop = await open_shop(store)
        found = [
            a_transaction(shop.key, metadata={key: value}),
            a_transaction(shop.key, metadata={"first": "1", key: value, "last": "9"}),
        ]
        others = [
            a_transaction(shop.key),
            a_transaction(shop.key, metadata={key: f"{value}."}),
            a_transaction(shop.key, metadata={f".{key}": value}),
            a_transaction(shop.key, metadata={f"{key}.": value, key: "another"}),
            a_transaction(shop.key, metadata={"x": f'"{key}":"{value}"'}),
            a_transaction(shop.key, metadata={f"{key}X": value}),
        ]
        await put(store, *found, *others)
        assert await _found(store, shop, TransactionFilter(metadata=(key, value))) == _ids(found)
        assert await _found(store, shop, TransactionFilter(metadata=(key, value), text="FIRST")) == [found[1].id]
