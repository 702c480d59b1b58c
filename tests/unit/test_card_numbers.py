"""Two corpora: what must be found in free text however it is spelt, and what must pass."""

import re
import time
import uuid
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from payments_core import card_numbers as card_numbers_module
from payments_core.card_numbers import ISSUERS, find_card_number, mask_card_numbers

# Published for tests by Stripe, Adyen, Braintree, PayPal and Worldpay.
PUBLISHED = [
    *["4242424242424242", "4111111111111111", "4012888888881881", "4000056655665556", "4222222222222"],
    *["5555555555554444", "5105105105105100", "5200828282828210", "5454545454545454"],
    *["2223003122003222", "2223000048400011"],
    *["378282246310005", "371449635398431"],
    *["6011111111111117", "6011000990139424", "6011981111111113", "6445644564456445"],
    *["30569309025904", "38520000023237", "36227206271667", "3056930009020004"],
    *["3566002020360505", "3530111333300000"],
    *["6200000000000005", "6200000000000047", "6205500000000000004"],
    *["6759649826438453", "6304000000000000", "5019717010103742"],
    *["5066991111111118", "6362970000457013", "6062826786276634"],
]

SPELT = [
    "4242 4242 4242 4242",
    "4242-4242-4242-4242",
    "4242 4242-4242 4242",
    "42424242 42424242",
    "4 2 4 2 4 2 4 2 4 2 4 2 4 2 4 2",
    "4-2-4-2-4-2-4-2-4-2-4-2-4-2-4-2",
    "3782 822463 10005",
    "3782-822463-10005",
    "3056 930902 5904",
    "6205 5000 0000 0000 004",
    "card:4242424242424242",
    "card: 4242 4242 4242 4242.",
    "Card=4242424242424242;",
    "PAN#4242424242424242",
    "card 1:4242424242424242",
    "Card no.4242424242424242",
    "(4242424242424242)",
    "[4242 4242 4242 4242]",
    "{4242424242424242}",
    "<4242424242424242>",
    "'4242424242424242'",
    '{"number":"4242424242424242","cvc":"123"}',
    '{"number":4242424242424242}',
    "please charge 4242424242424242, thanks",
    "Please charge 4242 4242 4242 4242!",
    "my card is 4242424242424242",
    "Is it 4242424242424242?",
    "4242424242424242.",
    "4242424242424242...",
    "4242424242424242 12/26 123",
    "4242 4242 4242 4242 12/26",
    "4242 4242 4242 4242 123",
    "4242-4242-4242-4242 123",
    "3782 822463 10005 1234",
    "paid 100 4242 4242 4242 4242",
    "order 12 4242424242424242 2026",
    "4242424242424242:12/26:123",
    "4242424242424242|12|26|123",
    "4242424242424242/12/26",
    "1;4242424242424242;USD",
    "12,4242424242424242,USD",
    "number\t4242\t4242\t4242\t4242",
    "first line\n4242424242424242\nlast line",
    "4242424242424242@example.com",
    "https://example.com/?pan=4242424242424242&x=1",
    "2026-11-23 4242 4242 4242 4242",
    "at 10:22:43 4242 4242 4242 4242",
    "\uff14\uff12\uff14\uff12\uff14\uff12\uff14\uff12\uff14\uff12\uff14\uff12\uff14\uff12\uff14\uff12",
    "\u0664\u0662\u0664\u0662\u0664\u0662\u0664\u0662\u0664\u0662\u0664\u0662\u0664\u0662\u0664\u0662",
    "\u0664\u0662\u0664\u0662 4242 4242 4242",
    "\U0001d7d2\U0001d7d0" * 8,
    "\u2463\u2461" * 8,
    "\u2074\u00b2" * 8,
    "4242\u00a04242\u00a04242\u00a04242",
    "4242\u202f4242\u20094242\u30004242",
    "4242\u20134242\u20134242\u20134242",
    "4242\u20104242\u20114242\u22124242",
    "4242\u200b4242\u200b4242\u200b4242",
    "42\u00ad4242\u206042424242\ufeff42",
    "4\ufe0f\u20e32\ufe0f\u20e3" * 8,
    "paid with\u20144242424242424242\u2014thanks",
    "\u5361\u53f74242424242424242\u3002",
    "\uff084242424242424242\uff09",
    "ES96 4242 4242 4242 4242 1332",
    "DE89 3704 0044 0532 0130 00 4242 4242 4242 4242",
    "IBAN DE89 3704 0044 0532 0130 01, card 4242 4242 4242 4242",
    "+1 555 0100 4242 4242 4242 4242",
]

