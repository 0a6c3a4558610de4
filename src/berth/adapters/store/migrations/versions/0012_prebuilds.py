"""prebuilds, their versions and log; which codespaces were launched from one."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    time = sa.DateTime(timezone=True)
    op.add_column("codespaces", sa.Column("from_prebuild", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.create_table(
        "prebuilds",
        sa.Column("id", number, nullable=False),
        sa.Column("repository_id", number, nullable=False),
        sa.Column("creator_id", number, nullable=False),
        sa.Column("branch", sa.Text(), nullable=False),
        sa.Column("devcontainer_path", sa.Text(), nullable=True),
        sa.Column("trigger", sa.String(length=8), nullable=False),
        sa.Column("every_hours", sa.Integer(), nullable=True),
        sa.Column("kept_versions", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("forced", sa.Boolean(), nullable=False),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.Column("commit_id", sa.String(length=64), nullable=True),
        sa.Column("finding", sa.Text(), nullable=True),
        sa.Column("created_at", time, nullable=False),
        sa.Column("finished_at", time, nullable=True),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("seen", sa.Integer(), nullable=False),
        sa.Column("next_at", sa.Float(), nullable=True),
        sa.Column("lease", sa.Float(), nullable=True),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("holder", sa.String(length=64), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["repository_id"], ["repositories.id"], name=op.f("fk_prebuilds_repository_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["creator_id"], ["accounts.id"], name=op.f("fk_prebuilds_creator_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_prebuilds")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_prebuilds_creator_id"), "prebuilds", ["creator_id"])
    op.create_index(op.f("ix_prebuilds_repository_id_id"), "prebuilds", ["repository_id", "id"])
    op.create_index(op.f("ix_prebuilds_next_at"), "prebuilds", ["next_at"])
    op.create_table(
        "prebuild_versions",
        sa.Column("id", number, nullable=False),
        sa.Column("prebuild_id", number, nullable=False),
        sa.Column("owner_id", number, nullable=False),
        sa.Column("configuration_hash", sa.String(length=64), nullable=False),
        sa.Column("digest", sa.String(length=135), nullable=False),
        sa.Column("commit_id", sa.String(length=64), nullable=False),
        sa.Column("created_at", time, nullable=False),
        sa.ForeignKeyConstraint(
            ["prebuild_id"], ["prebuilds.id"], name=op.f("fk_prebuild_versions_prebuild_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["owner_id"], ["accounts.id"], name=op.f("fk_prebuild_versions_owner_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_prebuild_versions")),
        sa.UniqueConstraint(
            "prebuild_id", "configuration_hash", name=op.f("uq_prebuild_versions_prebuild_id_configuration_hash")
        ),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_prebuild_versions_owner_id"), "prebuild_versions", ["owner_id"])
    op.create_table(
        "prebuild_log",
        sa.Column("id", number, nullable=False),
        sa.Column("prebuild_id", number, nullable=False),
        sa.Column("at", time, nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["prebuild_id"], ["prebuilds.id"], name=op.f("fk_prebuild_log_prebuild_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_prebuild_log")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_prebuild_log_prebuild_id_id"), "prebuild_log", ["prebuild_id", "id"])
