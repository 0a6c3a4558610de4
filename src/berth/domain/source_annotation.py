"""Which repository of this server an image says it was built from (A9).

1. The manifest's annotation decides; the configuration's label counts only where there is no annotation.
2. The text is http or https, one of the server's own hosts (C4), owner and name, then maybe `.git` or a slash, and nothing
   else. Every other text names no repository of ours: it is no error, images are also built elsewhere.
3. It is a claim and gives no right: whoever publishes must be allowed to write to the repository that it names.

Source: OCI image-spec v1.1, annotations.md, "Pre-Defined Annotation Keys"; GitHub docs, "Working with the Container registry".
"""

import re
from collections.abc import Collection, Mapping

from berth.domain.account import parse_login
from berth.domain.problem import Invalid
from berth.domain.registry_host import parse_web_address
from berth.domain.repository import parse_repository_name
from berth.domain.strict_json import parse_json_object

SOURCE_KEY = "org.opencontainers.image.source"
MAX_CONFIG_BYTES = 4 * 1024 * 1024
MAX_SOURCE_LENGTH = 512

_PATH = re.compile(r"/([^/?]+)/([^/?]+)/?")


def find_source_repository(
    labels: Mapping[str, str], annotations: Mapping[str, str], own_hosts: Collection[str]
) -> tuple[str, str] | None:
    """Owner and name as they are written (both are compared without case), or None (policy 1 and 2).

    `own_hosts` are the hosts of the server's own addresses as WebAddress.host has them: `name[:port]`, lower-case, without
    the scheme's default port.
    """
    text = annotations.get(SOURCE_KEY, labels.get(SOURCE_KEY, ""))
    if len(text) > MAX_SOURCE_LENGTH:
        return None
    try:
        address = parse_web_address(text)
        path = _PATH.fullmatch(address.target)
        if path is None or address.host not in own_hosts:
            return None
        return parse_login(path[1]), parse_repository_name(path[2].removesuffix(".git"))
    except Invalid:
        return None


def read_image_labels(config_body: bytes) -> dict[str, str]:
    """The labels in an image's configuration; none if it is not one, or is larger than MAX_CONFIG_BYTES, or is odd.

    Source: OCI image-spec v1.1, config.md, "Properties".
    """
    if len(config_body) > MAX_CONFIG_BYTES:
        return {}
    try:
        config = parse_json_object(config_body).get("config")
    except Invalid:
        return {}
    labels = config.get("Labels") if isinstance(config, dict) else None
    if not isinstance(labels, dict) or not all(isinstance(value, str) for value in labels.values()):
        return {}
    return labels
