"""What ECR's API answers to GetAuthorizationToken: a token, or one cause of failure (REGISTRY_CREDENTIALS B2, B3).

1. The API's own code decides, its message only where one code has two causes: a signature is refused for a wrong secret
   and for a clock that is off. Whose clock it is says the answer's Date.
2. What is not understood is a failure of its own, never a guess.
3. Nothing of a message is kept but the names of a principal and an action, by their exact forms.
4. Again is asked only where the same may succeed soon: AWS is busy, broken, or breaks off. Never with keys that it refused,
   nor where it took too long to say anything: a launch waits.
5. A registry says itself that a token is too old, each service in its own way; that is no missing right. It calls a token
   invalid that was ended before its time, with its key, or that is another region's.

Source: API reference of Amazon ECR, "Common errors", GetAuthorizationToken; of ECR Public the same.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from berth.domain.ecr_host import EcrRegistry, Service, find_ecr_registry
from berth.domain.ecr_key import EcrToken, is_token, split_token
from berth.domain.exchange_message import ExchangeResponse, error_code, json_object
from berth.domain.secret_text import SecretText

MAX_ANSWER_BYTES = 64 * 1024
LIFETIME = timedelta(hours=12)
MAX_SKEW = timedelta(minutes=5)  # what AWS tolerates

TARGETS: Mapping[Service, str] = {
    "ecr": "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken",
    "ecr-public": "SpencerFrontendService.GetAuthorizationToken",
}

_CAUSES: Mapping[str, str] = {
    "UnrecognizedClient": "ecr.key_unknown",
    "InvalidClientTokenId": "ecr.key_unknown",
    "InvalidAccessKeyId": "ecr.key_unknown",
    "InvalidSignature": "ecr.secret_wrong",
    "SignatureDoesNotMatch": "ecr.secret_wrong",
    "RequestExpired": "ecr.clock_skew",
    "RequestTimeTooSkewed": "ecr.clock_skew",
    "ExpiredToken": "ecr.keys_expired",
    "IncompleteSignature": "ecr.key_malformed",
    "MissingAuthenticationToken": "ecr.key_malformed",
    "OptInRequired": "ecr.not_opted_in",
    "SubscriptionRequired": "ecr.not_opted_in",
    "AccessDenied": "ecr.access_denied",
    "Throttling": "ecr.throttled",
    "TooManyRequests": "ecr.throttled",
    "RequestLimitExceeded": "ecr.throttled",
    "Server": "ecr.server_error",
    "InternalFailure": "ecr.server_error",
    "ServiceUnavailable": "ecr.server_error",
}
_PASSING = frozenset({"ecr.throttled", "ecr.server_error"})
_BROKEN_OFF = frozenset({"registry.unreachable", "registry.bad_answer"})
_TOO_OLD = re.compile(r"authorization token (?:has expired|is invalid)", re.IGNORECASE)
_DATE = "%a, %d %b %Y %H:%M:%S GMT"  # RFC 9110 section 5.6.7
_SKEWED = re.compile(r"Signature (?:expired|not yet current)\b", re.IGNORECASE)
_CODE = re.compile(r"[A-Za-z][A-Za-z0-9]{0,63}")
_PRINCIPAL = re.compile(r"\barn:[a-z-]+:(?:iam|sts)::[0-9]{12}:[A-Za-z0-9+=,.@_/-]{1,256}")
_ACTION = re.compile(r"\b(?:ecr|ecr-public|sts):[A-Z][A-Za-z]{1,63}\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class EcrFailure:
    """Why there is no token. `code` is the finding's, `error_code` AWS's own, or the guarded client's."""

    code: str
    status: int = 0
    error_code: str = ""
    principal: str = ""
    action: str = ""
    skew_s: int = 0  # how far our clock is ahead of AWS's; 0 if that is not known, or little
    reason: str = ""

    @property
    def is_passing(self) -> bool:
        """Whether the same again may succeed (policy 4)."""
        return self.code in _PASSING or (self.code == "ecr.unreachable" and self.error_code in _BROKEN_OFF)


def read_ecr_answer(registry: EcrRegistry, answer: ExchangeResponse, now: datetime) -> EcrToken | EcrFailure:
    """The token in the answer that came at `now`, or the cause why there is none."""
    skew = _skew(answer.headers.get("date", ""), now)
    body = json_object(answer.body)
    if answer.status != 200:
        return _read_failure(answer, body, skew)
    data = body.get("authorizationData")
    if registry.service == "ecr":
        data = data[0] if isinstance(data, list) and data else None
    token, expires_at = (data.get("authorizationToken"), data.get("expiresAt")) if isinstance(data, dict) else ("", 0)
    password = split_token(token) if isinstance(token, str) else ""
    if password == token or not is_token(password) or not isinstance(expires_at, int | float) or not expires_at > 0:
        return EcrFailure(code="ecr.bad_answer", status=200, reason="It holds no token.")
    latest = (now + LIFETIME).timestamp()
    expiry = datetime.fromtimestamp(min(expires_at, latest), UTC)
    if expiry <= now:
        code = "ecr.clock_skew" if skew else "ecr.bad_answer"
        return EcrFailure(code=code, status=200, skew_s=skew, reason="Its token has expired already.")
    return EcrToken(password=SecretText(password), expires_at=expiry)


def is_token_too_old(host: str, answer: ExchangeResponse) -> bool:
    """Whether the registry of this normal host refuses its token for its age (policy 5)."""
    registry = find_ecr_registry(host)
    if registry is None:
        return False
    if registry.service == "ecr-public":
        return answer.status == 400 and not error_code(answer.body).endswith("_INVALID")
    return answer.status == 403 and _TOO_OLD.search(answer.body.decode("latin-1")) is not None


def _read_failure(answer: ExchangeResponse, body: Mapping[str, object], skew: int) -> EcrFailure:
    error = _error_code(answer, body)
    message = body.get("message", body.get("Message"))
    message = message if isinstance(message, str) else ""
    code = _CAUSES.get(error.removesuffix("Exception"), "")
    if code == "ecr.secret_wrong" and (skew or _SKEWED.search(message)):
        code = "ecr.clock_skew"
    if not code:
        code = _cause_of_status(answer.status, error)
    denied = code == "ecr.access_denied"
    principal, action = _PRINCIPAL.search(message), _ACTION.search(message)
    return EcrFailure(
        code=code,
        status=answer.status,
        error_code=error,
        principal=principal[0] if denied and principal else "",
        action=action[0] if denied and action else "",
        skew_s=skew,
        reason="" if error else "It is no answer of ECR's API.",
    )


def _cause_of_status(status: int, error: str) -> str:
    if status == 429:
        return "ecr.throttled"
    if status >= 500:
        return "ecr.server_error"
    return "ecr.refused" if error else "ecr.bad_answer"


def _error_code(answer: ExchangeResponse, body: Mapping[str, object]) -> str:
    """AWS's code, bare: it comes as `prefix#Code` and as `Code:url`."""
    told = body.get("__type") or answer.headers.get("x-amzn-errortype", "")
    bare = told.rpartition("#")[2].partition(":")[0] if isinstance(told, str) else ""
    return bare if _CODE.fullmatch(bare) else ""


def _skew(date: str, now: datetime) -> int:
    """How many seconds our clock is ahead of what the Date header says; 0 for less than AWS tolerates."""
    try:
        theirs = datetime.strptime(f"{date} +0000", f"{_DATE} %z")
    except ValueError:
        return 0
    skew = now - theirs
    return round(skew.total_seconds()) if abs(skew) > MAX_SKEW else 0
