"""API keys and payment keys: their form, and what is kept of them."""

import hashlib
import os
import string
import zlib

import pytest

from payments_core.keys import digest, is_api_key, is_payment_key, make_api_key, make_payment_key


@pytest.mark.parametrize("livemode", [False, True])
def test_a_key_tells_its_kind_and_mode(livemode: bool) -> None:
    mode = "live" if livemode else "test"
    assert make_api_key(os.urandom(32), livemode=livemode).startswith(f"sk_{mode}_")
    assert make_payment_key(os.urandom(32), livemode=livemode).startswith(f"pk_{mode}_")


def test_keys_of_one_kind_are_not_of_the_other() -> None:
    secret, public = make_api_key(b"1" * 32, livemode=False), make_payment_key(b"1" * 32, livemode=False)
    assert is_api_key(secret)
    assert not is_payment_key(secret)
    assert is_payment_key(public)
    assert not is_api_key(public)


@pytest.mark.parametrize("random", [bytes(32), b"\xff" * 32])
def test_all_keys_are_of_one_length(random: bytes) -> None:
    assert len(make_api_key(random, livemode=True)) == len("sk_live_") + 43 + 6


def test_a_key_with_one_character_changed_is_no_key() -> None:
    key = make_api_key(b"k" * 32, livemode=False)
    for index in range(len("sk_test_"), len(key)):
        other = "a" if key[index] != "a" else "b"
        assert not is_api_key(key[:index] + other + key[index + 1 :])


def checksum(text: str) -> str:
    """The CRC-32 in six digits of base 62, as a scanner for leaked secrets works it out."""
    digits = string.digits + string.ascii_uppercase + string.ascii_lowercase
    number, found = zlib.crc32(text.encode()), ""
    for _ in range(6):
        number, digit = divmod(number, 62)
        found = digits[digit] + found
    return found


@pytest.mark.parametrize("random", [bytes(32), b"k" * 32, b"\xff" * 32])
def test_a_key_ends_with_the_crc_32_of_what_stands_before_it(random: bytes) -> None:
    key = make_api_key(random, livemode=True)
    assert key[-6:] == checksum(key[:-6])


@pytest.mark.parametrize("start", ["sk_prod_", "sk__", "sk_TEST_", "SK_test_", "sk_test_x_", "_sk_test_", "rk_test_"])
def test_a_right_checksum_makes_no_key_of_another_beginning(start: str) -> None:
    assert not is_api_key(start + "a" * 43 + checksum(start + "a" * 43))


@pytest.mark.parametrize(
    "text",
    ["sk_test_" + body for body in ("a" * 42, "a" * 44, "a" * 42 + "-", "a" * 42 + "é", "a" * 42 + "\u0665", "")],
)
def test_a_right_checksum_makes_no_key_of_other_characters_or_another_length(text: str) -> None:
    assert is_api_key("sk_test_" + "a" * 43 + checksum("sk_test_" + "a" * 43))
    assert not is_api_key(text + checksum(text))


@pytest.mark.parametrize(
    "text", ["", "sk_test_", "sk_test_x", "sk_prod_" + "a" * 49, "sk__" + "a" * 49, "x" * 5000, "sk_test_" + "é" * 49]
)
def test_what_has_not_the_form_is_no_key(text: str) -> None:
    assert not is_api_key(text)


def test_what_is_kept_of_a_secret_is_its_sha_256() -> None:
    assert digest("sk_test_x") == hashlib.sha256(b"sk_test_x").hexdigest()
