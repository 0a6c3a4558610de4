"""AWS Signature Version 4, for the one kind of request that Berth makes to AWS: POST to `/` without a query.

It takes the keys as arguments and nothing from anywhere else: no environment, no profile, no machine's role.
Source: AWS "Signature Version 4", creating a signed API request. The tests hold it against botocore's signer.
"""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from berth.domain.ecr_key import AwsKeys
from berth.domain.secret_text import SecretText

_ALGORITHM = "AWS4-HMAC-SHA256"


@dataclass(frozen=True, slots=True, kw_only=True)
class AwsCall:
    """A call to sign. `host` is the Host header as it will be sent; the other headers' names are as they will be sent."""

    service: str
    region: str
    host: str
    headers: Mapping[str, str]
    body: bytes


def sign(call: AwsCall, keys: AwsKeys, now: datetime) -> dict[str, str | SecretText]:
    """The call's headers, with the date, the session token if there is one, and the signature over all of them."""
    stamp = now.strftime("%Y%m%dT%H%M%SZ")
    signed = {**call.headers, "Host": call.host, "X-Amz-Date": stamp}
    if keys.session_token is not None:
        signed["X-Amz-Security-Token"] = keys.session_token.reveal()
    canonical = {name.lower(): " ".join(value.split()) for name, value in sorted(signed.items(), key=_lower)}
    names = ";".join(canonical)
    lines = [f"{name}:{value}\n" for name, value in canonical.items()]
    request = f"POST\n/\n\n{''.join(lines)}\n{names}\n{hashlib.sha256(call.body).hexdigest()}"
    scope = f"{stamp[:8]}/{call.region}/{call.service}/aws4_request"
    text = f"{_ALGORITHM}\n{stamp}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    key = f"AWS4{keys.secret.reveal()}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    headers: dict[str, str | SecretText] = {**call.headers, "X-Amz-Date": stamp}
    if keys.session_token is not None:
        headers["X-Amz-Security-Token"] = keys.session_token
    value = f"{_ALGORITHM} Credential={keys.key_id}/{scope}, SignedHeaders={names}, Signature={signature}"
    return {**headers, "Authorization": SecretText(value)}


def _lower(header: tuple[str, str]) -> str:
    return header[0].lower()