PASSES = [
    "",
    "Order #123",
    "order 20261123-0001-4242",
    "ORD-4242424242424242",
    "order_4242424242424242",
    "inv4242424242424242",
    "4242424242424242a",
    "4242424242424243",
    "4242 4242 4242 4243",
    "4242  4242  4242  4242",
    "4242--4242--4242--4242",
    "4242.4242.4242.4242",
    "4242\n4242\n4242\n4242",
    "424242424242424",
    "42424242424242424242424242424242",
    "0.4242424242424242",
    "3.4242424242424242",
    "4242424242424242.50",
    "1234567890123456",
    "9999999999999995",
    "1111111111111117",
    "0000000000000000",
    "2026-11-23",
    "2026-11-23T10:22:43Z",
    "2026-11-23T10:22:43.123456Z",
    "2026-11-23 10:22:43.123456+00:00",
    "2026-11-23T10:22:43.123456789+01:00",
    "20261123T102243Z",
    "20261123102243",
    "10:22:45 3201 5112 8303 66",
    "from 2026-11-23 10:00 to 2026-11-24 12:30",
    "1732348800",
    "1732348800000",
    "1732348800000000",
    "1732348800000000000",
    "550e8400-e29b-41d4-a716-446655440000",
    "c9bf9e57-1685-4c89-bafb-ff5af830be8a",
    "00000000-0000-0000-0000-000000000000",
    "42424242-4242-4242-4242-424242424242",
    "55555555-5555-4444-a716-446655440000",
    "a2424242-4242-4242-4242-424242424242",
    "abcdef00-4242-4242-4242-424242424242",
    "6ba7b810-9dad-11d1-80b4-630400000000",
    "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "00-42424242424242424242424242424242-4242424242424242-01",
    "00-4bf92f3577b34da6a3ce929d0e0e4736-4242424242424242-01",
    "4bf92f3577b34da6a3ce929d0e0e4736",
    "490154203237518",
    "IMEI 353879234252633",
    "356938035643809",
    "35-209900-176148-1",
    "300125010000005",
    "EAN 4006381333931",
    "4012345678901",
    "5012345678900",
    "GTIN 04006381333931",
    "ISBN 978-3-16-148410-0",
    "+4915112345678",
    "+49 151 12345678",
    "+1 (555) 010-0100",
    "+44 20 7946 0958",
    "+86 139 1234 5678",
    "+424242424242 4242",
    "DE89370400440532013000",
    "DE89 3704 0044 0532 0130 00",
    "GB29 NWBK 6016 1331 9268 19",
    "GB82 WEST 1234 5698 7654 32",
    "FR14 2004 1010 0505 0001 3M02 606",
    "ES91 2100 0418 4502 0005 1332",
    "NL91 ABNA 0417 1643 00",
    "ES95 4242 4242 4242 4242 1332",
    "es95 4242 4242 4242 4242 1332 received",
    "txn_01jd4242424242424242424242",
    "sha256:42424242424242424242424242424242",
    "2001:0db8:85a3:0000:0000:8a2e:0370:7334",
    "192.168.100.100 10.0.0.1",
    "1Z999AA10123456784",
    "9400 1000 0000 0000 0000 00",
    "version 4.2.4242424242424242",
    "100.00 USD, 42 items, 4242 left",
    "\u0664\u0662\u0664\u0662",
    "\U0001f4b3 no number here \u2014 caf\u00e9",
]


def with_check_digit(body: str) -> str:
    doubled = sum(sum(divmod(2 * int(digit), 10)) for digit in body[::-2])
    return body + str(-(doubled + sum(int(digit) for digit in body[-2::-2])) % 10)


@st.composite
def card_numbers(draw: st.DrawFn) -> str:
    issuer = draw(st.sampled_from(ISSUERS))
    low, high = draw(st.sampled_from(issuer.prefixes))
    prefix = str(draw(st.integers(min_value=int(low), max_value=int(high))))
    rest = draw(st.sampled_from(sorted(issuer.digits - {13}))) - len(prefix) - 1
    return with_check_digit(prefix + draw(st.text(alphabet="0123456789", min_size=rest, max_size=rest)))


