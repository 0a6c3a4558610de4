"""A login tried before it is stored: asks, and lets `domain/registry_login.py` judge. Needs no database.

1. What cannot be a login is refused before anybody is asked. What the triples' own rules say of it is said here too.
2. One login attempt at most, whatever comes of it: registries lock accounts. For AWS's keys that is the one swap, made anew,
   never one that is at hand: the question is what AWS says now.
3. With an image it is the pull that is tried, once with this login and once with none.
4. The whole is bounded.
"""

import asyncio
from dataclasses import dataclass, replace

from berth.domain.credential_form import FormNote, refuse_bad_form
from berth.domain.doctor import USUAL_ARCHITECTURE
from berth.domain.ecr_answer import EcrFailure
from berth.domain.ecr_finding import explain_expired, explain_failure
from berth.domain.exchange_message import ExchangeRequest
from berth.domain.finding import Finding
from berth.domain.image_reference import ImageReference
from berth.domain.login_exchange import LoginProof
from berth.domain.problem import Invalid, UpstreamFailed
from berth.domain.registry_credential import (
    Anonymous,
    CredentialKind,
    CredentialRule,
    CredentialSource,
    Failed,
    Found,
    RegistryCredentials,
)
from berth.domain.registry_finding import explain_connection
from berth.domain.registry_host import normalise_registry_host
from berth.domain.registry_login import LoginOutcome, LoginVerdict, judge_login, judge_pull, reject
from berth.domain.registry_triple import assemble, prefix_of, triple_names
from berth.domain.secret import LevelledSecret, SecretLevel
from berth.domain.secret_text import SecretText
from berth.services.image_probe import ImageProbe
from berth.services.ports import Clock, EcrAPI, RegistryClient

LOGIN_TIMEOUT_S = 15.0
_UNSAID = frozenset({CredentialRule.CHOSEN, CredentialRule.WHITE_SPACE_KEPT})  # the latter is said of the form


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenLogin:
    """What somebody is about to store. `prefix` begins the secrets' names; made from the server if it is empty."""

    level: SecretLevel
    server: str
    user: SecretText
    password: SecretText
    session_token: SecretText | None = None
    prefix: str = ""


class RegistryLogins:
    """Tries logins. Holds no state."""

    def __init__(
        self,
        *,
        registry: RegistryClient,
        probe: ImageProbe,
        ecr: EcrAPI,
        clock: Clock,
        timeout_s: float = LOGIN_TIMEOUT_S,
    ) -> None:
        """`probe` asks for images, as launches do."""
        self._registry = registry
        self._probe = probe
        self._ecr = ecr
        self._clock = clock
        self._timeout_s = timeout_s

    async def try_login(self, given: GivenLogin, image: ImageReference | None = None) -> LoginVerdict:
        """What comes of it. Raises Invalid for what cannot be a login, or an image of another registry (policy 1)."""
        host = normalise_registry_host(given.server).host
        if image is not None and normalise_registry_host(image.host).host != host:
            text = f"{image} is not at {host}: with this login nothing else is asked for."
            raise Invalid(text, field="image", code="registry_login.other_host")
        source = CredentialSource(given.level, given.prefix.upper() or prefix_of(host))
        credentials = assemble(_secrets(given, source, host))
        said = [note.text for note in credentials.trail if note.rule not in _UNSAID]
        form: tuple[FormNote, ...] = ()
        choice = credentials.for_host(host)
        if isinstance(choice, Found) and choice.credential.kind is CredentialKind.BASIC:
            form = refuse_bad_form(host, choice.credential.user, choice.credential.password)
        try:
            async with asyncio.timeout(self._timeout_s):
                verdict = await self._try(host, credentials, image)
        except TimeoutError:
            verdict = reject(host, _too_late(host, source))
        said += [note.text for note in form if not (note.guess and verdict.outcome is LoginOutcome.ACCEPTED)]
        sentence = verdict.sentence  # a note may be what it says
        return replace(verdict, warnings=(*(note for note in said if note not in sentence), *verdict.warnings))

    async def _try(self, host: str, credentials: RegistryCredentials, image: ImageReference | None) -> LoginVerdict:
        choice, keys = credentials.for_host(host), credentials.unswapped.get(host)
        if keys is not None:
            answer = await self._ecr.authorize(keys.registry, keys.keys)
            if isinstance(answer, EcrFailure):
                return reject(host, explain_failure(answer, keys), keys.kind)
            choice = Found(keys.swapped_for(answer.password, answer.expires_at))
        if isinstance(choice, Failed):
            return reject(host, choice.finding)
        assert isinstance(choice, Found)  # noqa: S101 SERVER is a host, so the triple is one for it
        credential = choice.credential
        if credential.has_expired(self._clock.now()):
            return reject(host, explain_expired(credential), credential.kind)
        if image is None:
            swapped = credential.kind is CredentialKind.ECR
            seen = LoginProof.CHECKED if swapped else await self._registry.check_login(credential)
            return judge_login(credential, seen)
        architecture = await self._probe.architecture() or USUAL_ARCHITECTURE
        used, anonymous = await asyncio.gather(
            self._probe.ask(image, credential, architecture), self._probe.ask(image, Anonymous(), architecture)
        )
        return judge_pull(choice, image, used, anonymous)


def _secrets(given: GivenLogin, source: CredentialSource, host: str) -> list[LevelledSecret]:
    """As they will be stored."""
    values = (SecretText(host), given.user, given.password, given.session_token)
    return [
        LevelledSecret(level=given.level, name=name, value=value)
        for name, value in zip(triple_names(source.prefix), values, strict=True)
        if value is not None
    ]


def _too_late(host: str, source: CredentialSource) -> Finding:
    late = UpstreamFailed(f"{host} did not answer in time.", code="registry.timeout")
    asked = ExchangeRequest(phase="ping", url=f"https://{host}/v2/")
    return replace(explain_connection(late, host, Anonymous(), asked), evidence={"host": host, **source.evidence})
