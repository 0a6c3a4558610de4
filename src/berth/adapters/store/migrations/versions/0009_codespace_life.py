"""what codespaces are asked beside running and stopping."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("codespaces", sa.Column("rebuild_asked", sa.Integer(), server_default="0", nullable=False))
    op.add_column("codespaces", sa.Column("rebuild_full", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column("codespaces", sa.Column("built", sa.Integer(), server_default="0", nullable=False))
