"""All tables. Times are UTC; ids are never used again (a deleted name must carry no old grant: ids decide)."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)
from sqlalchemy import false as sa_false
from sqlalchemy.types import TypeEngine

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

Id = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers rows by itself only for INTEGER PRIMARY KEY


class UTCTime(TypeDecorator[datetime]):
    """An aware UTC time, whole seconds, on both databases (SQLite has no time zones)."""

    impl: TypeEngine[Any] | type[TypeEngine[Any]] = DateTime(timezone=True)
    cache_ok: bool | None = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone reached the database")
        return value.astimezone(UTC).replace(microsecond=0)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None or value.tzinfo is not None:
            return value if value is None else value.astimezone(UTC)
        return value.replace(tzinfo=UTC)


def cascade(target: str) -> ForeignKey:
    """The row goes with the one that it belongs to."""
    return ForeignKey(target, ondelete="CASCADE")


def work_columns() -> list[Column[Any]]:
    """What the reconcile loop needs of a table (see `work.py`)."""
    return [
        Column("generation", Integer, nullable=False),  # every API write of `desired` adds one
        Column("seen", Integer, nullable=False),  # the generation that the loop has brought about
        Column("next_at", Float),  # database's clock, seconds since 1970; NULL: nothing to do. The only timer.
        Column("lease", Float),  # until when the claim holds
        Column("epoch", Integer, nullable=False),  # every claim adds one: writes of an older one are refused
        Column("holder", String(64)),
        Column("attempts", Integer, nullable=False),  # failed since a step succeeded or a request came
        Column("deserted", Integer, server_default="0", nullable=False),  # claims whose server died, since an outcome
    ]


accounts = Table(
    "accounts",
    metadata,
    Column("id", Id, primary_key=True),
    Column("login", String(39), nullable=False),
    Column("login_key", String(39), nullable=False, unique=True),  # lower case
    Column("type", String(12), nullable=False),
    Column("name", Text),
    Column("email", Text),
    Column("site_admin", Boolean, nullable=False, default=False),
    Column("created_at", UTCTime, nullable=False),
    Column("updated_at", UTCTime, nullable=False),
    Column("suspended_at", UTCTime),  # NULL: he is not
    Column("suspension_reason", Text),
    sqlite_autoincrement=True,
)

memberships = Table(
    "memberships",
    metadata,
    Column("organization_id", Id, cascade("accounts.id"), nullable=False),
    Column("user_id", Id, cascade("accounts.id"), nullable=False, index=True),
    Column("role", String(6), nullable=False),
    PrimaryKeyConstraint("organization_id", "user_id"),
)

teams = Table(
    "teams",
    metadata,
    Column("id", Id, primary_key=True),
    Column("organization_id", Id, cascade("accounts.id"), nullable=False),
    Column("slug", String(100), nullable=False),
    Column("name", Text, nullable=False),
    Column("description", Text, nullable=False, default=""),
    Column("created_at", UTCTime, nullable=False),
    Column("updated_at", UTCTime, nullable=False),
    UniqueConstraint("organization_id", "slug"),
    sqlite_autoincrement=True,
)

team_members = Table(
    "team_members",
    metadata,
    Column("team_id", Id, cascade("teams.id"), nullable=False),
    Column("user_id", Id, cascade("accounts.id"), nullable=False, index=True),
    Column("role", String(10), nullable=False),  # member, maintainer
    PrimaryKeyConstraint("team_id", "user_id"),
)

repositories = Table(
    "repositories",
    metadata,
    Column("id", Id, primary_key=True),
    Column("owner_id", Id, cascade("accounts.id"), nullable=False),
    Column("name", String(100), nullable=False),
    Column("name_key", String(100), nullable=False),  # lower case
    Column("description", Text, nullable=False, default=""),
    Column("visibility", String(8), nullable=False),
    Column("default_branch", String(244), nullable=False),
    Column("created_at", UTCTime, nullable=False),
    Column("updated_at", UTCTime, nullable=False),
    Column("pushed_at", UTCTime, nullable=False),
    UniqueConstraint("owner_id", "name_key"),
    sqlite_autoincrement=True,
)

# What a repository is a fork of. A fork whose parent is gone is a repository like others.
forks = Table(
    "forks",
    metadata,
    Column("repository_id", Id, cascade("repositories.id"), primary_key=True, autoincrement=False),
    Column("parent_id", Id, cascade("repositories.id"), nullable=False, index=True),
)

pull_requests = Table(
    "pull_requests",
    metadata,
    Column("id", Id, primary_key=True),
    Column("repository_id", Id, cascade("repositories.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("author_id", Id, cascade("accounts.id"), nullable=False, index=True),
    Column("title", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("state", String(6), nullable=False),
    Column("base_ref", String(244), nullable=False),
    Column("base_sha", String(64), nullable=False),
    # NULL: it is gone, and nobody sees the pull request any more; only its number stays taken.
    Column("head_repository_id", Id, ForeignKey("repositories.id", ondelete="SET NULL"), index=True),
    Column("head_ref", String(244), nullable=False),
    Column("head_sha", String(64), nullable=False),
    Column("created_at", UTCTime, nullable=False),
    Column("updated_at", UTCTime, nullable=False),
    Column("closed_at", UTCTime),
    UniqueConstraint("repository_id", "number"),
    sqlite_autoincrement=True,
)

# Where a repository was before it was renamed or given away: former_name.py.
former_names = Table(
    "former_names",
    metadata,
    Column("owner_id", Id, cascade("accounts.id"), nullable=False),
    Column("name_key", String(100), nullable=False),  # lower case
    Column("repository_id", Id, cascade("repositories.id"), nullable=False, index=True),
    PrimaryKeyConstraint("owner_id", "name_key"),
)

collaborators = Table(
    "collaborators",
    metadata,
    Column("repository_id", Id, cascade("repositories.id"), nullable=False),
    Column("user_id", Id, cascade("accounts.id"), nullable=False, index=True),
    Column("role", Integer, nullable=False),  # domain.role.Role
    PrimaryKeyConstraint("repository_id", "user_id"),
)

team_repositories = Table(
    "team_repositories",
    metadata,
    Column("team_id", Id, cascade("teams.id"), nullable=False),
    Column("repository_id", Id, cascade("repositories.id"), nullable=False, index=True),
    Column("role", Integer, nullable=False),
    PrimaryKeyConstraint("team_id", "repository_id"),
)

access_tokens = Table(
    "access_tokens",
    metadata,
    Column("id", Id, primary_key=True),
    Column("kind", String(4), nullable=False),
    Column("account_id", Id, cascade("accounts.id"), nullable=False, index=True),
    Column("codespace_id", Id, cascade("codespaces.id"), index=True),
    Column("repository_id", Id, cascade("repositories.id"), index=True),  # of a workflow token
    Column("permissions", Text),  # of a workflow token; domain.workflow_permissions
    Column("note", Text, nullable=False, default=""),
    Column("scopes", Text, nullable=False, default=""),  # words joined by spaces
    Column("hash", LargeBinary(32), nullable=False, unique=True),
    Column("hint", String(4), nullable=False),
    Column("created_at", UTCTime, nullable=False),
    Column("expires_at", UTCTime),
    Column("last_used_at", UTCTime),
    sqlite_autoincrement=True,
)

codespaces = Table(
    "codespaces",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", String(64), nullable=False, unique=True),
    Column("display_name", String(48), nullable=False),
    Column("environment_id", String(36), nullable=False),
    Column("owner_id", Id, cascade("accounts.id"), nullable=False),
    # A deleted repository's codespaces are on their way out: the loop removes them, no API shows them.
    Column("repository_id", Id, ForeignKey("repositories.id", ondelete="SET NULL"), index=True),
    Column("ref", Text, nullable=False),
    Column("commit_id", String(64)),  # whose configuration the container has; what was checked out at first
    Column("pull_request_number", Integer),  # that it was created for
    Column("from_fork", Boolean, nullable=False, server_default=sa_false()),  # a stranger's pull request (S6)
    Column("devcontainer_path", Text),
    Column("machine", String(64), nullable=False),
    Column("location", String(16), nullable=False),
    Column("recent_folders", Text, nullable=False, server_default="[]"),  # JSON
    Column("idle_timeout_minutes", Integer, nullable=False),
    Column("retention_period_minutes", Integer, nullable=False),
    Column("created_at", UTCTime, nullable=False),
    Column("updated_at", UTCTime, nullable=False),
    Column("last_used_at", UTCTime, nullable=False),
    # What the loop knows of it.
    Column("desired", String(8), nullable=False),  # running, stopped, deleted
    Column("phase", String(16), nullable=False),  # domain.lifecycle.Phase
    *work_columns(),
    # What it brought about.
    Column("container_id", String(64)),
    Column("image", Text),  # by digest, or the id of what was built
    Column("remote_user", Text),
    Column("remote_folder", Text),
    Column("finding", Text),  # JSON of the finding that it failed with
    Column("failed_hook", Text),  # JSON of the hook that failed when hooks ran last
    Column("stop_notice", Text),  # why it was stopped, if nobody asked for it
    Column("stopped_at", UTCTime),  # since when it does not run; NULL: it runs, or is about to
    Column("expiry_warned", Boolean, nullable=False, server_default=sa_false()),  # that it will be deleted
    # Generations: of the last request to rebuild, which requests write; and that the container was made for, which the
    # loop writes. Neither overwrites the other.
    Column("rebuild_asked", Integer, nullable=False, server_default="0"),
    Column("rebuild_full", Boolean, nullable=False, server_default=sa_false()),
    Column("built", Integer, nullable=False, server_default="0"),
    Column("from_prebuild", Boolean, nullable=False, server_default=sa_false()),
    Index(None, "owner_id", "id"),
    Index(None, "next_at"),
    sqlite_autoincrement=True,
)

# Who may have codespaces of an organization's repositories; no row: whoever reads them.
codespace_access = Table(
    "codespace_access",
    metadata,
    Column("organization_id", Id, cascade("accounts.id"), primary_key=True, autoincrement=False),
    Column("visibility", String(40), nullable=False),
)

codespace_access_users = Table(
    "codespace_access_users",
    metadata,
    Column("organization_id", Id, cascade("accounts.id"), nullable=False),
    Column("user_id", Id, cascade("accounts.id"), nullable=False, index=True),
    PrimaryKeyConstraint("organization_id", "user_id"),
)

_RUNS = text("state = 'in_progress'")
# What is in progress, one for each codespace at most, and the last ones that ended.
codespace_exports = Table(
    "codespace_exports",
    metadata,
    Column("id", Id, primary_key=True),
    Column("codespace_id", Id, cascade("codespaces.id"), nullable=False),
    Column("state", String(12), nullable=False),  # domain.codespace_export.ExportState
    Column("branch", Text, nullable=False),
    Column("branch_is_wanted", Boolean, nullable=False),
    Column("sha", String(64)),
    Column("finding", Text),  # JSON of the finding that it failed with
    Column("created_at", UTCTime, nullable=False),
    Column("completed_at", UTCTime),
    *work_columns(),
    Index(None, "codespace_id", "id"),
    Index(None, "next_at"),
    Index("uq_codespace_exports_in_progress", "codespace_id", unique=True, sqlite_where=_RUNS, postgresql_where=_RUNS),
    sqlite_autoincrement=True,
)

# When the credentials in a running codespace are made fresh (credential_refresh.py).
credential_refreshes = Table(
    "credential_refreshes",
    metadata,
    Column("id", Id, primary_key=True),
    Column("codespace_id", Id, cascade("codespaces.id"), nullable=False, unique=True),
    Column("said", Text),  # what its log was told last; NULL: nothing that is still so
    *work_columns(),
    Index(None, "next_at"),
    sqlite_autoincrement=True,
)

# What an organization's owners allow its codespaces; NULL: the policy says nothing of it.
codespace_policies = Table(
    "codespace_policies",
    metadata,
    Column("organization_id", Id, cascade("accounts.id"), nullable=False),
    Column("name", String(40), nullable=False),
    Column("allowed_images", Text),  # JSON, patterns
    Column("allowed_options", Text),  # JSON, tokens of what a container may have of its host
    Column("idle_timeout_max_minutes", Integer),
    Column("retention_max_minutes", Integer),
    Column("max_codespaces_per_user", Integer),
    Column("max_codespaces", Integer),
    PrimaryKeyConstraint("organization_id", "name"),
)

codespace_log = Table(
    "codespace_log",
    metadata,
    Column("id", Id, primary_key=True),
    Column("codespace_id", Id, cascade("codespaces.id"), nullable=False),
    Column("at", UTCTime, nullable=False),
    Column("kind", String(10), nullable=False),  # phase, output, progress, finding
    Column("text", Text, nullable=False),
    Index(None, "codespace_id", "id"),
    sqlite_autoincrement=True,
)

audit_log = Table(
    "audit_log",
    metadata,
    Column("id", Id, primary_key=True),
    Column("at", UTCTime, nullable=False),
    Column("actor_id", Id),  # no foreign key: the record outlives the account
    Column("actor_login", String(39), nullable=False),
    Column("action", String(64), nullable=False),
    Column("account_id", Id, index=True),  # whose log it belongs to
    Column("target", Text, nullable=False),
    Column("detail", Text, nullable=False, default=""),  # rule names, never inputs
    sqlite_autoincrement=True,
)

# One row: what all replicas on this database agree on.
installation = Table(
    "installation",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("server_id", String(36), nullable=False),
    CheckConstraint("id = 1", name="one_row"),
)
