"""Amounts and currencies: what is taken, what is refused with which code, and that nothing is lost."""

import time
from collections.abc import Mapping

import pycountry
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from payments_core import iso4217
from payments_core.money import (
    ALLOCATE_WEIGHT_MAX,
    ALLOCATE_WEIGHTS_MAX,
    AMOUNT_MINOR_MAX,
    Currency,
    CurrencyMismatch,
    InvalidAmount,
    Money,
    UnknownCurrency,
    allocate,
    check_amount_form,
    currency,
    currency_for_payment,
)

USD, JPY, KWD, CLF = (currency(code) for code in ("USD", "JPY", "KWD", "CLF"))

KNOWN_DIFFERENCES: Mapping[str, str] = {}
"""Codes that are active here and not in pycountry, or the other way round, each with the reason."""

every_currency = st.sampled_from([currency(code) for code in sorted({*iso4217.ACTIVE_MONEY, *iso4217.WITHDRAWN_MONEY})])
every_amount = st.integers(min_value=1, max_value=AMOUNT_MINOR_MAX)


def money(amount_minor: int, of: Currency = USD) -> Money:
    return Money(amount_minor=amount_minor, currency=of)


class TestTheTable:
    def test_its_active_codes_are_those_of_pycountry_but_for_the_known_differences(self) -> None:
        theirs = {each.alpha_3 for each in pycountry.currencies}
        ours = {*iso4217.ACTIVE_MONEY, *iso4217.ACTIVE_NOT_MONEY}
        assert ours ^ theirs == set(KNOWN_DIFFERENCES)

    def test_a_code_stands_in_one_list_only(self) -> None:
        lists = [iso4217.ACTIVE_MONEY, iso4217.ACTIVE_NOT_MONEY, iso4217.WITHDRAWN_MONEY]
        assert len({code for each in lists for code in each}) == sum(len(each) for each in lists)

    def test_every_code_is_three_ascii_capitals(self) -> None:
        codes = {*iso4217.ACTIVE_MONEY, *iso4217.ACTIVE_NOT_MONEY, *iso4217.WITHDRAWN_MONEY}
        assert all(len(code) == 3 and code.isascii() and code.isalpha() and code.isupper() for code in codes)

    @pytest.mark.parametrize(
        ("code", "exponent"),
        [
            *[("USD", 2), ("EUR", 2), ("XCG", 2), ("ZWG", 2), ("XAD", 2), ("MGA", 2), ("MRU", 2), ("HUF", 2)],
            *[("JPY", 0), ("KRW", 0), ("ISK", 0), ("UGX", 0), ("UYI", 0), ("VND", 0), ("XAF", 0), ("XPF", 0)],
            *[("BHD", 3), ("IQD", 3), ("JOD", 3), ("KWD", 3), ("LYD", 3), ("OMR", 3), ("TND", 3)],
            *[("CLF", 4), ("UYW", 4)],
        ],
    )
    def test_an_active_code_has_the_decimals_of_the_standard(self, code: str, exponent: int) -> None:
        assert currency_for_payment(code) == Currency(code=code, exponent=exponent, active=True)

    @pytest.mark.parametrize(
        ("code", "exponent"),
        [
            *[("HRK", 2), ("BGN", 2), ("ANG", 2), ("DEM", 2), ("VEF", 2), ("SLL", 2), ("ZWL", 2), ("CUC", 2)],
            *[("LTL", 2), ("ITL", 0), ("ESP", 0), ("BYR", 0), ("TRL", 0)],
        ],
    )
    def test_a_withdrawn_code_stays_readable_and_takes_no_new_payment(self, code: str, exponent: int) -> None:
        assert currency(code) == Currency(code=code, exponent=exponent, active=False)
        with pytest.raises(UnknownCurrency, match=f"{code} is withdrawn"):
            currency_for_payment(code)

    @pytest.mark.parametrize("code", sorted(iso4217.ACTIVE_NOT_MONEY))
    def test_a_code_that_is_not_money_is_refused(self, code: str) -> None:
        for ask in (currency, currency_for_payment):
            with pytest.raises(UnknownCurrency, match=f"{code} is not money"):
                ask(code.lower())


