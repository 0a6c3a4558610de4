"""The tables of signing in to the web console. The others, and how all of them are made: `tables.py`."""

from sqlalchemy import Column, Integer, LargeBinary, String, Table, Text, UniqueConstraint

from berth.adapters.store.prebuild_tables import metadata
from berth.adapters.store.tables import Id, UTCTime, cascade

__all__ = ["metadata"]  # with all tables in it

account_passwords = Table(
    "account_passwords",
    metadata,
    Column("account_id", Id, cascade("accounts.id"), primary_key=True, autoincrement=False),
    Column("hash", Text, nullable=False),  # with its algorithm, its costs and its salt
    Column("set_at", UTCTime, nullable=False),
)

password_invitations = Table(
    "password_invitations",
    metadata,
    Column("account_id", Id, cascade("accounts.id"), primary_key=True, autoincrement=False),  # the newest one counts
    Column("hash", LargeBinary(32), nullable=False, unique=True),
    Column("created_at", UTCTime, nullable=False),
    Column("expires_at", UTCTime, nullable=False),
)

# Who signs in as this account by the provider that vouches for them (domain.identity).
account_identities = Table(
    "account_identities",
    metadata,
    Column("id", Id, primary_key=True),
    Column("account_id", Id, cascade("accounts.id"), nullable=False, index=True),
    Column("issuer", Text, nullable=False),
    Column("subject", String(255), nullable=False),
    Column("shown", Text, nullable=False),
    Column("created_at", UTCTime, nullable=False),
    UniqueConstraint("issuer", "subject"),
    sqlite_autoincrement=True,
)

sessions = Table(
    "sessions",
    metadata,
    Column("id", Id, primary_key=True),
    Column("account_id", Id, cascade("accounts.id"), nullable=False, index=True),
    Column("hash", LargeBinary(32), nullable=False, unique=True),
    Column("created_at", UTCTime, nullable=False, index=True),
    Column("last_seen_at", UTCTime, nullable=False, index=True),
    Column("address", String(45), nullable=False),
    Column("user_agent", Text, nullable=False),
    sqlite_autoincrement=True,
)

# Attempts to sign in, by account and by address (domain.sign_in).
sign_in_attempts = Table(
    "sign_in_attempts",
    metadata,
    Column("key", String(64), primary_key=True),
    Column("began_at", UTCTime, nullable=False, index=True),
    Column("tries", Integer, nullable=False),
)