# Restated: how cards are printed is data of the search, too.
PRINTED = {
    *["4 4 4", "4 4 5", "4 4 4 4", "4 6 4", "4 6 5", "6 13", "8 8"],
    *["4 4 4 1", "4 4 4 2", "4 4 4 3", "4 4 4 5", "4 4 4 6", "4 4 4 7"],
    *["4 4 4 4 1", "4 4 4 4 2", "4 4 4 4 3"],
}


WORD = re.compile(r"[0-9-]+")


def is_card_number(spelt: str) -> bool:
    """By the definition alone, with nothing that makes it fast."""
    number = spelt.replace(" ", "").replace("-", "")
    issued = any(
        len(number) in issuer.digits and any(low <= number[: len(low)] <= high for low, high in issuer.prefixes)
        for issuer in ISSUERS
    )
    is_article = len(number) == 13 and sum(int(digit) * (1, 3)[at % 2] for at, digit in enumerate(number)) % 10 == 0
    return issued and number == with_check_digit(number[:-1]) and not is_article


def masked_by_definition(text: str) -> str:
    """Every part of every run is looked at; for texts of digits, blanks and dashes."""
    hidden: set[int] = set()
    for run in re.finditer(r"[0-9]+(?:[ -][0-9]+)*", text):
        words = [word.span() for word in WORD.finditer(text, *run.span())]
        parts = [words[first:last] for first in range(len(words)) for last in range(first + 1, len(words) + 1)]
        if is_card_number(run[0]):
            parts = [words]
        else:
            printed = [part for part in parts if " ".join(str(end - start) for start, end in part) in PRINTED]
            parts = [part for part in parts if len(part) == 1] + printed
        for part in parts:
            start, end = part[0][0], part[-1][1]
            if is_card_number(text[start:end]):
                hidden.update([at for at in range(start, end) if text[at].isdigit()][:-4])
    return "".join("*" if at in hidden else character for at, character in enumerate(text))


@st.composite
def spelt_numbers(draw: st.DrawFn) -> str:
    number, spelt = draw(card_numbers()), ""
    groups = draw(st.sampled_from([*sorted(PRINTED), "19", "1 " * 19, "2 " * 10])).split()
    separator = draw(st.sampled_from([" ", "-"]))
    for length in map(int, groups):
        spelt, number = spelt + number[:length] + separator, number[length:]
    return spelt.rstrip(" -")


class TestFinding:
    @pytest.mark.parametrize("number", PUBLISHED)
    def test_the_published_test_numbers_are_found(self, number: str) -> None:
        assert find_card_number(number) == slice(0, len(number))
        assert find_card_number(f"paid with {number}.") == slice(10, 10 + len(number))
        assert find_card_number(" ".join(number)) == slice(0, 2 * len(number) - 1)

    @pytest.mark.parametrize("text", SPELT)
    def test_a_card_number_is_found_however_it_is_spelt(self, text: str) -> None:
        assert find_card_number(text) is not None

    @pytest.mark.parametrize("text", PASSES)
    def test_what_only_looks_like_one_passes(self, text: str) -> None:
        assert find_card_number(text) is None
        assert mask_card_numbers(text) == text

    def test_each_corpus_has_forty_spellings_at_least(self) -> None:
        assert len(set(SPELT)) >= 40
        assert len(set(PASSES)) >= 40

    def test_it_says_where_the_number_stands_in_the_text_as_given(self) -> None:
        text = "\u200bpaid 12 with 42\u00ad42\u00a04242\u20134242 4242 12/26"
        where = find_card_number(text)
        assert where is not None
        assert text[where] == "42\u00ad42\u00a04242\u20134242 4242"

    def test_any_sequence_of_uuids_passes(self) -> None:
        only_digits = (str(uuid.UUID(int=int(f"{seed:032d}", 16))) for seed in range(4 * 10**31, 4 * 10**31 + 2_000))
        assert find_card_number("\n".join(only_digits)) is None

    @pytest.mark.parametrize("body_issuer", ["01", "35", "86", "99", "30012", "44", "49", "5018", "53"])
    def test_no_imei_is_a_card_number(self, body_issuer: str) -> None:
        for serial in range(0, 1_000, 7):
            assert find_card_number(with_check_digit(body_issuer + f"{serial:0{14 - len(body_issuer)}d}")) is None

    @settings(max_examples=60)
    @given(card_numbers(), st.sampled_from(["{}", "card: {}", "({}),", "{} 12/26", "pay 9 {}"]))
    def test_a_number_of_any_issuer_is_found(self, number: str, sentence: str) -> None:
        where = find_card_number(sentence.format(number))
        assert where is not None
        assert sentence.format(number)[where].startswith(number)

    @settings(max_examples=60)
    @given(card_numbers(), st.integers(min_value=1, max_value=9))
    def test_one_wrong_digit_makes_it_no_card_number(self, number: str, change: int) -> None:
        wrong = number[:-1] + str((int(number[-1]) + change) % 10)
        assert find_card_number(wrong) is None


