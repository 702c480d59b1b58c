"""`payments attempts resolve`: a person's word in the place of the gateway's."""

from __future__ import annotations

import getpass
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from entrypoints.cli.data_dir_option import data_dir_option
from entrypoints.cli.errors import CommandFailed
from entrypoints.cli.staff import check_id, staff_of, wired
from payments_core.errors import Conflict, NotFound
from payments_core.gateway import Approved, Declined
from payments_core.ids import AttemptId

if TYPE_CHECKING:
    from entrypoints.settings import Settings
    from payments_core import Resolve
    from payments_core.attempt import Attempt
    from payments_core.staff import Matter, Staff

DECLINED_MESSAGE: Final = "Declined by the gateway."

EXAMPLE: Final = """\b
Example:
  payments attempts resolve att_01ARZ3NDEKTSV4RRFFQ69G5FAV --approved --reference ch_1042
  payments attempts resolve att_01ARZ3NDEKTSV4RRFFQ69G5FAV --declined --code card_declined --note "mail of the bank"
"""


@click.command("resolve", short_help="Say what became of an attempt.", epilog=EXAMPLE)
@click.argument("id", callback=check_id("att"))
@click.option("--approved", is_flag=True, help="The money moved.")
@click.option("--reference", help="With --approved: the gateway's name of the charge or refund.")
@click.option("--declined", is_flag=True, help="The money did not move, and will not.")
@click.option("--code", help="With --declined: why, in a word such as card_declined; the merchant sees it.")
@click.option(
    "--message",
    default=DECLINED_MESSAGE,
    show_default=True,
    help="With --declined: why, in a sentence; the merchant sees it.",
)
@click.option("--by", help="Who says so.  [default: who is logged in]")
@click.option("--note", help="How it was found out; kept with the attempt.")
@click.option("--correct", is_flag=True, help="Correct what closed the attempt before; the merchant is told.")
@click.option("--yes", is_flag=True, help="Don't ask once more.")
@data_dir_option()
def resolve_command(
    id: str,
    approved: bool,
    reference: str | None,
    declined: bool,
    code: str | None,
    message: str,
    by: str | None,
    note: str | None,
    correct: bool,
    yes: bool,
    data_dir: Path,
) -> None:
    """Say what became of an attempt that needs review, after a look at the gateway itself.

    The payment or refund ends as if the gateway had said so, and the merchant gets the usual event. Whoever says the
    same again changes nothing.
    """
    from entrypoints.cli.command_settings import log_to_standard_error, settings_of_running
    from entrypoints.cli.signals import run
    from payments_core import Resolve
    from payments_core.use_cases.resolve_attempt import check_resolution

    outcome = _outcome(approved, reference, declined, code, message)
    command = Resolve(outcome=outcome, by=_who() if by is None else by, note=note, correct=correct)
    check_resolution(command)
    settings = settings_of_running(data_dir)
    attempt, matter = run(_look(settings, AttemptId(id)))
    if not yes:
        _ask(attempt, matter, command)
    log_to_standard_error(settings)
    click.echo(run(_resolve(settings, AttemptId(id), command)))


def _outcome(
    approved: bool, reference: str | None, declined: bool, code: str | None, message: str
) -> Approved | Declined:
    if approved == declined:
        raise click.UsageError("Say what became of it: either --approved --reference …, or --declined --code ….")
    if approved:
        if reference is None:
            raise click.UsageError("--approved needs the gateway's --reference.")
        if code is not None or message != DECLINED_MESSAGE:
            raise click.UsageError("--code and --message go with --declined.")
        return Approved(reference=reference)
    if code is None:
        raise click.UsageError("--declined needs a --code, such as card_declined.")
    if reference is not None:
        raise click.UsageError("--reference goes with --approved.")
    return Declined(code=code, message=message)


def _who() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        raise click.UsageError("The system has no name for who is logged in: say it with --by.") from None


def _ask(attempt: Attempt, matter: Matter, command: Resolve) -> None:
    """Ask once more; raise Abort for a no, CommandFailed where nobody is there to ask."""
    from entrypoints.cli.screen import printable

    if not _is_at_terminal():
        raise CommandFailed("No terminal to ask once more: --yes resolves without asking.")
    for line in (_seen(attempt, matter), f"Why it is so: {attempt.detail or 'not said'}"):
        click.echo(printable(line), err=True)
    if isinstance(command.outcome, Approved):
        word = f"approved, with the reference {command.outcome.reference}"
    else:
        word = f"declined, with the code {command.outcome.code}"
    verb = "Correct it to" if command.correct else "Resolve it as"
    click.confirm(f"{verb} {word}?", abort=True, err=True)


def _is_at_terminal() -> bool:
    return sys.stdin.isatty()


def _seen(attempt: Attempt, matter: Matter) -> str:
    """Say in a line how the attempt stands, and what it is about."""
    refund, transaction = matter.refund, matter.transaction
    about = f"refund {refund.id} is {refund.status}" if refund else f"transaction {attempt.transaction}"
    if refund is None and transaction is not None:
        about += f" is {transaction.status}"
    amount = f"{attempt.amount.format()} {attempt.amount.currency.code}"
    state = f"{attempt.state} ({attempt.reference})" if attempt.state == "approved" else attempt.state
    return f"Attempt {attempt.id} ({attempt.kind} of {amount}) is {state}; {about}."


async def _look(settings: Settings, id: AttemptId) -> tuple[Attempt, Matter]:
    async with wired(settings) as services:
        return await known_attempt(staff_of(services), id)


async def _resolve(settings: Settings, id: AttemptId, command: Resolve) -> str:
    """Resolve the attempt, and say in a line how it stands then."""
    async with wired(settings) as services:
        staff = staff_of(services)
        try:
            resolved = await staff.resolve(id, command)
        except Conflict as conflict:
            cure = " If it was wrong, --correct makes one." if conflict.code == "attempt_closed" else ""
            raise CommandFailed(conflict.message + cure) from None
        seen = _seen(*await staff.attempt(id))
    return seen if resolved.changed else f"Nothing was changed: {seen[0].lower()}{seen[1:]}"


async def known_attempt(staff: Staff, id: AttemptId) -> tuple[Attempt, Matter]:
    """Return an attempt and what it is about, or raise CommandFailed."""
    try:
        return await staff.attempt(id)
    except NotFound:
        raise CommandFailed(f"There is no attempt {id}.") from None
