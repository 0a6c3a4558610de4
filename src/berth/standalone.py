"""What works without a server: the triples of this process's environment, opened and looked at by the rules of a launch.

1. Settings are BERTH_* variables. A `berth.toml` is not read: these programs run in checkouts, and a stranger's file there
   could name an authority and an address that stand for a registry.
2. Who runs them asks from his own machine, in his own name: private networks may be called, since a company's registry is
   there, and AWS's addresses inside of a VPC. So may the hosts that his triples name, wherever they are. Loopback, link-local
   addresses and the metadata services of clouds may not: the name of an image may be a stranger's, and a CI job that asks the
   doctor about it must not be led to what only the job's own machine answers. BERTH_PRIVATE_ADDRESSES adds to it (C9).
3. Nothing is sent for a triple of a host that nobody asks for, but to AWS for its token.

What asks the network is imported only where it is asked: most calls of a credential helper need none of it.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from importlib import import_module
from pathlib import Path

from berth.adapters.clock_system import SystemClock
from berth.adapters.docker_config_file import merge_into_file
from berth.adapters.ecr_token_cache import CachedEcr
from berth.adapters.entropy_system import SystemEntropy
from berth.domain.doctor import Diagnosis
from berth.domain.environment_triple import assemble_environment
from berth.domain.image_reference import ImageReference
from berth.domain.registry_credential import RegistryCredentials
from berth.domain.registry_host import parse_host_and_port
from berth.services.ports import EcrAPI
from berth.services.registry_credential_swap import RegistryCredentialSwap
from berth.settings import Settings, load

_ENGINE_SCHEMES = ("unix://", "tcp://", "http://", "https://")
_NO_ENGINE = "unix:///dev/null"  # nobody answers there: for one that only docker itself can reach, such as ssh://
_PRIVATE_NETWORKS = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")

__all__ = ["examine", "merge_into_file", "open_credentials", "open_host"]


def open_credentials(environ: Mapping[str, str]) -> RegistryCredentials:
    """All that the environment gives, with new tokens for AWS keys. Raises Invalid for bad settings."""
    return asyncio.run(_open(assemble_environment(environ), environ, is_renewed=True))


def open_host(credentials: RegistryCredentials, host: str, environ: Mapping[str, str]) -> RegistryCredentials:
    """The same with a token for this host's AWS keys, which may be one that was kept. Raises Invalid for bad settings."""
    here = {name: keys for name, keys in credentials.unswapped.items() if name == host}
    return asyncio.run(_open(replace(credentials, unswapped=here), environ, is_renewed=False))


def examine(image: ImageReference, environ: Mapping[str, str]) -> Diagnosis:
    """What is wrong with the image for who has this environment. Raises Invalid for bad settings. 30 s at most."""
    return asyncio.run(_examine(image, environ))


async def _open(
    credentials: RegistryCredentials, environ: Mapping[str, str], *, is_renewed: bool
) -> RegistryCredentials:
    async with _swaps(_settings(environ, credentials), environ, is_renewed=is_renewed) as swaps:
        return await swaps.swap(credentials, {})


async def _examine(image: ImageReference, environ: Mapping[str, str]) -> Diagnosis:
    credentials = assemble_environment(environ)
    settings = _settings(environ, credentials)
    async with AsyncExitStack() as resources:
        swaps = await resources.enter_async_context(_swaps(settings, environ, is_renewed=True))
        registry = import_module("berth.outgoing").make_registry_client(settings, None, resources)
        engine = import_module("berth.adapters.engine_docker").DockerEngine(_docker_host(settings, environ))
        doctor = import_module("berth.services.lone_doctor").LoneDoctor(registry=registry, engine=engine, swaps=swaps)
        diagnosis: Diagnosis = await doctor.examine(image, credentials)
        return diagnosis


@asynccontextmanager
async def _swaps(
    settings: Settings, environ: Mapping[str, str], *, is_renewed: bool
) -> AsyncIterator[RegistryCredentialSwap]:
    clock = SystemClock()
    async with AsyncExitStack() as resources:

        def make() -> EcrAPI:
            made: EcrAPI = import_module("berth.outgoing").make_ecr_client(settings, clock, resources)
            return made

        ecr = CachedEcr(
            make, folder=_cache_folder(environ), clock=clock, endpoint=settings.ecr_endpoint, is_renewed=is_renewed
        )
        swaps = RegistryCredentialSwap(ecr=ecr, clock=clock, entropy=SystemEntropy())
        resources.push_async_callback(swaps.close)
        yield swaps


def _settings(environ: Mapping[str, str], credentials: RegistryCredentials) -> Settings:
    """Policy 1 and 2."""
    settings = load(environ, None)
    named = []
    broken = (note.host for note in credentials.lost if note.host)
    for host in (*credentials.chosen, *credentials.unswapped, *broken):
        name, port = parse_host_and_port(host)
        named.append(f"{name}:{port or 443}")
    return replace(settings, private_addresses=(*settings.private_addresses, *_PRIVATE_NETWORKS, *named))


def _docker_host(settings: Settings, environ: Mapping[str, str]) -> str:
    """The engine that this machine's docker talks to, unless Berth's own setting names another one."""
    named = environ.get("DOCKER_HOST", "")
    if environ.get("BERTH_DOCKER_HOST") or not named:
        return settings.docker_host
    return named if named.startswith(_ENGINE_SCHEMES) else _NO_ENGINE


def _cache_folder(environ: Mapping[str, str]) -> Path:
    """XDG base directory specification: `$XDG_CACHE_HOME`, else `~/.cache`; a relative one is ignored."""
    base = environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if base.startswith("/") else Path(environ.get("HOME") or "/nonexistent") / ".cache") / "berth"
