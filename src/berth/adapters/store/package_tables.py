"""The tables of the built-in registry: packages, who may use them, and their content.

Bytes of blobs are in the blob store; `blobs.location` says where. A blob is stored once; `package_blobs` says in which
packages it may be read. Manifests are small and are kept here, in one transaction with what they reference.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from berth.adapters.store.secret_tables import metadata
from berth.adapters.store.tables import Id, UTCTime, cascade, work_columns

__all__ = ["metadata"]  # with all tables in it: those of the other modules, too

# Tags and names are listed in the order of their bytes, on both databases.
_BYTES = "C"
_DIGEST = String(135)  # sha512:<128 hexadecimal digits>


def _partial_index(name: str, *columns: str, where: str, unique: bool = False) -> Index:
    """Of the rows that meet a condition only; queries must repeat it word for word."""
    return Index(name, *columns, unique=unique, sqlite_where=text(where), postgresql_where=text(where))


packages = Table(
    "packages",
    metadata,
    Column("id", Id, primary_key=True),
    Column("owner_id", Id, cascade("accounts.id"), nullable=False),
    Column("name", String(255).with_variant(String(255, collation=_BYTES), "postgresql"), nullable=False),
    Column("visibility", String(8), nullable=False),
    Column("inherits_access", Boolean, nullable=False),
    Column("repository_id", Id, ForeignKey("repositories.id", ondelete="SET NULL"), index=True),
    Column("untagged_retention_days", Integer),
    # Who made it, and with which token: a registry token that was issued for a free name is good for this package only if
    # its own access token made it.
    Column("creator_token_id", Id, nullable=False),
    Column("created_at", UTCTime, nullable=False),
    Column("updated_at", UTCTime, nullable=False),
    Column("published_at", UTCTime),
    Column("deleted_at", UTCTime, index=True),
    _partial_index("uq_packages_live_name", "owner_id", "name", where="deleted_at IS NULL", unique=True),
    Index(None, "owner_id", "deleted_at", "id"),
    # What garbage collection looks for among many packages.
    _partial_index("ix_packages_unpublished", "updated_at", where="published_at IS NULL"),
    _partial_index("ix_packages_retention", "id", where="untagged_retention_days IS NOT NULL"),
    sqlite_autoincrement=True,
)

package_collaborators = Table(
    "package_collaborators",
    metadata,
    Column("package_id", Id, cascade("packages.id"), nullable=False),
    Column("user_id", Id, cascade("accounts.id"), nullable=False, index=True),
    Column("role", Integer, nullable=False),  # domain.package_role.PackageRole
    PrimaryKeyConstraint("package_id", "user_id"),
)

package_teams = Table(
    "package_teams",
    metadata,
    Column("package_id", Id, cascade("packages.id"), nullable=False),
    Column("team_id", Id, cascade("teams.id"), nullable=False, index=True),
    Column("role", Integer, nullable=False),
    PrimaryKeyConstraint("package_id", "team_id"),
)

# The Codespaces access list (A7 c).
package_codespaces = Table(
    "package_codespaces",
    metadata,
    Column("package_id", Id, cascade("packages.id"), nullable=False),
    Column("repository_id", Id, cascade("repositories.id"), nullable=False, index=True),
    PrimaryKeyConstraint("package_id", "repository_id"),
)

# The workflow access list (A8).
package_workflows = Table(
    "package_workflows",
    metadata,
    Column("package_id", Id, cascade("packages.id"), nullable=False),
    Column("repository_id", Id, cascade("repositories.id"), nullable=False, index=True),
    Column("role", Integer, nullable=False),
    PrimaryKeyConstraint("package_id", "repository_id"),
)

package_policies = Table(
    "package_policies",
    metadata,
    Column("organization_id", Id, cascade("accounts.id"), primary_key=True),
    Column("inherit_access_default", Boolean, nullable=False),
    Column("creatable_visibilities", Text, nullable=False),  # words joined by spaces
)

# A package's versions. `content` stands last: lists do not read it.
manifests = Table(
    "manifests",
    metadata,
    Column("id", Id, primary_key=True),
    Column("package_id", Id, cascade("packages.id"), nullable=False),
    Column("digest", _DIGEST, nullable=False),
    Column("media_type", Text, nullable=False),
    Column("artifact_type", Text, nullable=False),
    Column("subject", _DIGEST),
    Column("annotations", Text),  # JSON, only where there is a subject: for the referrers list
    Column("size", Integer, nullable=False),
    Column("created_at", UTCTime, nullable=False),
    Column("updated_at", UTCTime, nullable=False),
    Column("deleted_at", UTCTime),
    Column("content", LargeBinary, nullable=False),
    UniqueConstraint("package_id", "digest"),
    Index(None, "package_id", "subject", "id"),
    Index(None, "deleted_at"),
    sqlite_autoincrement=True,
)

# What a manifest names: blobs that it needs, manifests that an index lists. By digest: an index may be sparse. The package
# is its manifest's: a popular layer is named in many packages, and each looks among its own names only.
manifest_references = Table(
    "manifest_references",
    metadata,
    Column("manifest_id", Id, cascade("manifests.id"), nullable=False),
    Column("package_id", Id, nullable=False),
    Column("kind", String(8), nullable=False),  # blob, manifest
    Column("digest", _DIGEST, nullable=False),
    PrimaryKeyConstraint("manifest_id", "kind", "digest"),
    Index(None, "package_id", "digest"),
    CheckConstraint("kind IN ('blob', 'manifest')", name="kind"),
)

tags = Table(
    "tags",
    metadata,
    Column("package_id", Id, cascade("packages.id"), nullable=False),
    Column("name", String(128).with_variant(String(128, collation=_BYTES), "postgresql"), nullable=False),
    Column("manifest_id", Id, cascade("manifests.id"), nullable=False, index=True),
    Column("updated_at", UTCTime, nullable=False),
    PrimaryKeyConstraint("package_id", "name"),
)

blobs = Table(
    "blobs",
    metadata,
    Column("id", Id, primary_key=True),
    Column("digest", _DIGEST, nullable=False, unique=True),
    Column("size", BigInteger, nullable=False),
    Column("location", Text, nullable=False, unique=True),
    Column("touched_at", UTCTime, nullable=False),
    sqlite_autoincrement=True,
)

package_blobs = Table(
    "package_blobs",
    metadata,
    Column("package_id", Id, cascade("packages.id"), nullable=False),
    Column("blob_id", Id, ForeignKey("blobs.id"), nullable=False),
    Column("touched_at", UTCTime, nullable=False),
    Column("deleted", Boolean, nullable=False),  # by its admin; kept only for versions that may be restored
    PrimaryKeyConstraint("package_id", "blob_id"),
    Index(None, "blob_id", "package_id"),
)

# Content that no row names any more and that is still to be removed from the blob store.
blob_trash = Table(
    "blob_trash",
    metadata,
    Column("location", Text, primary_key=True),
    Column("added_at", UTCTime, nullable=False, index=True),
)

uploads = Table(
    "uploads",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("package_id", Id, cascade("packages.id"), nullable=False, index=True),
    Column("token_id", Id, nullable=False),  # of the access token that began it: nobody else goes on with it (A14)
    Column("size", BigInteger, nullable=False),
    Column("handle", Text, nullable=False),  # the blob store's own notes
    Column("created_at", UTCTime, nullable=False),
    Column("touched_at", UTCTime, nullable=False, index=True),
)

# What has to be done again and again, by one replica at a time.
chores = Table(
    "chores",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", String(32), nullable=False, unique=True),
    *work_columns(),
    sqlite_autoincrement=True,
)
