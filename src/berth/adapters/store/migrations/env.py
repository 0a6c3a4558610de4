"""Alembic's entry point. Migrations run on the connection that `Store.migrate` hands over, in its transaction."""

from typing import Any, Literal

from alembic import context

from berth.adapters.store.session_tables import metadata  # and by it all tables
from berth.adapters.store.tables import UTCTime


def _render_item(kind: str, item: Any, _autogen_context: object) -> str | Literal[False]:
    """A migration must not import today's code: our own column type is written as what it stores."""
    return "sa.DateTime(timezone=True)" if kind == "type" and isinstance(item, UTCTime) else False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    compare_type=True,
    render_item=_render_item,
)
context.run_migrations()
