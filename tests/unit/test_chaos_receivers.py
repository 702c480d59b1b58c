"""The book of a fault campaign's receivers believes a webhook only with a signature that holds, and the same body."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from payments_core.webhook import make_secret, sign
from tests.chaos.receivers import Book

SECRET = make_secret(b"s" * 32)
ENDPOINT = "whk_1"


def event(status: str = "pending") -> dict[str, Any]:
    data = {"id": "txn_1", "status": status}
    return {"id": "evt_1", "type": "transaction.created", "sequence": 1, "data": data}


@pytest.fixture
def heard() -> list[Mapping[str, Any]]:
    return []


@pytest.fixture
def book(heard: list[Mapping[str, Any]]) -> Book:
    return Book(lambda _, event: heard.append(event))


def receive(book: Book, sent: Mapping[str, Any], *, secret: str = SECRET) -> None:
    body = json.dumps(sent).encode()
    headers = sign([secret], id=sent["id"], at=datetime.now(UTC), body=body)
    book.write(ENDPOINT, SECRET, headers, body)


def test_what_came_twice_is_one_event_that_was_told_twice(book: Book, heard: list[Mapping[str, Any]]) -> None:
    receive(book, event())
    receive(book, event())
    received = book.received[ENDPOINT, "evt_1"]
    assert (received.type, received.transaction, received.sequence) == ("transaction.created", "txn_1", 1)
    assert (received.times, received.welcomed) == (2, 0)
    assert heard == [event(), event()]
    assert not book.forged
    assert not book.differing


def test_a_signature_that_does_not_hold_is_written_down_and_nothing_else(
    book: Book, heard: list[Mapping[str, Any]]
) -> None:
    receive(book, event(), secret=make_secret(b"t" * 32))
    assert len(book.forged) == 1
    assert not book.received
    assert not heard


def test_an_event_that_comes_with_another_body_is_written_down(book: Book) -> None:
    receive(book, event())
    receive(book, event("failed"))
    assert book.differing == ["evt_1 at whk_1"]
