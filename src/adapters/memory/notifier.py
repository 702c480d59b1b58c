"""A notifier that keeps what it is given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from payments_core.ports import Answered, Notification, Unreached
from payments_core.webhook import URL_LENGTH_MAX, excerpt_of


def answer_204(_notification: Notification) -> Answered | Unreached:
    """Take everything."""
    return Answered(status_code=204, milliseconds=1, excerpt="")


class MemoryNotifier:
    """Posts nothing: `sent` has what would have gone out, `answer` decides what came back."""

    def __init__(self, answer: Callable[[Notification], Answered | Unreached] = answer_204) -> None:
        self.sent: list[Notification] = []
        self.answer = answer

    def refuses(self, url: str, /) -> str | None:
        """Take each URL that is one of the web, and as long as a URL may be."""
        if len(url) > URL_LENGTH_MAX:
            return f"Must have at most {URL_LENGTH_MAX} characters."
        return None if url.startswith(("http://", "https://")) else "Must begin with https://."

    async def send(self, notification: Notification, /) -> Answered | Unreached:
        """Keep it, and answer; what goes to a URL that is refused is not sent."""
        refused = self.refuses(notification.url)
        if refused is not None:
            return Unreached(code="invalid_url", message=refused, milliseconds=0)
        self.sent.append(notification)
        outcome = self.answer(notification)
        return replace(outcome, excerpt=excerpt_of(outcome.excerpt)) if isinstance(outcome, Answered) else outcome
