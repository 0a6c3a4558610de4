"""The login that no rule has anything to do with: one whole triple for the host, everything in it in its normal form already.

A credential helper is a process for each pull. What all the rules are made of takes it several times as long as Python's own
start, and in most environments none of them is needed: nothing to repair, nothing missing, nobody to choose between, not
AWS's. Such a login is read here; None leaves it to `environment_triple.py`. So nothing is decided in two places: a property
test holds that what is answered here is what is answered there.

Imports next to nothing, on purpose.
"""

from berth.domain.docker_hub import DOCKER_HUB, DOCKER_HUB_ALIASES, DOCKER_HUB_KEYS

_MARK = "CONTAINER_REGISTRY_"
_SERVER, _USER, _PASSWORD = (f"_{_MARK}{part}" for part in ("SERVER", "USER", "PASSWORD"))
_MAX_PORT = 65535


def find_plain_login(environ: dict[str, str], asked: str) -> tuple[str, str] | None:
    """User and password, which are printable ASCII; None: the rules have to be asked."""
    if asked in DOCKER_HUB_KEYS:
        host, spellings = DOCKER_HUB, DOCKER_HUB_ALIASES
    elif is_plain_host(asked):
        host, spellings = asked, frozenset({asked})
    else:
        return None
    parts: dict[str, str] = {}
    for name, value in environ.items():
        upper = name.upper()
        if value and _MARK in upper:
            if upper in parts or not (_is_plain(name) and value.isascii()):
                return None
            parts[upper] = value
    servers = {name: value.lower() for name, value in parts.items() if name.endswith(_SERVER)}
    named = [name for name, value in servers.items() if any(each in value for each in spellings)]
    if len(named) != 1 or parts[named[0]] != host:
        return None
    prefix = named[0].removesuffix(_SERVER)
    user, password = parts.get(f"{prefix}{_USER}", ""), parts.get(f"{prefix}{_PASSWORD}", "")
    return (user, password) if _is_plain(user) and _is_plain(password) and ":" not in user else None


def is_plain_host(text: str) -> bool:
    """Whether it is beyond doubt a normal host, written in one way only, and neither Docker Hub's nor AWS's."""
    name, colon, port = text.partition(":")
    labels = name.split(".")
    is_port = port.isdecimal() and len(port) <= 5 and port[0] != "0" and int(port) <= _MAX_PORT and port != "443"
    return (
        text.isascii()
        and text == text.lower()
        and len(text) <= 253
        and labels[-1].isalpha()
        and all(label.replace("-", "").isalnum() and "-" not in (label[0], label[-1]) for label in labels)
        and max(map(len, labels)) <= 63
        and (is_port or not colon)
        and not any(each in name for each in DOCKER_HUB_ALIASES)
        and "ecr" not in name
    )


def _is_plain(text: str) -> bool:
    return bool(text) and text.isascii() and text.isprintable() and text == text.strip()
