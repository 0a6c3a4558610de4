"""who may have codespaces of an organization's repositories."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "codespace_access",
        sa.Column("organization_id", number, nullable=False),
        sa.Column("visibility", sa.String(length=40), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["accounts.id"], name=op.f("fk_codespace_access_organization_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("organization_id", name=op.f("pk_codespace_access")),
    )
    op.create_table(
        "codespace_access_users",
        sa.Column("organization_id", number, nullable=False),
        sa.Column("user_id", number, nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["accounts.id"],
            name=op.f("fk_codespace_access_users_organization_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["accounts.id"], name=op.f("fk_codespace_access_users_user_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("organization_id", "user_id", name=op.f("pk_codespace_access_users")),
    )
    op.create_index(op.f("ix_codespace_access_users_user_id"), "codespace_access_users", ["user_id"], unique=False)
