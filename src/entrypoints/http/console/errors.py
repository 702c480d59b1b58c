"""What went wrong, as a page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from entrypoints.http.console.rendering import render
from entrypoints.http.problem_catalogue import Kind
from entrypoints.http.problems import Refusal, problem_of
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
_FOR_PEOPLE: Final[Mapping[str, Kind]] = {kind.code: kind for kind in (NOT_OF_OURS, SENT_BEFORE, OUR_FAULT)}
"""What pages say of problems whose words in the catalogue are for whoever writes a client of the API."""


class ForeignForm(Refusal):
    """A form that no page of ours showed to whoever sends it: another site's, or one of an earlier session."""

    def __init__(self) -> None:
        super().__init__("forbidden", FOREIGN_FORM.detail)
        self.kind = FOREIGN_FORM


def error_page(error: Exception, context: RequestContext) -> Reply:
    """Return the page that says what went wrong and what to do; what is our own fault is logged with its traceback."""
    problem = problem_of(error, context)
    if (kind := _FOR_PEOPLE.get(problem.kind.code)) is not None:
        problem = replace(problem, kind=kind, detail=" ".join(fault.message for fault in problem.faults) or kind.detail)
    body = render("error.html", problem=problem, request_id=context.request_id)
    # Headers that say when to come back are for people's browsers too; what challenges them to authenticate is not.
    more = [pair for pair in problem.headers if pair[0] in (b"retry-after", b"connection", b"allow")]
    return Reply(problem.kind.status, (*CONSOLE, NO_STORE, *more), body)