class TestCurrency:
    @pytest.mark.parametrize("code", ["usd", "Usd", "uSD", "USD"])
    def test_any_case_goes_in_and_capitals_come_out(self, code: str) -> None:
        assert currency(code).code == currency_for_payment(code).code == "USD"

    @pytest.mark.parametrize(
        "code",
        [
            *["", "US", "USDD", " USD", "USD ", "U SD", "USD\n", "USD\x00", "ZZZ", "840", "U" * 65_536, "XFO"],
            # Their capitals, their compatibility forms or their looks are ASCII letters.
            *["u\u017fd", "\uff35\uff33\uff24", "\u0131sk", "\u212aRW", "U\u0405D", "\U0001d414SD", "USD\u200b"],
            *[None, 840, 2.0, True, b"USD", ["USD"], {}],
        ],
    )
    def test_everything_else_is_unknown(self, code: object) -> None:
        for ask in (currency, currency_for_payment):
            with pytest.raises(UnknownCurrency) as refusal:
                ask(code)
            assert refusal.value.code == "unknown_currency"
            assert refusal.value.message == str(refusal.value)
            assert len(refusal.value.message) < 200


class TestParse:
    @pytest.mark.parametrize(
        ("text", "of", "amount_minor"),
        [
            ("100.00", USD, 10_000),
            ("5", USD, 500),
            ("5.5", USD, 550),
            ("0.50", USD, 50),
            ("0.01", USD, 1),
            ("100", JPY, 100),
            ("1", JPY, 1),
            ("1.000", KWD, 1_000),
            ("0.001", KWD, 1),
            ("0.0001", CLF, 1),
            ("999999999999.99", USD, AMOUNT_MINOR_MAX),
            ("99999999999999", JPY, AMOUNT_MINOR_MAX),
            ("9999999999.9999", CLF, AMOUNT_MINOR_MAX),
        ],
    )
    def test_a_right_amount_is_read(self, text: str, of: Currency, amount_minor: int) -> None:
        assert Money.parse(text, of) == money(amount_minor, of)

    @pytest.mark.parametrize(
        "text",
        [
            *["", " ", "1.", ".5", ".", "1..5", "1.5.", "1.5.5", "007", "00.5", "00", "00.00", "01"],
            *["-5", "+5", "-0", "1e2", "1E2", "5e-1", "1_0", "1,000", "1,5", "1'000", "$5", "5 USD"],
            *[" 5", "5 ", "5\n", "\t5", "5\x00", "1 000", "1\u00a0000", "5\u200b", "-", "NaN", "inf", "0x10"],
            *["\u0665", "\uff15", "5.\u0665", "\u00b2", "\u0967", "1.\uff10\uff10", "\u2212" + "5", "five"],
            *[5, 5.0, True, None, b"5", ["5"], {"amount": "5"}],
        ],
    )
    def test_what_is_not_plain_digits_is_malformed(self, text: object) -> None:
        with pytest.raises(InvalidAmount, match=r'such as "10\.50"') as refusal:
            Money.parse(text, USD)
        assert refusal.value.code == "malformed"
        assert refusal.value.message == str(refusal.value)

    @pytest.mark.parametrize(
        ("text", "of", "message"),
        [
            ("1.005", USD, 'USD has at most 2 decimals, such as "10.50".'),
            ("1.000", USD, 'USD has at most 2 decimals, such as "10.50".'),
            ("1.0", JPY, 'JPY has no decimals, such as "10".'),
            ("1.0000", KWD, 'KWD has at most 3 decimals, such as "10.500".'),
            ("1.00000", CLF, 'CLF has at most 4 decimals, such as "10.5000".'),
            ("0.001", USD, 'USD has at most 2 decimals, such as "10.50".'),
        ],
    )
    def test_more_decimals_than_the_currency_has_are_refused(self, text: str, of: Currency, message: str) -> None:
        with pytest.raises(InvalidAmount) as refusal:
            Money.parse(text, of)
        assert (refusal.value.code, refusal.value.message) == ("too_many_decimals", message)

    @pytest.mark.parametrize(("text", "of"), [("0", USD), ("0.0", USD), ("0.00", USD), ("0", JPY)])
    def test_zero_is_refused(self, text: str, of: Currency) -> None:
        with pytest.raises(InvalidAmount, match="over zero") as refusal:
            Money.parse(text, of)
        assert refusal.value.code == "not_positive"

    @pytest.mark.parametrize(
        ("text", "of", "most"),
        [
            ("1000000000000.00", USD, '"999999999999.99" USD'),
            ("1000000000000", USD, '"999999999999.99" USD'),
            ("100000000000000", JPY, '"99999999999999" JPY'),
            ("9" * 15, JPY, '"99999999999999" JPY'),
            ("9" * 4_301, JPY, '"99999999999999" JPY'),
        ],
    )
    def test_more_than_the_largest_amount_is_refused(self, text: str, of: Currency, most: str) -> None:
        with pytest.raises(InvalidAmount) as refusal:
            Money.parse(text, of)
        assert (refusal.value.code, refusal.value.message) == ("too_large", f"An amount is at most {most}.")

    @pytest.mark.parametrize(
        ("text", "code"),
        [
            ("9" * 65_536, "too_large"),
            ("0" * 65_536, "malformed"),
            ("1" * 65_535 + "x", "malformed"),
            ("1." + "0" * 65_534, "too_many_decimals"),
            ("1." * 32_768, "malformed"),
        ],
    )
    def test_a_body_full_of_digits_is_refused_at_once_and_not_repeated(self, text: str, code: str) -> None:
        began = time.process_time()
        with pytest.raises(InvalidAmount) as refusal:
            Money.parse(text, USD)
        assert refusal.value.code == code
        assert len(refusal.value.message) < 200
        assert time.process_time() - began < 1

    @settings(max_examples=100)
    @given(every_amount, every_currency)
    def test_reading_what_was_written_gives_the_same_amount(self, amount_minor: int, of: Currency) -> None:
        amount = money(amount_minor, of)
        assert Money.parse(amount.format(), of) == amount

    @settings(max_examples=100)
    @given(st.text(alphabet="0123456789.-+e_ \u0665", max_size=20), every_currency)
    def test_any_text_is_an_amount_or_a_refusal_of_the_closed_set(self, text: str, of: Currency) -> None:
        fault: str | None = None
        try:
            read = Money.parse(text, of).format()
        except InvalidAmount as refusal:
            read, fault = text, refusal.code
        assert fault in {None, "malformed", "too_many_decimals", "not_positive", "too_large"}
        assert read.startswith(text)


