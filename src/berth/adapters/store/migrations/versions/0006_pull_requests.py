"""forks, pull requests, and which codespaces show a fork's."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "forks",
        sa.Column("repository_id", number, nullable=False),
        sa.Column("parent_id", number, nullable=False),
        sa.ForeignKeyConstraint(
            ["parent_id"], ["repositories.id"], name=op.f("fk_forks_parent_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["repository_id"], ["repositories.id"], name=op.f("fk_forks_repository_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("repository_id", name=op.f("pk_forks")),
    )
    op.create_index(op.f("ix_forks_parent_id"), "forks", ["parent_id"])
    time = sa.DateTime(timezone=True)
    op.create_table(
        "pull_requests",
        sa.Column("id", number, nullable=False),
        sa.Column("repository_id", number, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("author_id", number, nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=6), nullable=False),
        sa.Column("base_ref", sa.String(length=244), nullable=False),
        sa.Column("base_sha", sa.String(length=64), nullable=False),
        sa.Column("head_repository_id", number, nullable=True),
        sa.Column("head_ref", sa.String(length=244), nullable=False),
        sa.Column("head_sha", sa.String(length=64), nullable=False),
        sa.Column("created_at", time, nullable=False),
        sa.Column("updated_at", time, nullable=False),
        sa.Column("closed_at", time, nullable=True),
        sa.ForeignKeyConstraint(
            ["author_id"], ["accounts.id"], name=op.f("fk_pull_requests_author_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["head_repository_id"],
            ["repositories.id"],
            name=op.f("fk_pull_requests_head_repository_id"),
            ondelete="SET NULL",
        ),
        sa.ForeignKeyConstraint(
            ["repository_id"], ["repositories.id"], name=op.f("fk_pull_requests_repository_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pull_requests")),
        sa.UniqueConstraint("repository_id", "number", name=op.f("uq_pull_requests_repository_id_number")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_pull_requests_author_id"), "pull_requests", ["author_id"])
    op.create_index(op.f("ix_pull_requests_head_repository_id"), "pull_requests", ["head_repository_id"])
    op.add_column("codespaces", sa.Column("pull_request_number", sa.Integer(), nullable=True))
    op.add_column("codespaces", sa.Column("from_fork", sa.Boolean(), nullable=False, server_default=sa.false()))
