"""The export of transactions: all of them, safe in a spreadsheet, never more at a time than a batch."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from collections.abc import AsyncGenerator, Sequence
from datetime import timedelta
from typing import Any

import httpx
import pytest

from adapters.memory.views import MemoryView
from entrypoints import export_places
from entrypoints.http.console import export
from payments_core.errors import Unavailable
from payments_core.page import Slice
from payments_core.ports import TransactionFilter, Window
from payments_core.transaction import Transaction
from payments_core.use_cases import read_lists
from tests.unit.console_browser import Browser
from tests.unit.http_shop import Api, Shop, open_api

PATH = "/console/transactions.csv"


@pytest.fixture
async def api() -> AsyncGenerator[Api, None]:
    async with open_api() as api:
        yield api


@pytest.fixture
async def shop(api: Api) -> Shop:
    return await api.open_shop()


@pytest.fixture
async def browser(api: Api, shop: Shop) -> Browser:
    return await Browser(api.client).sign_in(shop.email)


async def _get(api: Api, browser: Browser, path: str = PATH, method: str = "GET") -> httpx.Response:
    return await api.client.request(method, path, headers={"cookie": browser.cookie})


def _rows(answer: httpx.Response) -> list[dict[str, str]]:
    assert answer.status_code == 200, answer.text
    return [*csv.DictReader(io.StringIO(answer.content.decode(), newline=""), strict=True)]


async def test_an_export_has_all_that_there_is_to_say_the_newest_first(api: Api, shop: Shop, browser: Browser) -> None:
    first = await shop.paid(
        description='Größe "M", two\nlines',
        reference="r-1",
        customer_reference="Ada, Bob",
        metadata={"colour": "blau ☂", "=1": "+2"},
    )
    await shop.post("/api/refunds/", {"transaction": first["id"], "amount": "10.5"})
    second = await shop.paid(amount="1234567", currency="JPY", payment_method="pm_decline_fraud")
    first = (await shop.get(f"/api/transactions/{first['id']}/")).json()
    answer = await _get(api, browser)
    assert answer.headers["content-type"] == "text/csv; charset=utf-8; header=present"
    assert answer.headers["content-disposition"] == 'attachment; filename="transactions-2026-03-01.csv"'
    assert answer.headers["cache-control"] == "no-store"
    assert answer.content.startswith(b"id,created_at,status,")
    assert answer.content.endswith(b"\r\n")
    newest, oldest = _rows(answer)
    for row, made in ((newest, second), (oldest, first)):
        assert tuple(row) == export.COLUMNS
        for name, value in row.items():
            assert value == _text_of(made, name), name
    assert (newest["amount"], newest["currency"], newest["failure_code"]) == (
        "1234567",
        "JPY",
        second["failure"]["code"],
    )
    assert (oldest["amount"], oldest["amount_refunded"]) == ("100.00", "10.50")
    assert json.loads(oldest["metadata"]) == first["metadata"]


def _text_of(made: Any, name: str) -> str:
    match name:
        case "metadata":
            return json.dumps(made["metadata"], ensure_ascii=False) if made["metadata"] else ""
        case "livemode":
            return "false"
        case "failure_code" | "failure_message":
            return str((made["failure"] or {}).get(name.removeprefix("failure_"), ""))
        case _:
            return "" if made[name] is None else str(made[name])


WIDE = "\uff1d\uff0b\uff0d\uff20"
"""The same signs at full width, which spreadsheets of some languages reckon with as well."""


@pytest.mark.parametrize("begin", ["=", "+", "-", "@", "\t", "\r", "\n", *WIDE])
async def test_no_cell_is_a_formula(api: Api, shop: Shop, browser: Browser, begin: str) -> None:
    text = f"{begin}HYPERLINK(1)"
    await shop.pay(description=text, customer_reference=f"a{text}")
    (row,) = _rows(await _get(api, browser))
    assert row["description"] == f"'{text}"
    assert row["customer_reference"] == f"a{text}"
    assert not [cell for cell in row.values() if cell.startswith(tuple(f"=+-@\t\r\n{WIDE}"))]


async def test_an_export_of_nothing_is_the_names_of_its_columns(api: Api, browser: Browser) -> None:
    answer = await _get(api, browser)
    assert answer.text == ",".join(export.COLUMNS) + "\r\n"


async def test_an_export_has_what_passes_the_filter_however_much_that_is(
    api: Api, shop: Shop, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read_lists, "EXPORT_BATCH", 7)
    monkeypatch.setattr(export, "PIECE_BYTES", 500)
    wanted = [(await shop.pay(amount=str(number % 2 + 1)))["id"] for number in range(60)][1::2][::-1]
    answer = await _get(api, browser, f"{PATH}?currency=USD&min_amount=2")
    assert [row["id"] for row in _rows(answer)] == wanted


async def test_an_export_is_of_the_merchant_who_asks_and_of_nobody_else(api: Api, shop: Shop, browser: Browser) -> None:
    own = await shop.pay()
    await (await api.open_shop()).pay()
    assert [row["id"] for row in _rows(await _get(api, browser))] == [own["id"]]
    answer = await api.client.get(PATH)
    assert (answer.status_code, answer.headers["location"].partition("?")[0]) == (303, "/console/sign-in")


async def test_head_says_what_an_export_is_and_gives_its_place_back(api: Api, shop: Shop, browser: Browser) -> None:
    await shop.pay()
    heads = [await _get(api, browser, method="HEAD") for _ in range(export_places.EXPORTS_OF_ONE_MAX + 1)]
    assert [(head.status_code, head.content) for head in heads] == [(200, b"")] * len(heads)
    get = await _get(api, browser)
    assert {**heads[-1].headers, "x-request-id": ""} == {**get.headers, "x-request-id": ""}


async def test_an_idle_session_is_renewed_by_an_export(api: Api, browser: Browser) -> None:
    api.clock.move(timedelta(minutes=6))
    assert "set-cookie" in (await _get(api, browser)).headers


async def test_a_store_that_is_away_at_the_start_is_a_page_that_says_so(
    api: Api, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> Slice[Transaction]:
        raise Unavailable("the store is away")

    monkeypatch.setattr(MemoryView, "transactions", away)
    for _ in range(export_places.EXPORTS_OF_ONE_MAX + 1):
        answer = await _get(api, browser)
        assert answer.status_code == 503
        assert answer.headers["content-type"].startswith("text/html")


async def test_a_store_that_goes_away_in_the_middle_leaves_no_export_that_looks_whole(
    api: Api, shop: Shop, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read_lists, "EXPORT_BATCH", 2)
    for _ in range(5):
        await shop.pay()
    whole = MemoryView.transactions

    async def goes(view: MemoryView, window: Window, filter: TransactionFilter, /) -> Slice[Transaction]:
        if window.position is not None:
            raise Unavailable("the store is away")
        return await whole(view, window, filter)

    monkeypatch.setattr(MemoryView, "transactions", goes)
    # The stand-in for a server takes an answer that was not ended for a fault, as a real one closes the connection.
    for _ in range(export_places.EXPORTS_OF_ONE_MAX + 1):
        with pytest.raises(AssertionError):
            await _get(api, browser)


async def test_one_merchant_has_so_many_exports_at_a_time_and_others_have_theirs(
    api: Api, shop: Shop, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    await shop.pay()
    neighbour = await Browser(api.client).sign_in((await api.open_shop()).email)
    whole, going_on, waiting = MemoryView.transactions, asyncio.Event(), asyncio.Semaphore(0)

    async def waits(view: MemoryView, window: Window, filter: TransactionFilter, /) -> Slice[Transaction]:
        waiting.release()
        await going_on.wait()
        return await whole(view, window, filter)

    monkeypatch.setattr(MemoryView, "transactions", waits)
    under_way = [asyncio.create_task(_get(api, browser)) for _ in range(export_places.EXPORTS_OF_ONE_MAX)]
    for _ in under_way:
        await waiting.acquire()
    refused = await _get(api, browser)
    assert refused.status_code == 429
    assert "As many exports as can be" in refused.text
    under_way.append(asyncio.create_task(_get(api, neighbour)))
    await waiting.acquire()
    going_on.set()
    assert [len(_rows(answer)) for answer in await asyncio.gather(*under_way)] == [1, 1, 0]
    assert len(_rows(await _get(api, browser))) == 1


def test_all_places_together_are_bounded_and_are_given_back() -> None:
    places = export_places.ExportPlaces()
    merchants: Sequence[Any] = range(export_places.EXPORTS_MAX)
    held = [places.take(merchant) for merchant in merchants]
    for place in held:
        place.__enter__()
    with pytest.raises(export_places.NoExportPlace), places.take("one more"):  # type: ignore[arg-type]
        pass
    held[0].__exit__(None, None, None)
    with places.take("one more"):  # type: ignore[arg-type]
        pass
