"""Checks of what people send: all faults at once, each with its field, before anything is done."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from payments_core.card_numbers import find_card_number, mask_card_numbers
from payments_core.errors import Fault, Invalid
from payments_core.money import (
    Currency,
    InvalidAmount,
    Money,
    UnknownCurrency,
    check_amount_form,
    currency,
    currency_for_payment,
)

METADATA_ENTRIES_MAX: Final = 50
METADATA_KEY_LENGTH_MAX: Final = 40
METADATA_VALUE_LENGTH_MAX: Final = 500
METADATA_BYTES_MAX: Final = 8 * 1024
FAULTS_MAX: Final = 20
CARD_NUMBER_REFUSED: Final = "card_number_refused"


class Faults:
    """Collects what is wrong with a request; `raise_if_any` ends it."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def add(self, field: str, code: str, message: str) -> None:
        """Note one fault; beyond FAULTS_MAX they are dropped."""
        if len(self._faults) < FAULTS_MAX:
            # A name may be what somebody sent, too.
            self._faults.append(Fault(field=mask_card_numbers(field), code=code, message=message))

    def raise_if_any(self) -> None:
        """Raise Invalid with all that was noted; its code is the card number's where that is the only trouble."""
        if not self._faults:
            return
        codes = {fault.code for fault in self._faults}
        raise Invalid(self._faults, code=CARD_NUMBER_REFUSED if codes == {CARD_NUMBER_REFUSED} else None)

    def text(self, field: str, value: str | None, *, longest: int, shortest: int = 1) -> None:
        """Check a single text; None is a text that was not given."""
        if value is None:
            return
        if not shortest <= len(value) <= longest:
            self.add(field, "wrong_length", f"Must have {shortest} to {longest} characters; this has {len(value)}.")
        self._characters(field, value)

    def free_text(self, field: str, value: str | None, *, longest: int, shortest: int = 0) -> None:
        """Check a text in which people may write anything but card numbers."""
        self.text(field, value, longest=longest, shortest=shortest)
        if value is not None:
            self._card_number(field, value, longest=longest)

    def line(self, field: str, value: str | None, *, longest: int) -> None:
        """Check a text of one line, which is logged and shown at terminals."""
        self.free_text(field, value, longest=longest, shortest=1)
        if value is not None and not value.isprintable():
            self.add(field, "forbidden_character", "Must be one line of printable characters.")

    def metadata(self, value: Mapping[str, str]) -> None:
        """Check `metadata`: its count and whole size in bytes, and where these are right, its keys and values."""
        if len(value) > METADATA_ENTRIES_MAX:
            self.add("metadata", "too_many", f"At most {METADATA_ENTRIES_MAX} entries; this has {len(value)}.")
            return
        size = sum(len(text.encode(errors="surrogatepass")) for entry in value.items() for text in entry)
        if size > METADATA_BYTES_MAX:
            self.add("metadata", "too_large", f"Keys and values together at most {METADATA_BYTES_MAX} bytes.")
            return
        for key, text in value.items():
            field = f"metadata.{mask_card_numbers(key, kept=METADATA_KEY_LENGTH_MAX)}"
            self._metadata_key(field, key)
            self.free_text(field, text, longest=METADATA_VALUE_LENGTH_MAX)

    def _metadata_key(self, field: str, key: str) -> None:
        if not 1 <= len(key) <= METADATA_KEY_LENGTH_MAX:
            message = f"A key must have 1 to {METADATA_KEY_LENGTH_MAX} characters; this has {len(key)}."
            self.add(field, "wrong_length", message)
        self._characters(field, key)
        self._card_number(field, key, longest=METADATA_KEY_LENGTH_MAX)

    def amount_for_payment(self, amount: str, code: str) -> Money | None:
        """Return the amount in an active currency, or note what is wrong and return None."""
        try:
            return self.amount("amount", amount, currency_for_payment(code))
        except UnknownCurrency as error:
            self.add("currency", error.code, error.message)
            return None

    def amount_form(self, field: str, amount: str | None) -> None:
        """Check an amount whose currency is not known yet; None is one that was not given."""
        if amount is None:
            return
        try:
            check_amount_form(amount)
        except InvalidAmount as error:
            self.add(field, error.code, error.message)

    def amount(self, field: str, amount: str, currency: Currency) -> Money | None:
        """Return the amount, or note what is wrong and return None."""
        try:
            return Money.parse(amount, currency)
        except InvalidAmount as error:
            self.add(field, error.code, error.message)
            return None

    def currency(self, field: str, code: str) -> Currency | None:
        """Return a currency, a withdrawn one included, or note that there is none and return None."""
        try:
            return currency(code)
        except UnknownCurrency as error:
            self.add(field, error.code, error.message)
            return None

    def _characters(self, field: str, value: str) -> None:
        if "\0" in value:
            self.add(field, "forbidden_character", "Must not contain the character NUL.")
        elif not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
            self.add(field, "forbidden_character", "Must not contain halves of surrogate pairs.")

    def _card_number(self, field: str, value: str, *, longest: int) -> None:
        # One that is too long is refused already, and a search takes time in proportion to its length.
        if len(value) <= longest and find_card_number(value) is not None:
            self.add(field, CARD_NUMBER_REFUSED, "Contains what looks like a card number; never send one here.")
