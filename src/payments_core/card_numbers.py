"""Card numbers in free text: find them in order to refuse it, mask them in what is kept.

A card number is a whole token of digits with at most single blanks or dashes between, a known issuer prefix
with that issuer's length, and a right Luhn sum (ISO/IEC 7812-1). What a *whole token* is:

- Digits joined by dashes stand or fall together: a UUID or a date with a number is never searched for parts.
- A run of digit words with single blanks between is a card number as a whole, whatever its grouping. A part
  of a run is one where it is a single word or is grouped as cards are printed ("4242 4242 4242 4242 12/26").
- Digits that touch a letter, ``_``, a leading ``+``, or a decimal point are part of something longer: ids,
  hex, phone numbers, decimal fractions. Letters of scripts without capitals, many of which are written
  without blanks, don't count.
- IBANs with a right check sum, and 13 digits with the check digit of an EAN, are not card numbers.

Every Unicode digit is a digit, every blank a blank; dashes longer than a hyphen separate as blanks do, marks
and invisible characters don't count. A line break ends a token. All work is linear in the length of the text.
"""

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

CARD_DIGITS_MIN: Final = 12
CARD_DIGITS_MAX: Final = 19
MASKED_DIGITS_KEPT: Final = 4
"""How many digits of a masked card number stay readable: the last ones, as PCI DSS 3.4.1 allows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Issuer:
    """A card scheme: prefixes as ranges of equally long ends, both included, and its numbers of digits."""

    name: str
    prefixes: tuple[tuple[str, str], ...]
    digits: frozenset[int]


def _issuer(name: str, prefixes: str, digits: Sequence[int]) -> Issuer:
    ranges = (prefix.partition("-") for prefix in prefixes.split())
    return Issuer(
        name=name,
        prefixes=tuple((low, high or low) for low, _, high in ranges),
        digits=frozenset(digits),
    )


# Wikipedia's "Payment card number", which cites each scheme, and the table of Braintree's credit-card-type.
# Only American Express has 15 digits here. Diners Club and Maestro publish spans of lengths that contain 15, but
# Iridium's IMEIs begin with 300 and other old ones with 50, and every IMEI has a right Luhn sum. 34 and 37 are
# no reporting bodies of IMEIs (GSMA TS.06).
ISSUERS: Final = (
    _issuer("Visa", "4", (13, 16, 19)),
    _issuer("Mastercard", "51-55 2221-2720", (16,)),
    _issuer("American Express", "34 37", (15,)),
    _issuer("Discover", "6011 644-649 65", range(16, 20)),
    _issuer("Diners Club", "300-305 3095 36 38-39", (14, 16, 17, 18, 19)),
    _issuer("JCB", "3528-3589", range(16, 20)),
    # Discover's 622126-622925 are among them.
    _issuer("UnionPay", "62 81", range(16, 20)),
    # Not all of 50 and 56-69, which are reserved for it: only what is issued.
    _issuer("Maestro", "5018 5020 5038 5893 6304 6759 6761-6763 6771 6799", (12, 13, 14, 16, 17, 18, 19)),
    _issuer("Dankort", "5019", (16,)),
    _issuer("Mir", "2200-2204", range(16, 20)),
    _issuer("RuPay", "60 81-82 508", (16,)),
    _issuer("Bancontact", "6703", (16, 17)),
    _issuer("Troy", "9792", (16,)),
    _issuer("Hiper", "637095 637568 637599 637609 637612", (16,)),
    # Its other ranges are among those of Visa, Discover and UnionPay.
    _issuer("Elo", "506699-506778 509000-509999 636297 636368", (16,)),
)

# Groups as embossed and displayed: fours with a rest, and the 4-6 of American Express and Diners Club.
_PRINTED_GROUPS: Final = frozenset(
    {(4, 4, 4), (4, 4, 5), (4, 4, 4, 4), (4, 6, 4), (4, 6, 5), (6, 13), (8, 8)}
    | {(4, 4, 4, rest) for rest in range(1, 8)}
    | {(4, 4, 4, 4, rest) for rest in range(1, 4)}
)
_PRINTED_BEGINNINGS: Final = frozenset(
    groups[:count] for groups in _PRINTED_GROUPS for count in range(1, len(groups) + 1)
)


def _prefixes(digits: int) -> frozenset[str]:
    return frozenset(
        str(prefix)
        for issuer in ISSUERS
        if digits in issuer.digits
        for low, high in issuer.prefixes
        for prefix in range(int(low), int(high) + 1)
    )


# All prefixes of the numbers of so many digits, written out: some 1,700 for sixteen, and far fewer for the others.
_PREFIXES: Final = {digits: _prefixes(digits) for digits in range(CARD_DIGITS_MIN, CARD_DIGITS_MAX + 1)}
_PREFIX_LENGTHS: Final = sorted({len(low) for issuer in ISSUERS for low, _ in issuer.prefixes})

_VALUES: Final = bytes.maketrans(b"0123456789", bytes(range(10)))
_DOUBLED: Final = bytes.maketrans(b"0123456789", bytes([0, 2, 4, 6, 8, 1, 3, 5, 7, 9]))

_ENOUGH_DIGITS: Final = re.compile(rf"[0-9](?:[ -]?[0-9]){{{CARD_DIGITS_MIN - 1}}}")
"""What every card number has, and few other texts: the rest of the search takes several times as long."""
_RUN: Final = re.compile(r"[0-9]+(?:[ -][0-9]+)*")
_WORD: Final = re.compile(r"[0-9-]+")
_JOINED_BEFORE: Final = re.compile(r"(?<=[A-Za-z_+])|(?<=[A-Za-z0-9_]-)|(?<=[0-9]\.)|(?<=[0-9]:)[0-9]{1,2}(?![0-9])")
_JOINED_AFTER: Final = re.compile(r"[A-Za-z_]|-[A-Za-z_]|\.[0-9]")
_IBAN_WORDS: Final = re.compile(
    r"(?<![A-Za-z0-9_])[A-Za-z]{2}[0-9]{2}(?: [A-Za-z0-9]{4}){2,7}(?: [A-Za-z0-9]{1,3})?(?![A-Za-z0-9_])"
)
_IBAN_CHARACTERS_MIN: Final = 15
_REACH_MAX: Final = 64
"""More characters than decide about one number: itself with its separators, or an IBAN, and what touches them."""

_HYPHENS: Final = frozenset("-\u2010\u2011\u2212\ufe63\uff0d")


def find_card_number(text: str) -> slice | None:
    """Return where the first card number stands in the text, or None where there is none."""
    if len(text) < CARD_DIGITS_MIN:
        return None
    plain, places = _plain(text)
    for start, end in _card_spans(plain):
        return slice(places[start], places[end - 1] + 1)
    return None


def mask_card_numbers(text: str, *, kept: int | None = None) -> str:
    """Return the text with each digit of each card number but the last four replaced by ``*``.

    Of a text of which only the first `kept` characters are needed, these are returned, and no more is searched than
    tells whether a number goes on beyond them.
    """
    if len(text) < CARD_DIGITS_MIN:
        return text[:kept]
    plain, places = _plain(text)
    if kept is not None:
        plain = plain[: bisect_left(places, kept) + _REACH_MAX]
    hidden: set[int] = set()
    for start, end in _card_spans(plain):
        digits = [places[index] for index in range(start, end) if plain[index].isdigit()]
        hidden.update(digits[:-MASKED_DIGITS_KEPT])
    if not hidden:
        return text[:kept]
    return "".join("*" if index in hidden else character for index, character in enumerate(text[:kept]))


def _plain(text: str) -> tuple[str, Sequence[int]]:
    """Return the text in the few ASCII characters that the search knows, and each one's place in the text."""
    if text.isascii():
        return text.replace("\t", " "), range(len(text))
    kept = [(plain, place) for place, character in enumerate(text) if (plain := _plain_character(character))]
    return "".join(plain for plain, _ in kept), [place for _, place in kept]


