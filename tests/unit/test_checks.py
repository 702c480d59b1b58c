"""Checks of what people send: all faults at once."""

import pytest

from payments_core.checks import Faults
from payments_core.errors import Invalid
from payments_core.use_cases.pay import Pay, check_payment


def codes(faults: Faults) -> list[tuple[str, str]]:
    try:
        faults.raise_if_any()
    except Invalid as error:
        return [(fault.field, fault.code) for fault in error.faults]
    return []


def test_all_faults_of_a_payment_are_named_at_once() -> None:
    command = Pay(
        payment_key="pk",
        amount="1.234",
        currency="USD",
        description="d" * 501,
        metadata={"": "x", "note": "v" * 501},
        reference="",
        customer_reference="r" * 129,
        payment_method="\0",
    )
    with pytest.raises(Invalid) as refused:
        check_payment(command, livemode=True)
    assert {(fault.field, fault.code) for fault in refused.value.faults} == {
        ("amount", "too_many_decimals"),
        ("description", "wrong_length"),
        ("metadata.", "wrong_length"),
        ("metadata.note", "wrong_length"),
        ("reference", "wrong_length"),
        ("customer_reference", "wrong_length"),
        ("payment_method", "forbidden_character"),
    }


def test_live_payments_need_a_payment_method() -> None:
    with pytest.raises(Invalid) as refused:
        check_payment(Pay(payment_key="pk", amount="1", currency="USD"), livemode=True)
    assert [fault.field for fault in refused.value.faults] == ["payment_method"]


def test_a_card_number_alone_has_a_code_of_its_own_and_is_not_repeated() -> None:
    command = Pay(payment_key="pk", amount="1", currency="USD", description="card 4242 4242 4242 4242 please")
    with pytest.raises(Invalid) as refused:
        check_payment(command, livemode=False)
    assert refused.value.code == "card_number_refused"
    assert "4242" not in str(refused.value)


@pytest.mark.parametrize(
    ("metadata", "fault"),
    [
        ({str(n): "" for n in range(51)}, ("metadata", "too_many")),
        ({"k" * 41: ""}, (f"metadata.{'k' * 40}", "wrong_length")),
        ({"": "x"}, ("metadata.", "wrong_length")),
        ({"card": "4242424242424242"}, ("metadata.card", "card_number_refused")),
        ({str(n): "é" * 400 for n in range(11)}, ("metadata", "too_large")),
        ({"4242424242424242": "x"}, ("metadata.************4242", "card_number_refused")),
        ({"k" * 35 + " 4242424242424242": ""}, (f"metadata.{'k' * 35} ****", "wrong_length")),
        ({"x": "\ud800"}, ("metadata.x", "forbidden_character")),
        # What is refused for its length is not searched.
        ({"x": "4242424242424242 " * 30}, ("metadata.x", "wrong_length")),
        ({"4242424242424242 " * 3: "x"}, ("metadata.************4242 ************4242 ******", "wrong_length")),
        ({str(n): "4242424242424242 " * 29 for n in range(17)}, ("metadata", "too_large")),
    ],
)
def test_metadata_that_breaks_a_limit_is_refused(metadata: dict[str, str], fault: tuple[str, str]) -> None:
    faults = Faults()
    faults.metadata(metadata)
    assert codes(faults) == [fault]


def test_metadata_at_its_limits_passes() -> None:
    faults = Faults()
    faults.metadata({f"{n:02}" + "k" * 38: "v" * 120 for n in range(50)})
    assert codes(faults) == []


def test_a_text_that_is_too_long_is_not_searched_for_card_numbers() -> None:
    long = "4242424242424242 " * 4_000
    command = Pay(payment_key="pk", amount="1", currency="USD", description=long, payment_method=long)
    with pytest.raises(Invalid) as refused:
        check_payment(command, livemode=False)
    assert {(fault.field, fault.code) for fault in refused.value.faults} == {
        ("description", "wrong_length"),
        ("payment_method", "wrong_length"),
    }


def test_an_empty_description_is_a_description() -> None:
    assert (
        check_payment(Pay(payment_key="pk", amount="1", currency="usd", description=""), livemode=False).format()
        == "1.00"
    )


def test_the_number_of_faults_that_are_named_is_bounded() -> None:
    faults = Faults()
    for number in range(1_000):
        faults.add(f"f{number}", "bad", "Bad.")
    assert len(codes(faults)) == 20
