"""L2: the right to an image is proven with this user's credential, whatever the engine holds; then it is pulled by digest."""

from pathlib import Path

import pytest
from tests.codespace_world import HOST, IMAGE, PASSWORD, CodespaceWorld, make_codespace_world
from tests.fakes.registry_client import DIGEST, SEEN

from berth.adapters.store.database import Store
from berth.domain.dev_container import METADATA_LABEL
from berth.domain.image_reference import Digest, parse_image_reference
from berth.domain.problem import Invalid, UpstreamFailed
from berth.domain.registry_credential import Anonymous, RegistryCredential
from berth.domain.registry_triple import assemble
from berth.domain.secret import LevelledSecret, SecretLevel
from berth.domain.secret_text import SecretText
from berth.services.creation_log import CreationLog
from berth.services.image_access import FetchedImage, ImageRequest
from berth.services.launch_failure import LaunchFailed

pytestmark = pytest.mark.parametrize(
    "database_url", ["sqlite"], indirect=True
)  # nothing here asks the database anything new


@pytest.fixture
async def codespaces(store: Store, tmp_path: Path) -> CodespaceWorld:
    return await make_codespace_world(store, tmp_path)


async def fetch(world: CodespaceWorld, secrets: dict[str, str], withheld_reason: str = "") -> FetchedImage:
    codespace = await world.get(await world.create())
    log = CreationLog(world.store, world.secrets.clock, codespace.id)
    found = [
        LevelledSecret(level=SecretLevel.REPOSITORY, name=f"A_CONTAINER_REGISTRY_{name}", value=SecretText(value))
        for name, value in secrets.items()
    ]
    request = ImageRequest(
        image=parse_image_reference(IMAGE),
        user_id=codespace.owner_id,
        repository=await world.repository("acme/web"),
    )
    try:
        return await world.images.fetch(request, assemble(found, withheld_reason=withheld_reason), log)
    finally:
        await log.flush()


TRIPLE = {"SERVER": HOST, "USER": "robot", "PASSWORD": PASSWORD}


async def test_proven_pulled_by_digest_and_reviewed(codespaces: CodespaceWorld) -> None:
    codespaces.engine.image_user = "dev"
    codespaces.engine.image_labels = {METADATA_LABEL: '{"remoteUser": "dev"}'}
    fetched = await fetch(codespaces, TRIPLE)
    assert fetched.image.pull_name == f"{HOST}/team/dev@{DIGEST}"
    assert fetched.user == "dev"
    assert len(fetched.metadata.entries) == 1
    ((pulled, credential),) = codespaces.engine.pulled
    assert pulled == fetched.image.pull_name
    assert isinstance(credential, RegistryCredential)
    assert credential.password.reveal() == PASSWORD


async def test_a_public_image_is_asked_for_without_a_credential_and_the_log_says_so(codespaces: CodespaceWorld) -> None:
    codespaces.registry.passwords = {f"{HOST}/team/dev": None}
    await fetch(codespaces, {})
    assert codespaces.registry.asked == [(f"{HOST}/team/dev", Anonymous())]
    (view,) = (await codespaces.service.list_own(codespaces.secrets.subject("olga"), None, limit=1, offset=0))[0]
    assert "asked without a credential" in await codespaces.log_text(view.codespace.name)


async def test_l2_an_image_that_the_engine_holds_is_not_given_to_whoever_has_no_right(
    codespaces: CodespaceWorld,
) -> None:
    await fetch(codespaces, TRIPLE)
    with pytest.raises(LaunchFailed) as refused:
        await fetch(codespaces, TRIPLE | {"PASSWORD": "wrong-password"})
    assert refused.value.finding.code == "image.unauthorized"
    assert len(codespaces.engine.pulled) == 1


async def test_c11_a_broken_triple_is_not_taken_for_anonymous(codespaces: CodespaceWorld) -> None:
    codespaces.registry.passwords = {f"{HOST}/team/dev": None}
    with pytest.raises(LaunchFailed) as refused:
        await fetch(codespaces, {"SERVER": HOST, "USER": "robot"})
    assert refused.value.finding.code == "credential.incomplete"
    assert codespaces.registry.asked == []


async def test_a_refusal_carries_what_the_triples_left_to_say(codespaces: CodespaceWorld) -> None:
    with pytest.raises(LaunchFailed) as refused:
        await fetch(codespaces, {"SERVER": "not a host!", "USER": "robot", "PASSWORD": PASSWORD})
    assert refused.value.finding.code == "image.credential_missing"
    assert "A_CONTAINER_REGISTRY_SERVER" in refused.value.finding.evidence["credentials"]
    with pytest.raises(LaunchFailed) as refused:
        await fetch(codespaces, {})
    assert refused.value.finding.evidence == SEEN


