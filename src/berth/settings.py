"""The settings: one table, read from `BERTH_*` variables and `berth.toml`; the only reader of both.

1. A variable beats the file, the file beats the default.
2. A name that is not in the table is an error, and the nearest name is offered.
3. All problems are reported at once. The value of a secret setting is never repeated in a message.

`docs/settings.md` is written from the table: `python -m berth.settings > docs/settings.md`.
"""

import difflib
import json
import os
import sys
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from berth.domain.address_policy import parse_private_addresses
from berth.domain.client_address import TrustedProxies, parse_trusted_proxies
from berth.domain.codespace import MAX_IDLE_MINUTES, MAX_RETENTION_MINUTES, MIN_IDLE_MINUTES
from berth.domain.host_option import HostOption, parse_host_options
from berth.domain.identity import UnknownIdentity, parse_issuer
from berth.domain.image_reference import parse_image_reference
from berth.domain.machine import Machines, parse_machines
from berth.domain.problem import Invalid
from berth.domain.registry_host import parse_host_and_port
from berth.domain.s3_address import SCHEME as S3_SCHEME
from berth.domain.s3_address import S3Address, parse_s3_address
from berth.domain.secret_text import SecretText
from berth.listen_address import ListenAddress, TCPAddress, parse_listen_addresses

PREFIX = "BERTH_"
DEFAULT_FILE = "berth.toml"
CLIENT_VARIABLES = frozenset({"BERTH_CONFIG", "BERTH_HOST", "BERTH_TOKEN"})  # of the command line, not of the server


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Every setting, parsed. None means "not set"; what that means stands in the table."""

    data_dir: Path
    listen: tuple[ListenAddress, ...]
    external_url: str | None
    trusted_proxies: TrustedProxies
    tls_cert: Path | None
    tls_key: Path | None
    workers: int
    database_url: SecretText | None
    blobs: Path | S3Address | None
    master_key_file: Path | None
    engine: str
    docker_host: str
    private_addresses: tuple[str, ...]
    insecure_registries: tuple[str, ...]
    token_realms: tuple[str, ...]
    ca_file: Path | None
    ecr_endpoint: str | None
    resolve: tuple[str, ...]
    registry_token_ttl_s: int
    codespace_token_ttl_s: int
    idle_timeout_default_min: int
    idle_timeout_max_min: int
    retention_default_min: int
    retention_max_min: int
    max_codespaces_per_user: int
    machines: Machines
    default_image: str | None
    dev_container_allowed: frozenset[HostOption]
    oidc_issuer: str | None
    oidc_client_id: str | None
    oidc_client_secret_file: Path | None
    oidc_unknown: frozenset[UnknownIdentity]

    def has_tls(self, address: ListenAddress) -> bool:
        """Whether it is spoken there."""
        return isinstance(address, TCPAddress) and self.tls_cert is not None and not address.plain

    @property
    def admin_token_file(self) -> Path:
        return self.data_dir / "admin-token"


def _path(value: str) -> Path:
    return Path(value).expanduser()


def _list(value: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in value.split(",") if part.strip())


def _addresses(value: str) -> tuple[str, ...]:
    entries = _list(value)
    parse_private_addresses(entries)
    return entries


def _hosts(value: str) -> tuple[str, ...]:
    entries = _list(value)
    for entry in entries:
        parse_host_and_port(entry)
    return entries


def _pairs(value: str) -> tuple[str, ...]:
    entries = _list(value)
    for entry in entries:
        left, separator, right = entry.partition("=")
        if not (left and separator and right):
            raise ValueError("each entry is host=target")
    return entries


def _url(*schemes: str) -> Callable[[str], str]:
    def parse(value: str) -> str:
        scheme, separator, rest = value.partition("://")
        if not separator or not rest or scheme not in schemes:
            raise ValueError(f"it begins with {' or '.join(f'{each}://' for each in schemes)}")
        return value.rstrip("/")

    return parse


def _database_url(value: str) -> SecretText:
    scheme = value.partition("://")[0].partition("+")[0]
    if "://" not in value or scheme not in {"sqlite", "postgresql"}:
        raise ValueError("it begins with sqlite:// or postgresql://")
    return SecretText(value)


def _blobs(value: str) -> Path | S3Address:
    if value.startswith(S3_SCHEME):
        return parse_s3_address(value)
    if "://" in value:
        raise ValueError(f"it is a folder, or begins with {S3_SCHEME}")
    return _path(value)


def _number(least: int, most: int) -> Callable[[str], int]:
    def parse(value: str) -> int:
        if not (value.isascii() and value.isdecimal() and len(value) < 12 and least <= int(value) <= most):
            raise ValueError(f"it is a whole number from {least} to {most}")
        return int(value)

    return parse


def _image(value: str) -> str:
    parse_image_reference(value)
    return value


def _one_of(*words: str) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if value not in words:
            raise ValueError(f"it is one of {', '.join(words)}")
        return value

    return parse


@dataclass(frozen=True, slots=True)
class Setting:
    """A row of the table. `default` is in the variable's own syntax; empty is "not set"."""

    name: str
    type: str
    unit: str
    default: str
    sentence: str
    parse: Callable[[str], Any]
    secret: bool = False
    reserved: bool = False  # nothing uses it yet: another value than the default is an error, not a silent nothing

    @property
    def field(self) -> str:
        return self.name.lower()


