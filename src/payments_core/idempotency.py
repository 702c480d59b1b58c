"""Idempotency keys (IETF draft idempotency-key-header; Stripe): one effect for each key, the same answer each time."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from hashlib import blake2b, sha256
from typing import Final

from payments_core.errors import Fault, Invalid, KeyReused
from payments_core.ids import MerchantId
from payments_core.values import Json, canonical_text

KEY_LENGTH_MAX: Final = 255
KEPT: Final = timedelta(hours=72)
TURN_WAIT_SECONDS: Final = 5.0
FIELDS_NAMED_MAX: Final = 20
FIELD_DIGEST_BYTES: Final = 16
SCOPES_KEPT_MAX: Final = 256
"""Sets of scopes whose text is kept: there are as many as credentials differ."""
NAMES_KEPT_MAX: Final = 256
"""Names of fields whose text is kept: there are some dozens."""
SCOPES_FIELD: Final = "the credential's scopes"


def parse_key(text: str) -> str:
    """Return the key of a header value, bare or as a quoted structured-field string (RFC 8941), which is the same key.

    Raises Invalid (`invalid_idempotency_key`) unless it is 1 to 255 printable ASCII characters.
    """
    key = text.strip(" ")
    if len(key) >= 2 and key[0] == key[-1] == '"':
        key = _unquote(key[1:-1])
    if 1 <= len(key) <= KEY_LENGTH_MAX and all(" " <= character <= "~" for character in key):
        return key
    raise _invalid_key()


def _unquote(text: str) -> str:
    characters: list[str] = []
    rest = iter(text)
    for character in rest:
        if character == "\\":
            character = next(rest, "")
            if character not in ('"', "\\"):
                raise _invalid_key()
        elif character == '"':
            raise _invalid_key()
        characters.append(character)
    return "".join(characters)


def _invalid_key() -> Invalid:
    message = f"An idempotency key is 1 to {KEY_LENGTH_MAX} printable ASCII characters, bare or in double quotes."
    fault = Fault(field="Idempotency-Key", code="malformed", message=message)
    return Invalid([fault], code="invalid_idempotency_key", message=message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """What a request was, without its values: a digest over all of it, and a keyed digest for each top-level field."""

    digest: str
    fields: Mapping[str, str]


def fingerprint(secret: bytes, *, route: str, body: Mapping[str, Json], scopes: Collection[str] = ()) -> Fingerprint:
    """Return the fingerprint of a request: its route (method and path with its ids), JSON object and caller's scopes.

    `secret` is 1 to 64 bytes.
    The scopes are part of it because an answer may hold a secret that is worth them: a weaker credential of the same
    merchant is not given it again. The field digests are keyed, so that a guess of a short value cannot be checked
    against a stolen record; the whole is not, so that a rotated secret leaves twins equal.
    """
    # Each value is written once: both digests are over canonical JSON, of the whole and of each member.
    texts = {name: canonical_text(value) for name, value in body.items()}
    texts[SCOPES_FIELD] = _scopes_text(frozenset(scopes))
    names = {name: _name_text(name) for name in texts}
    whole = ",".join([f"{names[name]}:{texts[name]}" for name in sorted(texts)])
    return Fingerprint(
        digest=sha256(f"{route}\0{{{whole}}}".encode()).hexdigest(),
        fields={
            # Keyed BLAKE2b (RFC 7693) is a MAC in itself, and one call.
            name: blake2b(f"{names[name]}:{text}".encode(), digest_size=FIELD_DIGEST_BYTES, key=secret).hexdigest()
            for name, text in texts.items()
        },
    )


_name_text: Final = lru_cache(maxsize=NAMES_KEPT_MAX)(canonical_text)


@lru_cache(maxsize=SCOPES_KEPT_MAX)
def _scopes_text(scopes: frozenset[str]) -> str:
    return canonical_text(sorted(scopes))


@dataclass(frozen=True, slots=True, kw_only=True)
class Once:
    """A request that is to have one effect: its key, its route, what it was, and the status of its success."""

    key: str
    route: str
    status: int
    fingerprint: Fingerprint


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What a key did: the answer, byte for byte, and the id of what it made. Identity: (merchant, livemode, key)."""

    merchant: MerchantId
    livemode: bool
    key: str
    route: str
    status: int
    fingerprint: Fingerprint
    body: bytes = field(repr=False)
    resource: str | None
    created_at: datetime
    expires_at: datetime


def check_same(record: Record, once: Once) -> None:
    """Raise KeyReused where the key was used before for another request; the message names fields, never values."""
    if record.fingerprint.digest == once.fingerprint.digest:
        return
    if record.route != once.route:
        raise KeyReused(f"This idempotency key was used before for {record.route}.")
    before, now = record.fingerprint.fields, once.fingerprint.fields
    differ = sorted(name for name in {*before, *now} if before.get(name) != now.get(name))
    named = ", ".join(differ[:FIELDS_NAMED_MAX])
    raise KeyReused(f"This idempotency key was used before with another request; these fields differ: {named}.")
