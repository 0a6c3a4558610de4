"""Gathers what `domain/package_refusal.py` needs to say why the built-in registry refused a launch its image."""

from berth.adapters.store import package as rows
from berth.adapters.store.database import Store
from berth.adapters.store.package import Asker
from berth.domain.finding import Finding
from berth.domain.image_reference import ImageReference
from berth.domain.package import find_package_name
from berth.domain.package_refusal import PullRefusal, explain_pull_refusal, no_package_name
from berth.domain.registry_credential import RegistryCredential
from berth.domain.repository import Repository
from berth.services.access_token import AccessTokenService
from berth.services.registry_access import asker_of


class PackageRefusals:
    """Explains refused pulls from the built-in registry. It asks the decision that refused, not a copy of it."""

    def __init__(self, *, store: Store, tokens: AccessTokenService, own_host: str) -> None:
        """`own_host` is where the built-in registry answers, in its normal form."""
        self._store = store
        self._tokens = tokens
        self._own_host = own_host

    async def explain(
        self,
        seen: Finding,
        image: ImageReference,
        credential: RegistryCredential,
        *,
        user_id: int,
        repository: Repository,
    ) -> Finding:
        """A better finding than `seen`, where the image is ours; else `seen`."""
        if credential.host != self._own_host:
            return seen
        name = find_package_name(image.path)
        if name is None:
            return no_package_name(seen, self._own_host, image.path)
        if seen.evidence.get("status") not in {"401", "403", "404"}:
            return seen
        subject = await self._tokens.find_subject(credential.password)
        async with self._store.read() as connection:
            asked = await rows.find_known_package(connection, asker_of(subject), name)
            known = await rows.find_known_package(connection, Asker(user_id), name)
        return explain_pull_refusal(
            PullRefusal(
                seen=seen,
                host=self._own_host,
                name=name,
                credential=credential,
                subject=subject,
                facts=None if asked is None else asked.facts,
                user_facts=None if known is None else known.facts,
                repository_name=repository.full_name,
            )
        )