_PATH, _TEXT, _INT, _LIST, _URL = "path", "text", "number", "list", "URL"
_HTTP = _url("http", "https")

# fmt: off
TABLE: tuple[Setting, ...] = (
    Setting("DATA_DIR", _PATH, "", "berth-data", "Folder for everything that the server keeps.", _path),
    Setting("LISTEN", _LIST, "host:port or unix:/path", "127.0.0.1:8080", "Where the server listens; http://127.0.0.1:port "
            "is without TLS also if there is a certificate.", lambda value: parse_listen_addresses(_list(value))),
    Setting("EXTERNAL_URL", _URL, "", "", "The address that users type; behind a proxy it "
            "must be set. Not set: taken from each request.", _HTTP),
    Setting("TRUSTED_PROXIES", _LIST, "address, CIDR or unix", "", "Whose X-Forwarded-For says where a request comes from; see "
            "proxy.md. Not set: nobody's.", lambda value: parse_trusted_proxies(_list(value))),
    Setting("TLS_CERT", _PATH, "", "", "Certificate chain (PEM); with TLS_KEY it turns HTTPS on.", _path),
    Setting("TLS_KEY", _PATH, "", "", "Private key (PEM) of TLS_CERT.", _path),
    Setting("WORKERS", _INT, "processes", "1", "How many processes answer requests.", _number(1, 256), reserved=True),
    Setting("DATABASE_URL", _URL, "sqlite:///path or postgresql://user:password@host:port/name", "",
            "The database; on PostgreSQL, make an empty one. Not set: SQLite in DATA_DIR.", _database_url, secret=True),
    Setting("BLOBS", _TEXT, "", "", "Where image layers lie: a folder or s3://bucket/prefix (see storage.md); not set: in "
            "DATA_DIR.", _blobs),
    Setting("MASTER_KEY_FILE", _PATH, "", "", "The key that encrypts secrets; not set: in DATA_DIR.", _path),
    Setting("ENGINE", _TEXT, "", "docker", "What runs containers.", _one_of("docker")),
    Setting("DOCKER_HOST", _URL, "", "unix:///var/run/docker.sock", "Where the Docker engine listens.",
            _url("unix", "tcp", "http", "https")),
    Setting("PRIVATE_ADDRESSES", _LIST, "host:port or CIDR", "",
            "Addresses that are not public and may be called for a user all the same.", _addresses),
    Setting("INSECURE_REGISTRIES", _LIST, "host:port", "", "Registries that may be spoken to in plain HTTP.", _hosts),
    Setting("TOKEN_REALMS", _LIST, "registry=token service", "",
            "Further token services that may receive a registry's password.", _pairs),
    Setting("CA_FILE", _PATH, "", "", "Certificates (PEM) to trust besides the system's.", _path),
    Setting("ECR_ENDPOINT", _URL, "", "", "Is asked for tokens in the place of AWS; for tests.", _HTTP),
    Setting("RESOLVE", _LIST, "host=address:port", "", "Where these names lead instead of asking DNS; for tests.", _pairs),
    Setting("REGISTRY_TOKEN_TTL_S", _INT, "seconds", "300", "How long a token for /v2 lasts.", _number(60, 3600)),
    Setting("CODESPACE_TOKEN_TTL_S", _INT, "seconds", "28800", "How long a codespace's own token lasts; a running codespace "
            "gets the next one after half of it.", _number(5, 2_592_000)),
    Setting("IDLE_TIMEOUT_DEFAULT_MIN", _INT, "minutes", "30", "When an unused codespace stops, if it does not say itself.",
            _number(MIN_IDLE_MINUTES, MAX_IDLE_MINUTES)),
    Setting("IDLE_TIMEOUT_MAX_MIN", _INT, "minutes", str(MAX_IDLE_MINUTES), "The longest that a codespace may run unused, "
            "whatever it says itself.", _number(MIN_IDLE_MINUTES, MAX_IDLE_MINUTES)),
    Setting("RETENTION_DEFAULT_MIN", _INT, "minutes", "43200",
            "When a stopped codespace is deleted, if it does not say itself.", _number(0, MAX_RETENTION_MINUTES)),
    Setting("RETENTION_MAX_MIN", _INT, "minutes", str(MAX_RETENTION_MINUTES), "The longest that a stopped codespace is kept, "
            "whatever it says itself.", _number(0, MAX_RETENTION_MINUTES)),
    Setting("MAX_CODESPACES_PER_USER", _INT, "codespaces", "10", "How many codespaces a user may have.",
            _number(1, 10_000)),
    Setting("MACHINES", _LIST, "JSON; in the file [[machines]] tables", "", "The machines that a codespace can have, the first "
            "for who does not ask; see codespaces.md. Not set: one without limits.", parse_machines),
    Setting("DEFAULT_IMAGE", _TEXT, "image reference", "", "What a codespace of a repository without a dev container "
            "configuration runs. Not set: its launch fails.", _image),
    Setting("DEV_CONTAINER_ALLOWED", _LIST, "privileged, capability:SYS_PTRACE, mount:/path, ...", "", "What codespaces may have "
            "of their host beside their walls; see codespaces.md for the risks. Not set: nothing.",
            lambda value: parse_host_options(_list(value))),
    Setting("OIDC_ISSUER", _URL, "", "", "Provider by which people sign in to the web console with OpenID Connect; see "
            "console.md. Not set: none.", parse_issuer),
    Setting("OIDC_CLIENT_ID", _TEXT, "", "", "What the provider calls Berth.", str),
    Setting("OIDC_CLIENT_SECRET_FILE", _PATH, "", "", "Holds Berth's secret at the provider; not set: a public client.", _path),
    Setting("OIDC_UNKNOWN", _LIST, "link_by_email, create_user", "", "What becomes of people whom no account is linked to: an "
            "account with their verified e-mail, a new one. Not set: they are refused.",
            lambda value: frozenset(UnknownIdentity(each) for each in _list(value))),
)
# fmt: on
_BY_NAME = {setting.name: setting for setting in TABLE}


