"""What a search among transactions finds: for all stores the same, whatever language their data is sorted by."""

from __future__ import annotations

import re
from typing import Final

from payments_core.checks import METADATA_KEY_LENGTH_MAX, METADATA_VALUE_LENGTH_MAX, Faults
from payments_core.transaction import Transaction

TEXT_LENGTH_MAX: Final = 200
_TRANSACTION: Final = re.compile("txn_[0-9A-Z]{26}")
_REFUND: Final = re.compile("rfn_[0-9A-Z]{26}")


def names_transaction(text: str) -> bool:
    """Say whether the text is such as the ids of transactions are: then it names one, and is looked for nowhere."""
    return _TRANSACTION.fullmatch(text) is not None


def names_refund(text: str) -> bool:
    """Say whether the text is such as the ids of refunds are."""
    return _REFUND.fullmatch(text) is not None


def folded(text: str) -> bytes:
    """Return what is compared: UTF-8 with the letters A to Z in lower case, and all others as they are."""
    return text.encode(errors="surrogatepass").lower()


def holds(transaction: Transaction, text: str) -> bool:
    """Say whether one of the texts that a transaction was given has `text` in it, or its metadata has, in a key or in
    a value. Small letters and capitals of ASCII are the same; no character stands for another.
    """
    wanted = folded(text)
    texts = (
        transaction.description,
        transaction.reference,
        transaction.customer_reference,
        transaction.gateway_reference,
        *transaction.metadata.keys(),
        *transaction.metadata.values(),
    )
    return any(wanted in folded(each) for each in texts if each is not None)


def check_search(text: str | None, metadata: tuple[str, str] | None) -> None:
    """Raise Invalid for a text that nobody can look for, and for an entry that no metadata can have."""
    faults = Faults()
    faults.text("text", text, longest=TEXT_LENGTH_MAX)
    if metadata is not None:
        key, value = metadata
        faults.text("metadata", key, longest=METADATA_KEY_LENGTH_MAX)
        faults.text("metadata", value, longest=METADATA_VALUE_LENGTH_MAX, shortest=0)
    faults.raise_if_any()
