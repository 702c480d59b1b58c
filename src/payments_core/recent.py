"""What payments depend on, as it was read lately: their commit is held to its version, so that it need not be read.

A unit that takes something for granted expects it: where it has moved, the commit is refused, and the unit that is run
again reads. Nothing is refused by what is remembered alone.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, TypeAlias

from payments_core.ids import MerchantId
from payments_core.merchant import Caller, Merchant, PaymentKey

ENTRIES_MAX: Final = 5_000
"""Merchants remembered, and payment keys; who was noted longest ago goes first."""

_Key: TypeAlias = tuple[MerchantId, bool, str]


class Recent:
    """Active merchants and payment keys, as they were when they were last read."""

    def __init__(self, entries_max: int = ENTRIES_MAX) -> None:
        self._entries_max: Final = entries_max
        self._merchants: Final = OrderedDict[MerchantId, Merchant]()
        self._keys: Final = OrderedDict[_Key, PaymentKey]()

    def merchant(self, id: MerchantId) -> Merchant | None:
        """Return the merchant, if it is remembered."""
        return self._merchants.get(id)

    def payment_key(self, caller: Caller, text: str) -> PaymentKey | None:
        """Return the caller's payment key with this text, if it is remembered."""
        return self._keys.get((caller.merchant, caller.livemode, text))

    def note(self, merchant: Merchant, key: PaymentKey) -> None:
        """Remember an active merchant and an active payment key of it."""
        self.note_merchant(merchant)
        at: _Key = (key.merchant, key.livemode, key.key)
        self._keys[at] = key
        self._keys.move_to_end(at)
        if len(self._keys) > self._entries_max:
            self._keys.popitem(last=False)

    def note_merchant(self, merchant: Merchant) -> None:
        """Remember an active merchant."""
        self._merchants[merchant.id] = merchant
        self._merchants.move_to_end(merchant.id)
        if len(self._merchants) > self._entries_max:
            self._merchants.popitem(last=False)

    def forget_merchant(self, id: MerchantId) -> None:
        """Remember a merchant no longer: it is not active."""
        self._merchants.pop(id, None)