async def test_s6_where_secrets_are_withheld_nobody_is_told_to_store_some(codespaces: CodespaceWorld) -> None:
    with pytest.raises(LaunchFailed) as refused:
        await fetch(codespaces, {}, "Secrets are withheld.")
    finding = refused.value.finding
    assert (finding.code, finding.sentence.endswith(" Secrets are withheld.")) == ("image.credential_missing", True)
    assert finding.next_step == (
        f"Have that changed, if it can be; else name an image that anybody may pull, or have {IMAGE} made public."
    )
    codespaces.registry.refusal = "image.not_found"
    with pytest.raises(LaunchFailed) as refused:
        await fetch(codespaces, {}, "Secrets are withheld.")
    assert "withheld" not in refused.value.finding.sentence


async def test_an_image_that_vanishes_after_the_pull(codespaces: CodespaceWorld) -> None:
    codespaces.engine.loses_images = True
    with pytest.raises(UpstreamFailed) as failed:
        await fetch(codespaces, TRIPLE)
    assert failed.value.code == "image.pull_failed"


async def test_l4_the_label_of_the_image_is_reviewed(codespaces: CodespaceWorld) -> None:
    codespaces.engine.image_labels = {METADATA_LABEL: '{"privileged": true}'}
    with pytest.raises(Invalid) as refused:
        await fetch(codespaces, TRIPLE)
    assert METADATA_LABEL in refused.value.message


async def test_c7_the_engine_gets_the_password_only_where_the_registry_has_it(codespaces: CodespaceWorld) -> None:
    """An engine sends it wherever the registry says. The control is the first test: with Basic it gets it."""
    for scheme, token in (("bearer", "token-1"), ("", None)):
        codespaces.registry.scheme = scheme
        await fetch(codespaces, TRIPLE)
        assert codespaces.engine.logins.pop() == (Anonymous(), token)


async def test_a_pull_that_outlives_its_token_goes_on_with_another(codespaces: CodespaceWorld) -> None:
    codespaces.registry.scheme = "bearer"
    codespaces.engine.breaks = [1, 2]
    await fetch(codespaces, TRIPLE)
    assert [token for _, token in codespaces.engine.logins] == ["token-1", "token-2", "token-3"]


@pytest.mark.parametrize(
    ("scheme", "breaks", "pulls"),
    [
        pytest.param("bearer", [0, 2], 1, id="no progress at all"),
        pytest.param("bearer", [1, 1, 2], 2, id="no further progress"),
        pytest.param("basic", [1, 2], 1, id="a password does not age"),
    ],
)
async def test_a_pull_that_gets_nowhere_fails(
    codespaces: CodespaceWorld, scheme: str, breaks: list[int], pulls: int
) -> None:
    codespaces.registry.scheme = scheme
    codespaces.engine.breaks = breaks
    with pytest.raises(UpstreamFailed) as failed:
        await fetch(codespaces, TRIPLE)
    assert failed.value.code == "image.pull_failed"
    assert len(codespaces.engine.logins) == pulls


async def test_a_pull_is_renewed_five_times_at_most(codespaces: CodespaceWorld) -> None:
    codespaces.registry.scheme = "bearer"
    codespaces.engine.layers = 9
    codespaces.engine.breaks = [1, 2, 3, 4, 5, 6, 7]
    with pytest.raises(UpstreamFailed):
        await fetch(codespaces, TRIPLE)
    assert len(codespaces.engine.logins) == 6


async def test_l2_a_right_that_is_withdrawn_during_a_pull(codespaces: CodespaceWorld) -> None:
    codespaces.registry.scheme = "bearer"
    codespaces.engine.breaks = [1]
    codespaces.engine.on_break = codespaces.registry.passwords.clear
    with pytest.raises(LaunchFailed) as refused:
        await fetch(codespaces, TRIPLE)
    assert refused.value.finding.code == "image.unauthorized"


async def test_l2_a_pull_goes_on_with_the_same_image_only(codespaces: CodespaceWorld) -> None:
    codespaces.registry.scheme = "bearer"
    codespaces.engine.breaks = [1]
    codespaces.engine.on_break = lambda: setattr(codespaces.registry, "digest", Digest.of(b"another"))
    with pytest.raises(UpstreamFailed, match="another image"):
        await fetch(codespaces, TRIPLE)


async def test_a_bad_credential_for_a_public_image_is_told_as_that(codespaces: CodespaceWorld) -> None:
    codespaces.registry.public.add(f"{HOST}/team/dev")
    with pytest.raises(LaunchFailed) as failure:
        await fetch(codespaces, {**TRIPLE, "PASSWORD": "wrong"})
    assert failure.value.finding.code == "credential.breaks_public_image"
    assert codespaces.registry.asked[-1] == (f"{HOST}/team/dev", Anonymous())
    assert codespaces.engine.pulled == []
    codespaces.registry.public.clear()
    with pytest.raises(LaunchFailed) as control:
        await fetch(codespaces, {**TRIPLE, "PASSWORD": "wrong"})
    assert control.value.finding.code == "image.unauthorized"