class TestTheFormOfAnAmount:
    @pytest.mark.parametrize("text", ["", "1.", ".5", "007", "-5", "1e2", "1,000", " 5", "\uff15", 5, 5.0, None])
    def test_what_is_an_amount_of_no_currency_is_malformed_before_a_currency_is_known(self, text: object) -> None:
        with pytest.raises(InvalidAmount, match=r'such as "10\.50"') as refusal:
            check_amount_form(text)
        assert refusal.value.code == "malformed"

    @pytest.mark.parametrize("text", ["0", "5", "0.0001", "1.23456", "9" * 20])
    def test_what_depends_on_the_currency_is_left_to_it(self, text: str) -> None:
        check_amount_form(text)


class TestMoney:
    @pytest.mark.parametrize(
        ("amount_minor", "of", "text"),
        [
            (10_000, USD, "100.00"),
            (5, USD, "0.05"),
            (0, USD, "0.00"),
            (100, JPY, "100"),
            (0, JPY, "0"),
            (1_000, KWD, "1.000"),
            (1, CLF, "0.0001"),
            (123_456_789, USD, "1234567.89"),
        ],
    )
    def test_it_is_written_with_exactly_the_currencys_decimals(
        self, amount_minor: int, of: Currency, text: str
    ) -> None:
        assert money(amount_minor, of).format() == text

    @pytest.mark.parametrize(
        ("amount_minor", "code"),
        [(-1, "not_positive"), (1.0, "malformed"), (True, "malformed"), ("1", "malformed")],
    )
    def test_it_is_whole_minor_units_and_never_negative(self, amount_minor: int, code: str) -> None:
        with pytest.raises(InvalidAmount) as refusal:
            money(amount_minor)
        assert refusal.value.code == code

    def test_sums_and_differences_are_exact(self) -> None:
        assert money(10) + money(20) == money(30)
        assert money(30) - money(10) == money(20)
        assert money(30) - money(30) == Money.zero(USD)
        assert money(AMOUNT_MINOR_MAX) + money(1) == money(AMOUNT_MINOR_MAX + 1)

    def test_a_difference_below_zero_is_refused(self) -> None:
        with pytest.raises(InvalidAmount, match="never negative"):
            money(10) - money(11)

    def test_amounts_of_one_currency_are_ordered(self) -> None:
        assert money(1) < money(2)
        assert money(2) > money(1)
        assert money(1) <= money(1)
        assert money(1) >= money(1)
        assert not money(2) <= money(1)
        assert max(money(1), money(3), money(2)) == money(3)

    def test_two_currencies_neither_mix_nor_compare(self) -> None:
        dollars, yen = money(1), money(1, JPY)
        for mix in (
            lambda: dollars + yen,
            lambda: dollars - yen,
            lambda: dollars < yen,
            lambda: dollars <= yen,
            lambda: dollars > yen,
            lambda: dollars >= yen,
        ):
            with pytest.raises(CurrencyMismatch, match="USD and JPY") as refusal:
                mix()
            assert refusal.value.code == "currency_mismatch"
            assert refusal.value.message == str(refusal.value)
        assert dollars != yen


