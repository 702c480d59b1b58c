"""What every notifier must pass: an outcome for whatever happens, and nothing of an answer but what may be kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import pytest

from payments_core.ports import Answered, Notification, Notifier, Unreached
from payments_core.webhook import EXCERPT_LENGTH_MAX

CODES: Final = frozenset(
    {"blocked_address", "invalid_url", "dns", "connect", "tls", "timeout", "protocol", "too_large", "internal"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a receiver answers; with a location it redirects there."""

    status_code: int
    body: str = ""
    location: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifierUnderTest:
    """A notifier, and a receiver at `url`, which it may reach.

    `answer_with` says what the receiver answers from now on, anywhere below its URL; given None it hangs up instead.
    `received` returns the bodies that it got.
    """

    notifier: Notifier
    url: str
    answer_with: Callable[[Reply | None], None]
    received: Callable[[], Sequence[bytes]]

    async def send(self, *, url: str | None = None, body: bytes = b"{}") -> Answered | Unreached:
        """Post a body to the receiver, or to another URL."""
        headers = {"content-type": "application/json"}
        return await self.notifier.send(Notification(url=self.url if url is None else url, headers=headers, body=body))

    async def excerpt_of(self, body: str) -> str:
        """Return what is kept where the receiver answers with this body."""
        self.answer_with(Reply(status_code=200, body=body))
        outcome = await self.send()
        assert isinstance(outcome, Answered)
        return outcome.excerpt


class NotifierContract:
    """Adapters supply `subject`."""

    @pytest.fixture
    def subject(self) -> NotifierUnderTest:
        """Return a notifier of the adapter's own, and a receiver."""
        raise NotImplementedError

    async def test_the_receiver_gets_each_body_byte_for_byte(self, subject: NotifierUnderTest) -> None:
        subject.answer_with(Reply(status_code=204))
        bodies = [b'{"a":  "\xc3\xa9"}\n', b"{}", b"{}"]
        for body in bodies:
            await subject.send(body=body)
        assert list(subject.received()) == bodies

    @pytest.mark.parametrize("status_code", [200, 204, 400, 404, 410, 429, 500, 503])
    async def test_any_status_is_an_answer(self, subject: NotifierUnderTest, status_code: int) -> None:
        subject.answer_with(Reply(status_code=status_code))
        outcome = await subject.send()
        assert isinstance(outcome, Answered)
        assert outcome.status_code == status_code
        assert outcome.milliseconds >= 0

    @pytest.mark.parametrize("status_code", [301, 302, 303, 307, 308])
    async def test_a_redirect_is_an_answer_and_nobody_follows_it(
        self, subject: NotifierUnderTest, status_code: int
    ) -> None:
        subject.answer_with(Reply(status_code=status_code, location=f"{subject.url}/elsewhere"))
        outcome = await subject.send()
        assert isinstance(outcome, Answered)
        assert outcome.status_code == status_code
        assert len(subject.received()) == 1

    async def test_an_excerpt_is_the_start_of_the_answer(self, subject: NotifierUnderTest) -> None:
        assert await subject.excerpt_of("") == ""
        assert await subject.excerpt_of("naïve, but fine") == "naïve, but fine"
        assert await subject.excerpt_of("x" * (2 * EXCERPT_LENGTH_MAX)) == "x" * EXCERPT_LENGTH_MAX

    async def test_an_excerpt_holds_no_card_number(self, subject: NotifierUnderTest) -> None:
        excerpt = await subject.excerpt_of("card 4242 4242 4242 4242 declined")
        assert excerpt.startswith("card ")
        assert excerpt.endswith(" declined")
        assert "4242 4242 4242" not in excerpt

    async def test_a_receiver_that_hangs_up_is_unreached(self, subject: NotifierUnderTest) -> None:
        subject.answer_with(None)
        outcome = await subject.send()
        assert isinstance(outcome, Unreached)
        assert outcome.code in CODES
        assert outcome.message
        assert outcome.milliseconds >= 0

    @pytest.mark.parametrize("url", ["", "nowhere", "example.com/hook", "ftp://example.com/", "file:///etc/passwd"])
    async def test_a_url_that_no_endpoint_can_have_is_unreached(self, subject: NotifierUnderTest, url: str) -> None:
        assert subject.notifier.refuses(subject.url) is None
        assert subject.notifier.refuses(url)
        outcome = await subject.send(url=url)
        assert isinstance(outcome, Unreached)
        assert outcome.code == "invalid_url"
        assert not subject.received()
