"""Credentials against those who forge, steal, guess and replay them."""

from __future__ import annotations

import asyncio
import base64
import copy
import hashlib
import hmac
import json
import math
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import groupby
from pathlib import Path
from typing import Any, Final, TypeAlias

import httpx
import jwt
import pytest
import pytest_asyncio
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from adapters.memory import HandClock, MemoryNotifier, MemoryStore
from adapters.memory.credentials import CachedCredentials
from adapters.memory.limits import MemoryRateLimits
from adapters.redis.breaker import Breaker
from adapters.redis.client import make_client
from adapters.redis.limits import RedisRateLimits
from adapters.security.keys import SecretKeys
from adapters.security.passwords import Argon2Passwords
from entrypoints import wiring
from entrypoints.cli.app import payments as command_line
from entrypoints.secret import Secret
from entrypoints.services import Services
from entrypoints.setting_types import secret_roots
from entrypoints.settings import LOOPBACK, Settings, read_settings
from payments_core import keys
from payments_core.ids import MerchantId
from payments_core.limits import (
    LOGIN_DELAY,
    LOGIN_DELAY_SECONDS_MAX,
    LOGIN_DELAYS_SECONDS,
    LOGIN_PER_ACCOUNT_AND_ADDRESS,
    LOGIN_PER_ADDRESS,
    REGISTRATION_PER_ADDRESS,
    login_delay_seconds,
)
from payments_core.merchant import (
    ACCESS_TOKEN_LIFETIME,
    PASSWORD_LENGTH_MAX,
    REFRESH_IDLE_LIFETIME,
    ROTATION_OVERLAP,
    SESSION_LIFETIME,
    Scope,
)
from tests.servers import Server
from tests.unit.http_shop import PASSWORD, START, Api, Shop, application, open_api, problem

SECRET: Final = "a root for tests that is quite long enough: 0123456789"
SETTINGS: Final = Settings(rate_limits=False, secret_key=Secret(SECRET))
KEY: Final = SecretKeys(roots=secret_roots(SECRET)).derive("access-token")[0]
HEADER: Final = {"alg": "HS256", "typ": "at+jwt"}
OTHER_PASSWORD: Final = "another horse battery staple"
A_GUESS: Final = "a guess of somebody"

Json: TypeAlias = dict[str, Any]


# ── what is sent, and what is told ───────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class Town:
    """A shop with a session, and its neighbour with one."""

    owner: Shop
    neighbour: Shop
    pair: Json
    neighbours_pair: Json

    @property
    def claims(self) -> Json:
        return claims_of(self.pair["access"])


async def open_town(api: Api) -> Town:
    owner, neighbour = await api.open_shop(), await api.open_shop()
    return Town(
        owner=owner,
        neighbour=neighbour,
        pair=await open_session(api, owner),
        neighbours_pair=await open_session(api, neighbour),
    )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def town() -> AsyncGenerator[Town, None]:
    async with open_api(SETTINGS) as api:
        yield await open_town(api)


@pytest.fixture
async def api() -> AsyncGenerator[Api, None]:
    async with open_api(SETTINGS) as api:
        yield api


async def log_in(api: Api, email: str, password: str = PASSWORD, **headers: str) -> httpx.Response:
    body = {"email": email, "password": password}
    return await api.client.post("/api/auth/login/", json=body, headers=headers)


async def open_session(api: Api, shop: Shop) -> Json:
    answer = await api.client.post("/api/auth/token/", json={"email": shop.email, "password": PASSWORD})
    assert answer.status_code == 200, answer.text
    pair: Json = answer.json()
    return pair


async def refresh(client: httpx.AsyncClient, token: str) -> httpx.Response:
    return await client.post("/api/auth/token/refresh/", json={"refresh": token})


async def opens(client: httpx.AsyncClient, credential: str, scheme: str = "Bearer") -> bool:
    """Say whether the credential opens anything; if not, its refusal is the one of them all."""
    answer = await client.get("/api/auth/me/", headers={"authorization": f"{scheme} {credential}"})
    if answer.status_code == 401:
        problem(answer, 401, "invalid_credentials")
    return answer.status_code == 200


def told(answer: httpx.Response) -> tuple[int, Mapping[str, str], Mapping[str, Any]]:
    """Return all that an answer tells, its id apart."""
    headers = {name: value for name, value in answer.headers.items() if name != "x-request-id"}
    document = {name: value for name, value in answer.json().items() if name != "request_id"}
    headers.pop("content-length", None)  # of the document, the length of its id included
    return answer.status_code, headers, document


def is_refused_like(answer: httpx.Response, other: httpx.Response) -> bool:
    assert answer.status_code == 401, answer.text
    assert answer.headers["www-authenticate"] == 'Token realm="payments-core", Bearer realm="payments-core"'
    return told(answer) == told(other)


# ── forged access tokens ─────────────────────────────────────────────────────────────────────────────────────────────


def segment(content: bytes | str | Mapping[str, Any]) -> str:
    if isinstance(content, Mapping):
        content = json.dumps(content, separators=(",", ":"))
    content = content.encode() if isinstance(content, str) else content
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def claims_of(token: str) -> Json:
    payload = token.split(".")[1]
    claims: Json = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return claims


def signed(payload: Mapping[str, Any] | str, header: Mapping[str, Any] = HEADER, key: bytes = KEY) -> str:
    text = f"{segment(header)}.{segment(payload)}"
    return f"{text}.{segment(hmac.digest(key, text.encode(), hashlib.sha256))}"


def unsigned(claims: Json, algorithm: str) -> str:
    return f"{segment({**HEADER, 'alg': algorithm})}.{segment(claims)}."


def with_old_signature(town: Town, **changes: object) -> str:
    header, _, signature = town.pair["access"].split(".")
    return f"{header}.{segment({**town.claims, **changes})}.{signature}"


