"""Check the signature of a webhook (Standard Webhooks 1.0.0). Python 3.8 or later, the standard library alone.

With Flask, for one:

    @app.post("/webhooks")
    def webhooks():
        try:
            event_id = verify(os.environ["WEBHOOK_SECRET"], request.headers, request.get_data())
        except InvalidSignature:
            return "", 400
        # An event may come more than once: if you know event_id already, answer 204 and do nothing.
        event = json.loads(request.get_data())
        return "", 204
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import Mapping

TOLERANCE_SECONDS = 300
SECRET_BYTES_MIN = 24
SIGNATURES_MAX = 16


class InvalidSignature(Exception):
    """Not what we signed, or too old. Answer 400, and believe nothing of it."""


def verify(secret: str, headers: Mapping[str, str], body: bytes, now: float | None = None) -> str:
    """Return the event's id, or raise InvalidSignature.

    `secret` is the endpoint's, `whsec_…`. `body` is the raw body, byte for byte as it came: not parsed, not written
    again. `now` is a Unix time in seconds; leave it out but in tests.
    """
    event_id, timestamp, signatures = (_header(headers, f"webhook-{name}") for name in ("id", "timestamp", "signature"))
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
        raise InvalidSignature("the timestamp is not a number of seconds")
    if abs((time.time() if now is None else now) - int(timestamp)) > TOLERANCE_SECONDS:
        raise InvalidSignature("the timestamp is too far from now")
    signed = f"{event_id}.{timestamp}.".encode("ascii") + body
    expected = "v1," + base64.b64encode(hmac.new(_key(secret), signed, hashlib.sha256).digest()).decode("ascii")
    # While a secret is being rotated there is a signature by each. All are compared, each in constant time.
    matches = [hmac.compare_digest(expected, given) for given in signatures.split(" ")[:SIGNATURES_MAX]]
    if not any(matches):
        raise InvalidSignature("no signature matches")
    return event_id


def _header(headers: Mapping[str, str], wanted: str) -> str:
    found = [text for name, text in headers.items() if name.lower() == wanted]
    if len(found) != 1 or not found[0] or not found[0].isascii():
        raise InvalidSignature(f"the header {wanted} is not there once, in ASCII")
    return found[0]


def _key(secret: str) -> bytes:
    encoded = secret[len("whsec_") :] if secret.startswith("whsec_") else ""
    try:
        key = base64.b64decode(encoded, validate=True)
    except ValueError:
        key = b""
    if len(key) < SECRET_BYTES_MIN:
        raise InvalidSignature("the secret is not `whsec_` and base64 of at least 24 bytes")
    return key
