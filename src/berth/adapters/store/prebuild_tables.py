"""The tables of prebuilds. The others, and how all of them are made: `tables.py`."""

from sqlalchemy import Boolean, Column, Index, Integer, String, Table, Text, UniqueConstraint

from berth.adapters.store.package_tables import metadata
from berth.adapters.store.tables import Id, UTCTime, cascade, work_columns

__all__ = ["metadata"]  # with all tables in it

# What is kept prebuilt (domain.prebuild). The loop's columns drive its runs.
prebuilds = Table(
    "prebuilds",
    metadata,
    Column("id", Id, primary_key=True),
    Column("repository_id", Id, cascade("repositories.id"), nullable=False),
    Column("creator_id", Id, cascade("accounts.id"), nullable=False, index=True),
    Column("branch", Text, nullable=False),
    Column("devcontainer_path", Text),
    Column("trigger", String(8), nullable=False),
    Column("every_hours", Integer),
    Column("kept_versions", Integer, nullable=False),
    Column("state", String(12), nullable=False),
    Column("forced", Boolean, nullable=False),
    Column("deleted", Boolean, nullable=False),
    Column("commit_id", String(64)),
    Column("finding", Text),  # JSON
    Column("created_at", UTCTime, nullable=False),
    Column("finished_at", UTCTime),
    *work_columns(),
    Index(None, "repository_id", "id"),
    Index(None, "next_at"),
    sqlite_autoincrement=True,
)

prebuild_versions = Table(
    "prebuild_versions",
    metadata,
    Column("id", Id, primary_key=True),
    Column("prebuild_id", Id, cascade("prebuilds.id"), nullable=False),
    Column("owner_id", Id, cascade("accounts.id"), nullable=False, index=True),  # whose package it lies in
    Column("configuration_hash", String(64), nullable=False),
    Column("digest", String(135), nullable=False),
    Column("commit_id", String(64), nullable=False),
    Column("created_at", UTCTime, nullable=False),
    UniqueConstraint("prebuild_id", "configuration_hash"),
    sqlite_autoincrement=True,
)

prebuild_log = Table(
    "prebuild_log",
    metadata,
    Column("id", Id, primary_key=True),
    Column("prebuild_id", Id, cascade("prebuilds.id"), nullable=False),
    Column("at", UTCTime, nullable=False),
    Column("kind", String(10), nullable=False),  # as in codespace_log
    Column("text", Text, nullable=False),
    Index(None, "prebuild_id", "id"),
    sqlite_autoincrement=True,
)
