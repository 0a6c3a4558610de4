"""The RegistryClient port over HTTP: drives the exchange of `domain/credential_exchange.py` through the guarded client.

The built-in registry is asked like any other, by its own address: what an engine will see is what was checked.

Every failure becomes a Finding: the cause in a sentence, who can mend it, what to do, and what was seen.

Decided: no cache of positive answers. An answer proves a right at one moment; a cache would prolong a right that was
withdrawn, needs a key of owner, credential and image that no one may get wrong (C10), and saves a few small requests
of a launch that then moves layers. What is worth sharing, the swap for AWS keys, has its own place.
"""

import asyncio
from collections.abc import Collection, Generator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from berth.adapters.guarded_http import GuardedHTTP, GuardedRequest
from berth.domain.credential_exchange import (
    ExchangeFailure,
    ExchangePolicy,
    feature_exchange,
    login_exchange,
    pull_exchange,
)
from berth.domain.exchange_message import ExchangeRequest, ExchangeResponse
from berth.domain.finding import Finding, Fixer
from berth.domain.image_reference import ImageReference
from berth.domain.problem import Invalid, UpstreamFailed
from berth.domain.registry_challenge import TOKEN_REALMS
from berth.domain.registry_credential import Anonymous, RegistryCredential
from berth.domain.registry_host import api_host, parse_web_address
from berth.domain.secret_text import SecretText
from berth.services.ports import FetchedFeature, ImageRefused, ResolvedImage

_Result = TypeVar("_Result")

# code → (sentence, who can mend it, next step). An empty Fixer is the keeper of the credential.
_TEXTS: Mapping[str, tuple[str, Fixer | None, str]] = {
    "credential.other_host": (
        "The credential {credential} is not for {host}; nothing was sent.",
        Fixer.SITE_ADMIN,
        "This is a fault in Berth; report it.",
    ),
    "image.unauthorized": (
        "{host} rejected the credential {credential}.",
        None,
        "Make a new password or token at {host}, check the user name, and set the secrets again.",
    ),
    "image.credential_missing": (
        "{host} does not show {image} to anonymous callers, and there is no credential for {host}.",
        Fixer.DEVELOPER,
        "Set three secrets for {host}: `berth registry add {host}`. If the image is public, check its name.",
    ),
    "image.token_expired": (
        "{host} does not take the token of {credential} any more: it has expired, or AWS has ended it.",
        None,
        "Start again: AWS keys are swapped for a new token then. A ready token has to be set anew, or keys in its place.",
    ),
    "image.denied": (
        "{host} accepts the credential {credential}, but does not let it pull {image}; or the image does not exist.",
        None,
        "Let that account or token read {image} at {host}, and check the image's name.",
    ),
    "image.not_found": (
        "{host} has no {image}.",
        Fixer.DEVELOPER,
        "Check the image's name and tag; the tag may have been deleted.",
    ),
    "image.digest_mismatch": (
        "{host} answered with another image than the one whose digest was asked for.",
        Fixer.REGISTRY,
        "Do not use this image; tell the keeper of {host}.",
    ),
    "image.unproven": (
        "{host} names a content for {image} that it does not serve itself, so the right to the image is not proven.",
        Fixer.REGISTRY,
        "Push the image to {host} again, all of it; if you did not make it, do not use it.",
    ),
    "image.platform_missing": (
        "{image} at {host} is not made for this server's engine. {reason}",
        Fixer.DEVELOPER,
        "Build and push the image for the engine's platform too.",
    ),
    "image.unsupported": (
        "{image} at {host} is not an image that today's engines can run. {reason}",
        Fixer.DEVELOPER,
        "Push the image again with a current tool.",
    ),
    "feature.unsupported": (
        "{image} at {host} is no Feature that can be installed. {reason}",
        Fixer.DEVELOPER,
        "Check its name; publish it with devcontainer features publish.",
    ),
    "feature.too_large": (
        "{image} at {host} is too large. {reason}",
        Fixer.DEVELOPER,
        "Have install.sh fetch what is large, or put it into the image.",
    ),
    "registry.rate_limited": (
        "{host} limits how often it may be asked, and the limit is reached.",
        Fixer.DEVELOPER,
        "Wait{wait}; on a public registry a credential raises the limit: `berth registry add {host}`.",
    ),
    "registry.not_a_registry": (
        "{host} does not answer as a container registry. {reason}",
        Fixer.DEVELOPER,
        "Check the host in the image's name and in the secret …_CONTAINER_REGISTRY_SERVER.",
    ),
    "registry.realm_elsewhere": (
        "{host} wants the password sent to another host{elsewhere}; nothing was sent. {reason}",
        Fixer.SITE_ADMIN,
        "If that host is its real token service, the administrator can add the pair to BERTH_TOKEN_REALMS.",
    ),
    "registry.server_error": (
        "{host} failed with status {status}. {reason}",
        Fixer.REGISTRY,
        "Try again later; if it stays, tell the keeper of {host}.",
    ),
}

