"""what an organization's policies let containers have of their host."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("codespace_policies", sa.Column("allowed_options", sa.Text()))