RSA: Final = generate_private_key(public_exponent=65537, key_size=2048)
PUBLIC_PEM: Final = RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
CONFUSED: Final = {**HEADER, "alg": "RS256"}
HEADERS_OF_FORGERS: Final[Mapping[str, Json]] = {
    "kid is a path": {"kid": "../../../../dev/null"},
    "kid is an absolute path": {"kid": "/proc/sys/kernel/randomize_va_space"},
    "kid is SQL": {"kid": "x' UNION SELECT 'attacker' -- "},
    "kid is a command": {"kid": "key|whoami"},
    "kid is a URL": {"kid": "https://attacker.example/key"},
    "jku": {"jku": "https://attacker.example/jwks.json"},
    "x5u": {"x5u": "https://attacker.example/chain.pem"},
    "x5c": {"x5c": ["MIIB"]},
    "jwk": {"jwk": {"kty": "oct", "k": segment(b"attacker")}},
    "crit": {"crit": ["exp"], "exp": 1},
    "crit b64": {"crit": ["b64"], "b64": False},
    "zip": {"zip": "DEF"},
    "cty": {"cty": "JWT"},
    "typ of another": {"typ": "JWT"},
    "typ of a refresh token": {"typ": "rt+jwt"},
    "typ in capitals": {"typ": "AT+JWT"},
    "typ in full": {"typ": "application/at+jwt"},
    "alg in small letters": {"alg": "hs256"},
    "alg of another length": {"alg": "HS512"},
}
FAR: Final = 10 * 365 * 86_400
CLAIMS_OF_FORGERS: Final[Mapping[str, Callable[[Town], Json]]] = {
    "wrong iss": lambda _: {"iss": "https://attacker.example"},
    "wrong aud": lambda _: {"aud": "another-api"},
    "several aud": lambda town: {"aud": [town.claims["aud"], "another-api"]},
    "exp far away": lambda town: {"exp": town.claims["exp"] + FAR},
    "exp in the past": lambda town: {"exp": town.claims["iat"] - 60},
    "iat and nbf in the future": lambda town: {
        name: town.claims["iat"] + 600 + more for name, more in (("iat", 0), ("nbf", 0), ("exp", 300))
    },
    "nbf in the future": lambda town: {"nbf": town.claims["nbf"] + 200},
    "sid of the neighbour": lambda town: {"sid": claims_of(town.neighbours_pair["access"])["sid"]},
    "sub of the neighbour": lambda town: {"sub": town.neighbour.id},
    "sub and sid of nobody": lambda _: {"sub": "mer_none", "sid": "ses_none"},
    "sid that no store can hold": lambda _: {"sid": "ses_\0"},
    "sub that no store can hold": lambda _: {"sub": "\ud800"},
    "sub is SQL": lambda _: {"sub": "' OR 1=1 --"},
    "livemode flipped": lambda _: {"livemode": True},
}
Forge: TypeAlias = Callable[[Town], str]


def without_signature(algorithm: str) -> Forge:
    return lambda town: unsigned(town.claims, algorithm)


def with_header(more: Json, key: bytes) -> Forge:
    return lambda town: signed(town.claims, {**HEADER, **more}, key)


def with_claims(more: Callable[[Town], Json]) -> Forge:
    return lambda town: signed({**town.claims, **more(town)})


def with_claims_unsigned(more: Callable[[Town], Json]) -> Forge:
    return lambda town: with_old_signature(town, **more(town))


FORGERIES: Final[Mapping[str, Forge]] = {
    **{f"unsigned, alg {name!r}": without_signature(name) for name in ("none", "None", "NONE", "nOnE", "none ", "")},
    "unsigned, the right header": lambda town: unsigned(town.claims, "HS256"),
    "the signature cut off": lambda town: town.pair["access"].rpartition(".")[0],
    "the signature emptied": lambda town: town.pair["access"].rpartition(".")[0] + ".",
    "another's signature": lambda town: (
        town.pair["access"].rpartition(".")[0] + "." + town.neighbours_pair["access"].rpartition(".")[2]
    ),
    "the signature doubled": lambda town: f"{town.pair['access']}.{town.pair['access'].rpartition('.')[2]}",
    "padded": lambda town: town.pair["access"] + "=",
    "padded twice": lambda town: town.pair["access"] + "==",
    "a bit more that no byte has": lambda town: town.pair["access"][:-1] + chr(ord(town.pair["access"][-1]) + 1),
    "HS256 with a guessed key": lambda town: signed(town.claims, key=b"secret" * 8),
    "HS256 with no key": lambda town: signed(town.claims, key=b""),
    "HS256 with the root itself": lambda town: signed(town.claims, key=SECRET.encode()),
    "HS256 with a key of another purpose": lambda town: signed(
        town.claims, key=SecretKeys(roots=secret_roots(SECRET)).derive("vault")[0]
    ),
    "RS256 with a key of the forger": lambda town: jwt.encode(town.claims, RSA, "RS256", headers={"typ": "at+jwt"}),
    "HS256 with a public key": lambda town: signed(town.claims, key=PUBLIC_PEM),
    "RS256 said, signed as HS256 with a public key": lambda town: signed(town.claims, CONFUSED, PUBLIC_PEM),
    "RS256 said, signed as HS256 with our key": lambda town: signed(town.claims, CONFUSED),
    "nested": lambda town: signed(town.pair["access"], {**HEADER, "cty": "JWT"}),
    "nested, the outer one signed by a forger": lambda town: signed(town.pair["access"], key=b"k" * 32),
    "encrypted, as it says": lambda town: ".".join([segment({"alg": "dir", "enc": "A128GCM"}), "", "aa", "aa", "aa"]),
    "without exp": lambda town: signed({name: value for name, value in town.claims.items() if name != "exp"}),
    "the refresh token": lambda town: str(town.pair["refresh"]),
    "the refresh token in a token": lambda town: signed(str(town.pair["refresh"])),
    "the digest of the API key": lambda town: keys.digest(town.owner.secret),
    "the merchant's id": lambda town: town.owner.id,
    "the session's id": lambda town: str(town.claims["sid"]),
    **{f"{name}, signed with our key": with_header(more, KEY) for name, more in HEADERS_OF_FORGERS.items()},
    **{f"{name}, signed with its own": with_header(more, b"attacker") for name, more in HEADERS_OF_FORGERS.items()},
    **{f"{name}, signed with our key": with_claims(more) for name, more in CLAIMS_OF_FORGERS.items()},
    **{f"{name}, the signature left": with_claims_unsigned(more) for name, more in CLAIMS_OF_FORGERS.items()},
}
CALLS: Final = (("GET", "/api/auth/me/"), ("POST", "/api/transactions/pay"), ("DELETE", "/api/webhooks/whk_0/"))


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("forgery", FORGERIES)
async def test_a_forged_token_opens_nothing_and_is_refused_like_any_other(town: Town, forgery: str) -> None:
    client, token = town.owner.api.client, FORGERIES[forgery](town)
    for method, path in CALLS:
        for scheme in ("Bearer", "bEARER", "Token"):
            headers = {"authorization": f"{scheme} {token}"}
            plain = {"authorization": f"{scheme} nonsense"}
            answer = await client.request(method, path, headers=headers)
            assert is_refused_like(answer, await client.request(method, path, headers=plain)), answer.text
            assert token not in answer.text


@pytest.mark.asyncio(loop_scope="module")
async def test_the_hand_of_the_forger_makes_tokens_that_are_taken_where_nothing_is_wrong_with_them(town: Town) -> None:
    assert signed(town.claims) == town.pair["access"]
    assert await opens(town.owner.api.client, signed(town.claims))


