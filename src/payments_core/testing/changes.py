"""One of each thing that a store keeps, and a change to each."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from payments_core.attempt import Attempt
from payments_core.merchant import ApiKey, Merchant, PaymentKey, RefreshToken, Session
from payments_core.refund import Refund
from payments_core.testing.builders import (
    NOW,
    a_refresh_token,
    a_refund,
    a_session,
    a_transaction,
    an_api_key,
    an_attempt,
    an_endpoint,
)
from payments_core.testing.subject import Kept, Shop, Store, put, stored
from payments_core.transaction import StatusReason, Transaction
from payments_core.webhook import Endpoint

KINDS: Final = (
    "merchant",
    "payment_key",
    "api_key",
    "session",
    "refresh_token",
    "transaction",
    "refund",
    "attempt",
    "endpoint",
)
"""What carries a version; things stand behind those that they name."""

MODE_KINDS: Final = ("payment_key", "transaction", "refund", "endpoint")
"""What is looked up by merchant and mode."""


def one_of_each(shop: Shop) -> dict[str, Kept]:
    """Return one new thing of each kind for a shop, in the order of KINDS without the two that a shop has."""
    session = a_session(shop.merchant)
    transaction = a_transaction(shop.key)
    return {
        "api_key": an_api_key(shop.merchant),
        "session": session,
        "refresh_token": a_refresh_token(session),
        "transaction": transaction,
        "refund": a_refund(transaction),
        "attempt": an_attempt(transaction),
        "endpoint": an_endpoint(shop.merchant),
    }


async def stored_one(store: Store, shop: Shop, kind: str) -> Kept:
    """Return a stored thing of the kind as it is read back."""
    things = one_of_each(shop)
    await put(store, *things.values())
    own: dict[str, Kept] = {"merchant": shop.merchant, "payment_key": shop.key, **things}
    return await stored(store, own[kind])


def change(thing: Kept) -> Kept:
    """Return the thing after something happened to it."""
    match thing:
        case Merchant():
            return thing.change_password("$argon2id$v=19$m=19456,t=2,p=1$b3RoZXI$aGFzaA")
        case ApiKey():
            return thing.revoke(NOW)
        case PaymentKey():
            return thing.deactivate()
        case Session():
            return thing.revoke(NOW)
        case RefreshToken():
            return thing.spend(NOW)
        case Transaction():
            return thing.process(at=NOW)[0]
        case Refund():
            return thing.doubt(at=NOW, reason=StatusReason.OUTCOME_UNKNOWN)
        case Attempt():
            return thing.looked_up()
        case Endpoint():
            return replace(thing, description="changed")


def change_otherwise(thing: Kept) -> Kept:
    """Return the thing after something else happened to it."""
    match thing:
        case Merchant():
            return replace(thing, name="Changed Otherwise")
        case ApiKey():
            return thing.expire_by(NOW)
        case PaymentKey() | Session():
            return thing
        case RefreshToken():
            return thing.spend(NOW.replace(microsecond=0))
        case Transaction():
            return thing.cancel(at=NOW, reason=StatusReason.REQUESTED)[0]
        case Refund():
            return thing.succeed(at=NOW, gateway_reference="re_1")
        case Attempt():
            return thing.approve("ch_1", NOW)
        case Endpoint():
            return replace(thing, description="changed otherwise")