def load(environ: Mapping[str, str], file_text: str | None) -> Settings:
    """The settings. Raises Invalid with the list of all problems."""
    problems: list[str] = []
    given = _from_file(file_text, problems) | _from_environ(environ, problems)
    fields: dict[str, Any] = {}
    for setting in TABLE:
        value, source = given.get(setting.name, (setting.default, "default"))
        fields[setting.field] = _parse(setting, value, source, problems)
    if (fields["tls_cert"] is None) != (fields["tls_key"] is None):
        problems.append(f"{PREFIX}TLS_CERT and {PREFIX}TLS_KEY belong together: set both or none.")
    if (fields["oidc_issuer"] is None) != (fields["oidc_client_id"] is None):
        problems.append(f"{PREFIX}OIDC_ISSUER and {PREFIX}OIDC_CLIENT_ID belong together: set both or none.")
    for name in ("IDLE_TIMEOUT", "RETENTION"):
        default, most = (fields[f"{name.lower()}_{which}_min"] for which in ("default", "max"))
        if default is not None and most is not None and default > most:
            problems.append(f"{PREFIX}{name}_DEFAULT_MIN is more than {PREFIX}{name}_MAX_MIN allows.")
    if problems:
        lines = "".join(f"\n  - {problem}" for problem in problems)
        raise Invalid(f"The settings cannot be used:{lines}", code="settings", remedy="See docs/settings.md.")
    return Settings(**fields)


