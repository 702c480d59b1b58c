"""`payments jobs`: what is to be done, and what nobody could do."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from entrypoints.cli.data_dir_option import data_dir_option
from entrypoints.cli.errors import CommandFailed
from entrypoints.cli.staff import (
    ALL,
    SHOWN_MAX,
    check_id,
    check_ids,
    first_of_list,
    json_option,
    list_options,
    minute,
    print_json,
    print_thing,
    say_more,
    staff_of,
    wired,
)
from payments_core.errors import Conflict, NotFound
from payments_core.ids import JobId, MerchantId
from payments_core.job import Job, JobState

if TYPE_CHECKING:
    from entrypoints.settings import Settings
    from payments_core.ports import JobFilter
    from payments_core.staff import Matter, Staff

LIST_EXAMPLE: Final = """\b
Example:
  payments jobs list
  payments jobs list --state all --json
"""
SHOW_EXAMPLE: Final = """\b
Example:
  payments jobs show job_01ARZ3NDEKTSV4RRFFQ69G5FAV
"""
REVIVE_EXAMPLE: Final = """\b
Example:
  payments jobs revive job_01ARZ3NDEKTSV4RRFFQ69G5FAV
  payments jobs revive --all
"""
NONE: Final = {
    JobState.DUE: "No job is due.",
    JobState.LEASED: "No job is leased.",
    JobState.WAITING: "No job is waiting.",
    JobState.DEAD: "No job is dead.",
    None: "There are no jobs.",
}


@click.group("jobs", short_help="List and show jobs, and revive dead ones.")
def jobs() -> None:
    """Look after jobs: each charge and refund that is to be done is one, until its outcome is known.

    A job that failed time and again for a reason that nobody foresaw is dead: it is kept, and waits for a person.
    """


@jobs.command("list", short_help="List jobs: those that are dead.", epilog=LIST_EXAMPLE)
@list_options(JobState, JobState.DEAD)
@data_dir_option()
def list_command(state: str, merchant: str | None, limit: int, as_json: bool, data_dir: Path) -> None:
    """List jobs by merchant, and of each the oldest first.

    Only those that are dead, unless --state says otherwise.
    """
    from entrypoints.cli.command_settings import settings_of_running
    from entrypoints.cli.signals import run
    from payments_core.ports import JobFilter

    wanted = JobFilter(
        state=None if state == ALL else JobState(state), merchant=None if merchant is None else MerchantId(merchant)
    )
    run(_list(settings_of_running(data_dir), wanted, limit, as_json=as_json))


async def _list(settings: Settings, wanted: JobFilter, limit: int, *, as_json: bool) -> None:
    from entrypoints.cli.screen import Screen
    from payments_core import describe_staff

    async with wired(settings) as services:
        staff, now = staff_of(services), services.clock.now()
        found, more = await first_of_list(lambda window: staff.jobs(window, wanted), limit)
    if as_json:
        for job in found:
            print_json(describe_staff.job(job, at=now))
    elif found:
        Screen().columns(*_table(found, wanted, now))
    else:
        Screen().line(NONE[wanted.state])
    if more:
        say_more(limit)


def _table(found: Sequence[Job], wanted: JobFilter, now: datetime) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
    """Return headings and rows; the state is a column where it isn't the same for all."""
    since = "DEAD SINCE (UTC)" if wanted.state is JobState.DEAD else "DUE (UTC)"
    state = ("STATE",) if wanted.state is None else ()
    rows = [
        (
            job.id,
            str(job.kind),
            *(str(job.state_at(now)) for _ in state),
            minute(job.dead_at if job.dead_at and wanted.state is JobState.DEAD else job.due_at),
            str(job.failures),
            job.last_error or "-",
        )
        for job in found
    ]
    return ("JOB", "KIND", *state, since, "FAILURES", "LAST ERROR"), rows


@jobs.command("show", short_help="Show all of one job.", epilog=SHOW_EXAMPLE)
@click.argument("id", callback=check_id("job"))
@json_option()
@data_dir_option()
def show_command(id: str, as_json: bool, data_dir: Path) -> None:
    """Show a job, its attempt at the gateway, and the transaction or refund that it is about."""
    from entrypoints.cli.command_settings import settings_of_running
    from entrypoints.cli.signals import run

    run(_show(settings_of_running(data_dir), JobId(id), as_json=as_json))


async def _show(settings: Settings, id: JobId, *, as_json: bool) -> None:
    from payments_core import describe_staff

    async with wired(settings) as services:
        now = services.clock.now()
        job, matter = await _known(staff_of(services), id)
    print_thing("job", describe_staff.job(job, at=now), describe_staff.matter(matter), as_json=as_json)


async def _known(staff: Staff, id: JobId) -> tuple[Job, Matter]:
    try:
        return await staff.job(id)
    except NotFound:
        raise CommandFailed(_gone(id)) from None


def _gone(id: JobId) -> str:
    return f"There is no job {id}: it is done, or never was."


@jobs.command("revive", short_help="Have dead jobs done again.", epilog=REVIVE_EXAMPLE)
@click.argument("ids", metavar="[ID]...", callback=check_ids("job"), nargs=-1)
@click.option("--all", "every", is_flag=True, help="All that are dead now.")
@data_dir_option()
def revive_command(ids: Sequence[str], every: bool, data_dir: Path) -> None:
    """Make dead jobs due now, with all their tries before them.

    Mend first what they died of. What was done of a job is not done again: its attempt at the gateway is the same.
    """
    from entrypoints.cli.command_settings import log_to_standard_error, settings_of_running
    from entrypoints.cli.signals import run

    if every and ids:
        raise click.UsageError("Name jobs or say --all, not both.")
    if not every and not ids:
        raise click.UsageError("Name the jobs to revive, or say --all.")
    settings = settings_of_running(data_dir)
    log_to_standard_error(settings)
    refused = run(_revive(settings, [JobId(id) for id in ids], every=every))
    for line in refused[:-1]:
        click.echo(f"Error: {line}", err=True)
    if refused:
        raise CommandFailed(refused[-1])


async def _revive(settings: Settings, ids: Sequence[JobId], *, every: bool) -> list[str]:
    """Revive the jobs, each for itself; return a line for each that could not be."""
    from entrypoints.cli.screen import Screen

    screen, refused = Screen(), list[str]()
    async with wired(settings) as services:
        staff = staff_of(services)
        dead = await _dead(staff) if every else ids
        for id in dead:
            try:
                await staff.revive(id)
            except NotFound:
                refused.append(_gone(id))
            except Conflict as conflict:
                refused.append(f"{id}: {conflict.message}")
            else:
                screen.line(f"Revived {id}.")
        if not dead:
            screen.line(NONE[JobState.DEAD])
    # Of all that were dead, one that somebody else revived meanwhile is as it was wanted.
    return [] if every else refused


async def _dead(staff: Staff) -> list[JobId]:
    from payments_core.ports import JobFilter

    found, more = await first_of_list(lambda window: staff.jobs(window, JobFilter(state=JobState.DEAD)), SHOWN_MAX)
    if more:
        click.echo(f"There are more than {SHOWN_MAX}: say --all again for the others.", err=True)
    return [job.id for job in found]
