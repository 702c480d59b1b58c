"""Logs: one line for each event, for people or for machines, ours and the libraries' alike.

Nothing logs a body, a header or a parameter; what is logged of a request is its id, its route and how it ended.
"""

from __future__ import annotations

import json
import logging
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Final

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from entrypoints.settings import Settings
from payments_core.values import format_time

request_id: Final[ContextVar[str | None]] = ContextVar("request_id", default=None)
"""The id of the request that is being worked on, for each line that is logged meanwhile."""

QUIETER: Final = {
    "httpx": logging.WARNING,  # logs each URL, which a merchant chose
    "httpcore": logging.WARNING,
    "aiohttp": logging.WARNING,
    "asyncio": logging.WARNING,
    "alembic": logging.WARNING,
    "sqlalchemy": logging.WARNING,  # logs statements with their parameters
    "taskiq": logging.WARNING,  # logs each ring
    "uvicorn.access": logging.WARNING,  # logs paths with their queries
}
"""Loggers that say too much at lower levels, whatever the level of ours."""


def set_up_logs(settings: Settings) -> None:
    """Send all logs to standard error, in the format and from the level of the settings; once for each process."""
    as_json = settings.log_format == "json" or (settings.log_format is None and not sys.stderr.isatty())
    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _add_request_id,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    formatter = (_Lines if as_json else structlog.stdlib.ProcessorFormatter)(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_ending(as_json=as_json)],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(settings.log_level.upper())
    _bring_in_libraries(settings)


_STANDARD: Final = frozenset(vars(logging.makeLogRecord({})))
"""What every record has; all else was said by whoever logged it."""
_encode: Final = json.JSONEncoder(default=repr).encode


class _Lines(structlog.stdlib.ProcessorFormatter):
    """Writes the lines of plain loggers by itself, among them one for each request.

    The processors would write the same in several times the time, a quarter of what a request takes.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        if isinstance(record.msg, dict) or record.exc_info or record.stack_info:
            return super().format(record)
        line: dict[str, object] = {
            "event": record.getMessage(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "timestamp": format_time(datetime.fromtimestamp(record.created, UTC)),
        }
        line |= {name: value for name, value in vars(record).items() if name not in _STANDARD}
        id = request_id.get()
        if id is not None:
            line.setdefault("request_id", id)
        return _encode(line)


def _bring_in_libraries(settings: Settings) -> None:
    """Have libraries' loggers pass on what they say, in place of handlers of their own."""
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "taskiq"):
        logger = logging.getLogger(name)
        logger.handlers = []
        logger.propagate = True
    for name, level in QUIETER.items():
        logging.getLogger(name).setLevel(max(level, logging.getLevelNamesMapping()[settings.log_level.upper()]))
    logging.captureWarnings(True)


def _ending(*, as_json: bool) -> list[Processor]:
    if as_json:
        # Without local variables: they may hold bodies and secrets.
        return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    return [
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)
    ]


def _add_request_id(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    id = request_id.get()
    if id is not None:
        event.setdefault("request_id", id)
    return event
