"""The tables of secrets. The others, and how all of them are made: `tables.py`."""

from sqlalchemy import (
    CheckConstraint,
    Column,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from berth.adapters.store.tables import Id, UTCTime, cascade, metadata

__all__ = ["metadata"]  # with all tables in it: those of tables.py, too

# One table for the three levels: `level` and the one owner column that belongs to it.
secrets = Table(
    "secrets",
    metadata,
    Column("id", Id, primary_key=True),
    Column("level", String(12), nullable=False),
    Column("account_id", Id, cascade("accounts.id")),  # of a user's or an organization's secret
    Column("repository_id", Id, cascade("repositories.id")),  # of a repository's secret
    Column("name", String(255), nullable=False),
    Column("visibility", String(8)),  # of a user's (always selected) or an organization's secret
    Column("value", LargeBinary, nullable=False),  # envelope, see adapters/sealer.py
    Column(
        "version", Integer, server_default="1", nullable=False
    ),  # another value adds one; the same one rewrapped does not
    Column("created_at", UTCTime, nullable=False),
    Column("updated_at", UTCTime, nullable=False),
    UniqueConstraint("account_id", "name"),
    UniqueConstraint("repository_id", "name"),
    CheckConstraint("(account_id IS NULL) <> (repository_id IS NULL)", name="one_owner"),
    sqlite_autoincrement=True,
)

secret_repositories = Table(
    "secret_repositories",
    metadata,
    Column("secret_id", Id, cascade("secrets.id"), nullable=False),
    Column("repository_id", Id, cascade("repositories.id"), nullable=False, index=True),
    PrimaryKeyConstraint("secret_id", "repository_id"),
)

# What was learnt last of a triple (domain.last_check), by its SERVER; `versions` says of exactly which values.
last_checks = Table(
    "last_checks",
    metadata,
    Column("secret_id", Id, cascade("secrets.id"), primary_key=True, autoincrement=False),
    Column("versions", Text, nullable=False),
    Column("outcome", String(8), nullable=False),
    Column("code", String(64), nullable=False),  # the finding's; empty: there is none
    Column("at", UTCTime, nullable=False),
)
