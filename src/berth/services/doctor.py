"""Use case: what is wrong with an image for the caller's codespaces of a repository. Gathers; `domain/doctor.py` decides.

1. The credential is the one that a launch would use: the same secrets, the same resolver. The built-in registry is not
   asked with a codespace's token, since there is none yet; our own decision is asked (`own_image.py`).
2. Every probe is bounded, and so is the whole: 10 s for AWS, whose keys are swapped as for a launch, and 5 s for the engine
   meanwhile; then 15 s for all that is asked of the registry, at once.
3. A registry sees one login at most with the credential, and one look without any.
4. One diagnosis at a time for an account: what tries logins at other people's registries is not to be done in numbers.
5. Who may ask is who may see which registries his codespaces are logged in to (services/registry_credential.py).
"""

import asyncio
from dataclasses import replace

from berth.adapters.store import audit
from berth.adapters.store.database import Store
from berth.domain.access import Subject
from berth.domain.doctor import USUAL_ARCHITECTURE, Diagnosis, Facts, Outcome, Pulled, diagnose
from berth.domain.ecr_answer import EcrFailure
from berth.domain.ecr_finding import explain_failure
from berth.domain.exchange_message import ExchangeRequest
from berth.domain.finding import Finding
from berth.domain.image_reference import ImageReference, parse_image_reference
from berth.domain.problem import LimitReached, UpstreamFailed
from berth.domain.registry_credential import (
    Anonymous,
    Choice,
    CredentialKind,
    Failed,
    Found,
    RegistryCredential,
    RegistryCredentials,
    add_codespace_token,
)
from berth.domain.registry_finding import explain_connection
from berth.domain.registry_host import normalise_registry_host
from berth.domain.registry_triple import assemble
from berth.domain.repository import Repository
from berth.domain.secret_text import SecretText
from berth.services.codespace_policy import require_images
from berth.services.launch_failure import LaunchFailed
from berth.services.own_image import OwnImages
from berth.services.package_refusal import PackageRefusals
from berth.services.ports import Clock, Engine, ImageRefused, RegistryClient
from berth.services.registry_credential import RegistryCredentialService
from berth.services.registry_credential_swap import RegistryCredentialSwap
from berth.services.secret import OpenedSecrets

_ENGINE_TIMEOUT_S = 5.0
_SWAP_TIMEOUT_S = 10.0
_PROBE_TIMEOUT_S = 15.0
_NO_TOKEN = SecretText("")  # nobody is asked with it (policy 1)