async def test_a_token_that_was_good_is_refused_like_one_that_never_was(api: Api) -> None:
    town = await open_town(api)
    never = await api.client.get("/api/auth/me/", headers={"authorization": "Bearer nonsense"})
    authorization = {"authorization": f"Bearer {town.pair['access']}"}
    assert (await api.client.post("/api/auth/logout/", headers=authorization)).status_code == 204
    assert is_refused_like(await api.client.get("/api/auth/me/", headers=authorization), never)
    api.clock.move(ACCESS_TOKEN_LIFETIME + timedelta(seconds=6))
    expired = {"authorization": f"Bearer {town.neighbours_pair['access']}"}
    assert is_refused_like(await api.client.get("/api/auth/me/", headers=expired), never)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    "given",
    [
        lambda town: town.pair["access"],
        lambda town: town.owner.secret,
        lambda town: town.owner.payment_key,
        lambda town: str(town.claims["sid"]),
        lambda town: keys.digest(town.pair["refresh"]),
        lambda town: "rt_" + keys.digest(town.pair["refresh"]),
        lambda town: town.pair["refresh"].upper(),
        lambda town: town.pair["refresh"][3:],
        lambda town: town.pair["refresh"][:-1],
        lambda town: town.pair["refresh"] + "0",
        lambda town: town.pair["refresh"] + " ",
        lambda town: f"Bearer {town.pair['refresh']}",
        lambda town: "rt_" + "0" * 64,
        lambda town: "rt_" + "x" * 60_000,
        lambda town: "rt_\u0660" * 20,
        lambda town: "",
    ],
    ids=range(16),
)
async def test_what_is_no_refresh_token_of_ours_refreshes_nothing_and_hurts_none(
    town: Town, given: Callable[[Town], str]
) -> None:
    client = town.owner.api.client
    assert is_refused_like(await refresh(client, given(town)), await refresh(client, "rt_nonsense"))
    assert await opens(client, town.pair["access"]), "the family of the real one lives"


# ── the header ───────────────────────────────────────────────────────────────────────────────────────────────────────

HEADERS: Final[Mapping[str, Callable[[str], Sequence[tuple[str, str | bytes]]]]] = {
    "Basic": lambda key: [("authorization", "Basic " + base64.b64encode(f"{key}:".encode()).decode())],
    "Basic, the key as it is": lambda key: [("authorization", f"Basic {key}")],
    "Digest": lambda key: [("authorization", f'Digest username="{key}"')],
    "another scheme": lambda key: [("authorization", f"ApiKey {key}")],
    "no scheme": lambda key: [("authorization", key)],
    "no blank": lambda key: [("authorization", f"Token{key}")],
    "a colon": lambda key: [("authorization", f"Token: {key}")],
    "an equals sign": lambda key: [("authorization", f"Token={key}")],
    "a tab": lambda key: [("authorization", f"Token\t{key}")],
    "a blank before": lambda key: [("authorization", f" Token {key}")],
    "a blank behind": lambda key: [("authorization", f"Token {key} ")],
    "in quotes": lambda key: [("authorization", f'Token "{key}"')],
    "a parameter": lambda key: [("authorization", f'Token token="{key}"')],
    "percent-encoded": lambda key: [("authorization", f"Token %73k{key[2:]}")],
    "both schemes": lambda key: [("authorization", f"Token Bearer {key}")],
    "twice in one": lambda key: [("authorization", f"Token {key}, Token {key}")],
    "twice in one, a forged one behind": lambda key: [("authorization", f"Token {key},Bearer nonsense")],
    "in two headers": lambda key: [("authorization", f"Token {key}"), ("authorization", f"Token {key}")],
    "a forged one first": lambda key: [("authorization", "Token nonsense"), ("Authorization", f"Token {key}")],
    "a forged one last": lambda key: [("AUTHORIZATION", f"Token {key}"), ("authorization", "Token nonsense")],
    "an empty one beside it": lambda key: [("authorization", f"Token {key}"), ("authorization", "")],
    "a blank that breaks no line": lambda key: [("authorization", f"Token\u00a0{key}".encode("latin-1"))],
    "a blank of UTF-8 before the key": lambda key: [("authorization", f"Token \u2003{key}".encode())],
    "full-width letters": lambda key: [("authorization", f"Token \uff53k{key[2:]}".encode())],
    "a letter of another script": lambda key: [("authorization", f"T\u043eken {key}".encode())],
    "a long s": lambda key: [("authorization", f"Token \u017fk{key[2:]}".encode())],
    "an invisible character": lambda key: [("authorization", f"Token {key}\u200b".encode())],
    "NUL behind": lambda key: [("authorization", f"Token {key}\0")],
    "X-Api-Key": lambda key: [("x-api-key", key)],
    "X-Authorization": lambda key: [("x-authorization", f"Token {key}")],
    "X-Forwarded-Authorization": lambda key: [("x-forwarded-authorization", f"Token {key}")],
    "Proxy-Authorization": lambda key: [("proxy-authorization", f"Token {key}")],
    "a cookie": lambda key: [("cookie", f"authorization=Token {key}; token={key}; session={key}")],
    "WebSocket's": lambda key: [("sec-websocket-protocol", f"bearer, {key}")],
}


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("shape", HEADERS)
async def test_a_good_key_opens_nothing_in_any_other_place_or_form(town: Town, shape: str) -> None:
    client, key = town.owner.api.client, town.owner.secret
    sent: Any = HEADERS[shape](key)
    for method, path in CALLS:
        answer = await client.request(method, path, headers=sent)
        problem(answer, 401, "authentication_required")
        nothing: Any = [(name, b"nonsense") for name, _ in sent]
        assert is_refused_like(answer, await client.request(method, path, headers=nothing))
        assert key[2:] not in answer.text


@pytest.mark.asyncio(loop_scope="module")
async def test_a_good_key_opens_nothing_from_a_query_a_body_or_the_address(town: Town) -> None:
    client, key = town.owner.api.client, town.owner.secret
    none = await client.get("/api/auth/me/")
    for query in ("access_token", "api_key", "token", "authorization", "Authorization"):
        assert is_refused_like(await client.get("/api/auth/me/", params={query: key}), none)
    for body in ({"access_token": key}, {"api_key": key}, {"authorization": f"Token {key}"}):
        assert is_refused_like(await client.post("/api/payments/payment_key/", json=body), none)
    form = await client.post("/api/payments/payment_key/", data={"access_token": key})
    assert is_refused_like(form, none)
    unread = await client.get("/api/auth/me/", headers={"authorization": "Basic nonsense"})
    assert is_refused_like(await client.get(f"http://{key}:@shop.test/api/auth/me/"), unread)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("scheme", ["token", "TOKEN", "Token  ", "bearer", "BEARER", "bEaReR"])
async def test_the_scheme_is_read_in_any_case_and_forgeries_behind_it_are_refused_alike(
    town: Town, scheme: str
) -> None:
    client = town.owner.api.client
    assert await opens(client, town.owner.secret, scheme)
    assert not await opens(client, town.owner.secret[:-1], scheme)
    assert await opens(client, town.pair["access"], scheme) == (scheme.lower() == "bearer")


# ── API keys ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def in_other_mode(key: str) -> str:
    """Return the same random characters as a key of the other mode, with the right checksum."""
    text = key.replace("_test_", "_live_")[:-6]
    return text + keys._checksum(text)


def remade(key: str, kind: str) -> str:
    text = kind + key[2:-6]
    return text + keys._checksum(text)


