"""Money: integer minor units of one currency, its decimal text, and its division without loss.

Never a float, never negative. The text form is that of the HTTP contract: ``"100.00"`` USD, ``"100"`` JPY.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, Self, TypeAlias

from payments_core import iso4217

AMOUNT_MINOR_MAX: Final = 99_999_999_999_999
"""The largest amount that may be asked for, in minor units. Sums of amounts may pass it."""

ALLOCATE_WEIGHTS_MAX: Final = 10_000
"""The most shares that one amount is divided into."""

ALLOCATE_WEIGHT_MAX: Final = 1_000_000_000_000
"""The largest weight of one share."""

_AMOUNT: Final = re.compile(r"(0|[1-9][0-9]*)(?:\.([0-9]+))?")
_WHOLE_DIGITS_MAX: Final = len(str(AMOUNT_MINOR_MAX))

AmountFault: TypeAlias = Literal["malformed", "too_many_decimals", "not_positive", "too_large"]
"""What can be wrong with an amount; a closed set."""


class UnknownCurrency(ValueError):
    """The code is no currency, or none that may be used here."""

    code: Final = "unknown_currency"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class CurrencyMismatch(ValueError):
    """Two amounts of different currencies were added, subtracted or compared."""

    code: Final = "currency_mismatch"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class InvalidAmount(ValueError):
    """The amount is refused: `code` says what is wrong, `message` also what is right, without the input."""

    def __init__(self, code: AmountFault, message: str) -> None:
        super().__init__(message)
        self.code: Final[AmountFault] = code
        self.message = message


@dataclass(frozen=True, slots=True, kw_only=True)
class Currency:
    """A code of money of ISO 4217: `exponent` is its number of decimals, `active` is false once withdrawn.

    Ask `currency` or `currency_for_payment` for one.
    """

    code: str
    exponent: int
    active: bool


_CURRENCIES: Final = {
    code: Currency(code=code, exponent=exponent, active=active)
    for table, active in ((iso4217.WITHDRAWN_MONEY, False), (iso4217.ACTIVE_MONEY, True))
    for code, exponent in table.items()
}


def currency(code: object, /) -> Currency:
    """Return the currency of a code in any case, active or withdrawn.

    Raises UnknownCurrency for everything else: codes that are not money (XAU, XXX), other types than `str`,
    and letters outside ASCII, some of which turn into ASCII ones when raised to capitals.
    """
    # An exact length first: a long text is not worth folding.
    if isinstance(code, str) and len(code) == 3 and code.isascii():
        found = _CURRENCIES.get(code.upper())
        if found is not None:
            return found
        if code.upper() in iso4217.ACTIVE_NOT_MONEY:
            raise UnknownCurrency(f'{code.upper()} is not money; use a code such as "USD".')
    raise UnknownCurrency('A currency is the three-letter ISO 4217 code of money, such as "USD".')


def currency_for_payment(code: object, /) -> Currency:
    """Return the currency of a code in any case where a new payment may use it, i.e. while it is active.

    Raises UnknownCurrency otherwise.
    """
    found = currency(code)
    if not found.active:
        raise UnknownCurrency(f"{found.code} is withdrawn; new payments use an active ISO 4217 currency.")
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Money:
    """An amount of one currency in whole minor units (cents of USD, yen of JPY); never negative.

    A negative amount raises InvalidAmount ``not_positive``, one that is no `int` ``malformed``. Adding,
    subtracting and ordering raise CurrencyMismatch for two currencies; equality is then false.
    """

    amount_minor: int
    currency: Currency

    def __post_init__(self) -> None:
        if type(self.amount_minor) is not int:
            raise InvalidAmount("malformed", "Minor units are an integer.")
        if self.amount_minor < 0:
            raise InvalidAmount("not_positive", "Money is never negative.")

    @classmethod
    def zero(cls, currency: Currency, /) -> Self:
        """Return nothing of that currency."""
        return cls(amount_minor=0, currency=currency)

    @classmethod
    def parse(cls, text: object, currency: Currency, /) -> Self:
        """Return the amount that a request names: ``digits[.digits]``, the rules of the HTTP contract.

        At most the currency's decimals, fewer are fine; no leading zeros; over zero and at most
        AMOUNT_MINOR_MAX. Raises InvalidAmount, in time linear in the length of the text.
        """
        whole, decimals = _split(text, currency)
        if len(decimals) > currency.exponent:
            raise InvalidAmount("too_many_decimals", _too_many_decimals(currency))
        # Before int(), which takes at most 4,300 digits and then raises an error of its own.
        if len(whole) > _WHOLE_DIGITS_MAX:
            raise InvalidAmount("too_large", _too_large(currency))
        amount_minor = int(whole + decimals.ljust(currency.exponent, "0"))
        if amount_minor == 0:
            raise InvalidAmount("not_positive", f"An amount is over zero, such as {_example(currency)}.")
        if amount_minor > AMOUNT_MINOR_MAX:
            raise InvalidAmount("too_large", _too_large(currency))
        return cls(amount_minor=amount_minor, currency=currency)

    def format(self) -> str:
        """Return the amount with exactly the currency's decimals; what `parse` reads back."""
        return format_minor(self.amount_minor, self.currency)

    def __add__(self, other: Self) -> Self:
        self._same_currency(other)
        return type(self)(amount_minor=self.amount_minor + other.amount_minor, currency=self.currency)

    def __sub__(self, other: Self) -> Self:
        self._same_currency(other)
        return type(self)(amount_minor=self.amount_minor - other.amount_minor, currency=self.currency)

    def __lt__(self, other: Self) -> bool:
        self._same_currency(other)
        return self.amount_minor < other.amount_minor

    def __le__(self, other: Self) -> bool:
        self._same_currency(other)
        return self.amount_minor <= other.amount_minor

    def __gt__(self, other: Self) -> bool:
        return not self <= other

    def __ge__(self, other: Self) -> bool:
        return not self < other

    def _same_currency(self, other: Self) -> None:
        if self.currency != other.currency:
            raise CurrencyMismatch(f"{self.currency.code} and {other.currency.code} don't mix.")