class TestAllocate:
    @pytest.mark.parametrize(
        ("total", "weights", "shares"),
        [
            (100, [1, 1, 1], [34, 33, 33]),
            (101, [1, 1, 1], [34, 34, 33]),
            (5, [3, 7], [2, 3]),
            (5, [7, 3], [4, 1]),
            (10, [0, 1, 0], [0, 10, 0]),
            (1, [1, 1, 1], [1, 0, 0]),
            (1, [1, 2, 1], [0, 1, 0]),
            (0, [1, 2], [0, 0]),
            (7, [1], [7]),
            (AMOUNT_MINOR_MAX, [ALLOCATE_WEIGHT_MAX, 0], [AMOUNT_MINOR_MAX, 0]),
        ],
    )
    def test_what_is_left_goes_to_the_largest_remainders(
        self, total: int, weights: list[int], shares: list[int]
    ) -> None:
        assert allocate(money(total), weights) == [money(share) for share in shares]

    @pytest.mark.parametrize(
        "weights",
        [
            [],
            [0],
            [0, 0],
            [1, -1],
            [ALLOCATE_WEIGHT_MAX + 1],
            [1.5],
            [True],
            [1] * (ALLOCATE_WEIGHTS_MAX + 1),
        ],
    )
    def test_weights_beyond_the_limits_are_refused(self, weights: list[int]) -> None:
        with pytest.raises(ValueError, match="eight"):
            allocate(money(100), weights)

    def test_as_many_weights_as_allowed_are_taken(self) -> None:
        assert sum(share.amount_minor for share in allocate(money(7), [1] * ALLOCATE_WEIGHTS_MAX)) == 7

    @settings(max_examples=100)
    @given(
        st.integers(min_value=0, max_value=AMOUNT_MINOR_MAX),
        every_currency,
        st.lists(st.integers(min_value=0, max_value=ALLOCATE_WEIGHT_MAX), min_size=1, max_size=20).filter(any),
    )
    def test_nothing_is_lost_and_no_share_is_off_by_a_whole_unit(
        self, total: int, of: Currency, weights: list[int]
    ) -> None:
        shares = allocate(money(total, of), weights)
        assert sum(shares, Money.zero(of)) == money(total, of)
        for share, weight in zip(shares, weights, strict=True):
            assert abs(share.amount_minor * sum(weights) - total * weight) < sum(weights)


def test_an_amount_is_not_more_than_its_equal() -> None:
    amount = Money(amount_minor=1, currency=currency("USD"))
    assert not amount > Money(amount_minor=1, currency=currency("USD"))
