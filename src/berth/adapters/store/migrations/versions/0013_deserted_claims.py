"""How often a server died with a claim, of every table that the reconcile loop works on."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_TABLES = ("codespaces", "codespace_exports", "credential_refreshes", "chores", "prebuilds")


def upgrade() -> None:
    for table in _TABLES:
        op.add_column(table, sa.Column("deserted", sa.Integer(), server_default="0", nullable=False))
