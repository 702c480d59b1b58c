"""What needs a person: dead jobs and attempts of which nobody knows what became. And who did what, in the audit log."""

from __future__ import annotations

from enum import StrEnum
from typing import Final, TypeVar

from entrypoints.http.console.page import For, form, page
from entrypoints.http.console.staff_lists import BY_MERCHANT, merchant_of, part_of, window_of
from entrypoints.http.console.visits import STAFF_ROOT, Visit, says
from entrypoints.http.responses import Reply
from payments_core import Conflict, RuleBroken, describe_staff
from payments_core.attempt import AttemptState
from payments_core.audit import Action
from payments_core.errors import Invalid
from payments_core.gateway import Approved, Declined
from payments_core.ids import AttemptId, JobId
from payments_core.job import JobState
from payments_core.ports import AttemptFilter, AuditFilter, JobFilter
from payments_core.use_cases.resolve_attempt import Resolve, check_resolution

E = TypeVar("E", bound=StrEnum)

ALL: Final = "all"

says(
    revived="The job is due again, with all its tries before it.",
    resolved="The attempt is closed, and its payment or refund with it.",
    unchanged="The attempt was closed like that already: nothing was changed.",
)


@page("/staff/jobs", whose=For.STAFF, section="jobs")
async def jobs(visit: Visit) -> Reply:
    """List jobs, those that died first of all."""
    state = visit.query.text("state") or JobState.DEAD
    choices = _choices(JobState)
    try:
        filter = JobFilter(state=_state(JobState, state), merchant=merchant_of(visit))
        found = await visit.staff.jobs(window_of(visit, BY_MERCHANT), filter)
    except Invalid as invalid:
        return visit.show("staff_jobs.html", faults=invalid, part=None, state=state, choices=choices)
    now = visit.services.clock.now()
    part = part_of(found, lambda job: describe_staff.job(job, at=now))
    return visit.show("staff_jobs.html", part=part, state=state, choices=choices)


@page("/staff/jobs/{id}", whose=For.STAFF, section="jobs")
async def job(visit: Visit) -> Reply:
    """Show a job, and what it is about."""
    return await _job(visit)


@form("/staff/jobs/{id}/revive", whose=For.STAFF, section="jobs")
async def revive(visit: Visit) -> Reply:
    """Make a dead job due again."""
    id = JobId(visit.ids["id"])
    try:
        await visit.staff.revive(id)
    except Conflict as refused:
        return await _job(visit, error=refused.message)
    return visit.lead(f"{STAFF_ROOT}/jobs", said="revived")


@page("/staff/attempts", whose=For.STAFF, section="attempts")
async def attempts(visit: Visit) -> Reply:
    """List attempts at the gateway, those first that need a person."""
    state = visit.query.text("state") or AttemptState.NEEDS_REVIEW
    choices = _choices(AttemptState)
    try:
        filter = AttemptFilter(state=_state(AttemptState, state), merchant=merchant_of(visit))
        found = await visit.staff.attempts(window_of(visit, BY_MERCHANT), filter)
    except Invalid as invalid:
        return visit.show("staff_attempts.html", faults=invalid, part=None, state=state, choices=choices)
    return visit.show("staff_attempts.html", part=part_of(found, describe_staff.attempt), state=state, choices=choices)


@page("/staff/attempts/{id}", whose=For.STAFF, section="attempts")
async def attempt(visit: Visit) -> Reply:
    """Show an attempt, what it is about, and ask what became of it."""
    return await _attempt(visit)


@form("/staff/attempts/{id}/resolve", whose=For.STAFF, section="attempts")
async def resolve(visit: Visit) -> Reply:
    """Take a person's word on what became of an attempt: first ask once more, then do it."""
    id = AttemptId(visit.ids["id"])
    try:
        command = _resolution(visit)
        check_resolution(command)
        if visit.form.get("sure") is None:
            return await _attempt(visit, asks=True)
        resolved = await visit.staff.resolve(id, command)
    except Invalid as invalid:
        return await _attempt(visit, faults=invalid)
    except (Conflict, RuleBroken) as refused:
        return await _attempt(visit, error=refused.message)
    return visit.lead(f"{STAFF_ROOT}/attempts/{id}", said="resolved" if resolved.changed else "unchanged")


@page("/staff/audit", whose=For.STAFF, section="audit")
async def audit(visit: Visit) -> Reply:
    """List the audit log, of a merchant or of everybody and nobody."""
    actions = [("", "any"), *((str(action), str(action)) for action in Action)]
    try:
        filter = AuditFilter(
            action=_state(Action, visit.query.text("action") or ALL, "action"), subject=visit.query.get("subject")
        )
        found = await visit.staff.log(window_of(visit), filter, merchant_of(visit))
    except Invalid as invalid:
        return visit.show("staff_audit.html", faults=invalid, part=None, actions=actions)
    return visit.show("staff_audit.html", part=part_of(found, describe_staff.audit_entry), actions=actions)


PAGES: Final = (jobs, job, revive, attempts, attempt, resolve, audit)


def _resolution(visit: Visit) -> Resolve:
    """Return what the form says became of an attempt. Raises Invalid."""
    typed = visit.form
    match typed.text("outcome"):
        case "approved":
            outcome: Approved | Declined = Approved(reference=typed.text("reference"))
        case "declined":
            outcome = Declined(code=typed.text("code"), message=typed.text("message"))
        case _:
            # Neither is taken for granted: one says that money moved, the other that it did not.
            raise Invalid.field("outcome", "required", "Say which of the two it was.")
    correct = typed.get("correct") is not None
    return Resolve(outcome=outcome, by=visit.staff.name, note=typed.get("note"), correct=correct)


async def _job(visit: Visit, *, error: str | None = None) -> Reply:
    found, matter = await visit.staff.job(JobId(visit.ids["id"]))
    now = visit.services.clock.now()
    return visit.show(
        "staff_job.html", error=error, job=describe_staff.job(found, at=now), about=describe_staff.matter(matter)
    )


async def _attempt(
    visit: Visit, *, faults: Invalid | None = None, error: str | None = None, asks: bool = False
) -> Reply:
    found, matter = await visit.staff.attempt(AttemptId(visit.ids["id"]))
    return visit.show(
        "staff_attempt.html",
        faults=faults,
        error=error,
        attempt=describe_staff.attempt(found),
        about=describe_staff.matter(matter),
        asks=asks,
        is_open=found.is_open,
        needs_review=found.state is AttemptState.NEEDS_REVIEW,
    )


def _choices(states: type[StrEnum]) -> list[tuple[str, str]]:
    return [*((str(state), str(state).replace("_", " ")) for state in states), (ALL, "all")]


def _state(states: type[E], text: str, field: str = "state") -> E | None:
    """Return the state that a list is narrowed to by this field; None is all. Raises Invalid."""
    if text == ALL:
        return None
    try:
        return states(text)
    except ValueError:
        raise Invalid.field(field, "unknown", f"There is no such {field}.") from None
