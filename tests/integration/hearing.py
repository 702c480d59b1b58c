"""What a store says to the server: its statements, whether SQLAlchemy executes them or the driver does at once."""

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.running import Compiled, Driver


@contextmanager
def heard(engine: AsyncEngine, hear: Callable[[str, Mapping[str, Any]], None]) -> Generator[None]:
    """Tell of each statement that is executed in the block, with the first of its sets of parameters."""

    def of_sqlalchemy(_c: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, many: bool) -> None:
        hear(statement, parameters[0] if many else parameters)

    execute = Driver._execute

    async def of_driver(driver: Driver, made: Compiled, parameters: Mapping[str, Any]) -> Any:
        hear(made.sql.decode(), {**made.constants, **parameters})
        return await execute(driver, made, parameters)

    event.listen(engine.sync_engine, "before_cursor_execute", of_sqlalchemy)
    try:
        with patch.object(Driver, "_execute", of_driver):
            yield
    finally:
        event.remove(engine.sync_engine, "before_cursor_execute", of_sqlalchemy)
