"""Webhooks: signatures that others verify, the schedule, the clock of failure."""

from datetime import UTC, datetime, timedelta

import pytest
from standardwebhooks import Webhook

from payments_core.event import EventType
from payments_core.ids import DeliveryId, EndpointId, EventId, MerchantId
from payments_core.testing import builders
from payments_core.webhook import (
    DISABLED_AFTER,
    EXCERPT_LENGTH_MAX,
    RETRY_SCHEDULE,
    SECRET_OVERLAP,
    TOLERANCE,
    Delivery,
    DeliveryAttempt,
    DeliveryStatus,
    InvalidSignature,
    excerpt_of,
    make_secret,
    sign,
    verify,
)

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
AT = datetime.fromtimestamp(1614265330, UTC)
BODY = b'{"test": 2432232314}'


def headers() -> dict[str, str]:
    return sign([SECRET], id=ID, at=AT, body=BODY)


def test_the_published_vector_is_signed_as_published() -> None:
    assert headers()["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_what_we_sign_an_independent_library_verifies() -> None:
    secret, now = make_secret(b"r" * 32), datetime.now(UTC)
    signed = sign([secret], id="evt_1", at=now, body=b'{"a":1}')
    assert Webhook(secret).verify(b'{"a":1}'.decode(), signed) == {"a": 1}


def test_what_an_independent_library_signs_we_verify() -> None:
    secret, now = make_secret(b"r" * 32), datetime.now(UTC)
    signed = {
        "Webhook-Id": "evt_1",
        "Webhook-Timestamp": str(int(now.timestamp())),
        "Webhook-Signature": Webhook(secret).sign("evt_1", now, "{}"),
    }
    assert verify(secret, headers=signed, body=b"{}", at=now) == "evt_1"


def test_while_an_old_secret_lives_both_verify() -> None:
    other = make_secret(b"o" * 32)
    signed = sign([SECRET, other], id=ID, at=AT, body=BODY)
    assert verify(SECRET, headers=signed, body=BODY, at=AT) == ID
    assert verify(other, headers=signed, body=BODY, at=AT) == ID


@pytest.mark.parametrize("away", [TOLERANCE, -TOLERANCE])
def test_a_timestamp_within_the_tolerance_is_taken(away: timedelta) -> None:
    assert verify(SECRET, headers=headers(), body=BODY, at=AT + away) == ID


@pytest.mark.parametrize("away", [TOLERANCE + timedelta(seconds=1), -TOLERANCE - timedelta(seconds=1)])
def test_a_timestamp_beyond_the_tolerance_is_refused(away: timedelta) -> None:
    with pytest.raises(InvalidSignature):
        verify(SECRET, headers=headers(), body=BODY, at=AT + away)


@pytest.mark.parametrize(
    "change",
    [
        {"webhook-id": "msg_other"},
        {"webhook-id": ""},
        {"webhook-id": "msg_é"},
        {"webhook-timestamp": "1614265331"},
        {"webhook-timestamp": "now"},
        {"webhook-timestamp": "-1614265330"},
        {"webhook-timestamp": "1614265330.0"},
        {"webhook-timestamp": "9" * 5000},
        {"webhook-timestamp": ""},
        {"webhook-signature": ""},
        {"webhook-signature": "v1,"},
        {"webhook-signature": "v2,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="},
        {"webhook-signature": "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="},
        {"webhook-signature": "v1,é"},
        {"webhook-signature": " ".join(["v1,nonsense"] * 10_000)},
    ],
)
def test_anything_malformed_or_forged_is_refused(change: dict[str, str]) -> None:
    with pytest.raises(InvalidSignature):
        verify(SECRET, headers={**headers(), **change}, body=BODY, at=AT)


def test_another_body_is_refused() -> None:
    with pytest.raises(InvalidSignature):
        verify(SECRET, headers=headers(), body=BODY + b" ", at=AT)


@pytest.mark.parametrize("secret", ["whsec_not base64!", "whsec_é", "whsec_abc"])
def test_a_secret_that_is_none_is_refused(secret: str) -> None:
    with pytest.raises(InvalidSignature):
        verify(secret, headers=headers(), body=BODY, at=AT)


def a_delivery() -> Delivery:
    return Delivery(
        id=DeliveryId("dlv_1"),
        merchant=MerchantId("mer_1"),
        livemode=False,
        endpoint=EndpointId("whk_1"),
        event=EventId("evt_1"),
        event_type=EventType.TRANSACTION_SUCCEEDED,
        status=DeliveryStatus.PENDING,
        created_at=AT,
        updated_at=AT,
        due_at=AT,
    )


def failed(number: int) -> DeliveryAttempt:
    return DeliveryAttempt(number=number, at=AT, milliseconds=3, status_code=500)


def test_a_failing_delivery_follows_the_schedule_and_is_then_exhausted() -> None:
    delivery, waits = a_delivery(), []
    for number in range(1, len(RETRY_SCHEDULE)):
        delivery = delivery.fail(failed(number), now=AT, retry_after=None, jitter=0.0)
        assert delivery.due_at is not None
        waits.append(delivery.due_at - AT)
    assert waits == list(RETRY_SCHEDULE[1:])
    delivery = delivery.fail(failed(10), now=AT, retry_after=None, jitter=0.0)
    assert (delivery.status, delivery.due_at, len(delivery.attempts)) == (DeliveryStatus.EXHAUSTED, None, 10)


@pytest.mark.parametrize(("jitter", "seconds"), [(-1.0, 4.0), (1.0, 6.0)])
def test_the_jitter_is_a_fifth_of_the_step(jitter: float, seconds: float) -> None:
    delivery = a_delivery().fail(failed(1), now=AT, retry_after=None, jitter=jitter)
    assert delivery.due_at == AT + timedelta(seconds=seconds)


@pytest.mark.parametrize(("asked_seconds", "waited_seconds"), [(7, 7), (10, 10), (3600, 10), (1, 5)])
def test_retry_after_is_honoured_up_to_twice_the_step(asked_seconds: int, waited_seconds: int) -> None:
    asked = timedelta(seconds=asked_seconds)
    delivery = a_delivery().fail(failed(1), now=AT, retry_after=asked, jitter=0.0)
    assert delivery.due_at == AT + timedelta(seconds=waited_seconds)


def test_a_delivery_that_is_queued_again_has_its_whole_schedule_before_it_and_keeps_its_attempts() -> None:
    delivery = a_delivery().deliver(failed(1)).queue_again(at=AT)
    assert (delivery.status, delivery.tries, delivery.due_at, len(delivery.attempts)) == (
        DeliveryStatus.PENDING,
        0,
        AT,
        1,
    )


def test_the_clock_of_failure_starts_at_the_first_failure_and_any_success_resets_it() -> None:
    endpoint = builders.an_endpoint(builders.a_merchant())
    failing = endpoint.failed(at=AT).failed(at=AT + timedelta(days=1))
    assert failing.failing_since == AT
    assert not failing.has_failed_too_long(at=AT + DISABLED_AFTER - timedelta(seconds=1))
    assert failing.has_failed_too_long(at=AT + DISABLED_AFTER)
    assert failing.succeeded().failing_since is None
    assert endpoint.succeeded() is endpoint


def test_a_rotated_secret_signs_beside_the_old_one_for_a_day() -> None:
    endpoint = builders.an_endpoint(builders.a_merchant())
    rotated = endpoint.rotate_secret(SECRET, at=AT)
    assert rotated.secrets_at(AT) == (SECRET, endpoint.secret)
    assert rotated.secrets_at(AT + SECRET_OVERLAP) == (SECRET,)


@pytest.mark.parametrize(
    ("answer", "excerpt"),
    [
        ("", ""),
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
        ("a\0b\x1b[31mc\x7f\r\n", "ab[31mc \n"),
        ("right\u202eleft\u200b", "rightleft"),
        ("x" * (2 * EXCERPT_LENGTH_MAX), "x" * EXCERPT_LENGTH_MAX),
    ],
)
def test_an_excerpt_is_the_start_of_what_can_be_shown(answer: str, excerpt: str) -> None:
    assert excerpt_of(answer) == excerpt


@pytest.mark.parametrize(
    "answer",
    [
        "4242424242424242",
        "4242\x004242\x004242\x004242",
        "4242\u200b4242\u200b4242\u200b4242",
        "4242\u00a04242\u00a04242\u00a04242",
        "\0".join("4242424242424242"),
        "x" * (EXCERPT_LENGTH_MAX - 13) + " 4242424242424242",
    ],
)
def test_no_spelling_of_a_card_number_reaches_the_excerpt(answer: str) -> None:
    digits = "".join(character for character in excerpt_of(answer) if character.isdigit())
    assert "42424242" not in digits