@lru_cache(maxsize=1024)
def _plain_character(character: str) -> str:
    if character in _HYPHENS:
        return "-"
    if (digit := unicodedata.digit(character, None)) is not None:
        return str(digit)
    category = unicodedata.category(character)
    if category in {"Zs", "Pd"} or character == "\t":
        return " "
    if category in {"Cf", "Mn", "Me"}:
        return ""
    compatible = unicodedata.normalize("NFKC", character)
    if len(compatible) == 1 and compatible.isascii():
        return compatible
    return "x" if category in {"Lu", "Ll", "Lt"} else ","


def _card_spans(plain: str) -> Iterator[tuple[int, int]]:
    if _ENOUGH_DIGITS.search(plain) is None:
        return
    searched = _IBAN_WORDS.sub(_without_iban, plain)
    for run in _RUN.finditer(searched):
        if run.end() - run.start() < CARD_DIGITS_MIN:
            continue
        words = [found.span() for found in _WORD.finditer(searched, run.start(), run.end())]
        free_before = not _JOINED_BEFORE.match(searched, run.start())
        free_after = not _JOINED_AFTER.match(searched, run.end())
        if free_before and free_after and _is_card_number(searched, run.start(), run.end()):
            yield run.span()
        else:
            # Only the ends of a run touch anything but blanks.
            yield from _cards_among(
                searched, words[0 if free_before else 1 : len(words) if free_after else len(words) - 1]
            )


