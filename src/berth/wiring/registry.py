"""The built-in registry, put together; and the chores that keep its storage clean."""

from contextlib import AsyncExitStack

from berth.adapters.registry_token_jwt import RegistryTokenJWT
from berth.adapters.store.fresh import FreshCache
from berth.local import keyring
from berth.oci.call import OCIServices
from berth.services.chore import Chore, ChoreWorker
from berth.services.garbage import GarbageCollector
from berth.services.registry_access import RegistryAccess
from berth.services.registry_blob import RegistryBlobService
from berth.services.registry_catalog import RegistryCatalogService
from berth.services.registry_manifest import RegistryManifestService
from berth.services.registry_token import RegistryTokenService
from berth.wiring.parts import Parts

_COLLECT_EVERY_S = 3600


def make_registry(parts: Parts, resources: AsyncExitStack) -> OCIServices:
    """The built-in registry's services, on a cache and a signer of their own."""
    store, clock, blobs = parts.store, parts.clock, parts.blobs
    cache = FreshCache(store)
    resources.push_async_callback(cache.close)
    signer = RegistryTokenJWT(keyring(parts.settings))
    access = RegistryAccess(store=store, clock=clock, cache=cache, signer=signer, tokens=parts.tokens)
    return OCIServices(
        tokens=RegistryTokenService(
            store=store,
            clock=clock,
            signer=signer,
            tokens=parts.tokens,
            lifetime_s=parts.settings.registry_token_ttl_s,
        ),
        access=access,
        manifests=RegistryManifestService(
            store=store,
            clock=clock,
            cache=cache,
            access=access,
            blobs=blobs,
            own_hosts=frozenset({parts.own.host}),
        ),
        blobs=RegistryBlobService(store=store, clock=clock, cache=cache, access=access, blobs=blobs),
        catalog=RegistryCatalogService(store=store),
    )


def make_chores(parts: Parts, server_id: str) -> ChoreWorker:
    garbage = GarbageCollector(store=parts.store, clock=parts.clock, blobs=parts.blobs, installation=server_id)
    return ChoreWorker(store=parts.store, chores={"garbage": Chore(every_s=_COLLECT_EVERY_S, do=garbage.collect)})
