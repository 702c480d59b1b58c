"""Accounts under concurrency: limits that hold, sessions that end with the password."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from datetime import timedelta

import pytest

from adapters.memory import HandClock, MemoryNotifier, MemoryPasswords, memory_payments
from payments_core import (
    AddEndpoint,
    Answer,
    Caller,
    Forbidden,
    InvalidCredentials,
    LogIn,
    MakeApiKey,
    Payments,
    Register,
    RuleBroken,
)
from payments_core.audit import Origin
from payments_core.idempotency import Once, fingerprint
from payments_core.ids import ApiKeyId
from payments_core.merchant import API_KEYS_MAX, PAYMENT_KEYS_MAX, SESSION_KEYS_MAX, SESSIONS_MAX, CredentialKind
from payments_core.testing.builders import NOW
from payments_core.webhook import ENDPOINTS_MAX

EMAIL = "shop@example.com"
PASSWORD = "correct horse battery staple"
OTHER_PASSWORD = "another horse battery staple"
CHEAP = MemoryPasswords(entropy=os.urandom, cost=4)


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    payments: Payments
    caller: Caller
    clock: HandClock


@pytest.fixture
async def account() -> Account:
    clock = HandClock(NOW)
    payments, _ = memory_payments(passwords=CHEAP, clock=clock, notifier=MemoryNotifier())
    opened = await payments.register(Register(email=EMAIL, password=PASSWORD))
    caller = await payments.authenticator.by_api_key(str(opened.json["api_key"]))
    return Account(payments=payments, caller=caller, clock=clock)


def log_in_with(password: str = PASSWORD) -> LogIn:
    return LogIn(email=EMAIL, password=password)


async def refused(payments: Payments, secret: object) -> bool:
    try:
        await payments.authenticator.by_api_key(str(secret))
    except InvalidCredentials:
        return True
    return False


async def test_limits_on_what_an_account_has_hold_for_calls_at_once(account: Account) -> None:
    payments, caller = account.payments, account.caller
    endpoints = [payments.add_endpoint(caller, AddEndpoint(url="https://shop.example.com/")) for _ in range(40)]
    keys = [payments.make_api_key(caller, MakeApiKey()) for _ in range(API_KEYS_MAX + 20)]
    channels = [payments.make_payment_key(caller) for _ in range(PAYMENT_KEYS_MAX + 20)]
    for calls, most, code in (
        (endpoints, ENDPOINTS_MAX, "too_many_endpoints"),
        (keys, API_KEYS_MAX - 1, "too_many_api_keys"),
        (channels, PAYMENT_KEYS_MAX, "too_many_payment_keys"),
    ):
        ended = await asyncio.gather(*calls, return_exceptions=True)
        assert sum(isinstance(each, Answer) for each in ended) == most
        assert {each.code for each in ended if isinstance(each, RuleBroken)} == {code}


async def test_rotating_one_key_again_and_again_does_not_pass_the_limit(account: Account) -> None:
    id = ApiKeyId(account.caller.credential or "")
    for _ in range(API_KEYS_MAX - 1):
        await account.payments.rotate_api_key(account.caller, id)
    with pytest.raises(RuleBroken) as broken:
        await account.payments.rotate_api_key(account.caller, id)
    assert broken.value.code == "too_many_api_keys"


async def test_a_session_key_is_not_rotated_into_one_that_lasts(account: Account) -> None:
    session = await account.payments.log_in(log_in_with())
    caller = await account.payments.authenticator.by_api_key(str(session.json["api_key"]))
    assert caller.kind is CredentialKind.SESSION_KEY
    with pytest.raises(Forbidden):
        await account.payments.rotate_api_key(caller, ApiKeyId(caller.credential or ""))


async def test_the_oldest_session_key_goes_beyond_ten_and_opens_nothing_at_once(account: Account) -> None:
    first = await account.payments.log_in(log_in_with())
    await account.payments.authenticator.by_api_key(str(first.json["api_key"]))
    for number in range(SESSION_KEYS_MAX):
        account.clock.move(timedelta(milliseconds=1))
        await account.payments.log_in(log_in_with(), origin=Origin(address=f"192.0.2.{number}"))
    assert await refused(account.payments, first.json["api_key"])


async def test_the_oldest_token_family_goes_beyond_the_most_that_one_account_may_have(account: Account) -> None:
    first = await account.payments.open_session(log_in_with())
    for number in range(SESSIONS_MAX):
        account.clock.move(timedelta(milliseconds=1))
        await account.payments.open_session(log_in_with(), origin=Origin(address=f"192.0.2.{number}"))
    with pytest.raises(InvalidCredentials):
        await account.payments.refresh_session(str(first.json["refresh"]))


async def test_no_session_opened_with_the_old_password_outlives_it(account: Account) -> None:
    payments = account.payments
    openings = [
        call(log_in_with(), origin=Origin(address=f"192.0.2.{number}"))
        for number in range(10)
        for call in (payments.log_in, payments.open_session)
    ]
    change = payments.change_password(account.caller, password=PASSWORD, new_password=OTHER_PASSWORD)
    ended = await asyncio.gather(*openings[:10], change, *openings[10:], return_exceptions=True)
    for each in ended:
        if isinstance(each, Answer) and "api_key" in each.json:
            assert await refused(payments, each.json["api_key"])
        elif isinstance(each, Answer):
            with pytest.raises(InvalidCredentials):
                await payments.authenticator.by_access_token(str(each.json["access"]))
            with pytest.raises(InvalidCredentials):
                await payments.refresh_session(str(each.json["refresh"]))
        else:
            assert each is None or isinstance(each, InvalidCredentials)
    assert (await payments.log_in(log_in_with(OTHER_PASSWORD))).json["api_key"]


class Stricter(MemoryPasswords):
    """Parameters that have moved: every hash made before is stale, the first time."""

    def __init__(self) -> None:
        super().__init__(entropy=os.urandom, cost=8)


async def test_logins_that_meet_a_stale_hash_at_once_all_get_in(account: Account) -> None:
    payments = account.payments
    object.__setattr__(payments._ports, "passwords", Stricter())
    answers = await asyncio.gather(*(payments.log_in(log_in_with()) for _ in range(3)))
    assert all("api_key" in answer.json for answer in answers)


async def test_a_repeated_request_is_answered_as_before_though_its_time_has_passed_since(account: Account) -> None:
    expires_at = account.clock.now() + timedelta(hours=1)
    once = Once(key="k", route="POST /x", status=201, fingerprint=fingerprint(b"s", route="POST /x", body={}))
    command = MakeApiKey(expires_at=expires_at)
    first = await account.payments.make_api_key(account.caller, command, once=once)
    account.clock.move(timedelta(hours=2))
    again = await account.payments.make_api_key(account.caller, command, once=once)
    assert (again.body, again.replayed) == (first.body, True)


def test_what_holds_a_secret_does_not_show_it() -> None:
    shown = repr([log_in_with(), Register(email=EMAIL, password=PASSWORD), Answer(body=b"sk_test_secret")])
    assert PASSWORD not in shown
    assert "secret" not in shown
