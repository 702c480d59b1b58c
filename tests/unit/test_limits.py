"""How long a login waits, and under which name an address is counted."""

from __future__ import annotations

from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.memory.limits import MemoryRateLimits
from payments_core.limits import (
    LOGIN_DELAY,
    LOGIN_DELAY_SECONDS_MAX,
    LOGIN_DELAYS_SECONDS,
    Allowance,
    Limit,
    counted_as,
    login_delay_seconds,
)

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
ADDRESSES = st.ip_addresses().map(str)


def allowance(remaining: int, *, allowed: bool = True) -> Allowance:
    return Allowance(allowed=allowed, limit=LOGIN_DELAY, remaining=remaining, reset_after_seconds=1.0)


@given(st.integers(min_value=0, max_value=1_000), st.integers(min_value=0, max_value=1_000))
def test_the_less_is_left_the_longer_a_login_waits_and_never_longer_than_the_most(one: int, other: int) -> None:
    less, more = sorted((one, other))
    assert login_delay_seconds(allowance(less)) >= login_delay_seconds(allowance(more)) >= 0
    assert login_delay_seconds(allowance(less)) <= login_delay_seconds(allowance(0, allowed=False))
    assert login_delay_seconds(allowance(less, allowed=False)) == LOGIN_DELAY_SECONDS_MAX


@given(st.integers(min_value=1, max_value=40))
async def test_only_the_last_logins_within_a_limit_wait_and_all_beyond_it(amount: int) -> None:
    limit, counter = Limit(name="any", amount=amount, per_seconds=60), MemoryRateLimits(clock=lambda: NOW)
    waits = [login_delay_seconds(await counter.hit(limit, "shop@example.com")) for _ in range(amount + 3)]
    at_once = [0.0] * max(0, amount - len(LOGIN_DELAYS_SECONDS))
    assert waits == [*at_once, *LOGIN_DELAYS_SECONDS[-amount:], *[LOGIN_DELAY_SECONDS_MAX] * 3]


def test_no_step_of_the_delay_is_longer_than_the_most() -> None:
    assert sorted(LOGIN_DELAYS_SECONDS) == list(LOGIN_DELAYS_SECONDS)
    assert LOGIN_DELAYS_SECONDS[-1] < LOGIN_DELAY_SECONDS_MAX == 5.0


@given(st.ip_addresses(v=4))
def test_each_ipv4_address_is_counted_by_itself_however_it_is_written(address: IPv4Address) -> None:
    assert counted_as(str(address)) == str(address)
    assert counted_as(f"::ffff:{address}") == str(address)


@given(st.ip_addresses(v=6), st.integers(min_value=0, max_value=2**64 - 1))
def test_all_of_an_ipv6_network_is_counted_as_one(address: IPv6Address, host: int) -> None:
    neighbour = IPv6Address(int(address) >> 64 << 64 | host)
    if address.ipv4_mapped is None and neighbour.ipv4_mapped is None:
        assert counted_as(str(address)) == counted_as(neighbour.exploded) == counted_as(f"{neighbour}%eth0")


@given(ADDRESSES, ADDRESSES)
def test_no_two_networks_are_counted_as_one(one: str, other: str) -> None:
    if counted_as(one) == counted_as(other) and one != other:
        assert isinstance(IPv6Address(one), IPv6Address)
        assert int(IPv6Address(one)) >> 64 == int(IPv6Address(other)) >> 64


@pytest.mark.parametrize("text", ["", "unknown", "local", "10.0.0.1, 10.0.0.2", "0x7f.1", "1.2.3", "::1/128"])
def test_what_is_no_address_is_counted_as_it_is(text: str) -> None:
    assert counted_as(text) == text