ALTERED: Final[Mapping[str, Callable[[str], str]]] = {
    "the checksum": lambda key: key[:-1] + ("A" if key[-1] != "A" else "B"),
    "the checksum cut off": lambda key: key[:-6],
    "the checksum of another": lambda key: key[:-6] + keys.make_api_key(b"x" * 32, livemode=False)[-6:],
    "one character, the checksum right": lambda key: remade(
        key[:20] + ("A" if key[20] != "A" else "B") + key[21:], "sk"
    ),
    "the mode": lambda key: key.replace("_test_", "_live_"),
    "the mode, the checksum right": in_other_mode,
    "the mode in capitals": lambda key: key.replace("_test_", "_TEST_"),
    "the kind in capitals": lambda key: "SK" + key[2:],
    "another kind, the checksum right": lambda key: remade(key, "rk"),
    "capitals": str.upper,
    "small letters": str.lower,
    "the other case": str.swapcase,
    "a character too few": lambda key: key[:8] + key[9:],
    "a character more": lambda key: key[:8] + "0" + key[8:],
    "twice": lambda key: key + key,
    "backwards": lambda key: key[::-1],
    "a dot behind": lambda key: key + ".",
    "an equals sign behind": lambda key: key + "=",
    "its random part": lambda key: key.rpartition("_")[2],
    "its digest": keys.digest,
    "what is shown of it": lambda key: f"{key[:12]}...{key[-4:]}",
    "all zeros": lambda _: remade("sk_test_" + "0" * 49, "sk"),
}


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("change", ALTERED)
async def test_a_key_with_anything_changed_is_refused_like_any_other(town: Town, change: str) -> None:
    client, altered = town.owner.api.client, ALTERED[change](town.owner.secret)
    unknown = keys.make_api_key(b"u" * 32, livemode=False)
    for method, path in CALLS:
        answer = await client.request(method, path, headers={"authorization": f"Token {altered}"})
        other = await client.request(method, path, headers={"authorization": f"Token {unknown}"})
        assert is_refused_like(answer, other)


async def test_a_key_that_was_good_is_refused_like_one_that_never_was(api: Api) -> None:
    shop = await api.open_shop()
    unknown = {"authorization": f"Token {keys.make_api_key(b'u' * 32, livemode=False)}"}
    soon = (START + timedelta(hours=1)).isoformat()
    expiring = (await shop.post("/api/auth/api_keys/", {"expires_at": soon})).json()
    revoked = (await shop.post("/api/auth/api_keys/")).json()
    rotated = (await shop.post("/api/auth/api_keys/")).json()
    assert (await shop.post(f"/api/auth/api_keys/{rotated['id']}/rotate/")).status_code == 201
    session = (await log_in(api, shop.email)).json()["api_key"]

    await shop.delete(f"/api/auth/api_keys/{revoked['id']}/")
    assert not await opens(api.client, revoked["api_key"], "Token")
    for secret, end in (
        (expiring["api_key"], START + timedelta(hours=1)),
        (rotated["api_key"], START + ROTATION_OVERLAP + timedelta(seconds=1)),
        (session, START + timedelta(hours=24, seconds=1)),
    ):
        api.clock.move(end - timedelta(seconds=2) - api.clock.now())
        assert await opens(api.client, secret, "Token"), "up to its end"
        api.clock.move(timedelta(seconds=2))
        gone = await api.client.get("/api/auth/me/", headers={"authorization": f"Token {secret}"})
        assert is_refused_like(gone, await api.client.get("/api/auth/me/", headers=unknown))


async def test_an_overlap_is_not_made_longer_by_rotating_again(api: Api) -> None:
    shop = await api.open_shop()
    old = (await shop.post("/api/auth/api_keys/")).json()
    assert (await shop.post(f"/api/auth/api_keys/{old['id']}/rotate/")).status_code == 201
    api.clock.move(ROTATION_OVERLAP - timedelta(minutes=1))
    thief = replace(shop, secret=old["api_key"])
    assert (await thief.post(f"/api/auth/api_keys/{old['id']}/rotate/")).status_code == 201
    api.clock.move(timedelta(minutes=2))
    assert not await opens(api.client, old["api_key"], "Token")


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("scope", Scope)
async def test_no_key_makes_or_rotates_one_that_may_what_it_may_not(town: Town, scope: Scope) -> None:
    own = frozenset(Scope) - {scope} | {Scope.API_KEYS_WRITE, Scope.API_KEYS_READ}
    lacking = sorted(set(Scope) - own)
    weak = await town.owner.with_key(scopes=own)
    strong = (await weak.get("/api/auth/api_keys/")).json()["results"][-1]
    assert set(strong["scopes"]) == set(Scope)
    for body in [{"scopes": [lack]} for lack in lacking] + [{"scopes": list(Scope)} for _ in lacking]:
        problem(await weak.post("/api/auth/api_keys/", body), 403, "scope_missing")
    if lacking:
        problem(await weak.post(f"/api/auth/api_keys/{strong['id']}/rotate/"), 403, "scope_missing")
    made = await weak.post("/api/auth/api_keys/", {})
    assert set(made.json()["scopes"]) == own, "what is not asked for is as the caller's"
    assert (await weak.delete(f"/api/auth/api_keys/{made.json()['id']}/")).status_code == 204


async def test_no_key_of_one_mode_reaches_the_other(api: Api) -> None:
    shop = await api.open_shop()
    live = await shop.with_key(livemode=True)
    lives = {key["id"] for key in (await live.get("/api/auth/api_keys/")).json()["results"]}
    problem(await shop.post("/api/auth/api_keys/", {"livemode": True}), 400, "live_mode_unavailable")
    problem(await live.post("/api/auth/api_keys/", {"livemode": False}), 403, "forbidden")
    for id in lives:
        problem(await shop.post(f"/api/auth/api_keys/{id}/rotate/"), 404, "not_found")
        problem(await shop.delete(f"/api/auth/api_keys/{id}/"), 404, "not_found")
    body = {"email": shop.email, "password": PASSWORD, "livemode": True}
    for path in ("/api/auth/login/", "/api/auth/token/"):
        problem(await api.client.post(path, json=body), 400, "live_mode_unavailable")


async def test_a_session_key_makes_no_session_last(api: Api) -> None:
    shop = await api.open_shop()
    session = replace(shop, secret=(await log_in(api, shop.email)).json()["api_key"])
    (own, *_) = (await session.get("/api/auth/api_keys/")).json()["results"]
    problem(await session.post(f"/api/auth/api_keys/{own['id']}/rotate/"), 403, "forbidden")


async def test_whoever_steals_a_key_shows_in_its_last_use_and_whoever_guesses_does_not(api: Api) -> None:
    shop = await api.open_shop()
    made = (await shop.post("/api/auth/api_keys/")).json()

    async def last_use() -> Any:
        return (await shop.get(f"/api/auth/api_keys/{made['id']}/")).json()["last_used_at"]

    assert not await opens(api.client, ALTERED["the checksum"](made["api_key"]), "Token")
    assert await last_use() is None
    api.clock.move(timedelta(hours=1))
    thief = replace(shop, secret=made["api_key"])
    problem(await thief.get("/api/transactions/txn_0/"), 404, "not_found")
    assert await last_use() is not None


# ── sessions ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@asynccontextmanager
async def another_process(api: Api) -> AsyncGenerator[httpx.AsyncClient, None]:
    """Give a client of another process over the same store, which remembers credentials for a second."""
    store = copy.copy(api.store)
    store.credentials = CachedCredentials(api.store.credentials, clock=api.clock)
    wired = wiring.in_memory(SETTINGS, clock=api.clock, store=store, notifier=MemoryNotifier())
    async with wired as services, client_of(services) as client:
        yield client


