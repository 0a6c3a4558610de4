"""when the credentials in running codespaces are made fresh. Those that run now get a row at their next start."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "credential_refreshes",
        sa.Column("id", number, nullable=False),
        sa.Column("codespace_id", number, nullable=False),
        sa.Column("said", sa.Text(), nullable=True),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("seen", sa.Integer(), nullable=False),
        sa.Column("next_at", sa.Float(), nullable=True),
        sa.Column("lease", sa.Float(), nullable=True),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("holder", sa.String(length=64), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["codespace_id"], ["codespaces.id"], name=op.f("fk_credential_refreshes_codespace_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_credential_refreshes")),
        sa.UniqueConstraint("codespace_id", name=op.f("uq_credential_refreshes_codespace_id")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_credential_refreshes_next_at"), "credential_refreshes", ["next_at"])
