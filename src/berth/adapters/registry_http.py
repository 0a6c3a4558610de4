"""The RegistryClient port over HTTP: drives the exchanges of `domain/credential_exchange.py` and `domain/login_exchange.py`
through the guarded client.

The built-in registry is asked like any other, by its own address: what an engine will see is what was checked.

Every failure becomes a Finding (`domain/registry_finding.py`).

Decided: no cache of positive answers. An answer proves a right at one moment; a cache would prolong a right that was
withdrawn, needs a key of owner, credential and image that no one may get wrong (C10), and saves a few small requests
of a launch that then moves layers. What is worth sharing, the swap for AWS keys, has its own place.
"""

import asyncio
from collections.abc import Collection, Generator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from berth.adapters.guarded_http import GuardedHTTP, GuardedRequest, GuardedSession
from berth.domain.credential_exchange import feature_exchange, pull_exchange
from berth.domain.exchange_message import ExchangeRequest, ExchangeResponse
from berth.domain.exchange_session import ExchangeFailure, ExchangePolicy
from berth.domain.finding import Finding
from berth.domain.image_reference import ImageReference
from berth.domain.login_exchange import LoginProof, login_exchange
from berth.domain.problem import Invalid, UpstreamFailed
from berth.domain.registry_challenge import TOKEN_REALMS
from berth.domain.registry_credential import Anonymous, RegistryCredential
from berth.domain.registry_finding import explain_connection, explain_failure
from berth.domain.secret_text import SecretText
from berth.services.ports import FetchedFeature, ImageRefused, ResolvedImage

_Result = TypeVar("_Result")


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
            return ImageRefused(explain_failure(result, credential, image))
        return ResolvedImage(
            image=image.pinned(result.digest),
            media_type=result.media_type,
            size_bytes=result.size_bytes,
            pull_token=result.token,
            password_shown=result.password_shown,
            login_proof=result.login_proof,
        )

    async def fetch_feature(
        self, feature: ImageReference, credential: RegistryCredential | Anonymous
    ) -> FetchedFeature | ImageRefused:
        """See RegistryClient."""
        result = await self._drive(feature_exchange(feature, credential, self._policy), feature.host, credential)
        if isinstance(result, Finding):
            return ImageRefused(result)
        if isinstance(result, ExchangeFailure):
            return ImageRefused(explain_failure(result, credential, feature, kind="the Feature "))
        return FetchedFeature(
            feature=feature.pinned(result.digest), archive=result.archive, login_proof=result.login_proof
        )

    async def check_login(self, credential: RegistryCredential) -> LoginProof | Finding:
        """See RegistryClient."""
        result = await self._drive(login_exchange(credential, self._policy), credential.host, credential)
        return explain_failure(result, credential) if isinstance(result, ExchangeFailure) else result

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
        return explain_connection(problem, host, credential, asked[-1])

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
                response = await _ask(session, request)


async def _ask(session: GuardedSession, request: ExchangeRequest) -> ExchangeResponse:
    try:
        answer = await session.send(_guarded(request))
    except UpstreamFailed:
        if request.optional:
            return ExchangeResponse(status=0)
        raise
    return ExchangeResponse(status=answer.status, headers=answer.headers, body=answer.body)


def _guarded(request: ExchangeRequest) -> GuardedRequest:
    headers: dict[str, str | SecretText] = {}
    if request.accept:
        headers["Accept"] = request.accept
    if request.authorization is not None:
        headers["Authorization"] = request.authorization
    return GuardedRequest(method="GET", url=request.url, headers=headers, max_body_bytes=request.max_body_bytes)
