"""Idempotency keys: their form, and what counts as the same request."""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime

import pytest

from payments_core.errors import Invalid, KeyReused
from payments_core.idempotency import SCOPES_FIELD, Once, Record, check_same, fingerprint, parse_key
from payments_core.ids import MerchantId
from payments_core.values import Json, canonical_json

SECRET = b"f" * 32
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("order-1", "order-1"),
        ('"order-1"', "order-1"),
        ('  "order-1" ', "order-1"),
        (r'"say \"hi\" \\ bye"', r'say "hi" \ bye'),
        ("a" * 255, "a" * 255),
        ("two words", "two words"),
        ('"', '"'),
    ],
)
def test_a_key_is_the_same_bare_or_quoted(text: str, key: str) -> None:
    assert parse_key(text) == key


@pytest.mark.parametrize("text", ["", "   ", '""', "a" * 256, "naïve", "a\tb", "a\x7f", '"a"b"', r'"a\b"', '"a\\"'])
def test_a_malformed_key_is_refused(text: str) -> None:
    with pytest.raises(Invalid) as refused:
        parse_key(text)
    assert refused.value.code == "invalid_idempotency_key"


def once(body: dict[str, Json], route: str = "POST /api/refunds", secret: bytes = SECRET) -> Once:
    return Once(key="k", route=route, status=201, fingerprint=fingerprint(secret, route=route, body=body))


def record(of: Once) -> Record:
    return Record(
        merchant=MerchantId("mer_1"),
        livemode=False,
        key=of.key,
        route=of.route,
        status=of.status,
        fingerprint=of.fingerprint,
        body=b"{}",
        resource=None,
        created_at=NOW,
        expires_at=NOW,
    )


def test_the_order_of_fields_does_not_make_another_request() -> None:
    check_same(record(once({"a": 1, "b": {"x": 1, "y": 2}})), once({"b": {"y": 2, "x": 1}, "a": 1}))


def test_another_secret_does_not_make_another_request() -> None:
    check_same(record(once({"a": 1})), once({"a": 1}, secret=b"g" * 32))


def test_a_reused_key_names_the_fields_that_differ_and_no_value() -> None:
    before = record(once({"amount": "10.00", "currency": "USD", "reason": "hidden-before"}))
    with pytest.raises(KeyReused) as refused:
        check_same(before, once({"amount": "20.00", "currency": "USD", "note": "hidden-now"}))
    assert "amount, note, reason" in refused.value.message
    assert "currency" not in refused.value.message
    assert "hidden" not in refused.value.message
    assert "20.00" not in refused.value.message


def test_a_key_that_was_used_for_another_route_says_which() -> None:
    with pytest.raises(KeyReused, match="POST /api/refunds"):
        check_same(record(once({"a": 1})), once({"a": 1}, route="POST /api/transactions/pay"))


@pytest.mark.parametrize(("one", "other"), [(True, 1), (1, "1"), (None, ""), ([], {}), ("é", "e\u0301")])
def test_values_that_only_look_alike_make_another_request(one: Json, other: Json) -> None:
    with pytest.raises(KeyReused):
        check_same(record(once({"a": one})), once({"a": other}))


@pytest.mark.parametrize("secret", [b"short", b"s" * 32, b"s" * 64])
@pytest.mark.parametrize("body", [{}, {"b": "ß\u2028", "a": {"y": [1, None], "x": '"'}, "ä": True}])
def test_the_digests_are_those_of_canonical_json_whole_and_field_by_field(
    secret: bytes, body: Mapping[str, Json]
) -> None:
    made = fingerprint(secret, route="POST /é", body=body, scopes={"b:read", "a:read"})
    fields = {**body, SCOPES_FIELD: ["a:read", "b:read"]}
    assert made.digest == hashlib.sha256("POST /é".encode() + b"\0" + canonical_json(fields)).hexdigest()
    assert made.fields == {
        name: hashlib.blake2b(canonical_json({name: value})[1:-1], digest_size=16, key=secret).hexdigest()
        for name, value in fields.items()
    }
