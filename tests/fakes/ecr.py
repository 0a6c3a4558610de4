"""AWS's ECR, as a handler for HTTPServer: the token API of both services, and the registries behind their tokens.

Signatures are computed again with botocore's signer, from the request as it arrived. A clock of its own decides what is
too early, too late or expired. `refuse` makes it answer as AWS does when it has something else against the request.
"""

import base64
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from tests.fakes.http_server import Asked, Reply

KEY_ID = "AKIAIOSFODNN7EXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"  # AWS's own example
TEMPORARY_ID = "ASIAIOSFODNN7EXAMPLE"
SESSION_TOKEN = "IQoJb3JpZ2luX2VjEXAMPLE//////////wEaCXVzLWVhc3QtMSJHMEUCIQ=="
PRINCIPAL = "arn:aws:iam::123456789012:user/ci"
TOLERATED = timedelta(minutes=5)

_TARGETS = {
    "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken": "ecr",
    "SpencerFrontendService.GetAuthorizationToken": "ecr-public",
}
_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(\w+)/(\d{8})/([a-z0-9-]+)/([a-z-]+)/aws4_request, SignedHeaders=([a-z0-9;-]+), "
    r"Signature=([0-9a-f]{64})"
)


@dataclass(frozen=True)
class Key:
    secret: str = SECRET
    session_token: str | None = None
    expired: bool = False


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass
class FakeECR:
    """`content` maps paths of `/v2/…` to what a good token opens there."""

    keys: dict[str, Key] = field(
        default_factory=lambda: {KEY_ID: Key(), TEMPORARY_ID: Key(session_token=SESSION_TOKEN)}
    )
    content: Mapping[str, Reply] = field(default_factory=dict)
    now: Callable[[], datetime] = _now
    life: timedelta = timedelta(hours=12)
    refuse: list[Reply] = field(default_factory=list)  # the answers to the next swaps
    tokens: dict[str, datetime] = field(default_factory=dict)  # password → until when it is good
    swaps: list[str] = field(default_factory=list)  # the key id of every request for a token, service and region

    def __call__(self, request: Asked) -> Reply:
        if request.path.startswith("/v2/"):
            return self._registry(request)
        return self._api(request)

    def _api(self, request: Asked) -> Reply:
        service = _TARGETS.get(request.headers.get("x-amz-target", ""))
        if (request.method, request.path) != ("POST", "/") or service is None:
            return error(400, "UnknownOperationException", "", self.now())
        match = _AUTHORIZATION.fullmatch(request.headers.get("authorization", ""))
        if match is None:
            return error(400, "MissingAuthenticationTokenException", "Missing Authentication Token", self.now())
        key_id, _, region, signed_service, _, _ = match.groups()
        self.swaps.append(f"{key_id} {service} {region}")
        if self.refuse:
            return _dated(self.refuse.pop(0), self.now())
        refusal = self._authenticate(request, match, service)
        if refusal is not None:
            return refusal
        if signed_service != service or (service == "ecr-public" and region != "us-east-1"):
            return error(400, "UnsupportedCommandException", "GetAuthorizationToken is not supported.", self.now())
        return self._token(service)

    def _authenticate(self, request: Asked, match: re.Match[str], service: str) -> Reply | None:
        key_id, day, region, _, signed, signature = match.groups()
        key = self.keys.get(key_id)
        if key is None or request.headers.get("x-amz-security-token") != key.session_token:
            text = "The security token included in the request is invalid."
            return error(400, "UnrecognizedClientException", text, self.now())
        stamp = request.headers["x-amz-date"]
        at = datetime.strptime(f"{stamp} +0000", "%Y%m%dT%H%M%SZ %z")
        if abs(at - self.now()) > TOLERATED:
            early = "Signature not yet current: {} is still later than {}"
            text = "Signature expired: {} is now earlier than {}" if at < self.now() else early
            return error(400, "InvalidSignatureException", text.format(stamp, self.now()), self.now())
        wanted = _sign(request, signed.split(";"), Credentials(key_id, key.secret), service, region)
        if signature != wanted or day != stamp[:8]:
            text = "The request signature we calculated does not match the signature you provided."
            return error(400, "InvalidSignatureException", text, self.now())
        if key.expired:
            return error(
                400, "ExpiredTokenException", "The security token included in the request is expired", self.now()
            )
        return None

    def _token(self, service: str) -> Reply:
        expires_at = (self.now() + self.life).replace(microsecond=0)
        text = {
            "payload": f"p{len(self.tokens)}",
            "datakey": "d",
            "type": "DATA_KEY",
            "expiration": int(expires_at.timestamp()),
        }
        password = base64.b64encode(json.dumps(text).encode()).decode()
        self.tokens[password] = expires_at
        token = base64.b64encode(f"AWS:{password}".encode()).decode()
        data = {"authorizationToken": token, "expiresAt": expires_at.timestamp()}
        private = [{**data, "proxyEndpoint": "https://123456789012.dkr.ecr.eu-west-1.amazonaws.com"}]
        return _reply(200, {"authorizationData": private if service == "ecr" else data}, self.now())

    def _registry(self, request: Asked) -> Reply:
        basic = request.headers.get("authorization", "").removeprefix("Basic ")
        user, _, password = base64.b64decode(basic).decode().partition(":")
        until = self.tokens.get(password) if user == "AWS" else None
        if until is None:
            challenge = {
                "WWW-Authenticate": f'Basic realm="https://{request.headers["host"]}/",service="ecr.amazonaws.com"'
            }
            return Reply(status=401, headers=challenge, body=b"Not Authorized\n")
        if until <= self.now():
            text = "Your authorization token has expired. Reauthenticate and try again."
            return denial(403, "DENIED", text)
        if request.path == "/v2/":
            return Reply(body=b"{}")
        return self.content.get(
            request.path, denial(404, "NAME_UNKNOWN", "The repository does not exist in the registry")
        )


def _sign(request: Asked, signed: list[str], credentials: Credentials, service: str, region: str) -> str:
    """The signature that botocore would make of this request."""
    headers = {name: request.headers[name] for name in signed}
    url = f"https://{request.headers['host']}{request.target}"
    message = AWSRequest(request.method, url, data=request.body, headers=headers)
    message.context["timestamp"] = request.headers["x-amz-date"]
    signer = SigV4Auth(credentials, service, region)
    return str(signer.signature(signer.string_to_sign(message, signer.canonical_request(message)), message))


def error(status: int, code: str, message: str, at: datetime | None = None) -> Reply:
    """A refusal of the token API."""
    return _reply(status, {"__type": f"com.amazonaws#{code}", "message": message}, at or _now())


def denial(status: int, code: str, message: str) -> Reply:
    """A refusal of the registry."""
    return Reply(status=status, body=json.dumps({"errors": [{"code": code, "message": message}]}).encode())


def _reply(status: int, body: object, at: datetime) -> Reply:
    headers = {"Content-Type": "application/x-amz-json-1.1"}
    return _dated(Reply(status=status, headers=headers, body=json.dumps(body).encode()), at)


def _dated(reply: Reply, at: datetime) -> Reply:
    """An answer of now, however long ago it was written."""
    return replace(reply, headers={**reply.headers, "Date": f"{at:%a, %d %b %Y %H:%M:%S} GMT"})


DENIED = error(
    400,
    "AccessDeniedException",
    f"User: {PRINCIPAL} is not authorized to perform: ecr:GetAuthorizationToken on resource: *",
)
