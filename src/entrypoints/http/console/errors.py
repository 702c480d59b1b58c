"""What went wrong, as a page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from entrypoints.http.console.rendering import render
from entrypoints.http.docs.quantities import in_bytes
from entrypoints.http.limits import BODY_BYTES_MAX
from entrypoints.http.problem_catalogue import Kind
from entrypoints.http.problems import Problem, Refusal, problem_of
from entrypoints.http.request_context import RequestContext
from entrypoints.http.responses import CONSOLE, NO_STORE, Reply

FOREIGN_FORM: Final = Kind(
    code="foreign_form",
    status=403,
    title="This form is not valid any more",
    explanation="It was shown to another session, or by another site's page. Nothing was changed.",
    cure="Go back, load the page again, and send the form from there.",
)
NOT_OF_OURS: Final = Kind(
    code="invalid_request",
    status=400,
    title="This address or form is not one of ours",
    explanation="Something in it is missing, or is not what our pages write there.",
    cure="Go back, load the page again, and try from there.",
)
SENT_BEFORE: Final = Kind(
    code="idempotency_key_reused",
    status=422,
    title="This form was sent before",
    explanation="It was sent with other entries, and those were taken. These were not.",
    cure="Go back, load the page again, and send the form from there if these count as well.",
)
OUR_FAULT: Final = Kind(
    code="internal_error",
    status=500,
    title="Something went wrong here",
    explanation="It is our fault, and it is in our log.",
    cure="Try again. If it stays so, tell whoever runs this installation the number of the request below.",
)
MAYBE_DONE: Final = Kind(
    code="outcome_unknown",
    status=500,
    title="Nobody knows whether that was done",
    explanation="The connection broke while it was written down: it may be done, or not.",
    cure="Load this page again and let your browser send the form once more: it has its effect once. "
    "Fill in no new one before you have looked.",
)
AWAY: Final = Kind(
    code="unavailable",
    status=503,
    title="Away or too busy",
    explanation="What keeps the data is away or too busy just now. Nothing was done.",
    cure="Wait a moment, and try again.",
)
TOO_MANY: Final = Kind(
    code="rate_limited",
    status=429,
    title="Too many pages",
    explanation="More pages were asked for than the limit allows.",
    cure="Wait a minute, and try again.",
)
TAKES_ANOTHER_METHOD: Final = Kind(
    code="method_not_allowed",
    status=405,
    title="There is no page here",
    explanation="This address is for what a page of ours sends, and shows nothing by itself.",
    cure="Go back, and try from there.",
)
NOT_HERE: Final = Kind(
    code="not_found",
    status=404,
    title="Not found",
    explanation="There is nothing here: no such page or id, or it belongs to another account or to the other mode.",
    cure="Check the address, and that you are signed in to the right account and mode.",
)
NOT_READABLE: Final = Kind(
    code="bad_request",
    status=400,
    title="This cannot be read",
    explanation="The address or the form is not written as our pages write it.",
    cure="Go back, load the page again, and try from there.",
)
NO_FORM: Final = replace(NOT_READABLE, code="unsupported_media_type", status=415)
TOO_LARGE: Final = Kind(
    code="body_too_large",
    status=413,
    title="Too much at once",
    explanation=f"A form can have at most {in_bytes(BODY_BYTES_MAX)}.",
    cure="Write less, and send it again.",
)
_FOR_PEOPLE: Final[Mapping[str, Kind]] = {
    kind.code: kind
    for kind in (NOT_OF_OURS, SENT_BEFORE, OUR_FAULT, MAYBE_DONE, AWAY, TOO_MANY, TAKES_ANOTHER_METHOD, TOO_LARGE)
}
"""What pages say of problems whose words in the catalogue are for whoever writes a client of the API."""
_WHERE_NO_MORE_IS_KNOWN: Final[Mapping[str, Kind]] = {kind.code: kind for kind in (NOT_HERE, NOT_READABLE, NO_FORM)}
"""The same where what is known of the request itself is said in words for people, and stays."""


class ForeignForm(Refusal):
    """A form that no page of ours showed to whoever sends it: another site's, or one of an earlier session."""

    def __init__(self) -> None:
        super().__init__("forbidden", FOREIGN_FORM.detail)
        self.kind = FOREIGN_FORM


def error_page(error: Exception, context: RequestContext) -> Reply:
    """Return the page that says what went wrong and what to do; what is our own fault is logged with its traceback."""
    problem = _in_words_for_people(problem_of(error, context))
    body = render("error.html", problem=problem, request_id=context.request_id)
    # Headers that say when to come back are for people's browsers too; what challenges them to authenticate is not.
    more = [pair for pair in problem.headers if pair[0] in (b"retry-after", b"connection", b"allow")]
    return Reply(problem.kind.status, (*CONSOLE, NO_STORE, *more), body)


def _in_words_for_people(problem: Problem) -> Problem:
    if (kind := _FOR_PEOPLE.get(problem.kind.code)) is not None:
        return replace(problem, kind=kind, detail=" ".join(fault.message for fault in problem.faults) or kind.detail)
    if (kind := _WHERE_NO_MORE_IS_KNOWN.get(problem.kind.code)) is not None:
        return replace(
            problem, kind=kind, detail=kind.detail if problem.detail == problem.kind.detail else problem.detail
        )
    return problem
