"""The memory notifier passes the contract of every notifier."""

import pytest

from adapters.memory import MemoryNotifier
from payments_core.ports import Answered, Unreached
from payments_core.testing.notifier import NotifierContract, NotifierUnderTest, Reply


class TestMemoryNotifier(NotifierContract):
    @pytest.fixture
    def subject(self) -> NotifierUnderTest:
        notifier = MemoryNotifier()

        def answer_with(reply: Reply | None) -> None:
            outcome = (
                Unreached(code="protocol", message="the receiver hung up", milliseconds=1)
                if reply is None
                else Answered(status_code=reply.status_code, milliseconds=1, excerpt=reply.body)
            )
            notifier.answer = lambda _: outcome

        return NotifierUnderTest(
            notifier=notifier,
            url="https://example.com/hook",
            answer_with=answer_with,
            received=lambda: [notification.body for notification in notifier.sent],
        )
