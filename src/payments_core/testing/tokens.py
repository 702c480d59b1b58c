"""What every issuer of access tokens must pass."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Final

import pytest

from payments_core.errors import InvalidCredentials
from payments_core.ids import MerchantId, SessionId
from payments_core.merchant import ACCESS_TOKEN_LIFETIME
from payments_core.ports import AccessClaims, AccessTokens
from payments_core.testing.builders import NOW

CLAIMS: Final = AccessClaims(
    merchant=MerchantId("mer_1"),
    session=SessionId("ses_1"),
    livemode=True,
    token_id="token-1",
    issued_at=NOW.replace(microsecond=0),
    expires_at=NOW.replace(microsecond=0) + ACCESS_TOKEN_LIFETIME,
)
LEEWAY_MAX: Final = timedelta(minutes=1)
"""Between the clocks of two machines; a token may be taken for so much longer or earlier, not more."""


class AccessTokensContract:
    """Adapters supply `tokens`."""

    @pytest.fixture
    def tokens(self) -> AccessTokens:
        """Return an issuer."""
        raise NotImplementedError

    def test_a_token_says_what_it_was_issued_for(self, tokens: AccessTokens) -> None:
        other = replace(CLAIMS, livemode=False, token_id="token-2")
        issued = {tokens.issue(claims): claims for claims in (CLAIMS, other)}
        for token, claims in issued.items():
            assert tokens.read(token, at=CLAIMS.issued_at) == claims

    def test_a_token_ends(self, tokens: AccessTokens) -> None:
        token = tokens.issue(CLAIMS)
        with pytest.raises(InvalidCredentials):
            tokens.read(token, at=CLAIMS.expires_at + LEEWAY_MAX)

    def test_a_token_does_not_hold_before_it_was_issued(self, tokens: AccessTokens) -> None:
        token = tokens.issue(CLAIMS)
        with pytest.raises(InvalidCredentials):
            tokens.read(token, at=CLAIMS.issued_at - LEEWAY_MAX)

    def test_what_was_not_issued_is_refused(self, tokens: AccessTokens) -> None:
        token = tokens.issue(CLAIMS)
        for forged in ("", "x", token[:-1], token + "x", token.swapcase(), "a.b.c", "\0", "é" * 100, "." * 10_000):
            with pytest.raises(InvalidCredentials):
                tokens.read(forged, at=CLAIMS.issued_at)
