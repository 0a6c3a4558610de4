"""Prebuilds, put together: what finds them for launches, and the worker that makes them."""

from berth.oci.call import OCIServices
from berth.services.image_access import ImageAccess
from berth.services.image_build import ImageBuilder
from berth.services.launch_configuration import LaunchConfiguration
from berth.services.launch_image import make_launch_images
from berth.services.prebuild_credentials import PrebuildCredentialService
from berth.services.prebuild_image import PrebuiltImages
from berth.services.prebuild_package import PrebuildPackages
from berth.services.prebuild_worker import PrebuildParts, PrebuildWorker
from berth.wiring.parts import Parts


def make_prebuilt_images(parts: Parts, images: ImageAccess, builder: ImageBuilder) -> PrebuiltImages:
    return PrebuiltImages(
        store=parts.store, engine=parts.engine, images=images, builder=builder, own_host=parts.own.host
    )


def make_prebuild_worker(
    parts: Parts, images: ImageAccess, builder: ImageBuilder, registry: OCIServices, server_id: str
) -> PrebuildWorker:
    """Its images are built, never looked for among prebuilds; a repository without a configuration has no default here."""
    store, clock, engine = parts.store, parts.clock, parts.engine
    credentials = PrebuildCredentialService(
        store=store,
        clock=clock,
        entropy=parts.entropy,
        secrets=parts.secrets,
        swaps=parts.swaps,
        own_host=parts.own.host,
    )
    packages = PrebuildPackages(
        store=store,
        clock=clock,
        engine=engine,
        tokens=registry.tokens,
        access=registry.access,
        blobs=registry.blobs,
        manifests=registry.manifests,
    )
    made = PrebuildParts(
        engine=engine,
        git=parts.git,
        configurations=LaunchConfiguration(git=parts.git),
        images=make_launch_images(
            store=store,
            engine=engine,
            git=parts.git,
            images=images,
            builder=builder,
            prebuilds=None,
            machines=parts.settings.machines,
            server_id=server_id,
        ),
        builder=builder,
        credentials=credentials,
        packages=packages,
        machines=parts.settings.machines,
        site_options=parts.settings.dev_container_allowed,
    )
    return PrebuildWorker(store=store, clock=clock, parts=made)
