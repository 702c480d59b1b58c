"""The settings of each kind of command, and what is said where something is missing."""

from __future__ import annotations

import io
import logging
import os
import sys
from dataclasses import replace
from pathlib import Path

from entrypoints.cli.data_directory import DataDirectory
from entrypoints.cli.errors import CommandFailed
from entrypoints.secret import Secret
from entrypoints.settings import LOOPBACK, Needed, Settings, needed, read_settings

LOCAL = Settings(webhook_allowed_networks=LOOPBACK, webhook_allow_http=True)


class NotRunning(CommandFailed):
    """There is data of `payments up`, and no `payments up` that serves it."""

    def __init__(self, directory: DataDirectory) -> None:
        super().__init__(
            f"`payments up` isn't running for the data directory {directory.path}: "
            "start it, name another with --data-dir, or set PAYMENTS_DATABASE_URL."
        )


class _StandardError(io.TextIOBase):
    """What is the standard error at each moment: where a spinner turns, lines go above it."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()


def start_logging(settings: Settings) -> None:
    """Send logs to the standard error, and say first what weakens this installation."""
    log_to_standard_error(settings)
    for notice in settings.notices:
        logging.getLogger(__name__).warning(notice)


def log_to_standard_error(settings: Settings) -> None:
    """Send logs to the standard error."""
    from entrypoints.logs import set_up_logs

    set_up_logs(settings)
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.setStream(_StandardError())


def local_settings() -> Settings:
    """Return the settings of `up` and `demo`, which bring a secret key and servers where these are not set.

    Webhooks may go to this machine, as a receiver on it is how one tries them; in production only where the settings
    say so. Raises SettingsError.
    """
    settings = read_settings(os.environ, defaults=LOCAL)
    if settings.env == "production":
        return read_settings(os.environ)
    return settings


def deployed_settings(*names: Needed) -> Settings:
    """Return the settings of a process that needs these, and servers from elsewhere. Raises SettingsError."""
    settings = read_settings(os.environ)
    needed(settings, *names)
    return settings


def settings_of_running(data_dir: Path) -> Settings:
    """Return the settings for a command beside a service that runs: an `up` of this directory, or what is deployed.

    Raises SettingsError; NotRunning; CommandFailed where there is neither a database nor a data directory;
    DataDirectoryUnusable.
    """
    settings = local_settings()
    directory = DataDirectory(data_dir)
    if settings.database_url is None:
        _require_running(directory, settings)
    elif settings.secret_key is not None or not directory.has_secret_key():
        return deployed_settings("database_url", "secret_key")
    from entrypoints.wiring import embedded_urls

    database_url, redis_url = embedded_urls(directory.path)
    return replace(
        settings,
        database_url=settings.database_url or database_url,
        redis_url=settings.redis_url or (redis_url if directory.is_held() else None),
        secret_key=settings.secret_key or Secret(directory.secret_key()),
    )


def _require_running(directory: DataDirectory, settings: Settings) -> None:
    """Raise where no `up` with a database of its own runs on the directory."""
    if not directory.has_database():
        unset = (
            "PAYMENTS_DATABASE_URL is" if settings.secret_key else "PAYMENTS_DATABASE_URL and PAYMENTS_SECRET_KEY are"
        )
        raise CommandFailed(
            f"{unset} not set, and there is no data of `payments up` in {directory.path}: "
            "start `payments up` there, name it with --data-dir, or set what .env.example shows."
        )
    if not directory.is_held():
        raise NotRunning(directory)
