"""workflow tokens."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_SEQUENCE = sa.text("SELECT seq FROM sqlite_sequence WHERE name = 'access_tokens'")


def upgrade() -> None:
    connection = op.get_bind()
    is_sqlite = connection.dialect.name == "sqlite"
    # SQLite adds a constraint only by copying the table; nothing refers to this one. The copy would start to number
    # after the rows that are there: ids of tokens that are gone must not come again.
    last = connection.execute(_SEQUENCE).scalar() if is_sqlite else None
    with op.batch_alter_table("access_tokens", table_kwargs={"sqlite_autoincrement": True}) as table:
        table.add_column(
            sa.Column("repository_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True)
        )
        table.add_column(sa.Column("permissions", sa.Text(), nullable=True))
        table.create_foreign_key(
            op.f("fk_access_tokens_repository_id"), "repositories", ["repository_id"], ["id"], ondelete="CASCADE"
        )
        table.create_index(op.f("ix_access_tokens_repository_id"), ["repository_id"], unique=False)
    if last is not None:
        connection.execute(sa.text("DELETE FROM sqlite_sequence WHERE name = 'access_tokens'"))
        insert = sa.text("INSERT INTO sqlite_sequence (name, seq) VALUES ('access_tokens', :last)")
        connection.execute(insert, {"last": last})
