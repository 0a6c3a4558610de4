"""Image references: parse and format, side by side.

1. The first path element is a host iff it is `localhost` or contains `.` or `:`; else the image is on Docker Hub.
2. On Docker Hub a name of one element is `library/name`; `index.docker.io` is `docker.io`; other hosts are not renamed.
3. The tag is `latest` if neither tag nor digest is given. With both, the digest decides and the tag is decoration.
4. An image id (64 hexadecimal digits, also after `sha256:`) names what an engine holds, not an image: refused.

Decided: an upper-case first element without `.` and `:` is refused, where distribution/reference reads a host. It is
nearly always a mistyped name, and as a host nobody could be asked. A real host is lower-cased: host names have no case.
Source: distribution/reference `normalize.go` and `regexp.go`; OCI distribution-spec v1.1, "Pulling manifests".
"""

import hashlib
import re
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Self

from berth.domain.docker_hub import DOCKER_HUB
from berth.domain.problem import Invalid
from berth.domain.registry_host import parse_host_and_port

DEFAULT_TAG = "latest"
MAX_PATH_LENGTH = 255
MAX_TEXT_LENGTH = 1024

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_PATH = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_IMAGE_ID = re.compile(r"[0-9a-f]{64}|sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")
_UPPER_CASE = re.compile(r"[A-Z]")


class DigestAlgorithm(StrEnum):
    """The registered algorithms. Source: OCI image-spec v1.1, descriptor.md, "Registered Algorithms"."""

    SHA256 = "sha256"
    SHA512 = "sha512"


_HEX = {
    DigestAlgorithm.SHA256: re.compile(r"[0-9a-f]{64}"),
    DigestAlgorithm.SHA512: re.compile(r"[0-9a-f]{128}"),
}


@dataclass(frozen=True, slots=True)
class Digest:
    """A content's fingerprint, `algorithm:hex` in lower case."""

    algorithm: DigestAlgorithm
    hex: str

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.hex}"

    @classmethod
    def of(cls, content: bytes, algorithm: DigestAlgorithm = DigestAlgorithm.SHA256) -> Self:
        return cls(algorithm, hashlib.new(algorithm, content).hexdigest())


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageReference:
    """An image, fully named. `tag` is None only if there is a digest. `host` is lower-case and has no port 443."""

    host: str
    path: str
    tag: str | None = DEFAULT_TAG
    digest: Digest | None = None

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.host}/{self.path}{tag}{digest}"

    @property
    def reference(self) -> str:
        """What names the manifest in the registry's API: the digest if there is one, else the tag."""
        return str(self.digest or self.tag)

    @property
    def pull_name(self) -> str:
        """The name for an engine: `host/path@digest`, or `host/path:tag` while there is no digest."""
        separator = "@" if self.digest else ":"
        return f"{self.host}/{self.path}{separator}{self.reference}"

    def pinned(self, digest: Digest) -> Self:
        """The same image at that digest; the tag stays as decoration."""
        return replace(self, digest=digest)


def parse_digest(text: str) -> Digest:
    """Raises Invalid for an unknown algorithm, a wrong length, or upper case."""
    name, _, hexadecimal = text.partition(":")
    for algorithm, pattern in _HEX.items():
        if name == algorithm and pattern.fullmatch(hexadecimal):
            return Digest(algorithm, hexadecimal)
    raise _refusal("digest", "A digest is sha256: with 64, or sha512: with 128 lower-case hexadecimal digits.")


def parse_image_reference(text: str) -> ImageReference:
    """The image that a user names (policy 1 to 4). Raises Invalid, code `image_reference.*`; never repeats it."""
    if not text:
        raise _refusal("empty", "The image's name is empty.")
    if len(text) > MAX_TEXT_LENGTH:
        raise _refusal("length", "The image's name is too long.")
    if "://" in text:
        raise _refusal("scheme", "An image's name has no scheme; begin with the registry's host.")
    if _IMAGE_ID.fullmatch(text):
        raise _refusal("id", "This is an image id, which names no image in a registry; write host/path:tag.")
    name, at, digest_text = text.partition("@")
    digest = parse_digest(digest_text) if at else None
    name, tag = _split_tag(name)
    if tag is None and digest is None:
        tag = DEFAULT_TAG
    host, path = _split_host(name)
    if _UPPER_CASE.search(path):
        raise _refusal("upper_case", "An image's path is lower-case.")
    if not _PATH.fullmatch(path) or len(path) > MAX_PATH_LENGTH:
        sentence = "An image's path has parts of lower-case letters and digits, joined by '.', '_', '-' and '/'."
        raise _refusal("path", sentence)
    return ImageReference(host=host, path=path, tag=tag, digest=digest)


def _split_tag(name: str) -> tuple[str, str | None]:
    rest, colon, tag = name.rpartition(":")
    if not colon or "/" in tag:
        return name, None
    if not _TAG.fullmatch(tag):
        sentence = "A tag has 1 to 128 letters, digits, '_', '.' and '-', and does not begin with '.' or '-'."
        raise _refusal("tag", sentence)
    return rest, tag


def _split_host(name: str) -> tuple[str, str]:
    first, slash, rest = name.partition("/")
    if not slash or not (first == "localhost" or "." in first or ":" in first):
        return DOCKER_HUB, name if slash else f"library/{name}"
    host_name, port = parse_host_and_port(first)
    host = host_name if port in {None, 443} else f"{host_name}:{port}"
    if host in {DOCKER_HUB, "index.docker.io"}:
        return DOCKER_HUB, rest if "/" in rest else f"library/{rest}"
    return host, rest


def _refusal(kind: str, sentence: str) -> Invalid:
    return Invalid(sentence, field="image", code=f"image_reference.{kind}")