class TestMasking:
    @pytest.mark.parametrize(
        ("text", "masked"),
        [
            ("4242424242424242", "************4242"),
            ("card 4242 4242 4242 4242 12/26", "card **** **** **** 4242 12/26"),
            ("3782-822463-10005!", "****-******-*0005!"),
            ('{"pan":"4111111111111111","ok":true}', '{"pan":"************1111","ok":true}'),
            ("4242424242424242, 378282246310005", "************4242, ***********0005"),
            ("4242\u00a04242\u20134242\u200b4242 \u20ac", "****\u00a0****\u2013****\u200b4242 \u20ac"),
            ("no card, order 4242", "no card, order 4242"),
        ],
    )
    def test_the_last_four_digits_stay_and_all_else_of_the_text(self, text: str, masked: str) -> None:
        assert mask_card_numbers(text) == masked

    @pytest.mark.parametrize("text", [*PUBLISHED, *SPELT])
    def test_a_masked_text_has_no_card_number_left(self, text: str) -> None:
        masked = mask_card_numbers(text)
        assert len(masked) == len(text)
        assert find_card_number(masked) is None
        assert mask_card_numbers(masked) == masked

    @settings(max_examples=60)
    @given(st.text(alphabet="0123456789 -+.:ax\n\u00a0\u2013\u200b\uff14\u0664\u5361", max_size=60))
    def test_any_text_keeps_its_length_and_changes_only_digits(self, text: str) -> None:
        masked = mask_card_numbers(text)
        assert len(masked) == len(text)
        assert {new for old, new in zip(text, masked, strict=True) if old != new} <= {"*"}

    @settings(max_examples=200)
    @given(
        st.lists(st.one_of(spelt_numbers(), st.sampled_from([*SPELT, *PASSES, " ", "-", "\u0301" * 99])), max_size=9),
        st.integers(min_value=0, max_value=300),
    )
    def test_a_cut_hides_what_a_cut_of_the_masked_text_hides(self, pieces: list[str], kept: int) -> None:
        text = " ".join(pieces)
        assert mask_card_numbers(text, kept=kept) == mask_card_numbers(text)[:kept]

    def test_no_more_is_searched_than_is_kept_and_one_number(self, monkeypatch: pytest.MonkeyPatch) -> None:
        searched: list[str] = []

        def spans(plain: str) -> Iterator[tuple[int, int]]:
            searched.append(plain)
            return iter(())

        monkeypatch.setattr(card_numbers_module, "_card_spans", spans)
        mask_card_numbers("5018 " * 4_096, kept=2_048)
        assert len(searched[0]) < 2_048 + 100

    @settings(max_examples=200)
    @given(
        st.lists(
            st.one_of(
                spelt_numbers(), st.text(alphabet="0123456789", min_size=1, max_size=6), st.text(" -", max_size=2)
            ),
            max_size=12,
        ),
        st.sampled_from(["", " ", "-"]),
    )
    def test_what_is_masked_is_what_the_definition_says(self, pieces: list[str], separator: str) -> None:
        text = separator.join(pieces)
        assert mask_card_numbers(text) == masked_by_definition(text)
        assert (find_card_number(text) is None) == ("*" not in masked_by_definition(text))


@pytest.mark.parametrize(
    "text",
    [
        "4 " * 32_768,
        "4" * 65_536,
        "4-" * 32_768,
        "4242 " * 13_107,
        "5018 " * 13_107,
        "4242 4242 4242 4243\n" * 3_276,
        "4242424242424242 " * 3_855,
        "424242 4242" * 5_957,
        "DE89 3704 0044 0532 0130 01 " * 2_340,
        "AB12 " * 13_107,
        "\uff14\u00a0" * 32_768,
        "\u200b" * 65_536,
        "".join(map(chr, range(0x100, 0x10100))).replace("\ud800", ""),
    ],
    ids=range(13),
)
def test_a_whole_body_of_hostile_text_is_searched_at_once(text: str) -> None:
    began = time.process_time()
    mask_card_numbers(text)
    assert time.process_time() - began < 2
