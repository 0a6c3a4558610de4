"""former names of repositories."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "former_names",
        sa.Column("owner_id", number, nullable=False),
        sa.Column("name_key", sa.String(length=100), nullable=False),
        sa.Column("repository_id", number, nullable=False),
        sa.ForeignKeyConstraint(
            ["owner_id"], ["accounts.id"], name=op.f("fk_former_names_owner_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["repository_id"], ["repositories.id"], name=op.f("fk_former_names_repository_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("owner_id", "name_key", name=op.f("pk_former_names")),
    )
    op.create_index(op.f("ix_former_names_repository_id"), "former_names", ["repository_id"], unique=False)
