"""exports of codespaces."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "codespace_exports",
        sa.Column("id", number, nullable=False),
        sa.Column("codespace_id", number, nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("branch", sa.Text(), nullable=False),
        sa.Column("branch_is_wanted", sa.Boolean(), nullable=False),
        sa.Column("sha", sa.String(length=64), nullable=True),
        sa.Column("finding", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("seen", sa.Integer(), nullable=False),
        sa.Column("next_at", sa.Float(), nullable=True),
        sa.Column("lease", sa.Float(), nullable=True),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("holder", sa.String(length=64), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["codespace_id"], ["codespaces.id"], name=op.f("fk_codespace_exports_codespace_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_codespace_exports")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_codespace_exports_codespace_id_id"), "codespace_exports", ["codespace_id", "id"])
    op.create_index(op.f("ix_codespace_exports_next_at"), "codespace_exports", ["next_at"])
    op.create_index(
        "uq_codespace_exports_in_progress",
        "codespace_exports",
        ["codespace_id"],
        unique=True,
        sqlite_where=sa.text("state = 'in_progress'"),
        postgresql_where=sa.text("state = 'in_progress'"),
    )