@asynccontextmanager
async def client_of(services: Services) -> AsyncGenerator[httpx.AsyncClient, None]:
    with application(services) as app:
        transport = httpx.ASGITransport(app)  # type: ignore[arg-type]  # Litestar names its messages
        async with httpx.AsyncClient(transport=transport, base_url="http://shop.test") as client:
            yield client


async def suspend(api: Api, shop: Shop) -> None:
    async with api.store.begin() as work:
        merchant = await work.merchants.get(MerchantId(shop.id))
        work.merchants.save(replace(merchant, suspended_at=api.clock.now()))


async def test_a_stolen_refresh_token_ends_its_family_everywhere_within_a_second(api: Api) -> None:
    shop = await api.open_shop()
    first, bystander = await open_session(api, shop), await open_session(api, shop)
    second = (await refresh(api.client, first["refresh"])).json()
    async with another_process(api) as other:
        for access in (first["access"], second["access"]):
            assert await opens(other, access), "it is remembered there now"
        stolen = await refresh(api.client, first["refresh"])
        problem(stolen, 401, "invalid_credentials")
        api.clock.move(timedelta(seconds=1))
        for client in (api.client, other):
            for access in (first["access"], second["access"]):
                assert not await opens(client, access)
            problem(await refresh(client, second["refresh"]), 401, "invalid_credentials")
            assert await opens(client, bystander["access"]), "other sessions are none of its business"


async def test_a_token_that_was_spent_long_ago_still_ends_its_family(api: Api) -> None:
    shop = await api.open_shop()
    first = pair = await open_session(api, shop)
    for _ in range(5):
        api.clock.move(REFRESH_IDLE_LIFETIME - timedelta(seconds=1))
        pair = (await refresh(api.client, pair["refresh"])).json()
    assert await opens(api.client, pair["access"])
    problem(await refresh(api.client, first["refresh"]), 401, "invalid_credentials")
    assert not await opens(api.client, pair["access"])


async def test_no_session_is_kept_alive_beyond_its_absolute_end(api: Api) -> None:
    shop = await api.open_shop()
    pair = await open_session(api, shop)
    end = api.clock.now() + SESSION_LIFETIME
    while api.clock.now() + REFRESH_IDLE_LIFETIME < end:
        api.clock.move(REFRESH_IDLE_LIFETIME - timedelta(seconds=1))
        pair = (await refresh(api.client, pair["refresh"])).json()
    api.clock.move(end - api.clock.now() - timedelta(seconds=30))
    last = (await refresh(api.client, pair["refresh"])).json()
    assert last["expires_in"] <= 30
    api.clock.move(timedelta(seconds=40))
    problem(await refresh(api.client, last["refresh"]), 401, "invalid_credentials")
    assert not await opens(api.client, last["access"])


async def test_an_idle_day_ends_what_was_not_refreshed(api: Api) -> None:
    shop = await api.open_shop()
    kept, idle = await open_session(api, shop), await open_session(api, shop)
    api.clock.move(REFRESH_IDLE_LIFETIME - timedelta(seconds=1))
    kept = (await refresh(api.client, kept["refresh"])).json()
    api.clock.move(timedelta(seconds=1))
    problem(await refresh(api.client, idle["refresh"]), 401, "invalid_credentials")
    assert (await refresh(api.client, kept["refresh"])).status_code == 200


async def _log_out(api: Api, _shop: Shop, pair: Json) -> None:
    headers = {"authorization": f"Bearer {pair['access']}"}
    assert (await api.client.post("/api/auth/logout/", headers=headers)).status_code == 204


async def _change_password(_api: Api, shop: Shop, _pair: Json) -> None:
    body = {"password": PASSWORD, "new_password": OTHER_PASSWORD}
    assert (await shop.post("/api/auth/password/", body)).status_code == 204


async def _suspend(api: Api, shop: Shop, _pair: Json) -> None:
    await suspend(api, shop)


@pytest.mark.parametrize(
    ("end", "status", "others_live"),
    [(_log_out, 401, True), (_change_password, 401, False), (_suspend, 403, False)],
    ids=["logout", "password", "suspension"],
)
async def test_nothing_refreshes_a_session_that_was_ended(
    api: Api, end: Callable[[Api, Shop, Json], Awaitable[None]], status: int, others_live: bool
) -> None:
    shop = await api.open_shop()
    pair, beside = await open_session(api, shop), await open_session(api, shop)
    async with another_process(api) as other:
        assert await opens(other, pair["access"])
        await end(api, shop, pair)
        api.clock.move(timedelta(seconds=1))
        for client in (other, api.client):
            assert (await refresh(client, pair["refresh"])).status_code == status
            assert not await opens(client, pair["access"])
            assert await opens(client, beside["access"]) == others_live
        assert (await refresh(other, beside["refresh"])).status_code == (200 if others_live else status)


async def living(client: httpx.AsyncClient, pair: Json) -> bool:
    """Say whether anything of a pair still opens or refreshes anything; what lives is spent by it."""
    opened = await opens(client, pair["access"])
    refreshed = (await refresh(client, pair["refresh"])).status_code == 200
    assert opened == refreshed, "a family lives or it doesn't"
    return opened


async def race(clients: Sequence[httpx.AsyncClient], token: str) -> Sequence[Json]:
    """Spend one token at once in every process, and return the pairs that were given for it."""
    answers = await asyncio.gather(*(refresh(client, token) for client in clients))
    assert {answer.status_code for answer in answers} <= {200, 401}, [answer.text for answer in answers]
    return [answer.json() for answer in answers if answer.status_code == 200]


RACES: Final = 25


async def test_two_refreshes_at_once_never_leave_two_living_families_in_one_process(api: Api) -> None:
    shop = await api.open_shop()
    for _ in range(RACES):
        pair = await open_session(api, shop)
        given = await race([api.client] * 2, pair["refresh"])
        assert len(given) <= 1
        assert not [each for each in given if await living(api.client, each)], "reuse ended the family"


async def test_two_refreshes_at_once_never_leave_two_living_families_in_two_processes(database_url: str) -> None:
    settings = replace(SETTINGS, database_url=Secret(database_url))
    async with (
        wiring.wire(settings) as one,
        wiring.wire(settings) as two,
        client_of(one) as first,
        client_of(two) as second,
    ):
        body = {"email": "shop@example.com", "password": PASSWORD}
        assert (await first.post("/api/auth/register/", json=body)).status_code == 201
        pairs = [(await first.post("/api/auth/token/", json=body)).json() for _ in range(RACES)]
        given = [await race([first, second], pair["refresh"]) for pair in pairs]
        assert max(map(len, given)) <= 1
        for each in (pair for won in given for pair in won):
            for client in (first, second):
                assert not await living(client, each), "reuse ended the family"


