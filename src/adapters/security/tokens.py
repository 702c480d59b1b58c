"""Access tokens: JSON Web Tokens with one algorithm, one type and nothing optional (RFC 8725, RFC 9068)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

import jwt
from jwt.types import Options

from payments_core.errors import InvalidCredentials
from payments_core.ids import MerchantId, SessionId
from payments_core.ports import AccessClaims

ALGORITHM: Final = "HS256"
TYPE: Final = "at+jwt"
KEY_LENGTH_MIN_BYTES: Final = 32
TOKEN_LENGTH_MAX: Final = 2_048
LEEWAY_SECONDS: Final = 5
"""How far the clocks of two of our processes may differ."""
LIFETIME_SECONDS_MAX: Final = 3_600
"""Longer-lived tokens are refused however they were signed; a session asks for five minutes."""
TIME_MAX: Final = 253_402_300_799
"""The last second of the year 9999, and of `datetime`."""

_FORM: Final = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]")
"""Three segments of base64url without padding (RFC 7515, section 2), the last one of 32 bytes and no bit more.

PyJWT decodes other texts to the same bytes: one token would have many spellings.
"""

# The claims' times are checked below against the time that is passed in; PyJWT would ask the clock.
_OPTIONS: Final[Options] = {
    "verify_signature": True,
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
    "verify_aud": False,
    "verify_iss": False,
    "verify_sub": False,
    "verify_jti": False,
}


class JwtAccessTokens:
    """Issues and reads access tokens; the first key signs, every key verifies.

    A token's first segment must be, byte for byte, the header that `issue` writes. That one comparison refuses other
    algorithms and types, `crit`, embedded or linked keys and repeated members, before any of them is looked at.
    """

    def __init__(self, keys: Sequence[bytes], *, issuer: str, audience: str) -> None:
        if not keys or any(len(key) < KEY_LENGTH_MIN_BYTES for key in keys):
            raise ValueError(f"access tokens need at least one key, each of {KEY_LENGTH_MIN_BYTES} bytes or more")
        self._keys = tuple(keys)
        self._issuer = issuer
        self._audience = audience
        self._header = self._signed({}).partition(".")[0]

    def issue(self, claims: AccessClaims, /) -> str:
        """Return the signed token; its times are cut to whole seconds."""
        issued_at = int(claims.issued_at.timestamp())
        return self._signed(
            {
                "iss": self._issuer,
                "aud": self._audience,
                "sub": claims.merchant,
                "sid": claims.session,
                "livemode": claims.livemode,
                "jti": claims.token_id,
                "iat": issued_at,
                "nbf": issued_at,
                "exp": int(claims.expires_at.timestamp()),
            }
        )

    def read(self, token: str, /, *, at: datetime) -> AccessClaims:
        """Return the claims of a token that is ours and valid at `at`, or raise InvalidCredentials."""
        if len(token) > TOKEN_LENGTH_MAX or token.partition(".")[0] != self._header or not _FORM.fullmatch(token):
            raise _refused()
        claims = _claims(self._verified(token), issuer=self._issuer, audience=self._audience)
        now = at.timestamp()
        if claims.issued_at.timestamp() > now + LEEWAY_SECONDS:
            raise _refused()
        if claims.expires_at.timestamp() <= now - LEEWAY_SECONDS:
            raise _refused()
        return claims

    def _signed(self, payload: dict[str, object]) -> str:
        return jwt.encode(payload, self._keys[0], ALGORITHM, headers={"typ": TYPE}, sort_headers=True)

    def _verified(self, token: str) -> Mapping[str, object]:
        for key in self._keys:
            try:
                payload: Mapping[str, object] = jwt.decode(token, key, [ALGORITHM], options=_OPTIONS)
            except jwt.InvalidSignatureError:
                continue
            except (jwt.PyJWTError, ValueError):
                break
            return payload
        raise _refused()


def _claims(payload: Mapping[str, object], *, issuer: str, audience: str) -> AccessClaims:
    """Return the claims where each is there, of the right type, and they agree with each other."""
    if payload.get("iss") != issuer or payload.get("aud") != audience:
        raise _refused()
    livemode = payload.get("livemode")
    if not isinstance(livemode, bool):
        raise _refused()
    issued, not_before, expires = (_seconds(payload, name) for name in ("iat", "nbf", "exp"))
    if not issued == not_before < expires <= issued + LIFETIME_SECONDS_MAX:
        raise _refused()
    return AccessClaims(
        merchant=MerchantId(_text(payload, "sub")),
        session=SessionId(_text(payload, "sid")),
        livemode=livemode,
        token_id=_text(payload, "jti"),
        issued_at=datetime.fromtimestamp(issued, UTC),
        expires_at=datetime.fromtimestamp(expires, UTC),
    )


def _text(payload: Mapping[str, object], name: str) -> str:
    value = payload.get(name)
    if not isinstance(value, str) or not value:
        raise _refused()
    return value


def _seconds(payload: Mapping[str, object], name: str) -> int:
    value = payload.get(name)
    if type(value) is not int or not 0 <= value <= TIME_MAX:  # a bool is an int, but no time
        raise _refused()
    return value


def _refused() -> InvalidCredentials:
    """Return the one refusal: what was wrong with a token is nobody's business."""
    return InvalidCredentials("this access token is not valid")
