"""Where an S3-compatible store keeps blobs: `s3://bucket/prefix?endpoint=https://…&region=…&path_style=…&redirect=…`.

1. `endpoint` is the store's own address, for stores that are not AWS; without it the region decides.
2. `path_style=true` puts the bucket into the path instead of the host name; it is the default with an `endpoint`.
3. `redirect=false` sends blobs through this server; by default clients are sent to the store, which they must then reach.
4. Everything unknown is refused. There is no place for a credential: the server uses its own AWS identity.

Source: Amazon S3 User Guide, "Bucket naming rules".
"""

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl

from berth.domain.problem import Invalid
from berth.domain.registry_host import parse_web_address

SCHEME = "s3://"
_PARAMETERS = frozenset({"endpoint", "region", "path_style", "redirect"})
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_PREFIX = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(?:/[A-Za-z0-9_-][A-Za-z0-9._-]*)*")
_MAX_PREFIX_LENGTH = 512
_REGION = re.compile(r"[a-z0-9-]{1,64}")
_BOOLEANS = {"true": True, "false": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Address:
    """A place in a bucket. `prefix` has no slash at its ends; `endpoint` is an origin; `region` None is the identity's own."""

    bucket: str
    prefix: str = ""
    endpoint: str | None = None
    region: str | None = None
    path_style: bool = False
    redirect: bool = True

    @property
    def own_origin(self) -> str | None:
        """Where clients are sent, if that is a store of the administrator's own; None for AWS, which is public."""
        if self.endpoint is None or not self.redirect:
            return None
        scheme, _, host = self.endpoint.partition("://")
        return self.endpoint if self.path_style else f"{scheme}://{self.bucket}.{host}"


def parse_s3_address(text: str) -> S3Address:
    """Raises Invalid, which names what is wrong and never repeats it: it might be a misplaced secret."""
    if not text.startswith(SCHEME):
        raise _refusal("An S3 store is written s3://bucket/prefix.")
    place, _, query = text.removeprefix(SCHEME).partition("?")
    bucket, _, prefix = place.partition("/")
    if "@" in place:
        raise _refusal("There is no place for a credential in an s3:// address; the server uses its own AWS identity.")
    if not _BUCKET.fullmatch(bucket) or ".." in bucket:
        raise _refusal("A bucket's name has 3 to 63 lower-case letters, digits, '.' and '-'.")
    prefix = prefix.removesuffix("/")
    if prefix and (not _PREFIX.fullmatch(prefix) or len(prefix) > _MAX_PREFIX_LENGTH):
        raise _refusal("The prefix after the bucket has letters, digits, '.', '_' and '-', in parts joined by '/'.")
    given = _parameters(query)
    endpoint = given.get("endpoint")
    region = given.get("region")
    if region is not None and not _REGION.fullmatch(region):
        raise _refusal("region is a name such as eu-central-1.")
    return S3Address(
        bucket=bucket,
        prefix=prefix,
        endpoint=None if endpoint is None else _endpoint(endpoint),
        region=region,
        path_style=_boolean("path_style", given, default=endpoint is not None),
        redirect=_boolean("redirect", given, default=True),
    )


def _parameters(query: str) -> dict[str, str]:
    given: dict[str, str] = {}
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query), errors="strict")
    except ValueError as error:
        raise _refusal("What follows the '?' is name=value, joined by '&'.") from error
    for name, value in pairs:
        if name not in _PARAMETERS:
            raise _refusal(f"An s3:// address takes the parameters {', '.join(sorted(_PARAMETERS))}, and no other.")
        if name in given:
            raise _refusal(f"{name} is given twice.")
        given[name] = value
    return given


def _endpoint(text: str) -> str:
    """The origin."""
    try:
        address = parse_web_address(text)
    except Invalid as error:
        raise _refusal("endpoint is https://host[:port] or http://host[:port].") from error
    if address.target != "/":
        raise _refusal("endpoint has no path and no query.")
    return text.removesuffix("/")


def _boolean(name: str, given: dict[str, str], *, default: bool) -> bool:
    if name not in given:
        return default
    if given[name] not in _BOOLEANS:
        raise _refusal(f"{name} is true or false.")
    return _BOOLEANS[given[name]]


def _refusal(sentence: str) -> Invalid:
    return Invalid(sentence, field="BLOBS", code="settings")