def _parse(setting: Setting, value: str, source: str, problems: list[str]) -> Any:
    if not value and setting.type != _LIST:
        value = setting.default  # an empty variable is an unset one
        if not value:
            return None
    if setting.reserved and value != setting.default:
        problems.append(f"{source}: this version has no use for {setting.name} yet; remove it.")
    try:
        return setting.parse(value)
    except (ValueError, Invalid) as error:
        shown = "" if setting.secret or "://" in value else f" '{value[:80]}'"  # an address may hold a password
        text = error.text if isinstance(error, Invalid) else f"{error}."
        problems.append(f"{source}{shown}: {text}")
        return None


def _from_environ(environ: Mapping[str, str], problems: list[str]) -> dict[str, tuple[str, str]]:
    given: dict[str, tuple[str, str]] = {}
    for variable in sorted(environ):
        if not variable.startswith(PREFIX) or variable in CLIENT_VARIABLES:
            continue
        name = variable.removeprefix(PREFIX)
        if name in _BY_NAME:
            given[name] = (environ[variable], variable)
        else:
            problems.append(f"{variable} is not a setting.{_nearest(name, PREFIX)}")
    return given


def _from_file(file_text: str | None, problems: list[str]) -> dict[str, tuple[str, str]]:
    """The file's keys are the names, in lower or upper case; lists and numbers may be TOML's own."""
    try:
        content = tomllib.loads(file_text or "")
    except tomllib.TOMLDecodeError as error:
        problems.append(f"{DEFAULT_FILE} is not TOML: {error}.")
        return {}
    given: dict[str, tuple[str, str]] = {}
    for key, value in content.items():
        name, source = key.upper(), f"{key} in {DEFAULT_FILE}"
        if name not in _BY_NAME:
            problems.append(f"{source} is not a setting.{_nearest(name, '')}")
        elif isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
            given[name] = (json.dumps(value, default=str), source)
        elif isinstance(value, list) and all(isinstance(item, str) for item in value):
            given[name] = (",".join(value), source)
        elif isinstance(value, str) or type(value) is int:
            given[name] = (str(value), source)
        else:
            problems.append(f"{source} is neither a text nor a whole number nor a list of texts.")
    return given


def _nearest(name: str, prefix: str) -> str:
    found = difflib.get_close_matches(name.upper(), _BY_NAME, n=1)
    return f" Did you mean {prefix}{found[0]}?" if found else ""


def read_settings() -> Settings:
    """The settings of this process: its environment and `BERTH_CONFIG`, or `berth.toml` if there is one. Raises Invalid."""
    named = os.environ.get("BERTH_CONFIG")
    path = Path(named or DEFAULT_FILE)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        if named:
            raise Invalid(f"BERTH_CONFIG names {path}, which does not exist.", code="settings") from None
        text = None
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid(f"{path} cannot be read: {error}.", code="settings") from error
    return load(os.environ, text)


def to_markdown() -> str:
    """The text of docs/settings.md."""
    rows = "".join(
        f"| `{each.name}` | {each.type}{f' ({each.unit})' if each.unit else ''} | {f'`{each.default}`' if each.default else '-'} "
        f"| {'yes' if each.secret else 'no'} | {each.sentence}{' *Reserved: not used yet.*' if each.reserved else ''} |\n"
        for each in TABLE
    )
    return (
        "# Settings\n\n"
        "Written by `python -m berth.settings > docs/settings.md`; do not edit.\n\n"
        "Each setting is a variable `BERTH_<NAME>` or a key of `berth.toml` (the file that `BERTH_CONFIG` names, otherwise the\n"
        "one in the working directory; keys may be in lower case). A variable beats the file. Lists are separated by commas, or\n"
        "TOML lists. An unknown name is an error, and `berth serve` names all problems at once.\n\n"
        "| name | type (unit) | default | secret | what it does |\n|---|---|---|---|---|\n"
        f"{rows}\n"
        "The command line has two variables of its own: `BERTH_HOST` and `BERTH_TOKEN` take the place of `berth login`.\n"
    )


if __name__ == "__main__":
    sys.stdout.write(to_markdown())
