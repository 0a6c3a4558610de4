"""A diagnosis: gathered from the real resolver, the real decision and the registry, bounded, and told to who may know it."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from sqlalchemy import select
from tests.codespace_world import HOST, IMAGE, OWN_HOST, PASSWORD, CodespaceWorld, make_codespace_world
from tests.fakes.ecr_memory import ECR_HOST, KEY_ID, SECRET, make_swaps
from tests.fakes.registry_client import DIGEST
from tests.package_world import insert_version
from tests.secret_world import ACME, MINE, WEB

from berth.adapters.store import manifest as manifest_rows
from berth.adapters.store import package as package_rows
from berth.adapters.store.database import Store
from berth.adapters.store.tables import audit_log
from berth.domain.codespace_policy import CodespacePolicy
from berth.domain.doctor import Check, CheckID, CheckState, Diagnosis
from berth.domain.ecr_answer import EcrFailure
from berth.domain.finding import Fixer
from berth.domain.image_reference import Digest
from berth.domain.manifest import parse_pushed_manifest
from berth.domain.media_type import MANIFEST_TYPES
from berth.domain.package_role import PackageRole
from berth.domain.problem import Denied, Invalid, LimitReached, NotFound, UpstreamFailed
from berth.domain.registry_credential import CODESPACE_TOKEN, Anonymous, RegistryCredential
from berth.domain.registry_provider import Provider
from berth.domain.scope import Scope
from berth.domain.secret import SecretVisibility
from berth.services.codespace_policy import CodespacePolicyService
from berth.services.doctor import DoctorService
from berth.services.image_probe import ImageProbe, Patience
from berth.services.package_refusal import PackageRefusals
from berth.services.registry_credential import RegistryCredentialService

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
Examine = Callable[..., Awaitable[Diagnosis]]


@pytest.fixture
async def world(store: Store, tmp_path: Path) -> CodespaceWorld:
    return await make_codespace_world(store, tmp_path)


def doctor_of(
    world: CodespaceWorld, *, probe_timeout_s: float = 0.05, engine_timeout_s: float = 30, swap_timeout_s: float = 30
) -> DoctorService:
    swaps = make_swaps(world.ecr, world.secrets.clock)
    return DoctorService(
        store=world.store,
        clock=world.secrets.clock,
        probe=ImageProbe(
            registry=world.registry,
            engine=world.engine,
            swaps=swaps,
            patience=Patience(engine_s=engine_timeout_s, swap_s=swap_timeout_s, probe_s=probe_timeout_s),
        ),
        credentials=RegistryCredentialService(
            store=world.store, secrets=world.secrets.service, swaps=swaps, own_host=OWN_HOST
        ),
        refusals=PackageRefusals(store=world.store, tokens=world.tokens, own_host=OWN_HOST),
        own_host=OWN_HOST,
    )


@pytest.fixture
def examine(world: CodespaceWorld) -> Examine:
    service = doctor_of(world, probe_timeout_s=30)

    async def ask(image: str = IMAGE, login: str = "olga", repository: str = "web") -> Diagnosis:
        return await service.examine(world.secrets.subject(login), "acme", repository, image)

    return ask


def code(diagnosis: Diagnosis) -> str:
    return "" if diagnosis.finding is None else diagnosis.finding.code


def state(diagnosis: Diagnosis, wanted: CheckID) -> CheckState:
    (found,) = [check.state for check in diagnosis.checks if check.id is wanted]
    return found


async def test_a_private_image_with_its_credential(world: CodespaceWorld, examine: Examine) -> None:
    await world.give_triple()
    diagnosis = await examine()
    assert diagnosis.is_healthy
    assert (diagnosis.digest, diagnosis.with_credential) == (DIGEST, "pulled")
    assert diagnosis.without_credential == "image.credential_missing"
    assert PASSWORD not in repr(diagnosis)
    shown = [asked for _, asked in world.registry.asked]
    assert sorted(type(one).__name__ for one in shown) == ["Anonymous", "RegistryCredential"], "one login, one look"
    await give_triple_of(world, "wrong")
    assert code(await examine()) == "image.unauthorized"


async def test_checks_are_told_as_they_finish(world: CodespaceWorld) -> None:
    """What is told early is what the diagnosis says in the end."""
    await world.give_triple()
    service, olga = doctor_of(world, probe_timeout_s=30), world.secrets.subject("olga")
    told: list[tuple[Check, ...]] = []
    diagnosis = await service.examine(olga, "acme", "web", IMAGE, seen=told.append)
    assert [len(checks) for checks in told] == [1, 4]
    for checks in told:
        assert checks == diagnosis.checks[: len(checks)]


async def give_triple_of(world: CodespaceWorld, password: str) -> None:
    await world.secrets.put("olga", ACME, "CORP_CONTAINER_REGISTRY_PASSWORD", password, visibility=SecretVisibility.ALL)


async def test_c5_aws_keys_are_swapped_as_for_a_launch(world: CodespaceWorld, examine: Examine) -> None:
    image = f"{ECR_HOST}/team/app:1"
    for part, value in (("SERVER", ECR_HOST), ("USER", KEY_ID), ("PASSWORD", SECRET)):
        await world.secrets.put("olga", WEB, f"AWS_CONTAINER_REGISTRY_{part}", value)
    await world.give_triple()
    assert (await examine()).is_healthy
    assert world.ecr.asked == [], "another host's keys are not swapped"
    world.registry.passwords[f"{ECR_HOST}/team/app"] = "token-1"
    good = await examine(image)
    assert (good.is_healthy, good.provider) == (True, Provider.ECR)
    world.registry.passwords.clear()
    world.registry.refusal = "image.token_expired"
    assert code(await examine(image)) == "image.token_expired"
    assert len(world.ecr.asked) == 2, "B3: it is replaced once"
    world.registry.passwords[f"{ECR_HOST}/team/app"] = "token-4"
    world.ecr.asked.clear()
    assert code(await examine(image)) == "image.token_expired", "token-1 and token-2: both are forgotten"
    world.registry.passwords[f"{ECR_HOST}/team/app"] = "token-3"
    replaced = await examine(image)
    assert (replaced.is_healthy, replaced.with_credential) == (True, "pulled")
    assert SECRET not in repr(good)


async def test_b3_a_renewal_has_no_time_of_its_own(world: CodespaceWorld) -> None:
    """The gate is shut while AWS is asked for the second token; the control is the test before."""
    for part, value in (("SERVER", ECR_HOST), ("USER", KEY_ID), ("PASSWORD", SECRET)):
        await world.secrets.put("olga", WEB, f"AWS_CONTAINER_REGISTRY_{part}", value)
    world.registry.refusal = "image.token_expired"

    async def shut(credential: RegistryCredential | Anonymous) -> None:
        if isinstance(credential, RegistryCredential):
            world.ecr.gate = asyncio.Event()

    world.registry.on_ask = shut
    doctor = doctor_of(world, probe_timeout_s=0.3)
    late = await doctor.examine(world.secrets.subject("olga"), "acme", "web", f"{ECR_HOST}/team/app:1")
    assert (code(late), len(world.ecr.asked)) == ("image.token_expired", 2)
    await doctor._probe._swaps.close()


async def test_c11_keys_for_which_there_is_no_token_are_no_anonymous_access(world: CodespaceWorld) -> None:
    for part, value in (("SERVER", ECR_HOST), ("USER", KEY_ID), ("PASSWORD", SECRET)):
        await world.secrets.put("olga", WEB, f"AWS_CONTAINER_REGISTRY_{part}", value)
    world.registry.public.add(f"{ECR_HOST}/team/app")
    olga, image = world.secrets.subject("olga"), f"{ECR_HOST}/team/app:1"
    world.ecr.always = EcrFailure(code="ecr.secret_wrong", status=400)
    wrong = await doctor_of(world, probe_timeout_s=30).examine(olga, "acme", "web", image)
    assert (code(wrong), wrong.without_credential) == ("ecr.secret_wrong", "pulled")
    world.ecr.gate = asyncio.Event()
    late = await doctor_of(world, probe_timeout_s=30, swap_timeout_s=0.05).examine(olga, "acme", "web", image)
    assert code(late) == "ecr.unreachable"
    assert state(late, CheckID.CREDENTIAL) is CheckState.FAILED


async def test_a_bad_credential_for_a_public_image(world: CodespaceWorld, examine: Examine) -> None:
    world.registry.public.add(f"{HOST}/team/dev")
    await world.give_triple("wrong")
    assert code(await examine()) == "credential.breaks_public_image"


async def test_without_a_credential_the_registry_is_asked_once(world: CodespaceWorld, examine: Examine) -> None:
    diagnosis = await examine()
    assert (code(diagnosis), diagnosis.source) == ("image.credential_missing", None)
    assert world.registry.asked == [(f"{HOST}/team/dev", Anonymous())]
    world.registry.public.add(f"{HOST}/team/dev")
    assert (await examine()).is_healthy


async def test_s3_a_triple_of_one_s_own_that_does_not_select_the_repository(
    world: CodespaceWorld, examine: Examine
) -> None:
    for part, value in (("SERVER", f"https://{HOST}/"), ("USER", "robot"), ("PASSWORD", PASSWORD)):
        await world.secrets.put("wim", MINE, f"W_CONTAINER_REGISTRY_{part}", value, repositories=("acme/site",))
    await world.secrets.put("wim", MINE, "X_CONTAINER_REGISTRY_SERVER", "other.example", repositories=())
    await world.secrets.put("wim", MINE, "Y_CONTAINER_REGISTRY_SERVER", "https://a:b@c", repositories=())
    mine = await examine(login="wim")
    assert mine.finding is not None
    assert (code(mine), mine.finding.evidence["prefix"]) == ("credential.not_shared", "W")
    assert state(mine, CheckID.CREDENTIAL) is CheckState.WARNING
    assert code(await examine()) == "image.credential_missing", "nobody else is told"
    world.registry.public.add(f"{HOST}/team/dev")
    assert (await examine(login="wim")).is_healthy
    world.registry.public.clear()
    for part in ("SERVER", "USER", "PASSWORD"):
        name = f"W_CONTAINER_REGISTRY_{part}"
        await world.secrets.put("wim", MINE, name, None, repositories=("acme/site", "acme/web"))
    assert (await examine(login="wim")).is_healthy


@pytest.mark.parametrize(
    "visibility,repositories,repository,said",
    [
        (SecretVisibility.SELECTED, ("acme/site",), "web", "do not select this repository"),
        (SecretVisibility.PRIVATE, None, "site", "are for private repositories only"),
    ],
    ids=["selected", "private"],
)
async def test_s3_a_triple_of_the_organization_is_told_to_who_is_shown_its_secrets(
    world: CodespaceWorld,
    examine: Examine,
    visibility: SecretVisibility,
    repositories: tuple[str, ...] | None,
    repository: str,
    said: str,
) -> None:
    name, reach = "CORP_CONTAINER_REGISTRY_SERVER", {"visibility": visibility, "repositories": repositories}
    await world.secrets.put("olga", ACME, name, f"https://{HOST}/", **reach)  # type: ignore[arg-type]
    owner = await examine(login="olga", repository=repository)
    assert owner.finding is not None
    assert (code(owner), owner.finding.fixer) == ("credential.not_shared", Fixer.ORGANIZATION_OWNER)
    assert said in owner.finding.sentence
    assert state(owner, CheckID.CREDENTIAL) is CheckState.WARNING
    service, members = doctor_of(world, probe_timeout_s=30), world.secrets
    for subject in (
        members.subject("wim"),
        members.subject("rita") if repository == "web" else members.subject("otto"),
        members.subject("olga", scopes=frozenset({Scope.REPO, Scope.CODESPACE})),
        members.subject("olga", scopes=frozenset({Scope.REPO}), codespace_of=f"acme/{repository}"),
    ):
        told = await service.examine(subject, "acme", repository, IMAGE)
        assert (code(told), "CORP" in repr(told)) == ("image.credential_missing", False), "A13"
    reach = {"visibility": SecretVisibility.ALL, "repositories": None}
    await world.secrets.put("olga", ACME, name, None, **reach)  # type: ignore[arg-type]
    assert code(await examine(login="olga", repository=repository)) == "credential.incomplete", (
        "it reaches the repository"
    )


async def test_c11_an_incomplete_triple_is_found_and_not_taken_for_none(
    world: CodespaceWorld, examine: Examine
) -> None:
    world.registry.public.add(f"{HOST}/team/dev")
    await world.secrets.put("olga", WEB, "HALF_CONTAINER_REGISTRY_SERVER", HOST)
    diagnosis = await examine()
    assert (code(diagnosis), diagnosis.without_credential) == ("credential.incomplete", "pulled")
    assert world.registry.asked == [(f"{HOST}/team/dev", Anonymous())]


async def test_s6_who_may_not_write_gets_no_secrets_and_is_told_so(world: CodespaceWorld, examine: Examine) -> None:
    await world.give_triple()
    diagnosis = await examine(login="rita")
    assert code(diagnosis) == "image.credential_missing"
    assert diagnosis.finding is not None
    assert "withheld" in diagnosis.finding.sentence
    assert all(isinstance(one, Anonymous) for _, one in world.registry.asked)


async def test_l6_a_policy_stands_against_it(world: CodespaceWorld, examine: Examine) -> None:
    await world.give_triple()
    policies = CodespacePolicyService(store=world.store, clock=world.secrets.clock)
    await policies.put(
        world.secrets.subject("olga"), "acme", CodespacePolicy(name="ours", allowed_images=("ghcr.io/**",))
    )
    diagnosis = await examine()
    assert (code(diagnosis), diagnosis.with_credential) == ("codespace.policy_image", "pulled")


async def test_an_engine_that_is_down_is_told(world: CodespaceWorld, examine: Examine) -> None:
    await world.give_triple()
    world.engine.faults["architecture"] = UpstreamFailed("Down.", code="engine.unreachable")
    diagnosis = await examine()
    assert diagnosis.is_healthy
    assert state(diagnosis, CheckID.ENGINE) is CheckState.WARNING


async def test_a_registry_that_never_answers_is_left(world: CodespaceWorld) -> None:
    async def hang(_: RegistryCredential | Anonymous) -> None:
        await asyncio.Event().wait()

    await world.give_triple()
    world.registry.on_ask = hang
    diagnosis = await doctor_of(world).examine(world.secrets.subject("olga"), "acme", "web", IMAGE)
    assert (code(diagnosis), diagnosis.without_credential) == ("registry.timeout", "registry.timeout")


async def test_one_diagnosis_at_a_time_for_an_account(world: CodespaceWorld) -> None:
    service = doctor_of(world, probe_timeout_s=30)
    entered, leave = asyncio.Event(), asyncio.Event()

    async def wait(_: RegistryCredential | Anonymous) -> None:
        entered.set()
        await leave.wait()

    world.registry.on_ask = wait
    olga, wim = world.secrets.subject("olga"), world.secrets.subject("wim")
    first = asyncio.create_task(service.examine(olga, "acme", "web", IMAGE))
    await entered.wait()
    with pytest.raises(LimitReached) as busy:
        await service.examine(olga, "acme", "web", IMAGE)
    assert busy.value.code == "doctor.busy"
    leave.set()
    await service.examine(wim, "acme", "web", IMAGE)
    await first
    await service.examine(olga, "acme", "web", IMAGE)


async def test_who_may_not_know_the_repository_learns_nothing(world: CodespaceWorld, examine: Examine) -> None:
    with pytest.raises(NotFound):
        await examine(login="otto")
    with pytest.raises(Invalid):
        await examine(image="UPPER")
    subject = world.secrets.subject("wim", scopes=frozenset({Scope.CODESPACE}))
    with pytest.raises(Denied):
        await doctor_of(world).examine(subject, "acme", "site", IMAGE)
    assert world.registry.asked == []


async def test_a_diagnosis_is_in_the_audit_log(world: CodespaceWorld, examine: Examine) -> None:
    await examine()
    async with world.store.read() as connection:
        statement = select(audit_log.c.target, audit_log.c.detail).where(audit_log.c.action == "codespace.diagnose")
        assert [tuple(row) for row in await connection.execute(statement)] == [("acme/web", "image.credential_missing")]


OWN = f"{OWN_HOST}/acme/app"


async def test_a13_the_built_in_registry_s_rule_is_told_to_who_may_know_it(
    world: CodespaceWorld, examine: Examine
) -> None:
    package_id = await world.make_package("app")
    await insert_version(world.store, package_id, "1")
    diagnosis = await examine(f"{OWN}:1")
    assert code(diagnosis) == "package.codespace_denied"
    assert diagnosis.finding is not None
    assert diagnosis.finding.evidence["rule"] == "package.codespace.not_linked"
    assert "berth package grant acme/app --codespaces acme/web" in diagnosis.finding.next_step
    hidden, missing = await examine(f"{OWN}:1", "wim"), await examine(f"{OWN_HOST}/acme/else:1", "wim")
    assert code(hidden) == "package.not_found"
    assert repr(missing).replace("acme/else", "acme/app") == repr(hidden)
    async with world.store.begin() as connection:
        await package_rows.set_user_grant(connection, package_id, world.secrets.accounts["wim"], PackageRole.READ)
    assert code(await examine(f"{OWN}:1", "wim")) == "package.codespace_denied"
    assert all(isinstance(one, Anonymous) for _, one in world.registry.asked), "there is no token to ask with"


async def test_the_built_in_registry_s_image_of_the_repository(world: CodespaceWorld, examine: Examine) -> None:
    linked = world.secrets.repositories["acme/web"]
    package_id = await world.make_package("app", inherits_access=True, repository_id=linked)
    await insert_version(world.store, package_id, "1.0", "latest")
    good = await examine(f"{OWN}:latest")
    assert good.is_healthy
    assert good.source == CODESPACE_TOKEN
    assert good.digest is not None
    assert (await examine(f"{OWN}@{good.digest}")).is_healthy
    missing = await examine(f"{OWN}:lates")
    assert missing.finding is not None
    assert (code(missing), missing.finding.evidence["tags"]) == ("image.not_found", "latest")
    assert code(await examine(f"{OWN}@sha256:{'0' * 64}")) == "image.not_found"
    assert code(await examine(f"{OWN_HOST}/nobody:1")) == "package.name"


async def test_c6_a_triple_for_the_built_in_registry_is_asked_like_any_other(
    world: CodespaceWorld, examine: Examine
) -> None:
    await world.make_package("app")
    for part, value in (("SERVER", OWN_HOST), ("USER", "olga"), ("PASSWORD", "no token")):
        await world.secrets.put("olga", WEB, f"OWN_CONTAINER_REGISTRY_{part}", value)
    diagnosis = await examine(f"{OWN}:1")
    assert diagnosis.finding is not None
    assert "Or delete the three secrets" in diagnosis.finding.next_step
    assert any(isinstance(one, RegistryCredential) for _, one in world.registry.asked)


async def push(world: CodespaceWorld, package_id: int, content: dict[str, object], tag: str) -> None:
    """A manifest as it is, whatever it names."""
    raw, media_type, now = json.dumps(content).encode(), str(content["mediaType"]), world.secrets.clock.now()
    async with world.store.begin() as connection:
        stored = await manifest_rows.store_manifest(
            connection, package_id, str(Digest.of(raw)), parse_pushed_manifest(raw, media_type), raw, now
        )
        await manifest_rows.set_tags(connection, package_id, stored, (tag,), now)


def index_of(digest: str, architecture: str) -> dict[str, object]:
    platform = {"os": "linux", "architecture": architecture}
    entry = {"mediaType": MANIFEST_TYPES[1], "digest": digest, "size": 1, "platform": platform}
    return {"schemaVersion": 2, "mediaType": MANIFEST_TYPES[0], "manifests": [entry]}


async def test_an_index_of_the_built_in_registry_is_looked_into(world: CodespaceWorld, examine: Examine) -> None:
    linked = world.secrets.repositories["acme/web"]
    package_id = await world.make_package("app", inherits_access=True, repository_id=linked)
    await insert_version(world.store, package_id, "one")
    digest = str((await examine(f"{OWN}:one")).digest)
    await push(world, package_id, index_of(digest, "amd64"), "good")
    await push(world, package_id, index_of(digest, "arm64"), "arm")
    await push(world, package_id, index_of(f"sha256:{'1' * 64}", "amd64"), "gone")
    config = {"mediaType": "application/vnd.oci.empty.v1+json", "digest": digest, "size": 2}
    artifact = {"schemaVersion": 2, "mediaType": MANIFEST_TYPES[1], "config": config, "layers": []}
    await push(world, package_id, artifact, "artifact")
    found = {tag: await examine(f"{OWN}:{tag}") for tag in ("good", "arm", "gone", "artifact")}
    assert {tag: code(one) for tag, one in found.items()} == {
        "good": "",
        "arm": "image.platform_missing",
        "gone": "image.unproven",
        "artifact": "image.unsupported",
    }
    assert str(found["good"].digest) == digest
    assert found["arm"].finding is not None
    assert "linux/arm64" in found["arm"].finding.sentence
