"""What the console keeps in a browser: signed cookies, and the token that each of its forms carries."""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Final

import jwt

from adapters.security.tokens import ALGORITHM, KEY_LENGTH_MIN_BYTES

TYPE: Final = "console+jwt"
COOKIE_LENGTH_MAX: Final = 1_024
_FORM: Final = b"form\0"


class SignedCookies:
    """Signs with the first key, takes what any of them signed.

    A cookie is a JSON Web Token of a type of its own under a key of its own: it is no access token, nor the other way
    round. Whether it has expired is for whoever reads it to say.
    """

    def __init__(self, keys: Sequence[bytes]) -> None:
        if not keys or any(len(key) < KEY_LENGTH_MIN_BYTES for key in keys):
            raise ValueError(f"cookies need at least one key, each of {KEY_LENGTH_MIN_BYTES} bytes or more")
        self._keys: Final = tuple(keys)
        self._header: Final = self.sign({}).partition(".")[0]

    def sign(self, values: Mapping[str, str | int], /) -> str:
        """Return the cookie's text."""
        return jwt.encode(dict(values), self._keys[0], ALGORITHM, headers={"typ": TYPE}, sort_headers=True)

    def read(self, text: str, /) -> Mapping[str, object] | None:
        """Return what the cookie says, or None where it is none of ours."""
        if len(text) > COOKIE_LENGTH_MAX or text.partition(".")[0] != self._header:
            return None
        for key in self._keys:
            try:
                # The times that it names are nobody's here but the reader's.
                values: Mapping[str, object] = jwt.decode(text, key, [ALGORITHM], options={"verify_signature": True})
            except jwt.InvalidSignatureError:
                continue
            except (jwt.PyJWTError, ValueError):
                return None
            return values
        return None

    def form_token(self, session: str, /) -> str:
        """Return the token that a form carries which is shown to this session (OWASP: signed double submit)."""
        return _token(self._keys[0], session)

    def is_form_token(self, session: str, token: str, /) -> bool:
        """Say whether a form that comes from this session carries its token."""
        given = token.encode(errors="replace")
        return any([hmac.compare_digest(_token(key, session).encode(), given) for key in self._keys])


def _token(key: bytes, session: str) -> str:
    return hmac.new(key, _FORM + session.encode(), sha256).hexdigest()
