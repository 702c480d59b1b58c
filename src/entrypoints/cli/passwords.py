"""How commands come by the address and the password of an account."""

from __future__ import annotations

import sys

import click

from entrypoints.cli.errors import CommandFailed


def check_address(_ctx: click.Context, _parameter: click.Parameter, email: str) -> str:
    """Refuse what cannot be an address before anything is asked; the core, whose rule it is, looks closer."""
    from payments_core.merchant import EMAIL_LENGTH_MAX

    local, _, domain = email.strip().rpartition("@")
    if not local or "." not in domain or len(email.strip()) > EMAIL_LENGTH_MAX:
        raise click.BadParameter(f"must be an e-mail address of at most {EMAIL_LENGTH_MAX} characters.")
    return email


def read_password(from_stdin: bool) -> str:
    """Return the password from the standard input, or ask for it. Raises CommandFailed where nobody can be asked."""
    if from_stdin:
        return _long_enough(sys.stdin.readline().rstrip("\r\n"))
    if not sys.stdin.isatty():
        raise CommandFailed("No terminal to ask for the password: use --password-stdin.")
    from payments_core.merchant import PASSWORD_LENGTH_MAX, PASSWORD_LENGTH_MIN

    asked = f"Password ({PASSWORD_LENGTH_MIN} to {PASSWORD_LENGTH_MAX} characters)"
    password: str = click.prompt(asked, hide_input=True, confirmation_prompt="Again", value_proc=_long_enough)
    return password


def _long_enough(password: str) -> str:
    """Refuse a length that the core refuses, before anything slow; at the prompt it is asked for again."""
    from payments_core.merchant import PASSWORD_LENGTH_MAX, PASSWORD_LENGTH_MIN

    if not PASSWORD_LENGTH_MIN <= len(password) <= PASSWORD_LENGTH_MAX:
        raise click.UsageError(f"The password must have {PASSWORD_LENGTH_MIN} to {PASSWORD_LENGTH_MAX} characters.")
    return password
