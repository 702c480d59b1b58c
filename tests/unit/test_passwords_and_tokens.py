"""The contracts of passwords, access tokens and gateways, for the adapters that need no server."""

from __future__ import annotations

import os

import pytest

from adapters.memory import MemoryAccessTokens, MemoryGateway, MemoryPasswords
from adapters.security.passwords import Argon2Passwords
from adapters.security.tokens import JwtAccessTokens
from payments_core.ids import AttemptId
from payments_core.ports import AccessTokens, Passwords
from payments_core.testing.gateway import GatewayContract, GatewayUnderTest
from payments_core.testing.passwords import PasswordsContract
from payments_core.testing.tokens import AccessTokensContract


class TestMemoryPasswords(PasswordsContract):
    @pytest.fixture
    def passwords(self) -> Passwords:
        return MemoryPasswords(entropy=os.urandom, cost=4)

    @pytest.fixture
    def stricter(self) -> Passwords:
        return MemoryPasswords(entropy=os.urandom, cost=8)


class TestArgon2Passwords(PasswordsContract):
    @pytest.fixture
    def passwords(self) -> Passwords:
        return Argon2Passwords(memory_kib=8, iterations=1)

    @pytest.fixture
    def stricter(self) -> Passwords:
        return Argon2Passwords(memory_kib=16, iterations=1)


class TestMemoryAccessTokens(AccessTokensContract):
    @pytest.fixture
    def tokens(self) -> AccessTokens:
        return MemoryAccessTokens()


class TestJwtAccessTokens(AccessTokensContract):
    @pytest.fixture
    def tokens(self) -> AccessTokens:
        return JwtAccessTokens([b"k" * 32], issuer="payments-core", audience="payments-core")


class TestMemoryGateway(GatewayContract):
    @pytest.fixture
    def subject(self) -> GatewayUnderTest:
        gateway = MemoryGateway(declines={"pm_decline"})

        async def times_moved(attempt: AttemptId) -> int:
            seen = gateway.seen.get(attempt)
            return int(seen is not None and seen.payment_method != "pm_decline")

        return GatewayUnderTest(
            gateway=gateway, approved_method=None, declined_method="pm_decline", times_moved=times_moved
        )
