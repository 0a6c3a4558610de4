"""Statements are compiled once in a run of tests, not once in each test: a fifth of what tests on a database cost.

SQLAlchemy keeps what it compiled for each engine, and each test makes its own. What differs between two engines of one kind of
database is where it is; no compiled statement says that.
"""

from typing import Any

from sqlalchemy import Connection, Engine, event


class _KnownStatements(dict[Any, Any]):
    """Its keys begin with the dialect, an object of the engine's own."""

    def get(self, key: tuple[Any, ...], default: Any = None) -> Any:
        return super().get(_of_any_engine(key), default)

    def __setitem__(self, key: tuple[Any, ...], compiled: Any) -> None:
        super().__setitem__(_of_any_engine(key), compiled)


def _of_any_engine(key: tuple[Any, ...]) -> tuple[Any, ...]:
    dialect, *rest = key
    return (type(dialect), *rest)


def share_compiled_statements() -> None:
    """By every engine of this process from now on."""
    known = _KnownStatements()

    def share(connection: Connection) -> None:
        connection.execution_options(compiled_cache=known)

    event.listen(Engine, "engine_connect", share)
