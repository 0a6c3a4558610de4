"""The EcrAPI port over HTTP: one signed POST through the guarded client, to the address that the host table made.

It has no environment, no profile and no AWS library below it: `AWS_…` variables of the server mean nothing here, and
there is no identity but the caller's keys. The administrator's `endpoint` takes the place of every address of AWS's.
"""

from datetime import UTC, datetime

from berth.adapters.guarded_http import GuardedHTTP, GuardedRequest
from berth.domain.aws_signature import AwsCall, sign
from berth.domain.ecr_answer import MAX_ANSWER_BYTES, TARGETS, EcrFailure, read_ecr_answer
from berth.domain.ecr_host import EcrRegistry
from berth.domain.ecr_key import AwsKeys, EcrToken
from berth.domain.exchange_message import ExchangeResponse
from berth.domain.problem import UpstreamFailed
from berth.domain.registry_host import parse_web_address
from berth.services.ports import Clock

_BODY = b"{}"


class EcrHTTP:
    """Swaps keys for tokens (EcrAPI). Holds no state between calls."""

    def __init__(self, http: GuardedHTTP, *, clock: Clock, endpoint: str | None = None) -> None:
        self._http = http
        self._clock = clock
        self._endpoint = endpoint

    async def authorize(self, registry: EcrRegistry, keys: AwsKeys) -> EcrToken | EcrFailure:
        """See EcrAPI."""
        address = parse_web_address(self._endpoint or f"https://{registry.api_host}/")
        call = AwsCall(
            service=registry.service,
            region=registry.region,
            host=address.host,
            headers={"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": TARGETS[registry.service]},
            body=_BODY,
        )
        request = GuardedRequest(
            method="POST",
            url=f"{address.scheme}://{address.host}/",
            headers=sign(call, keys, self._now()),
            body=call.body,
            max_body_bytes=MAX_ANSWER_BYTES,
        )
        try:
            async with self._http.session() as session:
                answer = await session.send(request)
        except UpstreamFailed as failure:
            code = "ecr.region_unknown" if failure.code == "registry.name_unknown" else "ecr.unreachable"
            return EcrFailure(code=code, error_code=failure.code, reason=failure.text)
        response = ExchangeResponse(status=answer.status, headers=answer.headers, body=answer.body)
        return read_ecr_answer(registry, response, self._now())

    def _now(self) -> datetime:
        return self._clock.now().astimezone(UTC)