# Failures of the connection: the sentence and mostly the remedy come from guarded_http.
_CONNECTION: Mapping[str, tuple[Fixer, str]] = {
    "registry.name_unknown": (
        Fixer.DEVELOPER,
        "Check the spelling of {host}; if it is right, check this server's DNS.",
    ),
    "registry.address_forbidden": (
        Fixer.SITE_ADMIN,
        "The administrator can add it to BERTH_PRIVATE_ADDRESSES (host:port or network) and start the server again.",
    ),
    "registry.plain_http": (
        Fixer.SITE_ADMIN,
        "The administrator can add {host} to BERTH_INSECURE_REGISTRIES and start the server again.",
    ),
    "registry.timeout": (Fixer.REGISTRY, "Try again; if it stays, check that this server can reach {host}."),
    "registry.unreachable": (Fixer.REGISTRY, "Check the port, and that this server can reach {host}."),
    "registry.tls": (
        Fixer.REGISTRY,
        "{host} needs a valid certificate, or the administrator of this server names its CA in BERTH_CA_FILE.",
    ),
    "registry.bad_answer": (Fixer.REGISTRY, "Check the host and its port; try again."),
    "registry.answer_too_big": (Fixer.REGISTRY, "Check that {host} is a container registry."),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltInRegistry:
    """The server's own registry. Only what is asked of it goes through `http`, which may reach addresses that are ours.

    So no other registry can lead Berth to them, by a redirect or as its token service.
    """

    host: str
    http: GuardedHTTP


class RegistryHTTP:
    """Asks registries (RegistryClient). Holds no state between calls."""

    def __init__(
        self,
        http: GuardedHTTP,
        *,
        built_in: BuiltInRegistry | None = None,
        realm_table: Mapping[str, str] | None = None,
        insecure_registries: Collection[str] = frozenset(),
        total_timeout_s: float = 30,
    ) -> None:
        """`realm_table` adds to the one in the code. `insecure_registries`: all that are asked over plain http."""
        self._http = http
        self._built_in = built_in
        self._policy = ExchangePolicy(
            realm_table={**TOKEN_REALMS, **(realm_table or {})}, insecure_hosts=frozenset(insecure_registries)
        )
        self._total_timeout_s = total_timeout_s

    async def resolve(
        self, image: ImageReference, credential: RegistryCredential | Anonymous, architecture: str
    ) -> ResolvedImage | ImageRefused:
        """See RegistryClient. A credential for another host than the image's is refused, nothing is sent (C4)."""
        exchange = pull_exchange(image, credential, self._policy, architecture)
        result = await self._drive(exchange, image.host, credential)
        if isinstance(result, Finding):
            return ImageRefused(result)
        if isinstance(result, ExchangeFailure):
            return ImageRefused(_finding(result, image.host, credential, f"{image.path}:{image.reference}"))
        return ResolvedImage(
            image=image.pinned(result.digest),
            media_type=result.media_type,
            size_bytes=result.size_bytes,
            pull_token=result.token,
            password_shown=result.password_shown,
        )

    async def fetch_feature(
        self, feature: ImageReference, credential: RegistryCredential | Anonymous
    ) -> FetchedFeature | ImageRefused:
        """See RegistryClient."""
        result = await self._drive(feature_exchange(feature, credential, self._policy), feature.host, credential)
        if isinstance(result, Finding):
            return ImageRefused(result)
        if isinstance(result, ExchangeFailure):
            name = f"the Feature {feature.path}:{feature.reference}"
            return ImageRefused(_finding(result, feature.host, credential, name))
        return FetchedFeature(feature=feature.pinned(result.digest), archive=result.archive)

    async def check_login(self, credential: RegistryCredential) -> Finding | None:
        """See RegistryClient. A registry that asks for no login takes every credential."""
        result = await self._drive(login_exchange(credential, self._policy), credential.host, credential)
        if isinstance(result, ExchangeFailure):
            return _finding(result, credential.host, credential, "images")
        return result if isinstance(result, Finding) else None

    async def _drive(
        self,
        exchange: Generator[ExchangeRequest, ExchangeResponse, _Result],
        host: str,
        credential: RegistryCredential | Anonymous,
    ) -> _Result | Finding:
        """Run the exchange to its end; a failed connection ends it with a Finding."""
        asked: list[ExchangeRequest] = []
        try:
            return await asyncio.wait_for(self._run(exchange, asked, self._http_of(host)), self._total_timeout_s)
        except TimeoutError:
            problem = UpstreamFailed(f"{host} did not answer in time.", code="registry.timeout")
        except Invalid:
            problem = UpstreamFailed(f"{host} named an address that is none.", code="registry.bad_answer")
        except UpstreamFailed as failure:
            problem = failure
        evidence = _evidence(host, credential) | {"phase": asked[-1].phase}
        asked_host = _host_of(asked[-1].url)
        if asked_host != api_host(host):
            evidence["other_host"] = asked_host
        fixer, step = _CONNECTION[problem.code]
        step = step.format(host=asked_host)
        return Finding(code=problem.code, sentence=problem.message, fixer=fixer, next_step=step, evidence=evidence)

    def _http_of(self, host: str) -> GuardedHTTP:
        """By the host that was asked for, wherever the exchange leads from there."""
        if self._built_in is not None and host == self._built_in.host:
            return self._built_in.http
        return self._http

    async def _run(
        self,
        exchange: Generator[ExchangeRequest, ExchangeResponse, _Result],
        asked: list[ExchangeRequest],
        http: GuardedHTTP,
    ) -> _Result:
        response: ExchangeResponse | None = None
        async with http.session() as session:
            while True:
                try:
                    request = next(exchange) if response is None else exchange.send(response)
                except StopIteration as end:
                    result: _Result = end.value
                    return result
                asked.append(request)
                answer = await session.send(_guarded(request))
                response = ExchangeResponse(status=answer.status, headers=answer.headers, body=answer.body)


def _host_of(url: str) -> str:
    try:
        return parse_web_address(url).host
    except Invalid:
        return ""


def _guarded(request: ExchangeRequest) -> GuardedRequest:
    headers: dict[str, str | SecretText] = {}
    if request.accept:
        headers["Accept"] = request.accept
    if request.authorization is not None:
        headers["Authorization"] = request.authorization
    return GuardedRequest(method="GET", url=request.url, headers=headers, max_body_bytes=request.max_body_bytes)


def _finding(failure: ExchangeFailure, host: str, credential: RegistryCredential | Anonymous, image: str) -> Finding:
    sentence, fixer, step = _TEXTS[failure.code]
    words = {
        "host": host,
        "image": image,
        "status": str(failure.status),
        "reason": failure.reason,
        "credential": _words(credential),
        "elsewhere": f", {failure.other_host}" if failure.other_host else "",
        "wait": f" {failure.retry_after_s} s" if failure.retry_after_s else "",
    }
    evidence = _evidence(host, credential) | {"phase": failure.phase, "status": str(failure.status)}
    if failure.error_code:
        evidence["error_code"] = failure.error_code
    if failure.other_host:
        evidence["other_host"] = failure.other_host
    if fixer is None:
        fixer = credential.source.fixer if isinstance(credential, RegistryCredential) else Fixer.DEVELOPER
    return Finding(
        code=failure.code,
        sentence=sentence.format_map(words).strip(),
        fixer=fixer,
        next_step=step.format_map(words),
        evidence=evidence,
    )


def _evidence(host: str, credential: RegistryCredential | Anonymous) -> dict[str, str]:
    if isinstance(credential, Anonymous):
        return {"host": host, "credential": "none"}
    return {"host": host, **credential.source.evidence}


def _words(credential: RegistryCredential | Anonymous) -> str:
    return "none" if isinstance(credential, Anonymous) else str(credential.source)
