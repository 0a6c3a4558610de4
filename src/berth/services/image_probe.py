"""Gathers what can be seen of one image, with a launch's credential and with none; `domain/doctor.py` decides. Without a store.

1. Every probe is bounded, and so is the whole: 10 s for AWS, whose keys are swapped as for a launch, and 5 s for the engine
   meanwhile; then 15 s for all that is asked of the registry, at once.
2. A registry sees one login at most with a credential, and one look without any. A token that AWS has ended is replaced once,
   as a launch would (`image_access.py`), within the same 15 s.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from berth.domain.doctor import Check, Facts, Outcome, Outset, Pulled, check_policy, checks_before
from berth.domain.ecr_answer import EcrFailure
from berth.domain.ecr_finding import explain_failure
from berth.domain.exchange_message import ExchangeRequest
from berth.domain.finding import Finding
from berth.domain.image_reference import ImageReference
from berth.domain.problem import UpstreamFailed
from berth.domain.pull_finding import TOKEN_EXPIRED
from berth.domain.registry_credential import (
    Anonymous,
    Choice,
    Failed,
    Found,
    RegistryCredential,
    RegistryCredentials,
)
from berth.domain.registry_finding import explain_connection
from berth.domain.registry_host import normalise_registry_host
from berth.domain.unshared_triple import UnsharedTriple
from berth.services.ports import Engine, ImageRefused, RegistryClient
from berth.services.registry_credential_swap import Owners, RegistryCredentialSwap


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long each is waited for, in seconds."""

    engine_s: float = 5.0
    swap_s: float = 10.0
    probe_s: float = 15.0
    total_s: float = 28.0  # more than all of these: what takes longer is this server's own


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known of an image before anybody is asked for it."""

    image: ImageReference
    policy: Finding | None = None
    unshared: tuple[UnsharedTriple, ...] = ()
    is_alone: bool = False  # no server was asked


# What is shown while it goes on.
Seen = Callable[[tuple[Check, ...]], None]
# With the credential that a launch uses, for that architecture; and whether that was our own decision.
Use = Callable[[RegistryCredential, str], Awaitable[Outcome]]


class ImageProbe:
    """Looks at images. One per process."""

    def __init__(
        self,
        *,
        registry: RegistryClient,
        engine: Engine,
        swaps: RegistryCredentialSwap,
        patience: Patience | None = None,
    ) -> None:
        self._registry = registry
        self._engine = engine
        self._swaps = swaps
        self._patience = patience or Patience()

    @property
    def probe_s(self) -> float:
        return self._patience.probe_s

    @property
    def total_s(self) -> float:
        return self._patience.total_s

    async def gather(
        self,
        known: Known,
        credentials: Awaitable[RegistryCredentials],
        use: Use,
        decided: Callable[[RegistryCredential], bool] = lambda _: False,
        seen: Seen = lambda _: None,
    ) -> Facts:
        """`use` is asked for a credential that there is; `decided` says of which one it is our own decision (Facts).

        `seen` is told the first checks, each time all that are known so far.
        """
        image = known.image
        seen((check_policy(known.policy, is_alone=known.is_alone),))
        opened, architecture = await asyncio.gather(credentials, self.architecture())
        outset = Outset(
            image=image,
            choice=opened.for_image(image),
            architecture=architecture,
            policy=known.policy,
            unshared=known.unshared,
            is_alone=known.is_alone,
        )
        seen(checks_before(outset))
        anonymous, (choice, used) = await asyncio.gather(
            self.ask(image, Anonymous(), outset.probed), self._use(image, opened, outset.probed, use)
        )
        return Facts(
            image=image,
            choice=choice,
            used=anonymous if used is None and not isinstance(choice, Failed) else used,
            anonymous=anonymous,
            architecture=architecture,
            decided=isinstance(choice, Found) and decided(choice.credential),
            policy=known.policy,
            unshared=known.unshared,
            is_alone=known.is_alone,
        )

    async def _use(
        self, image: ImageReference, opened: RegistryCredentials, architecture: str, use: Use
    ) -> tuple[Choice, Outcome | None]:
        """With the credential that a launch uses, and which that is; no outcome where there is none (policy 2)."""
        until = asyncio.get_running_loop().time() + self._patience.probe_s
        choice = opened.for_image(image)
        if not isinstance(choice, Found):
            return choice, None
        outcome: Outcome | None = await use(choice.credential, architecture)
        if not _is_too_old(outcome):
            return choice, outcome
        try:
            async with asyncio.timeout_at(until):
                renewed = await self._swaps.renew(opened, choice.credential)
                if renewed is not None:
                    choice = renewed.for_image(image)
                    outcome = await use(choice.credential, architecture) if isinstance(choice, Found) else None
        except TimeoutError:
            pass  # then it is what was seen before
        if isinstance(choice, Found) and _is_too_old(outcome):
            self._swaps.forget(choice.credential)  # who starts again gets another one
        return choice, outcome

    async def swap(
        self, credentials: RegistryCredentials, owners: Owners, image: ImageReference
    ) -> RegistryCredentials:
        """The same with a token, or a finding, for the image's host; AWS is asked for nothing else."""
        host = normalise_registry_host(image.host).host
        here = {name: keys for name, keys in credentials.unswapped.items() if name == host}
        try:
            async with asyncio.timeout(self._patience.swap_s):
                return await self._swaps.swap(replace(credentials, unswapped=here), owners)
        except TimeoutError:
            late = EcrFailure(code="ecr.unreachable", reason="It did not answer in time.")
            failed = {name: explain_failure(late, keys) for name, keys in here.items()}
            return replace(credentials, unswapped={}, failed=failed)

    async def ask(
        self, image: ImageReference, credential: RegistryCredential | Anonymous, architecture: str
    ) -> Outcome:
        try:
            async with asyncio.timeout(self._patience.probe_s):
                answer = await self._registry.resolve(image, credential, architecture)
        except TimeoutError:
            late = UpstreamFailed(f"{image.host} did not answer in time.", code="registry.timeout")
            asked = ExchangeRequest(phase="ping", url=f"https://{image.host}/v2/")
            return explain_connection(late, image.host, credential, asked)
        if isinstance(answer, ImageRefused):
            return answer.finding
        return Pulled(digest=answer.image.digest)

    async def architecture(self) -> str | None:
        """What the engine runs; None if it does not say."""
        try:
            async with asyncio.timeout(self._patience.engine_s):
                return await self._engine.architecture()
        except (TimeoutError, UpstreamFailed):
            return None


def _is_too_old(outcome: Outcome | None) -> bool:
    return isinstance(outcome, Finding) and outcome.code == TOKEN_EXPIRED