def format_minor(amount_minor: int, currency: Currency, /) -> str:
    """Return minor units that are not negative with exactly the currency's decimals, as `Money.format` does."""
    exponent = currency.exponent
    if exponent == 0:
        return str(amount_minor)
    digits = str(amount_minor).zfill(exponent + 1)
    return f"{digits[:-exponent]}.{digits[-exponent:]}"


def allocate(total: Money, weights: Sequence[int], /) -> list[Money]:
    """Divide an amount in proportion to the weights, in their order; the shares sum to it exactly.

    Rounding is by largest remainder (Hamilton's method): each share is rounded down, then the minor units
    that are left go one each to the largest remainders, the earlier share first where remainders are equal.
    So each share is within one minor unit of its exact part, and a weight of zero gets nothing.

    Raises ValueError for no weights or more than ALLOCATE_WEIGHTS_MAX, for a weight that is no `int` between
    0 and ALLOCATE_WEIGHT_MAX, and for weights that are all zero.
    """
    if not 1 <= len(weights) <= ALLOCATE_WEIGHTS_MAX:
        raise ValueError(f"Between 1 and {ALLOCATE_WEIGHTS_MAX} weights are needed.")
    if any(type(weight) is not int or not 0 <= weight <= ALLOCATE_WEIGHT_MAX for weight in weights):
        raise ValueError(f"A weight is an integer from 0 to {ALLOCATE_WEIGHT_MAX}.")
    whole = sum(weights)
    if whole == 0:
        raise ValueError("One weight at least is over zero.")
    parts = [divmod(total.amount_minor * weight, whole) for weight in weights]
    shares = [share for share, _ in parts]
    by_remainder = sorted(range(len(parts)), key=lambda index: -parts[index][1])
    for index in by_remainder[: total.amount_minor - sum(shares)]:
        shares[index] += 1
    return [Money(amount_minor=share, currency=total.currency) for share in shares]


def check_amount_form(text: object, /) -> None:
    """Raise InvalidAmount ``malformed`` for what is an amount of no currency: all that a text alone tells."""
    _split(text, _CURRENCIES["USD"])


def _split(text: object, example_of: Currency) -> tuple[str, str]:
    """Return the digits before and behind the point, or raise InvalidAmount ``malformed``."""
    if not isinstance(text, str):
        raise InvalidAmount("malformed", f"An amount is a string, such as {_example(example_of)}.")
    found = _AMOUNT.fullmatch(text)
    if found is None:
        raise InvalidAmount(
            "malformed",
            f"An amount is digits, and decimals after a point, such as {_example(example_of)}: "
            "without sign, exponent, blank, separator or leading zero.",
        )
    return found[1], found[2] or ""


def _example(currency: Currency) -> str:
    return f'"{Money(amount_minor=105 * 10**currency.exponent // 10, currency=currency).format()}"'


def _too_many_decimals(currency: Currency) -> str:
    allowed = f"at most {currency.exponent}" if currency.exponent else "no"
    return f"{currency.code} has {allowed} decimals, such as {_example(currency)}."


def _too_large(currency: Currency) -> str:
    most = Money(amount_minor=AMOUNT_MINOR_MAX, currency=currency).format()
    return f'An amount is at most "{most}" {currency.code}.'