# ── passwords ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("password", "code"),
    [
        ("x9#kQ2!", "wrong_length"),
        ("\U0001f40e" * 7, "wrong_length"),
        ("q7" * 65, "wrong_length"),
        ("\U0001f40e\U0001f50b" * 65, "wrong_length"),
        ("correct\0horse battery", "forbidden_character"),
        ("Password1!", "too_common"),
        ("  QWERTYUIOP  ", "too_common"),
        ("11111111", "too_common"),
        ("a" * 128, "too_common"),
    ],
    ids=range(9),
)
async def test_a_password_that_is_easily_guessed_is_refused_wherever_one_is_chosen(
    town: Town, password: str, code: str
) -> None:
    owner = town.owner
    registered = await owner.api.client.post(
        "/api/auth/register/", json={"email": "new@example.com", "password": password}
    )
    changed = await owner.post("/api/auth/password/", {"password": PASSWORD, "new_password": password})
    for answer, field in ((registered, "password"), (changed, "new_password")):
        (error,) = problem(answer, 400, "invalid_request")["errors"]
        assert (error["field"], error["code"]) == (field, code)
        assert password not in answer.text


@pytest.mark.parametrize(
    "password", ["\U0001f40e\U0001f50b\U0001f4ce" * 42 + "\U0001f40e!", "ae\u0301" * 42, "\u200b\u2003 \t\n" * 3]
)
async def test_a_password_counts_to_its_last_character_whatever_it_is_made_of(api: Api, password: str) -> None:
    assert len(password) <= PASSWORD_LENGTH_MAX
    body = {"email": "shop@example.com", "password": password}
    assert (await api.client.post("/api/auth/register/", json=body)).status_code == 201
    assert (await log_in(api, "shop@example.com", password)).status_code == 200
    for guess in (password[:-1], password + " ", password.strip(), password[:72]):
        if guess != password:
            problem(await log_in(api, "shop@example.com", guess), 401, "invalid_credentials")


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("path", ["/api/auth/register/", "/api/auth/login/", "/api/auth/token/"])
async def test_half_a_character_is_no_password_and_no_name(town: Town, path: str) -> None:
    client = town.owner.api.client
    for raw in (
        b'{"email": "a@example.com", "password": "\\ud800 is half"}',
        b'{"email": "\\udc00@a.b", "password": "x"}',
    ):
        answer = await client.post(path, content=raw, headers={"content-type": "application/json"})
        problem(answer, 400, "malformed_json")


async def test_a_password_is_hashed_anew_when_the_parameters_have_moved_and_stays_the_same_one(api: Api) -> None:
    shop = await api.open_shop()

    async def kept() -> str:
        async with api.store.begin() as work:
            return (await work.merchants.get(MerchantId(shop.id))).password_hash

    before = await kept()
    passwords = Argon2Passwords(memory_kib=16, iterations=2)
    stronger = wiring.in_memory(
        SETTINGS, clock=api.clock, store=api.store, notifier=MemoryNotifier(), passwords=passwords
    )
    body = {"email": shop.email, "password": A_GUESS}
    async with stronger as services, client_of(services) as client:
        problem(await client.post("/api/auth/login/", json=body), 401, "invalid_credentials")
        assert await kept() == before, "nobody's guess is kept"
        for _ in range(2):
            answer = await client.post("/api/auth/login/", json={**body, "password": PASSWORD})
            assert answer.status_code == 200
        assert "$m=16,t=2," in await kept()
    passwords.close()


