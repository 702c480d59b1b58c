"""Passwords, access tokens under attack (RFC 8725), root keys and the vault."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import argon2
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from adapters.security.common_passwords import common_words
from adapters.security.keys import SecretKeys
from adapters.security.passwords import HASHES_AT_ONCE_MAX, Argon2Passwords
from adapters.security.tokens import (
    LEEWAY_SECONDS,
    LIFETIME_SECONDS_MAX,
    TIME_MAX,
    TOKEN_LENGTH_MAX,
    JwtAccessTokens,
)
from adapters.security.vault import HEADER_LENGTH_BYTES, NONCE_LENGTH_BYTES, TAG_LENGTH_BYTES, AeadVault
from payments_core.errors import InvalidCredentials, Unavailable, Unreadable
from payments_core.ids import MerchantId, SessionId
from payments_core.merchant import PASSWORD_LENGTH_MIN
from payments_core.ports import AccessClaims, AccessTokens, Passwords, Vault

# Passwords


@pytest.fixture
def passwords() -> Passwords:
    return Argon2Passwords(memory_kib=64, iterations=1)


async def test_the_right_password_is_told_from_a_wrong_one(passwords: Passwords) -> None:
    made = await passwords.hash("correct horse")
    assert await passwords.verify(made, "correct horse")
    assert not await passwords.verify(made, "correct hors")
    assert not await passwords.verify(made, "")


async def test_one_password_never_makes_the_same_hash_twice(passwords: Passwords) -> None:
    assert await passwords.hash("correct horse") != await passwords.hash("correct horse")


async def test_an_unknown_account_verifies_nothing(passwords: Passwords) -> None:
    assert not await passwords.verify(None, "correct horse")
    assert not await passwords.verify(None, "")


async def test_the_default_parameters_are_those_of_owasp() -> None:
    made = await Argon2Passwords().hash("correct horse")
    assert made.startswith("$argon2id$v=19$m=19456,t=2,p=1$")


async def test_an_unknown_account_costs_the_same_work_as_a_known_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    parameters: list[argon2.Parameters] = []
    verify = argon2.PasswordHasher.verify

    def watched(self: argon2.PasswordHasher, made: str | bytes, password: str | bytes) -> bool:
        parameters.append(argon2.extract_parameters(made if isinstance(made, str) else made.decode()))
        return verify(self, made, password)

    monkeypatch.setattr(argon2.PasswordHasher, "verify", watched)
    passwords = Argon2Passwords(memory_kib=64, iterations=1)
    await passwords.verify(await passwords.hash("correct horse"), "wrong horse")
    await passwords.verify(None, "wrong horse")
    assert len(parameters) == 2
    assert parameters[0] == parameters[1]


async def test_a_hash_is_stale_when_the_parameters_move(passwords: Passwords) -> None:
    made = await passwords.hash("correct horse")
    stronger = Argon2Passwords(memory_kib=128, iterations=1)
    assert not passwords.is_stale(made)
    assert stronger.is_stale(made)
    assert await stronger.verify(made, "correct horse")


@pytest.mark.parametrize("broken", ["", "nonsense", "$2b$12$abcdefghijklmnopqrstuv", "$argon2id$v=19$m=64,t=1,p=1$$"])
async def test_a_hash_that_cannot_be_read_is_stale_and_verifies_nothing(passwords: Passwords, broken: str) -> None:
    assert passwords.is_stale(broken)
    assert not await passwords.verify(broken, "correct horse")


@pytest.mark.parametrize("password", ["pässwörtchen", "🂡🂱🃁🃑🂡🂱🃁🃑", "nul\0inside it", "lone \ud800 half", "x" * 128])
async def test_passwords_of_any_characters_work_to_the_last_one(passwords: Passwords, password: str) -> None:
    made = await passwords.hash(password)
    assert await passwords.verify(made, password)
    assert not await passwords.verify(made, password[:-1])


async def test_more_than_the_queue_holds_is_refused_at_once_and_later_served_again() -> None:
    passwords, gate = Argon2Passwords(memory_kib=8, iterations=1, pending_max=3), threading.Event()
    held = [passwords._threads.submit(gate.wait) for _ in range(HASHES_AT_ONCE_MAX)]
    asked = [asyncio.create_task(passwords.hash("correct horse")) for _ in range(10)]
    refused, _ = await asyncio.wait(asked[3:], timeout=10)
    assert [isinstance(each.exception(), Unavailable) for each in refused] == [True] * 7
    assert not any(each.done() for each in asked[:3])
    gate.set()
    assert all([each.result() for each in held])
    assert all(await asyncio.gather(*asked[:3]))
    assert await passwords.verify(await passwords.hash("correct horse"), "correct horse")


async def test_a_cancelled_login_gives_its_place_back() -> None:
    passwords = Argon2Passwords(memory_kib=8 * 1024, iterations=1, pending_max=4)
    logins = [asyncio.create_task(passwords.hash("correct horse")) for _ in range(4)]
    await asyncio.sleep(0)
    for login in logins:
        login.cancel()
    await asyncio.gather(*logins, return_exceptions=True)
    async with asyncio.timeout(10):
        while True:
            outcomes = await asyncio.gather(
                *(passwords.hash("correct horse") for _ in range(4)), return_exceptions=True
            )
            if not any(isinstance(outcome, Unavailable) for outcome in outcomes):
                break


async def test_a_closed_one_drops_what_waits_and_takes_no_more() -> None:
    passwords, gate = Argon2Passwords(memory_kib=8, iterations=1), threading.Event()
    under_way = [passwords._threads.submit(gate.wait) for _ in range(HASHES_AT_ONCE_MAX)]
    hashes = [asyncio.create_task(passwords.hash("correct horse")) for _ in range(10)]
    await asyncio.sleep(0)
    passwords.close()
    _, pending = await asyncio.wait(hashes, timeout=10)
    assert not pending
    assert all(each.cancelled() for each in hashes)
    gate.set()
    assert all([each.result(10) for each in under_way])
    with pytest.raises(Unavailable):
        await passwords.hash("correct horse")


def test_one_object_serves_one_event_loop_after_another() -> None:
    passwords = Argon2Passwords(memory_kib=64, iterations=1)

    async def crowd() -> list[str]:
        return await asyncio.gather(*(passwords.hash("correct horse") for _ in range(8)))

    assert len(set(asyncio.run(crowd()) + asyncio.run(crowd()))) == 16


@pytest.mark.parametrize(
    "password",
    [
        "password",
        "PassWord",
        "Password1!",
        "password2026",
        "12345678",
        "qwertyuiop",
        "!!Letmein!!",
        "Summer2024!",
        "aaaaaaaa",
        "abababab",
        " iloveyou ",
    ],
)
def test_what_everybody_tries_first_is_common(passwords: Passwords, password: str) -> None:
    assert passwords.is_common(password)


def test_the_three_thousand_commonest_that_are_long_enough_are_refused(passwords: Passwords) -> None:
    listed = [word for word in common_words() if len(word) >= PASSWORD_LENGTH_MIN]
    assert len(listed) >= 3_000
    assert all(passwords.is_common(word.upper()) for word in listed)


@pytest.mark.parametrize(
    "password", ["correct horse battery", "vK3#pq9!mZ", "paswordless-life", "19850312-blue-heron", "пароль-не-тот"]
)
def test_other_passwords_are_not_common(passwords: Passwords, password: str) -> None:
    assert not passwords.is_common(password)


# Access tokens

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
KEY = b"k" * 32
OLD_KEY = b"o" * 32
CLAIMS = AccessClaims(
    merchant=MerchantId("mer_01"),
    session=SessionId("ses_01"),
    livemode=False,
    token_id="tok_01",
    issued_at=NOW,
    expires_at=NOW + timedelta(minutes=5),
)
HEADER = {"alg": "HS256", "typ": "at+jwt"}
PAYLOAD: dict[str, object] = {
    "iss": "payments",
    "aud": "payments-api",
    "sub": "mer_01",
    "sid": "ses_01",
    "livemode": False,
    "jti": "tok_01",
    "iat": int(NOW.timestamp()),
    "nbf": int(NOW.timestamp()),
    "exp": int(NOW.timestamp()) + 300,
}


def tokens_with(*keys: bytes) -> AccessTokens:
    return JwtAccessTokens(keys, issuer="payments", audience="payments-api")


def segment(content: str) -> str:
    return base64.urlsafe_b64encode(content.encode()).decode().rstrip("=")


def forged(payload: str, header: str, key: bytes = KEY) -> str:
    """Return a token that is signed with the right key and says whatever it likes."""
    signed = f"{segment(header)}.{segment(payload)}"
    signature = hmac.digest(key, signed.encode(), hashlib.sha256)
    return f"{signed}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


def packed(value: Mapping[str, object]) -> str:
    return json.dumps(value, separators=(",", ":"))


def refuse(token: str, *, at: datetime = NOW) -> None:
    with pytest.raises(InvalidCredentials) as refusal:
        tokens_with(KEY).read(token, at=at)
    assert refusal.value.__cause__ is None
    assert str(refusal.value) == "this access token is not valid"


@pytest.mark.parametrize("livemode", [False, True])
def test_a_token_says_what_it_was_issued_for(livemode: bool) -> None:
    claims = replace(CLAIMS, livemode=livemode)
    assert tokens_with(KEY).read(tokens_with(KEY).issue(claims), at=NOW) == claims


def test_a_token_has_exactly_the_promised_header_and_claims() -> None:
    issued = jwt.decode_complete(tokens_with(KEY).issue(CLAIMS), options={"verify_signature": False})
    assert issued["header"] == HEADER
    assert issued["payload"] == PAYLOAD


def test_the_hand_made_token_of_these_tests_is_read_when_nothing_is_wrong_with_it() -> None:
    assert tokens_with(KEY).read(forged(packed(PAYLOAD), packed(HEADER)), at=NOW) == CLAIMS


def test_fractions_of_a_second_are_cut_off() -> None:
    claims = replace(CLAIMS, issued_at=NOW.replace(microsecond=900_000))
    assert tokens_with(KEY).read(tokens_with(KEY).issue(claims), at=NOW).issued_at == NOW


def test_a_token_lives_until_its_end_and_the_leeway_for_clocks_no_longer() -> None:
    token = tokens_with(KEY).issue(CLAIMS)
    end = CLAIMS.expires_at + timedelta(seconds=LEEWAY_SECONDS)
    assert tokens_with(KEY).read(token, at=end - timedelta(milliseconds=1)) == CLAIMS
    refuse(token, at=end)


def test_a_token_from_the_future_is_refused_beyond_the_leeway() -> None:
    token = tokens_with(KEY).issue(CLAIMS)
    start = NOW - timedelta(seconds=LEEWAY_SECONDS)
    assert tokens_with(KEY).read(token, at=start) == CLAIMS
    refuse(token, at=start - timedelta(milliseconds=1))


def test_the_first_key_signs_and_all_verify() -> None:
    before, during, after = tokens_with(OLD_KEY), tokens_with(KEY, OLD_KEY), tokens_with(KEY)
    assert during.read(before.issue(CLAIMS), at=NOW) == CLAIMS
    assert after.read(during.issue(CLAIMS), at=NOW) == CLAIMS
    refuse(before.issue(CLAIMS))


@pytest.mark.parametrize("keys", [[], [b"k" * 31], [b"k" * 32, b"short"]])
def test_short_or_no_keys_are_refused_at_the_start(keys: list[bytes]) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        tokens_with(*keys)


@pytest.mark.parametrize("name", ["none", "None", "NONE", "nOnE", ""])
def test_a_token_without_a_signature_is_refused(name: str) -> None:
    refuse(f"{segment(packed({**HEADER, 'alg': name}))}.{segment(packed(PAYLOAD))}.")
    refuse(f"{segment(packed(HEADER))}.{segment(packed(PAYLOAD))}.")


@pytest.mark.parametrize("algorithm", ["HS384", "HS512"])
def test_another_algorithm_with_the_right_key_is_refused(algorithm: str) -> None:
    refuse(jwt.encode(PAYLOAD, KEY * 2, algorithm, headers={"typ": "at+jwt"}))


def test_an_rsa_signature_is_refused_and_a_public_key_is_no_secret() -> None:
    private = generate_private_key(public_exponent=65537, key_size=2048)
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    refuse(jwt.encode(PAYLOAD, private, "RS256", headers={"typ": "at+jwt"}))
    refuse(forged(packed(PAYLOAD), packed(HEADER), key=public))
    refuse(forged(packed(PAYLOAD), packed({**HEADER, "alg": "RS256"}), key=KEY))


@pytest.mark.parametrize(
    "header",
    [
        packed({"alg": "HS256"}),
        packed({"alg": "HS256", "typ": "JWT"}),
        packed({"alg": "HS256", "typ": "rt+jwt"}),
        packed({"alg": "HS256", "typ": ["at+jwt"]}),
        packed({"typ": "at+jwt"}),
        packed({**HEADER, "crit": ["exp"]}),
        packed({**HEADER, "crit": ["b64"], "b64": False}),
        packed({**HEADER, "b64": False}),
        packed({**HEADER, "kid": "../../dev/null"}),
        packed({**HEADER, "jku": "https://attacker.example/keys"}),
        packed({**HEADER, "x5u": "https://attacker.example/chain"}),
        packed({**HEADER, "jwk": {"kty": "oct", "k": segment("k" * 32)}}),
        packed({**HEADER, "zip": "DEF"}),
        '{"alg":"none","alg":"HS256","typ":"at+jwt"}',
        '{"alg":"HS256","typ":"JWT","typ":"at+jwt"}',
        '{"alg": "HS256", "typ": "at+jwt"}',
        "[]",
        "null",
        "",
        "not json",
    ],
)
def test_any_other_header_is_refused_even_with_the_right_signature(header: str) -> None:
    refuse(forged(packed(PAYLOAD), header))


@pytest.mark.parametrize("name", sorted(PAYLOAD))
def test_a_token_without_one_of_its_claims_is_refused(name: str) -> None:
    refuse(forged(packed({key: value for key, value in PAYLOAD.items() if key != name}), packed(HEADER)))
    refuse(forged(packed({**PAYLOAD, name: None}), packed(HEADER)))


START = int(NOW.timestamp())


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "another"},
        {"iss": ["payments"]},
        {"aud": "another-api"},
        {"aud": ["payments-api", "another-api"]},
        {"aud": ""},
        {"sub": 17},
        {"sub": ["mer_01"]},
        {"sub": {"id": "mer_01"}},
        {"sub": ""},
        {"sid": 17},
        {"sid": ""},
        {"jti": 17},
        {"jti": ""},
        {"livemode": "false"},
        {"livemode": 0},
        {"exp": START + LIFETIME_SECONDS_MAX + 1},
        {"exp": 10**400},
        {"exp": 1e308},
        {"exp": float("inf")},
        {"exp": float("nan")},
        {"exp": str(START + 300)},
        {"exp": START + 300.5},
        {"exp": True},
        {"exp": -1},
        {"exp": START},
        {"exp": START - 300},
        {"iat": START + 60},
        {"iat": True},
        {"iat": -(10**30)},
        {"nbf": START + 60},
        {"nbf": START - 60},
        {"nbf": str(START)},
        {"iat": START - 86_400, "nbf": START - 86_400},
    ],
    ids=str,
)
def test_a_claim_that_is_not_as_issued_is_refused_even_with_the_right_signature(
    claims: dict[str, object],
) -> None:
    refuse(forged(packed({**PAYLOAD, **claims}), packed(HEADER)))


def test_a_token_may_live_for_an_hour_and_not_a_second_longer() -> None:
    payload = {**PAYLOAD, "exp": START + LIFETIME_SECONDS_MAX}
    read = tokens_with(KEY).read(forged(packed(payload), packed(HEADER)), at=NOW)
    assert read.expires_at - read.issued_at == timedelta(hours=1)
    refuse(forged(packed({**payload, "exp": START + LIFETIME_SECONDS_MAX + 1}), packed(HEADER)))


@pytest.mark.parametrize(("start", "end"), [(0, 300), (TIME_MAX - 300, TIME_MAX)])
def test_the_first_and_the_last_second_of_the_calendar_are_times(start: int, end: int) -> None:
    token = forged(packed({**PAYLOAD, "iat": start, "nbf": start, "exp": end}), packed(HEADER))
    read = tokens_with(KEY).read(token, at=datetime.fromtimestamp(start, UTC))
    assert (read.issued_at.timestamp(), read.expires_at.timestamp()) == (start, end)


@pytest.mark.parametrize(("start", "end"), [(-1, 299), (TIME_MAX - 299, TIME_MAX + 1)])
def test_what_is_outside_the_calendar_is_no_time(start: int, end: int) -> None:
    token = forged(packed({**PAYLOAD, "iat": start, "nbf": start, "exp": end}), packed(HEADER))
    refuse(token, at=datetime.fromtimestamp(max(start, 0), UTC))


@pytest.mark.parametrize("payload", ["", "null", "[]", '"text"', "17", "{", "[" * 1_400, '{"exp":' + "9" * 1_200 + "}"])
def test_a_payload_that_is_no_object_is_refused(payload: str) -> None:
    refuse(forged(payload, packed(HEADER)))


@pytest.mark.parametrize(
    "token", ["", ".", "..", "...", "a.b.c", " ", "\0", "é.é.é", "\ud800", "Bearer x", "sk_test_abc"]
)
def test_what_is_no_token_is_refused(token: str) -> None:
    refuse(token)
    refuse(f"{segment(packed(HEADER))}.{token}")
    refuse(f"{segment(packed(HEADER))}.{token}.{token}")


def test_a_token_longer_than_any_of_ours_is_refused_unread() -> None:
    refuse(forged(packed({**PAYLOAD, "more": "x" * TOKEN_LENGTH_MAX}), packed(HEADER)))


def test_a_token_of_the_greatest_length_is_read_and_none_longer() -> None:
    bare = len(packed({**PAYLOAD, "more": ""}))
    filled = (TOKEN_LENGTH_MAX - len(segment(packed(HEADER)) + "..") - len(segment("s" * 32))) * 3 // 4 - bare
    longest = forged(packed({**PAYLOAD, "more": "x" * filled}), packed(HEADER))
    longer = forged(packed({**PAYLOAD, "more": "x" * (filled + 1)}), packed(HEADER))
    assert (len(longest), len(longer)) == (TOKEN_LENGTH_MAX, TOKEN_LENGTH_MAX + 1)
    assert tokens_with(KEY).read(longest, at=NOW) == CLAIMS
    refuse(longer)


def test_a_token_with_one_byte_changed_is_refused() -> None:
    header, payload, signature = tokens_with(KEY).issue(CLAIMS).split(".")
    live = segment(packed({**PAYLOAD, "livemode": True}))
    refuse(f"{header}.{live}.{signature}")
    refuse(f"{header}.{payload}.{'B' if signature[0] == 'A' else 'A'}{signature[1:]}")
    refuse(f"{header}.{payload}.{signature[:-2]}")
    refuse(f"{header}.{payload}.{signature}.{signature}")


def test_the_clock_of_the_machine_has_no_say() -> None:
    long_ago = datetime(2001, 1, 1, tzinfo=UTC)
    claims = replace(CLAIMS, issued_at=long_ago, expires_at=long_ago + timedelta(minutes=5))
    assert time.time() > claims.expires_at.timestamp()
    assert tokens_with(KEY).read(tokens_with(KEY).issue(claims), at=long_ago) == claims


# Root keys

ROOT = b"a-root-that-is-long-enough-for-hmac-sha256"
OTHER_ROOT = b"another-root-that-is-long-enough-for-hmac"


def test_every_purpose_of_every_root_has_a_key_of_its_own() -> None:
    keys = SecretKeys(roots=(ROOT, OTHER_ROOT))
    derived = [*keys.derive("access-token"), *keys.derive("vault"), *keys.derive("fingerprint")]
    assert len(set(derived)) == 6
    assert {len(key) for key in derived} == {32}


def test_keys_come_in_the_order_of_the_roots_and_are_the_same_tomorrow() -> None:
    both = SecretKeys(roots=(ROOT, OTHER_ROOT))
    first, second = SecretKeys(roots=(ROOT,)), SecretKeys(roots=(OTHER_ROOT,))
    assert both.derive("vault") == first.derive("vault") + second.derive("vault")


def test_derivation_is_hkdf_sha256_as_rfc_5869_has_it() -> None:
    extracted = hmac.digest(bytes(32), ROOT, hashlib.sha256)
    expanded = hmac.digest(extracted, b"payments-core/v1/vault\x01", hashlib.sha256)
    assert SecretKeys(roots=(ROOT,)).derive("vault") == [expanded]


def test_roots_never_show_in_text() -> None:
    keys = SecretKeys(roots=(ROOT,))
    assert ROOT.decode() not in f"{keys!r} {keys} {[keys]}"


# The vault

NONCES = iter(range(1_000_000))


def counted(length: int) -> bytes:
    return next(NONCES).to_bytes(length, "big")


def vault_with(*keys: bytes) -> Vault:
    return AeadVault(keys, entropy=counted)


@pytest.mark.parametrize("plain", [b"", b"whsec_secret", bytes(range(256)) * 100])
def test_what_was_sealed_opens_under_its_context(plain: bytes) -> None:
    sealed = vault_with(KEY).seal(plain, context="whk_1")
    assert vault_with(KEY).open(sealed, context="whk_1") == plain
    assert len(sealed) == HEADER_LENGTH_BYTES + NONCE_LENGTH_BYTES + len(plain) + TAG_LENGTH_BYTES


def test_sealed_bytes_show_nothing_and_never_repeat() -> None:
    one, two = (vault_with(KEY).seal(b"whsec_secret", context="whk_1") for _ in range(2))
    assert one != two
    assert b"whsec" not in one


@pytest.mark.parametrize("context", ["whk_2", "", "whk_1 ", "WHK_1"])
def test_sealed_bytes_do_not_open_in_another_place(context: str) -> None:
    sealed = vault_with(KEY).seal(b"secret", context="whk_1")
    with pytest.raises(Unreadable):
        vault_with(KEY).open(sealed, context=context)


def test_the_first_key_seals_and_all_open() -> None:
    before, during, after = vault_with(OLD_KEY), vault_with(KEY, OLD_KEY), vault_with(KEY)
    assert during.open(before.seal(b"secret", context="whk_1"), context="whk_1") == b"secret"
    assert after.open(during.seal(b"secret", context="whk_1"), context="whk_1") == b"secret"
    with pytest.raises(Unreadable):
        after.open(before.seal(b"secret", context="whk_1"), context="whk_1")


def test_no_byte_can_be_changed_and_none_taken_away() -> None:
    sealed = vault_with(KEY).seal(b"secret", context="whk_1")
    for position in range(len(sealed)):
        changed = bytearray(sealed)
        changed[position] ^= 1
        with pytest.raises(Unreadable):
            vault_with(KEY).open(bytes(changed), context="whk_1")
        with pytest.raises(Unreadable):
            vault_with(KEY).open(sealed[:position], context="whk_1")
    with pytest.raises(Unreadable):
        vault_with(KEY).open(sealed + b"\0", context="whk_1")


@pytest.mark.parametrize("keys", [[], [b"k" * 31], [b"k" * 33]])
def test_a_vault_wants_keys_of_the_right_length(keys: list[bytes]) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        vault_with(*keys)