def _cards_among(searched: str, words: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    lengths = [end - start for start, end in words]
    for first, (start, end) in enumerate(words):
        if _is_card_number(searched, start, end):
            yield start, end
        for last in range(first + 1, len(words)):
            groups = tuple(lengths[first : last + 1])
            if groups not in _PRINTED_BEGINNINGS:
                break
            if groups in _PRINTED_GROUPS and _is_card_number(searched, start, words[last][1]):
                yield start, words[last][1]


def _is_card_number(searched: str, start: int, end: int) -> bool:
    # With every digit apart, one separator fewer than digits.
    if not CARD_DIGITS_MIN <= end - start < 2 * CARD_DIGITS_MAX:
        return False
    number = searched[start:end].replace(" ", "").replace("-", "")
    return _has_issuer(number) and _luhn_is_right(number) and not _is_ean(number)


def _has_issuer(number: str) -> bool:
    prefixes = _PREFIXES.get(len(number), frozenset())
    return any(number[:length] in prefixes for length in _PREFIX_LENGTHS)


def _luhn_is_right(number: str) -> bool:
    digits = number.encode()
    return (sum(digits[-1::-2].translate(_VALUES)) + sum(digits[-2::-2].translate(_DOUBLED))) % 10 == 0


def _is_ean(number: str) -> bool:
    """Tell an article number: German and British ones begin as Visa's and Maestro's of 13 digits do.

    13 digits went out of use with cards decades ago, but are on every article.
    """
    return len(number) == 13 and (sum(map(int, number[::2])) + 3 * sum(map(int, number[1::2]))) % 10 == 0


def _without_iban(found: re.Match[str]) -> str:
    words = found[0].split(" ")
    for count in range(len(words), 0, -1):
        spelt = " ".join(words[:count])
        iban = spelt.replace(" ", "")
        if len(iban) < _IBAN_CHARACTERS_MIN:
            break
        # ISO 13616: the first four characters last, letters as 10 to 35, remainder 1.
        if int("".join(str(int(character, 36)) for character in iban[4:] + iban[:4])) % 97 == 1:
            return "x" * len(spelt) + found[0][len(spelt) :]
    return found[0]
