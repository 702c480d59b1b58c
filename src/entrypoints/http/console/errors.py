"""What went wrong, as a page."""

from __future__ import annotations

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


class ForeignForm(Refusal):
    """A form that no page of ours showed to whoever sends it: another site's, or one of an earlier session."""

    def __init__(self) -> None:
        super().__init__("forbidden", FOREIGN_FORM.detail)
        self.kind = FOREIGN_FORM


def error_page(error: Exception, context: RequestContext) -> Reply:
    """Return the page that says what went wrong and what to do; what is our own fault is logged with its traceback."""
    problem = problem_of(error, context)
    body = render("error.html", problem=problem, request_id=context.request_id)
    # Headers that say when to come back are for people's browsers too; what challenges them to authenticate is not.
    more = [pair for pair in problem.headers if pair[0] in (b"retry-after", b"connection", b"allow")]
    return Reply(problem.kind.status, (*CONSOLE, NO_STORE, *more), body)