class DoctorService:
    """Examines images. One per process."""

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        registry: RegistryClient,
        engine: Engine,
        credentials: RegistryCredentialService,
        swaps: RegistryCredentialSwap,
        refusals: PackageRefusals,
        own_host: str,
        engine_timeout_s: float = _ENGINE_TIMEOUT_S,
        swap_timeout_s: float = _SWAP_TIMEOUT_S,
        probe_timeout_s: float = _PROBE_TIMEOUT_S,
    ) -> None:
        """`own_host` is where the built-in registry answers, in its normal form."""
        self._store = store
        self._clock = clock
        self._registry = registry
        self._engine = engine
        self._credentials = credentials
        self._swaps = swaps
        self._refusals = refusals
        self._own_images = OwnImages(store=store)
        self._own_host = own_host
        self._engine_timeout_s = engine_timeout_s
        self._swap_timeout_s = swap_timeout_s
        self._probe_timeout_s = probe_timeout_s
        self._busy: set[int] = set()

    async def examine(self, subject: Subject, owner: str, repository: str, image: str) -> Diagnosis:
        """Raises NotFound; Denied by the token; Invalid for what is no image's name; LimitReached (policy 4)."""
        reference = parse_image_reference(image)
        known, opened = await self._credentials.open_for(subject, owner, repository)
        if subject.account_id in self._busy:
            text = "Another diagnosis of yours is still running."
            raise LimitReached(text, code="doctor.busy", retry_after_s=int(self._probe_timeout_s))
        self._busy.add(subject.account_id)
        try:
            diagnosis = diagnose(await self._gather(subject, known, opened, reference))
        finally:
            self._busy.discard(subject.account_id)
        await self._record(subject, known, diagnosis)
        return diagnosis

    async def _gather(
        self, subject: Subject, repository: Repository, opened: OpenedSecrets, image: ImageReference
    ) -> Facts:
        policy = await self._policy(repository, image)
        withheld = bool(opened.withheld_reason)  # then nothing of his reaches it, whatever he selects
        unshared = () if withheld else await self._credentials.find_unshared(subject, repository, image)
        choice, architecture = await asyncio.gather(self._choose(subject, opened, image), self._architecture())
        probed = architecture or USUAL_ARCHITECTURE
        decided = isinstance(choice, Found) and choice.credential.kind is CredentialKind.CODESPACE
        anonymous, used = await asyncio.gather(
            self._ask(image, Anonymous(), probed), self._use(subject, repository, image, choice, probed)
        )
        return Facts(
            image=image,
            choice=choice,
            used=anonymous if used is None and not isinstance(choice, Failed) else used,
            anonymous=anonymous,
            architecture=architecture,
            decided=decided,
            policy=policy,
            unshared=unshared,
        )

    async def _choose(self, subject: Subject, opened: OpenedSecrets, image: ImageReference) -> Choice:
        """As for a launch (services/launch_credentials.py); AWS is asked for nothing but this host's token."""
        triples = assemble(opened.secrets, withheld_reason=opened.withheld_reason)
        host = normalise_registry_host(image.host).host
        here = {name: keys for name, keys in triples.unswapped.items() if name == host}
        swapped = await self._swap(replace(triples, unswapped=here), opened)
        credentials = add_codespace_token(swapped, host=self._own_host, login=subject.login, token=_NO_TOKEN)
        return credentials.for_image(image)

    async def _swap(self, credentials: RegistryCredentials, opened: OpenedSecrets) -> RegistryCredentials:
        try:
            async with asyncio.timeout(self._swap_timeout_s):
                return await self._swaps.swap(credentials, opened.owners)
        except TimeoutError:
            late = EcrFailure(code="ecr.unreachable", reason="It did not answer in time.")
            failed = {host: explain_failure(late, keys) for host, keys in credentials.unswapped.items()}
            return replace(credentials, unswapped={}, failed=failed)

    async def _policy(self, repository: Repository, image: ImageReference) -> Finding | None:
        try:
            await require_images(self._store, repository, (image,))
        except LaunchFailed as refused:
            return refused.finding
        return None

    async def _architecture(self) -> str | None:
        try:
            async with asyncio.timeout(self._engine_timeout_s):
                return await self._engine.architecture()
        except (TimeoutError, UpstreamFailed):
            return None

    async def _use(
        self, subject: Subject, repository: Repository, image: ImageReference, choice: Choice, architecture: str
    ) -> Outcome | None:
        """With the credential that a launch uses; None where there is none."""
        if not isinstance(choice, Found):
            return None
        credential = choice.credential
        if credential.kind is CredentialKind.CODESPACE:
            return await self._own_images.look(image, credential, subject, repository, architecture)
        outcome = await self._ask(image, credential, architecture)
        if isinstance(outcome, Pulled):
            return outcome
        if outcome.code == "image.token_expired":
            self._swaps.forget(credential)  # who starts again gets another one
        return await self._refusals.explain(
            outcome, image, credential, user_id=subject.account_id, repository=repository
        )

    async def _ask(
        self, image: ImageReference, credential: RegistryCredential | Anonymous, architecture: str
    ) -> Outcome:
        try:
            async with asyncio.timeout(self._probe_timeout_s):
                answer = await self._registry.resolve(image, credential, architecture)
        except TimeoutError:
            late = UpstreamFailed(f"{image.host} did not answer in time.", code="registry.timeout")
            asked = ExchangeRequest(phase="ping", url=f"https://{image.host}/v2/")
            return explain_connection(late, image.host, credential, asked)
        if isinstance(answer, ImageRefused):
            return answer.finding
        return Pulled(digest=answer.image.digest)

    async def _record(self, subject: Subject, repository: Repository, diagnosis: Diagnosis) -> None:
        async with self._store.begin() as connection:
            await audit.record(
                connection,
                at=self._clock.now(),
                actor=subject,
                action="codespace.diagnose",
                account_id=repository.owner_id,
                target=repository.full_name,
                detail="" if diagnosis.finding is None else diagnosis.finding.code,
            )