def test_a_password_reset_by_staff_ends_every_session_and_keeps_the_keys(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    store = MemoryStore()

    async def before() -> tuple[Shop, Json, str]:
        async with open_api(SETTINGS, store=store) as api:
            shop = await api.open_shop()
            return shop, await open_session(api, shop), (await log_in(api, shop.email)).json()["api_key"]

    async def after(shop: Shop, pair: Json, session: str) -> None:
        async with open_api(SETTINGS, store=store) as api:
            assert not await opens(api.client, pair["access"])
            assert not await opens(api.client, session, "Token")
            problem(await refresh(api.client, pair["refresh"]), 401, "invalid_credentials")
            problem(await log_in(api, shop.email), 401, "invalid_credentials")
            assert (await log_in(api, shop.email, OTHER_PASSWORD)).status_code == 200
            assert await opens(api.client, shop.secret, "Token"), "a server's key goes on"
            seen = await replace(shop, api=api).get("/api/audit/?action=password.reset")
            (entry,) = seen.json()["results"]
            assert entry["actor"]["kind"] == "staff"
            assert OTHER_PASSWORD not in seen.text

    @asynccontextmanager
    async def wire(_settings: Settings) -> AsyncGenerator[Services, None]:
        clock = HandClock(START)
        async with wiring.in_memory(SETTINGS, clock=clock, store=store, notifier=MemoryNotifier()) as services:
            yield services

    monkeypatch.setattr(wiring, "wire", wire)
    monkeypatch.chdir(tmp_path)
    shop, pair, session = asyncio.run(before())
    environ = {"PAYMENTS_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none", "PAYMENTS_SECRET_KEY": SECRET}
    arguments = ["merchant", "reset-password", "--email", shop.email, "--password-stdin"]
    done = CliRunner(env=environ).invoke(command_line, arguments, input=f"{OTHER_PASSWORD}\n")
    assert done.exit_code == 0, done.output
    assert OTHER_PASSWORD not in done.output
    asyncio.run(after(shop, pair, session))


# ── the time that a refusal takes ────────────────────────────────────────────────────────────────────────────────────

PAIRS: Final = 200
ROUNDS_MAX: Final = 3
LEAK_SECONDS: Final = 0.003
ALARM: Final = 4.5
"""Standard deviations at which a difference is believed: by chance once in 150,000 comparisons, whatever the noise is
like, as the test asks for nothing but the signs and ranks of differences within pairs that were measured side by side.
A run makes two comparisons for each round, at most six: a false alarm once in 25,000 runs.
"""


def signed_ranks(differences: Sequence[float]) -> float:
    """Return Wilcoxon's signed-rank statistic in standard deviations (1945; the normal form, good from some 20 on).

    Over zero where the differences tend to be. A pair's two members share whatever the machine does at that moment,
    and an outlier counts for no more than the largest rank.
    """
    ranked = sorted((abs(difference), difference > 0) for difference in differences if difference)
    positive, rank = 0.0, 1
    for _, ties in groupby(ranked, key=lambda pair: pair[0]):
        tied = list(ties)
        positive += sum(over for _, over in tied) * (rank + (len(tied) - 1) / 2)
        rank += len(tied)
    n = len(ranked)
    return (positive - n * (n + 1) / 4) / math.sqrt(n * (n + 1) * (2 * n + 1) / 24)


def test_the_comparison_of_times_sees_a_leak_in_noise_and_none_where_there_is_none() -> None:
    chance = random.Random(1)
    noise = [chance.gauss(0, 0.003) + chance.expovariate(50) * (chance.random() < 0.05) for _ in range(2 * PAIRS)]
    differences = [one - other for one, other in zip(noise[::2], noise[1::2], strict=True)]
    assert abs(signed_ranks(differences)) < ALARM < would_see(differences)
    assert would_see([100 * each for each in differences]) < ALARM
    alarms = sum(
        abs(signed_ranks([chance.choice((-1, 1)) * chance.random() for _ in range(PAIRS)])) > 3 for _ in range(2_000)
    )
    assert alarms <= 20, "0.27 % of 2,000 are beyond three standard deviations, which is 5.4; over 20 is one in 10^6"


def would_see(differences: Sequence[float]) -> float:
    """Return with how many standard deviations a leak of LEAK_SECONDS would show, whichever of the two it is in."""
    return min(abs(signed_ranks([each + leak for each in differences])) for leak in (LEAK_SECONDS, -LEAK_SECONDS))


@dataclass(frozen=True, slots=True)
class Compared:
    """By how many seconds more nobody's address was refused than somebody's: of the clock, and of the processor.

    Others' load blurs the clock, and hardly what this process computes: hashes, and all else of a login but waiting.
    """

    clock: list[float]
    processor: list[float]


async def compare_logins(client: httpx.AsyncClient, known: str, pairs: int, compared: Compared) -> None:
    """Refuse a login at a known address and one at an unknown one, the two in any order, so many times."""
    chance = random.Random(7)
    for number in range(pairs):
        nobody = f"nobody-{number:04}@example.com"
        took: dict[str, tuple[float, float]] = {}
        for email in chance.sample((known, nobody), 2):
            clock, processor = time.perf_counter(), time.process_time()
            answer = await client.post("/api/auth/login/", json={"email": email, "password": A_GUESS})
            took[email] = time.perf_counter() - clock, time.process_time() - processor
            problem(answer, 401, "invalid_credentials")
        compared.clock.append(took[nobody][0] - took[known][0])
        compared.processor.append(took[nobody][1] - took[known][1])


async def test_how_long_a_refusal_takes_does_not_tell_whether_the_address_has_an_account(database_url: str) -> None:
    settings = replace(SETTINGS, database_url=Secret(database_url))
    async with wiring.wire(settings) as services, client_of(services) as client:
        known = "shop-0001@example.com"
        body = {"email": known, "password": PASSWORD}
        assert (await client.post("/api/auth/register/", json=body)).status_code == 201
        await compare_logins(client, known, 5, Compared([], []))
        compared = Compared([], [])
        for _ in range(ROUNDS_MAX):
            await compare_logins(client, known, PAIRS, compared)
            assert abs(signed_ranks(compared.clock)) < ALARM, sorted(compared.clock)[:: PAIRS // 10]
            assert abs(signed_ranks(compared.processor)) < ALARM, sorted(compared.processor)[:: PAIRS // 10]
            if max(would_see(compared.clock), would_see(compared.processor)) > ALARM:
                return
        pytest.skip("the machine is too busy: a leak would not have shown either")


class LeakyPasswords(Argon2Passwords):
    """Passwords with the leak that the one above must not have: nobody's are refused so much sooner."""

    async def verify(self, password_hash: str | None, password: str, /) -> bool:
        if password_hash is not None:
            end = time.process_time() + LEAK_SECONDS
            while time.process_time() < end:
                pass
        return await super().verify(password_hash, password)


async def test_a_leak_of_three_milliseconds_would_be_seen() -> None:
    passwords = LeakyPasswords()
    async with (
        wiring.in_memory(SETTINGS, notifier=MemoryNotifier(), passwords=passwords) as services,
        client_of(services) as client,
    ):
        known, compared = "shop-0001@example.com", Compared([], [])
        body = {"email": known, "password": PASSWORD}
        assert (await client.post("/api/auth/register/", json=body)).status_code == 201
        for _ in range(2 * ROUNDS_MAX):
            await compare_logins(client, known, PAIRS // 4, compared)
            if min(signed_ranks(compared.clock), signed_ranks(compared.processor)) < -ALARM:
                break
        assert min(signed_ranks(compared.clock), signed_ranks(compared.processor)) < -ALARM
    passwords.close()


# ── guesses ──────────────────────────────────────────────────────────────────────────────────────────────────────────

LIMITED: Final = Settings(secret_key=Secret(SECRET), trusted_proxies=LOOPBACK)
OWNERS: Final = "198.51.100.200"


async def waited(api: Api, email: str, password: str, address: str) -> tuple[int, float]:
    """Log in from an address; return the status and how long the service waited by its clock."""
    before = api.clock.now()
    answer = await log_in(api, email, password, **{"x-forwarded-for": address})
    return answer.status_code, (api.clock.now() - before).total_seconds()


async def test_a_stranger_with_fifty_addresses_slows_the_owner_down_by_five_seconds_and_locks_nobody_out() -> None:
    async with open_api(LIMITED) as api:
        shop = await api.open_shop()
        waits: list[float] = []
        for guess in range(300):
            status, seconds = await waited(api, shop.email, A_GUESS, f"203.0.113.{guess % 50}")
            waits.append(seconds)
            assert status == 401
            if guess % 50 == 49:
                status, seconds = await waited(api, shop.email, PASSWORD, OWNERS)
                assert status == 200
                assert seconds <= LOGIN_DELAY_SECONDS_MAX
        assert waits[:10] == [0.0] * 10
        assert waits[10:15] == list(LOGIN_DELAYS_SECONDS)
        assert max(waits) == LOGIN_DELAY_SECONDS_MAX
        before = api.clock.now()
        body = {"password": PASSWORD, "new_password": OTHER_PASSWORD}
        changed = await shop.post("/api/auth/password/", body, headers={"x-forwarded-for": OWNERS})
        assert changed.status_code == 204, "who holds a key can change the password meanwhile"
        assert (api.clock.now() - before).total_seconds() <= LOGIN_DELAY_SECONDS_MAX + 1
        neighbour = await api.open_shop()
        assert await waited(api, neighbour.email, PASSWORD, OWNERS) == (200, 0.0)
        api.clock.move(timedelta(minutes=15))
        assert await waited(api, shop.email, OTHER_PASSWORD, OWNERS) == (200, 0.0), "and it passes"


async def test_guesses_at_an_address_that_nobody_has_wait_like_those_at_one_that_somebody_has() -> None:
    waits: list[list[float]] = []
    for is_known in (True, False):
        async with open_api(LIMITED) as api:
            email = (await api.open_shop()).email if is_known else "nobody@example.com"
            sent = [await waited(api, email, A_GUESS, f"203.0.113.{guess % 50}") for guess in range(40)]
            assert {status for status, _ in sent} == {401}
            waits.append([seconds for _, seconds in sent])
    assert waits[0] == waits[1]
    assert max(waits[0]) == LOGIN_DELAY_SECONDS_MAX


@pytest.mark.parametrize("spelling", [" {} ", "{}\t", "\u2003{}", "upper"])
async def test_an_address_spelt_otherwise_is_counted_as_the_same(spelling: str) -> None:
    async with open_api(LIMITED) as api:
        shop = await api.open_shop()
        email = shop.email.upper() if spelling == "upper" else spelling.format(shop.email)
        for _ in range(LOGIN_PER_ACCOUNT_AND_ADDRESS.amount):
            assert (await waited(api, email, A_GUESS, OWNERS))[0] == 401
        assert (await waited(api, shop.email, PASSWORD, OWNERS))[0] == 429


async def test_where_a_delay_begins_is_a_setting() -> None:
    given = {"PAYMENTS_LIMIT_LOGIN_DELAY": "6/1m", "PAYMENTS_TRUSTED_PROXIES": "127.0.0.0/8"}
    async with open_api(read_settings(given, env_file=None)) as api:
        waits = [(await waited(api, "nobody@example.com", A_GUESS, f"203.0.113.{n}"))[1] for n in range(8)]
        assert waits == [0.0, *LOGIN_DELAYS_SECONDS, LOGIN_DELAY_SECONDS_MAX, LOGIN_DELAY_SECONDS_MAX]


async def delays(limits: Sequence[RedisRateLimits], number: int) -> list[float]:
    """Return how long logins wait whose processes take turns."""
    hits = [await limits[n % len(limits)].hit(LOGIN_DELAY, "shop@example.com") for n in range(number)]
    return [login_delay_seconds(hit) for hit in hits]


async def test_delays_grow_over_all_processes_and_in_each_while_redis_is_away(
    redis_url: str, valkey_server: Server
) -> None:
    grown = [0.0] * 10 + [*LOGIN_DELAYS_SECONDS, LOGIN_DELAY_SECONDS_MAX, LOGIN_DELAY_SECONDS_MAX]
    async with make_client(redis_url) as one, make_client(redis_url) as two:
        processes = [
            RedisRateLimits(client, breaker=Breaker(), fallback=MemoryRateLimits(clock=HandClock(START).now))
            for client in (one, two)
        ]
        assert await delays(processes, 17) == grown
        await valkey_server.stop()
        for process in processes:
            assert await delays([process], 17) == grown


async def test_logins_are_limited_and_answered_while_redis_is_away(
    database_url: str, redis_url: str, valkey_server: Server
) -> None:
    settings = Settings(secret_key=Secret(SECRET), database_url=Secret(database_url), redis_url=Secret(redis_url))
    async with wiring.wire(settings) as services, client_of(services) as client:
        await valkey_server.stop()
        body = {"email": "shop@example.com", "password": PASSWORD}
        assert (await client.post("/api/auth/register/", json=body)).status_code == 201
        wrong = {**body, "password": A_GUESS}
        answers = [await client.post("/api/auth/login/", json=wrong) for _ in range(12)]
        amount = LOGIN_PER_ACCOUNT_AND_ADDRESS.amount
        assert [answer.status_code for answer in answers] == [401] * amount + [429] * (12 - amount)


# ── limits ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def statuses(api: Api, number: int, email: str, addresses: Callable[[int], str]) -> list[int]:
    sent = [await log_in(api, email.format(n), A_GUESS, **{"x-forwarded-for": addresses(n)}) for n in range(number)]
    return [answer.status_code for answer in sent]


async def test_a_forged_forwarded_for_is_nobodys_address_without_a_proxy_of_ours() -> None:
    async with open_api(Settings(secret_key=Secret(SECRET))) as api:
        amount = LOGIN_PER_ACCOUNT_AND_ADDRESS.amount
        got = await statuses(api, amount + 2, "shop@example.com", lambda n: f"203.0.113.{n}")
        assert got == [401] * amount + [429] * 2


@pytest.mark.parametrize(
    "address",
    [
        lambda n: f"203.0.113.{n}, {OWNERS}",
        lambda n: f"127.0.0.{n + 1}, {OWNERS}",
        lambda n: f"{OWNERS}, 127.0.0.{n + 1}",
        lambda n: f"::ffff:{OWNERS}" if n % 2 else OWNERS,
        lambda n: f"2001:db8:1:2:{n:x}:{n:x}:{n:x}:{n:x}",
        lambda n: f"2001:0db8:0001:0002::{n}" if n % 2 else f"2001:DB8:1:2:0:0:0:{n}",
        lambda n: f"2001:db8:1:2::%{n}",
        lambda n: f"nonsense-{n}",
        lambda n: f"{n}" * 400,
        lambda n: ", ".join([f"203.0.113.{n}"] * 100 + [OWNERS]),
    ],
    ids=range(10),
)
async def test_no_spelling_of_an_address_behind_a_proxy_makes_it_another(address: Callable[[int], str]) -> None:
    async with open_api(LIMITED) as api:
        amount = LOGIN_PER_ACCOUNT_AND_ADDRESS.amount
        assert await statuses(api, amount + 2, "shop@example.com", address) == [401] * amount + [429] * 2


async def test_a_zone_is_no_part_of_an_address_that_is_kept() -> None:
    async with open_api(LIMITED) as api:
        shop = await api.open_shop()
        await log_in(api, shop.email, A_GUESS, **{"x-forwarded-for": "2001:db8::1%<b>\x1b[31m"})
        (entry,) = (await shop.get("/api/audit/?action=login.failed")).json()["results"]
        assert entry["address"] == "2001:db8::1"


async def test_one_address_tries_so_many_accounts_and_is_told_when_to_come_again() -> None:
    async with open_api(LIMITED) as api:
        amount = LOGIN_PER_ADDRESS.amount
        got = await statuses(api, amount + 1, "shop-{}@example.com", lambda _: OWNERS)
        assert got == [401] * amount + [429]
        limited = await log_in(api, "another@example.com", PASSWORD, **{"x-forwarded-for": OWNERS})
        problem(limited, 429, "rate_limited")
        seconds = limited.headers["retry-after"]
        assert 1 <= int(seconds) <= LOGIN_PER_ADDRESS.per_seconds
        assert limited.headers["ratelimit"] == f'"login_address";r=0;t={seconds}'
        assert limited.headers["ratelimit-policy"] == '"login_address";q=30;w=60'
        assert (await log_in(api, "another@example.com", PASSWORD)).status_code == 401, "from elsewhere"
        api.clock.move(timedelta(seconds=int(seconds)))
        again = await log_in(api, "another@example.com", PASSWORD, **{"x-forwarded-for": OWNERS})
        assert again.status_code == 401


async def test_one_address_opens_so_many_accounts() -> None:
    async with open_api(LIMITED) as api:
        amount = REGISTRATION_PER_ADDRESS.amount

        async def register(n: int, address: str) -> httpx.Response:
            body = {"email": f"shop-{n}@example.com", "password": PASSWORD}
            return await api.client.post("/api/auth/register/", json=body, headers={"x-forwarded-for": address})

        got = [(await register(n, f"203.0.113.{n}, 2001:db8:1:2::{n}")).status_code for n in range(amount)]
        assert got == [201] * amount
        problem(await register(amount, "2001:db8:1:ff:ffff::1"), 429, "rate_limited")
        assert (await register(amount, "2001:db8:1:100::1")).status_code == 201


async def test_a_limit_is_a_merchants_whichever_of_its_credentials_calls() -> None:
    async with open_api(read_settings({"PAYMENTS_LIMIT_API": "5/1m"}, env_file=None)) as api:
        shop = await api.open_shop()
        pair = await open_session(api, shop)
        made = (await shop.post("/api/auth/api_keys/")).json()
        credentials = [shop.secret, made["api_key"], pair["access"]]
        sent = [
            await api.client.get("/api/auth/me/", headers={"authorization": f"Bearer {credentials[n % 3]}"})
            for n in range(6)
        ]
        assert [answer.status_code for answer in sent] == [200] * 3 + [429] * 3
        forged = await api.client.get("/api/auth/me/", headers={"authorization": "Token nonsense"})
        assert forged.status_code == 401
        assert "ratelimit" not in forged.headers, "whose limit it would be is nobody's business"
