"""Which server the command line speaks to, with which token: `hosts.toml`, or BERTH_HOST and BERTH_TOKEN.

The environment beats the file. BERTH_TOKEN without BERTH_HOST goes to the server of the file; a token of the file
never goes to another server than the one it was saved for.
"""

import json
import os
import re
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from berth.client import Client
from berth.domain.problem import Invalid, Unauthenticated
from berth.domain.secret_text import SecretText


@dataclass(frozen=True, slots=True)
class Login:
    """An origin, and the token for it."""

    origin: str
    user: str
    token: SecretText


@dataclass(frozen=True, slots=True)
class Hosts:
    """The content of the file. `current` is an origin among the logins, or empty."""

    current: str
    logins: dict[str, Login]


def parse_origin(text: str) -> str:
    """`https://host[:port]` from what a user types: without a scheme https, on this machine http. Raises Invalid."""
    typed = text.strip()
    scheme = "http" if re.fullmatch(r"(localhost|127\.0\.0\.1|\[::1\])(:\d*)?/?", typed.lower()) else "https"
    address = typed if "://" in typed else f"{scheme}://{typed}"
    try:
        parts = urlsplit(address)
        port, host = parts.port, parts.hostname
    except ValueError:
        port, host, parts = None, None, urlsplit("")
    is_name = bool(host and re.fullmatch(r"[a-z0-9._:-]+", host))
    is_bare = parts.path in {"", "/"} and not (parts.query or parts.fragment or "@" in parts.netloc)
    if parts.scheme not in {"http", "https"} or not is_name or not is_bare or host is None:
        raise Invalid("A server's address looks like https://berth.example.com.", field="url", code="cli.url")
    name = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{name}" + (f":{port}" if port else "")


def hosts_file() -> Path:
    """XDG base directory specification: `$XDG_CONFIG_HOME`, else `~/.config`; a relative one is ignored."""
    base = os.environ.get("XDG_CONFIG_HOME", "")
    return (Path(base) if base.startswith("/") else Path.home() / ".config") / "berth" / "hosts.toml"


def read_hosts() -> Hosts:
    path = hosts_file()
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        entries = content.get("hosts", {})
        logins = {key: Login(key, str(each["user"]), SecretText(str(each["token"]))) for key, each in entries.items()}
        return Hosts(str(content.get("current", "")), logins)
    except FileNotFoundError:
        return Hosts("", {})
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, KeyError, TypeError, AttributeError):
        text = f"{path} cannot be read."
        raise Invalid(text, code="cli.hosts", remedy="Remove it and log in again: berth login URL") from None


def write_hosts(hosts: Hosts) -> None:
    """Replace the file at once, readable by its owner only."""
    lines = [f"current = {json.dumps(hosts.current)}"]
    for origin, login in sorted(hosts.logins.items()):
        lines += ["", f"[hosts.{json.dumps(origin)}]", f"user = {json.dumps(login.user)}"]
        lines += [f"token = {json.dumps(login.token.reveal())}"]
    path = hosts_file()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".hosts-")  # 0600 by its contract
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def choose_login() -> tuple[str, SecretText]:
    """The origin and the token to use now. Raises Unauthenticated if there is none."""
    named, token = os.environ.get("BERTH_HOST", ""), os.environ.get("BERTH_TOKEN", "")
    if named and token:
        return parse_origin(named), SecretText(token)
    hosts = read_hosts()
    origin = parse_origin(named) if named else hosts.current
    login = hosts.logins.get(origin)
    if origin and token:
        return origin, SecretText(token)
    if token:
        text = "BERTH_TOKEN is set, but no server is named."
        raise Unauthenticated(
            text, code="cli.not_logged_in", remedy="Set BERTH_HOST too, such as https://berth.example.com."
        )
    if login is None:
        where = f" to {origin}" if origin else ""
        raise Unauthenticated(f"You are not logged in{where}.", code="cli.not_logged_in")
    return origin, login.token


def is_logged_in() -> bool:
    """Whether a server is named anywhere, be the login good or not."""
    return bool(os.environ.get("BERTH_HOST") or os.environ.get("BERTH_TOKEN") or read_hosts().current)


def connect() -> Client:
    """A client of the server that the user is logged in to."""
    return Client(*choose_login())
