"""What a codespace of a repository would get of the built-in registry, before there is one: the decision, not a copy of it.

A codespace's token is made when it starts. Until then its subject is made up, with everything that the decision looks at;
what is told of a refusal is what a launch tells (`domain/package_refusal.py`).
"""

from sqlalchemy.ext.asyncio import AsyncConnection

from berth.adapters.store import manifest as manifest_rows
from berth.adapters.store import package as rows
from berth.adapters.store.database import Store
from berth.adapters.store.manifest import StoredManifest
from berth.adapters.store.package import Asker
from berth.domain.access import Subject
from berth.domain.access_token import TokenKind
from berth.domain.doctor import Outcome, Pulled
from berth.domain.exchange_message import ExchangeResponse, Phase
from berth.domain.exchange_session import ExchangeFailure
from berth.domain.finding import Finding
from berth.domain.image_manifest import choose_platform, read_image_manifest, read_manifest
from berth.domain.image_reference import ImageReference
from berth.domain.media_type import INDEX_TYPES
from berth.domain.package import find_package_name
from berth.domain.package_access import PackageAction, decide_package
from berth.domain.package_refusal import PullRefusal, explain_pull_refusal, no_package_name
from berth.domain.problem import Invalid
from berth.domain.registry_credential import RegistryCredential
from berth.domain.registry_finding import explain_failure
from berth.domain.registry_tags import near_tags
from berth.domain.repository import Repository
from berth.services.registry_access import asker_of

_TOKEN = 0  # no token's id: nobody logs in with it
_MAX_TAGS = 1000


class OwnImages:
    """Looks at images of the built-in registry as a codespace would."""

    def __init__(self, *, store: Store) -> None:
        self._store = store

    async def look(
        self,
        image: ImageReference,
        credential: RegistryCredential,
        user: Subject,
        repository: Repository,
        architecture: str,
    ) -> Outcome:
        """The outcome for this user's codespace of that repository. `credential` is the codespace's, without a token."""
        seen = _failure("image.not_found", image, credential)
        name = find_package_name(image.path)
        if name is None:
            return no_package_name(seen, image.host, image.path)
        codespace = _codespace_of(user, repository)
        async with self._store.read() as connection:
            asked = await rows.find_known_package(connection, asker_of(codespace), name)
            known = await rows.find_known_package(connection, Asker(user.account_id), name)
            if asked is not None and decide_package(codespace, asked.facts, PackageAction.PULL):
                return await _find(connection, asked.package.id, image, credential, architecture)
        return explain_pull_refusal(
            PullRefusal(
                seen=seen,
                host=image.host,
                name=name,
                credential=credential,
                subject=codespace,
                facts=None if asked is None else asked.facts,
                user_facts=None if known is None else known.facts,
                repository_name=repository.full_name,
            )
        )


def _codespace_of(user: Subject, repository: Repository) -> Subject:
    return Subject(
        account_id=user.account_id,
        login=user.login,
        site_admin=user.site_admin,
        token_kind=TokenKind.CODESPACE,
        token_id=_TOKEN,
        scopes=frozenset(),
        codespace_repository_id=repository.id,
    )


async def _find(
    connection: AsyncConnection,
    package_id: int,
    image: ImageReference,
    credential: RegistryCredential,
    architecture: str,
) -> Outcome:
    """The manifest that a launch would take."""
    stored = await _manifest(connection, package_id, image)
    if stored is None:
        tags = await manifest_rows.list_tags(connection, package_id, after="", limit=_MAX_TAGS)
        near = () if image.tag is None else near_tags(image.tag, tuple(tags))
        return _failure("image.not_found", image, credential, tags=near)
    phase: Phase = "manifest"
    try:
        media_type, content = _read(stored)
        if media_type in INDEX_TYPES:
            phase = "platform"
            found = await manifest_rows.find_by_digest(
                connection, package_id, str(choose_platform(content, architecture))
            )
            if found is None:
                return _failure("image.unproven", image, credential, phase=phase)
            stored = found
            _, content = _read(found)
        read_image_manifest(content)
    except Invalid as refusal:
        return _failure(refusal.code, image, credential, phase=phase, status=200, reason=refusal.message)
    return Pulled(digest=stored.digest)


async def _manifest(connection: AsyncConnection, package_id: int, image: ImageReference) -> StoredManifest | None:
    if image.digest is not None:
        return await manifest_rows.find_by_digest(connection, package_id, str(image.digest))
    return await manifest_rows.find_by_tag(connection, package_id, image.reference)


def _read(stored: StoredManifest) -> tuple[str, dict[str, object]]:
    return read_manifest(ExchangeResponse(status=200, headers={"content-type": stored.media_type}, body=stored.content))


def _failure(
    code: str,
    image: ImageReference,
    credential: RegistryCredential,
    *,
    phase: Phase = "manifest",
    status: int = 404,
    reason: str = "",
    tags: tuple[str, ...] = (),
) -> Finding:
    """What the registry would have answered, in the words for any registry."""
    return explain_failure(
        ExchangeFailure(code=code, phase=phase, status=status, reason=reason, tags=tags), credential, image
    )
