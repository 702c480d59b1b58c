"""Ids: typed by prefix, ordered by time, made again from the same moment."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from payments_core.ids import EndpointId, EventId, Moment, delivery_id, lowest_id, made_at

NOW = datetime(2026, 11, 23, 12, 0, 0, 123456, tzinfo=UTC)
TIMES = st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


def moment(at: datetime = NOW, seed: bytes = b"s" * 32) -> Moment:
    return Moment(at, seed)


def test_an_id_is_a_prefix_and_twenty_six_characters() -> None:
    id = moment().id("txn")
    prefix, _, body = id.partition("_")
    assert (prefix, len(body)) == ("txn", 26)
    assert not set(body) & set("ILOU")
    assert body.upper() == body


def test_a_moment_that_is_run_again_makes_the_same_ids_and_secrets() -> None:
    first = moment()
    made = [first.id("txn"), first.id("evt"), first.secret(32)]
    again = first.again()
    assert [again.id("txn"), again.id("evt"), again.secret(32)] == made
    assert len(set(map(str, made))) == 3


def test_moments_with_other_seeds_make_other_ids_and_secrets() -> None:
    one, other = moment(seed=b"a" * 32), moment(seed=b"b" * 32)
    assert one.id("txn") != other.id("txn")
    assert one.secret(32) != other.secret(32)


@settings(max_examples=60)
@given(TIMES, TIMES)
def test_ids_sort_by_the_time_at_which_they_were_made(one: datetime, other: datetime) -> None:
    if one != other:
        assert (moment(one).id("txn") < moment(other).id("txn")) == (one < other)


@settings(max_examples=60)
@given(TIMES)
def test_the_lowest_id_of_a_time_bounds_the_ids_made_then(at: datetime) -> None:
    assert lowest_id("txn", at) <= moment(at).id("txn") < lowest_id("txn", at, shift=timedelta(microseconds=1))


@settings(max_examples=60)
@given(TIMES)
def test_an_id_tells_when_it_was_made(at: datetime) -> None:
    assert made_at(moment(at).id("txn")) == made_at(lowest_id("txn", at)) == at


@pytest.mark.parametrize(
    "text", ["", "txn_", "txn_0", "0" * 26, "txn_" + "0" * 27, "txn_" + "i" * 26, "txn_" + "U" * 26]
)
def test_a_text_that_is_no_id_tells_nothing(text: str) -> None:
    with pytest.raises(ValueError, match="no id"):
        made_at(text)


def test_a_delivery_id_follows_from_its_event_and_endpoint_and_keeps_the_events_time() -> None:
    event, one, other = EventId(moment().id("evt")), EndpointId("whk_1"), EndpointId("whk_2")
    assert delivery_id(event, one) == delivery_id(event, one)
    assert delivery_id(event, one) != delivery_id(event, other)
    assert delivery_id(event, one)[4:15] == event[4:15]
    assert len(delivery_id(event, one)) == len(event)
