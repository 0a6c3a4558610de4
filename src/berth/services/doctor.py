"""Use case: what is wrong with an image for somebody's codespaces of a repository. Gathers; `domain/doctor.py` decides.

1. The credential is the one that a launch would use: the same secrets, the same resolver. The built-in registry is not
   asked with a codespace's token, since there is none yet; our own decision is asked (`own_image.py`).
2. Every probe is bounded, and a registry sees one login at most (`image_probe.py`). So is the whole: after 28 s there is a
   diagnosis that says so.
3. One diagnosis at a time for an account: what tries logins at other people's registries is not to be done in numbers.
4. Who may ask is who may see which registries his codespaces are logged in to (services/registry_credential.py).
5. A site administrator may ask for another user, as whose codespaces it is looked at then, with his secrets. For everybody
   else no other user is there: the same answer as for one who is missing (A13). The audit log has both names.
"""

import asyncio
from collections.abc import Awaitable

from berth.adapters.store import audit
from berth.adapters.store.database import Store
from berth.domain.access import Subject
from berth.domain.access_token import TokenKind
from berth.domain.account import AccountType
from berth.domain.doctor import Diagnosis, Facts, Outcome, Pulled, diagnose, give_up
from berth.domain.finding import Finding
from berth.domain.image_reference import ImageReference, parse_image_reference
from berth.domain.problem import Denied, LimitReached, NotFound
from berth.domain.registry_credential import (
    CredentialKind,
    RegistryCredential,
    RegistryCredentials,
    add_codespace_token,
)
from berth.domain.registry_host import normalise_registry_host
from berth.domain.registry_triple import assemble
from berth.domain.repository import Repository
from berth.domain.scope import Scope
from berth.domain.secret_text import SecretText
from berth.domain.suspension import require_active
from berth.services.account import get_account, require_site_admin
from berth.services.account_turn import AccountTurns
from berth.services.codespace_policy import require_images
from berth.services.image_probe import ImageProbe, Known, Seen
from berth.services.launch_failure import LaunchFailed
from berth.services.own_image import OwnImages
from berth.services.package_refusal import PackageRefusals
from berth.services.ports import Clock
from berth.services.registry_credential import RegistryCredentialService
from berth.services.secret import OpenedSecrets

_NO_TOKEN = SecretText("")  # nobody is asked with it (policy 1)
_NO_TOKEN_ID = 0


class DoctorService:
    """Examines images. One per process."""

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        probe: ImageProbe,
        credentials: RegistryCredentialService,
        refusals: PackageRefusals,
        own_host: str,
    ) -> None:
        """`own_host` is where the built-in registry answers, in its normal form."""
        self._store = store
        self._clock = clock
        self._probe = probe
        self._credentials = credentials
        self._refusals = refusals
        self._own_images = OwnImages(store=store)
        self._own_host = own_host
        self._turns = AccountTurns()

    async def examine(
        self,
        subject: Subject,
        owner: str,
        repository: str,
        image: str,
        *,
        login: str | None = None,
        seen: Seen = lambda _: None,
    ) -> Diagnosis:
        """For the caller, or for the user `login` (policy 5). `seen` is told of checks as they finish (image_probe.py).

        Raises NotFound; Denied by the token; Invalid for what is no image's name; LimitReached (policy 3).
        """
        reference = parse_image_reference(image)
        examined = await self._examined(subject, login)
        known, opened = await self._credentials.open_for(examined, owner, repository)
        text = "Another diagnosis of yours is still running."
        busy = LimitReached(text, code="doctor.busy", retry_after_s=int(self._probe.probe_s))
        with self._turns.take(subject, busy):
            try:
                async with asyncio.timeout(self._probe.total_s):
                    diagnosis = diagnose(await self._gather(examined, known, opened, reference, seen))
            except TimeoutError:
                diagnosis = give_up(reference, self._probe.total_s)
        await self._record(subject, examined, known, diagnosis)
        return diagnosis

    async def _examined(self, subject: Subject, login: str | None) -> Subject:
        """As whom it is looked: the caller himself, or the user that a site administrator names. Raises NotFound, Conflict."""
        if login is None or login.lower() == subject.login.lower():
            return subject
        try:
            require_site_admin(subject)
        except Denied:
            raise NotFound("Not Found", code="account.not_found") from None
        async with self._store.read() as connection:
            user = await get_account(connection, login, AccountType.USER)
        require_active(user)
        return Subject(
            account_id=user.id,
            login=user.login,
            site_admin=user.site_admin,
            token_kind=TokenKind.PERSONAL,
            token_id=_NO_TOKEN_ID,
            scopes=frozenset(Scope),  # a launch is capped by no token
        )

    async def _gather(
        self, subject: Subject, repository: Repository, opened: OpenedSecrets, image: ImageReference, seen: Seen
    ) -> Facts:
        withheld = bool(opened.withheld_reason)  # then nothing of his reaches it, whatever he selects
        host = normalise_registry_host(image.host).host
        known = Known(
            image=image,
            policy=await self._policy(repository, image),
            unshared=() if withheld else await self._credentials.find_unshared(subject, repository, host),
        )

        def use(credential: RegistryCredential, architecture: str) -> Awaitable[Outcome]:
            return self._use(subject, repository, image, credential, architecture)

        return await self._probe.gather(known, self._open(subject, opened, image), use, _is_of_codespace, seen)

    async def _open(self, subject: Subject, opened: OpenedSecrets, image: ImageReference) -> RegistryCredentials:
        """As for a launch (services/launch_credentials.py)."""
        triples = assemble(opened.secrets, withheld_reason=opened.withheld_reason)
        swapped = await self._probe.swap(triples, opened.owners, image)
        return add_codespace_token(swapped, host=self._own_host, login=subject.login, token=_NO_TOKEN)

    async def _policy(self, repository: Repository, image: ImageReference) -> Finding | None:
        try:
            await require_images(self._store, repository, (image,))
        except LaunchFailed as refused:
            return refused.finding
        return None

    async def _use(
        self,
        subject: Subject,
        repository: Repository,
        image: ImageReference,
        credential: RegistryCredential,
        architecture: str,
    ) -> Outcome:
        """With the credential that a launch uses."""
        if _is_of_codespace(credential):
            return await self._own_images.look(image, credential, subject, repository, architecture)
        outcome = await self._probe.ask(image, credential, architecture)
        if isinstance(outcome, Pulled):
            return outcome
        return await self._refusals.explain(
            outcome, image, credential, user_id=subject.account_id, repository=repository
        )

    async def _record(self, actor: Subject, examined: Subject, repository: Repository, diagnosis: Diagnosis) -> None:
        whose = "" if examined is actor else f"for {examined.login}"
        code = "" if diagnosis.finding is None else diagnosis.finding.code
        async with self._store.begin() as connection:
            await audit.record(
                connection,
                at=self._clock.now(),
                actor=actor,
                action="codespace.diagnose",
                account_id=repository.owner_id,
                target=repository.full_name,
                detail=f"{whose} {code}".strip(),
            )


def _is_of_codespace(credential: RegistryCredential) -> bool:
    return credential.kind is CredentialKind.CODESPACE
