"""A registry that behaves as one provider's does, good and bad (REGISTRY_CREDENTIALS C1 and C2 of the references).

It knows one login, `PASSWORD` with any user, and one image, `<path>:1`. What it does not give it refuses as that provider
does. `special` says which paths, or which beginnings of a password, it treats in a way of their own.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from tests.fakes.http_server import Asked, Reply

from berth.domain.image_reference import Digest
from berth.domain.media_type import MANIFEST_TYPES

PASSWORD = "c4nary-p4ssword-of-ana"  # long enough for a token of AWS's
CONFIG = b'{"rootfs": {"type": "layers", "diff_ids": []}}'
MANIFEST = json.dumps(
    {
        "mediaType": MANIFEST_TYPES[1],
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": str(Digest.of(CONFIG)),
            "size": len(CONFIG),
        },
        "layers": [],
    }
).encode()
TAGS = json.dumps({"tags": ["1", "1.1", "main"]}).encode()


def error(status: int, code: str, message: str = "", **headers: str) -> Reply:
    body = json.dumps({"errors": [{"code": code, "message": message, "detail": None}]}).encode()
    return Reply(status=status, headers={name.replace("_", "-"): value for name, value in headers.items()}, body=body)


def details(status: int, text: str) -> Reply:
    """As Docker Hub's token service says no."""
    return Reply(status=status, body=json.dumps({"details": text}).encode())


@dataclass(frozen=True, kw_only=True)
class ProviderRegistry:
    """`token` and `manifest` are its refusals: of a bad login, and of an image that is not to be had with a good one.

    `special` is phase and path, or phase and password, → answer.
    """

    host: str  # as in an image's name
    path: str  # of the image that there is
    api: str = ""  # where it answers, if elsewhere
    realm: str = ""  # its token service; none: Basic
    service: str = ""
    basic_too: bool = False
    rejected: Reply  # of a bad login
    denied: Reply  # of no right, with a good one
    missing: Reply  # of a tag that is not there
    anonymous: Reply | None = None  # at the token service, without a login; None: a token that opens nothing
    token_name: str = "token"
    special: Mapping[tuple[str, str], Reply] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """All host names that it plays."""
        hosts = [self.api or self.host, self.realm.removeprefix("https://").partition("/")[0]]
        return tuple(dict.fromkeys(host for host in hosts if host))

    def __call__(self, asked: Asked) -> Reply:
        if self.realm and f"https://{asked.headers['host']}{asked.path}" == self.realm:
            return self._token(asked)
        password, is_anonymous = self._login(asked)
        ping = self.special.get(("ping", ""))
        if ping is not None:
            return ping
        if is_anonymous:
            return replace(error(401, "UNAUTHORIZED", "authentication required"), headers=self._challenge())
        if not self.realm and password != PASSWORD:
            return self.rejected
        if asked.path == "/v2/":
            return Reply(body=b"{}")
        return self._content(asked.path, password)

    def _login(self, asked: Asked) -> tuple[str, bool]:
        """The password behind the Authorization header; a token is the password with which it was got."""
        scheme, _, value = asked.headers.get("authorization", "").partition(" ")
        if scheme == "Basic":
            return base64.b64decode(value).decode().partition(":")[2], False
        return value.removeprefix("token-"), not scheme

    def _challenge(self) -> dict[str, str]:
        bearer = f'Bearer realm="{self.realm}",service="{self.service}",scope="repository:x:pull"'
        basic = 'Basic realm="registry"'
        return {"WWW-Authenticate": f"{bearer}, {basic}" if self.basic_too else bearer if self.realm else basic}

    def _token(self, asked: Asked) -> Reply:
        password, is_anonymous = self._login(asked)
        for (phase, what), reply in self.special.items():
            if phase == "token" and (what in asked.target.replace("%2F", "/") if "/" in what else password == what):
                return reply
        if is_anonymous:
            return self.anonymous or Reply(body=json.dumps({self.token_name: "token-"}).encode())
        if password != PASSWORD:
            return self.rejected
        return Reply(body=json.dumps({self.token_name: f"token-{password}"}).encode())

    def _content(self, path: str, password: str) -> Reply:
        for (phase, what), reply in self.special.items():
            if phase == "manifest" and f"/{what}/manifests/" in path:
                return reply
        if password != PASSWORD or not path.startswith(f"/v2/{self.path}/"):
            return self.denied
        found = {
            "manifests/1": Reply(headers={"Content-Type": MANIFEST_TYPES[1]}, body=MANIFEST),
            f"blobs/{Digest.of(CONFIG)}": Reply(body=CONFIG),
            "tags/list": Reply(body=TAGS),
        }
        return found.get(path.removeprefix(f"/v2/{self.path}/"), self.missing)
