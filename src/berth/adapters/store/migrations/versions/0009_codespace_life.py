"""what codespaces are asked beside running and stopping, and what time does to them."""

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("codespaces", sa.Column("rebuild_asked", sa.Integer(), server_default="0", nullable=False))
    op.add_column("codespaces", sa.Column("rebuild_full", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column("codespaces", sa.Column("failed_hook", sa.Text()))
    op.add_column("codespaces", sa.Column("stop_notice", sa.Text()))
    op.add_column("codespaces", sa.Column("built", sa.Integer(), server_default="0", nullable=False))
    op.add_column("codespaces", sa.Column("stopped_at", sa.DateTime(timezone=True)))
    op.add_column("codespaces", sa.Column("expiry_warned", sa.Boolean(), server_default=sa.false(), nullable=False))
    # Nobody has noted uses and stops until now: every codespace gets its whole time from here on.
    table = sa.table(
        "codespaces",
        sa.column("last_used_at", sa.DateTime(timezone=True)),
        sa.column("stopped_at", sa.DateTime(timezone=True)),
        sa.column("desired", sa.String()),
        sa.column("phase", sa.String()),
        sa.column("next_at", sa.Float()),
    )
    now = datetime.now(UTC).replace(microsecond=0)
    op.execute(sa.update(table).where(table.c.phase == "available").values(last_used_at=now))
    stopped = sa.or_(
        table.c.phase.in_(["shutdown", "failed"]), sa.and_(table.c.phase == "queued", table.c.desired == "stopped")
    )
    op.execute(sa.update(table).where(stopped).values(stopped_at=now, next_at=0.0))
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "codespace_policies",
        sa.Column("organization_id", number, nullable=False),
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("allowed_images", sa.Text(), nullable=True),
        sa.Column("idle_timeout_max_minutes", sa.Integer(), nullable=True),
        sa.Column("retention_max_minutes", sa.Integer(), nullable=True),
        sa.Column("max_codespaces_per_user", sa.Integer(), nullable=True),
        sa.Column("max_codespaces", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["accounts.id"], name=op.f("fk_codespace_policies_organization_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("organization_id", "name", name=op.f("pk_codespace_policies")),
    )
