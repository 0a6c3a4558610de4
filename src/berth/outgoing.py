"""The clients that ask other people's servers for users, made as the settings allow (C9)."""

from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

from berth.adapters.ecr_http import EcrHTTP
from berth.adapters.guarded_http import GuardedHTTP, GuardedHTTPSettings, parse_resolve
from berth.adapters.identity_open_id import OpenIDConnectProvider
from berth.adapters.registry_http import BuiltInRegistry, RegistryHTTP
from berth.domain.address_policy import parse_private_addresses
from berth.domain.problem import Invalid
from berth.domain.registry_host import WebAddress, parse_web_address
from berth.domain.s3_address import S3Address
from berth.domain.secret_text import SecretText
from berth.services.ports import Clock
from berth.settings import Settings

_SWAP_TIMEOUT_S = 8  # an answer of AWS's is small, and a launch waits for it


def make_registry_client(settings: Settings, own: WebAddress | None, resources: AsyncExitStack) -> RegistryHTTP:
    """Other registries are asked within what the administrator allows; our own and its blob store need not be listed.

    `own` is None where there is no server.
    """
    theirs = _allowed(settings)
    realm_table = dict(entry.split("=", 1) for entry in settings.token_realms)
    if own is None:
        return RegistryHTTP(
            _open(theirs, resources), realm_table=realm_table, insecure_registries=theirs.insecure_hosts
        )
    store = settings.blobs.own_origin if isinstance(settings.blobs, S3Address) else None
    ours = theirs.reaching([own] if store is None else [own, parse_web_address(store)])  # it sends us there for blobs
    return RegistryHTTP(
        _open(theirs, resources),
        built_in=BuiltInRegistry(host=own.host, http=_open(ours, resources)),
        realm_table=realm_table,
        insecure_registries=ours.insecure_hosts,
    )


def make_ecr_client(settings: Settings, clock: Clock, resources: AsyncExitStack) -> EcrHTTP:
    """AWS is asked within the same bounds; the administrator's stand-in for it need not be listed."""
    allowed = replace(_allowed(settings), total_timeout_s=_SWAP_TIMEOUT_S)
    if settings.ecr_endpoint is not None:
        allowed = allowed.reaching([parse_web_address(settings.ecr_endpoint)])
    return EcrHTTP(_open(allowed, resources), clock=clock, endpoint=settings.ecr_endpoint)


def make_identity_provider(settings: Settings, clock: Clock, resources: AsyncExitStack) -> OpenIDConnectProvider | None:
    """The administrator's, if there is one: it need not be listed. Raises Invalid for a secret that cannot be read."""
    if settings.oidc_issuer is None or settings.oidc_client_id is None:
        return None
    return OpenIDConnectProvider(
        _open(_allowed(settings).reaching([parse_web_address(settings.oidc_issuer)]), resources),
        issuer=settings.oidc_issuer,
        client_id=settings.oidc_client_id,
        client_secret=_read_secret(settings.oidc_client_secret_file),
        clock=clock,
    )


def _read_secret(path: Path | None) -> SecretText | None:
    try:
        text = None if path is None else path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid(f"{path} cannot be read.", field="OIDC_CLIENT_SECRET_FILE", code="settings") from error
    if text == "":
        raise Invalid(f"{path} is empty.", field="OIDC_CLIENT_SECRET_FILE", code="settings")
    return None if text is None else SecretText(text)


def _allowed(settings: Settings) -> GuardedHTTPSettings:
    return GuardedHTTPSettings(
        private_addresses=parse_private_addresses(settings.private_addresses),
        insecure_hosts=frozenset(settings.insecure_registries),
        resolve=parse_resolve(settings.resolve),
        ca_file=settings.ca_file,
    )


def _open(settings: GuardedHTTPSettings, resources: AsyncExitStack) -> GuardedHTTP:
    http = GuardedHTTP(settings)
    resources.callback(http.close)
    return http
