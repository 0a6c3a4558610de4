"""Codespaces of several services (L1, L2, L4, L8, S7): which images are asked for, what is made in which order, and its life."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.codespace_world import HOST, IMAGE, SERVER_ID, CodespaceWorld, make_codespace_world
from tests.fakes.engine import BUILT, UNREACHABLE

from berth.adapters.store.database import Store
from berth.domain.codespace import SERVER_LABEL, Codespace, Rebuild
from berth.domain.codespace_policy import CodespacePolicy
from berth.domain.compose import SERVICE_LABEL
from berth.domain.host_option import OPTIONS_LABEL, parse_host_options
from berth.domain.image_build import built_image_name
from berth.domain.lifecycle import State
from berth.services.codespace_policy import CodespacePolicyService
from berth.services.lifecycle import find_surplus
from berth.services.ports import Belonging, ContainerStatus, LocalImage, ServiceState

pytestmark = pytest.mark.parametrize(
    "database_url", ["sqlite"], indirect=True
)  # nothing here asks the database anything new

FILE = ".devcontainer/docker-compose.yml"
OTHER = f"{HOST}/team/other:1"
COMPOSE = f"""
services:
  app:
    image: {IMAGE}
    command: serve
    user: dev
    volumes: ["../..:/workspaces", "data:/data"]
    environment: {{A: "1"}}
    depends_on: {{db: {{condition: service_healthy}}}}
  db:
    image: {OTHER}
    env_file: db.env
    environment: [FROM_ENV, GONE, "B=2"]
    volumes: [data:/data]
  worker:
    image: {OTHER}
    depends_on: [app]
volumes: {{data: }}
"""


@pytest.fixture
async def world(store: Store, tmp_path: Path) -> CodespaceWorld:
    world = await make_codespace_world(store, tmp_path)
    await world.give_triple()
    world.registry.passwords[f"{HOST}/team/other"] = world.registry.passwords[f"{HOST}/team/dev"]
    await configure(world)
    await world.write("acme/web", FILE, COMPOSE.encode())
    await world.write("acme/web", ".devcontainer/db.env", b"C=3\nD=$FROM_ENV\n")
    await world.write("acme/web", ".devcontainer/.env", b"FROM_ENV=dot\n")
    return world


async def configure(world: CodespaceWorld, **config: Any) -> None:
    await world.configure("acme/web", dockerComposeFile="docker-compose.yml", service="app", **config)


async def rewrite(world: CodespaceWorld, *services: str) -> None:
    text = "services:\n" + "".join(f"  {one}\n" for one in services)
    await world.write("acme/web", FILE, text.encode())


def code(codespace: Codespace) -> str:
    assert codespace.finding is not None, codespace.state
    assert codespace.state is State.FAILED
    assert codespace.finding.next_step
    return codespace.finding.code


def statuses(world: CodespaceWorld) -> dict[str, ContainerStatus]:
    """In the order in which they were made."""
    return {one.labels[SERVICE_LABEL]: one.status for one in world.engine.containers.values()}


def body(world: CodespaceWorld, service: str) -> Any:
    (found,) = [
        body for made, body in world.services.bodies.items() if world.services.names[made].endswith(f".{service}")
    ]
    return found


def where(service: str, state: ServiceState) -> Callable[[str], ServiceState]:
    fine = ServiceState(is_running=True, health="healthy")
    return lambda name: state if name == service else fine


RUNNING, EXITED = ContainerStatus.RUNNING, ContainerStatus.EXITED


async def test_l1_l2_every_image_is_proven_and_made_in_order(world: CodespaceWorld) -> None:
    codespace = await world.launch()
    assert codespace.state is State.AVAILABLE, codespace.finding
    assert list(statuses(world).items()) == [("db", RUNNING), ("app", RUNNING), ("worker", RUNNING)]
    assert [name.partition("@")[0] for name, _ in world.engine.pulled] == [f"{HOST}/team/dev", f"{HOST}/team/other"]
    name = codespace.name
    assert {one.key for one in world.services.belongings.values()} == {
        f"network berth-{name}",
        f"volume berth-{name}.data",
    }
    assert all(one.labels == world.labels(name) for one in world.services.belongings.values())
    db = body(world, "db")
    assert "@sha256:" in db["Image"]
    assert db["Env"] == ["C=3", "D=dot", "FROM_ENV=dot", "B=2"]
    assert db["Labels"].items() >= world.labels(name).items()
    assert db["HostConfig"]["NanoCpus"] == 10**9
    (request,) = world.dev_containers.requests
    assert request.labels == {**world.labels(name), SERVICE_LABEL: "app"}
    assert request.folder == "/workspaces/web"
    assert request.added is not None
    assert (request.added.command, request.added.placement.environment) == (("serve",), {"A": "1"})
    assert request.configuration["overrideCommand"] is False
    assert request.configuration["containerUser"] == "dev"
    assert codespace.container_id == next(
        one.container_id for one in world.engine.containers.values() if one.labels[SERVICE_LABEL] == "app"
    )


async def test_l5_notes_are_in_the_log(world: CodespaceWorld) -> None:
    await rewrite(world, f"app: {{image: {IMAGE}, ports: ['80:80'], hostname: '$HOME'}}")
    codespace = await world.launch()
    log = await world.log_text(codespace.name)
    assert "'ports' of service app in docker-compose.yml is passed over" in log
    assert "these variables have no value here and are empty: HOME" in log


async def test_an_image_that_is_named_twice_is_asked_for_once(world: CodespaceWorld) -> None:
    await rewrite(world, f"app: {{image: {IMAGE}}}", f"a: {{image: {OTHER}}}", f"b: {{image: {OTHER}}}")
    codespace = await world.launch()
    assert codespace.state is State.AVAILABLE
    assert len(world.engine.pulled) == 2
    assert body(world, "a")["Image"] == body(world, "b")["Image"]


async def test_c11_the_first_refusal_ends_it_with_one_login(world: CodespaceWorld) -> None:
    world.registry.passwords[f"{HOST}/team/other"] = "another"
    codespace = await world.launch()
    assert code(codespace) == "image.unauthorized"
    assert world.nothing_left(codespace.name)
    assert not world.services.bodies


async def test_l6_the_policy_sees_every_image(world: CodespaceWorld) -> None:
    policies = CodespacePolicyService(store=world.store, clock=world.secrets.clock)
    allowed = CodespacePolicy(name="base", allowed_images=("registry.example.com/team/dev",))
    await policies.put(world.secrets.subject("olga"), "acme", allowed)
    codespace = await world.launch()
    assert code(codespace) == "codespace.policy_image"
    assert OTHER in (codespace.finding.sentence if codespace.finding else "")
    assert not world.registry.asked
    await rewrite(world, f"app: {{image: {IMAGE}}}")
    assert (await start(world, codespace.name)).state is State.AVAILABLE, "the control"


async def test_services_that_are_built_have_names_of_their_own(world: CodespaceWorld) -> None:
    await rewrite(world, "app: {build: .}", "db: {build: {context: ., dockerfile: db/Dockerfile}}")
    await world.write("acme/web", ".devcontainer/Dockerfile", f"FROM {IMAGE}\n".encode())
    await world.write("acme/web", ".devcontainer/db/Dockerfile", f"FROM {OTHER}\nRUN x\n".encode())
    codespace = await world.launch()
    assert codespace.state is State.AVAILABLE, codespace.finding
    name = codespace.name
    assert [one.asked.name for one in world.engine.builds] == [built_image_name(name), built_image_name(name, "db")]
    assert body(world, "db")["Image"] == BUILT
    await world.service.delete(world.secrets.subject("olga"), name)
    await world.run(await world.claim(name))
    assert not [one for one in world.engine.images if "berth.invalid" in one]


DB = "app: {image: IMAGE, depends_on: {db: {condition: CONDITION}}}"
BAD_STATES = {
    "it ended": ("service_healthy", ServiceState(is_running=False, exit_code=3), "ended with exit code 3"),
    "it is ill": ("service_healthy", ServiceState(is_running=True, health="unhealthy"), "is unhealthy"),
    "it has no check": ("service_healthy", ServiceState(is_running=True), "has no health check to wait for"),
    "it never gets well": ("service_healthy", ServiceState(is_running=True, health="starting"), "did not get so far"),
    "it failed": (
        "service_completed_successfully",
        ServiceState(is_running=False, exit_code=1),
        "ended with exit code 1",
    ),
    "it goes on": ("service_completed_successfully", ServiceState(is_running=True), "did not get so far"),
    "it ended, and nobody waits": (
        "service_started",
        ServiceState(is_running=False, exit_code=2),
        "ended with exit code 2",
    ),
}


@pytest.mark.parametrize(("condition", "state", "how"), BAD_STATES.values(), ids=BAD_STATES.keys())
async def test_l8_a_service_that_does_not_come(
    world: CodespaceWorld, condition: str, state: ServiceState, how: str
) -> None:
    await rewrite(world, DB.replace("IMAGE", IMAGE).replace("CONDITION", condition), f"db: {{image: {OTHER}}}")
    world.services.state_of = where("db", state)
    codespace = await world.launch()
    assert code(codespace) == "compose.service_failed"
    assert codespace.finding is not None
    assert codespace.finding.sentence.startswith(f"The service db {how}")
    assert codespace.finding.evidence == {"service": "db", "output": "it said so"}
    assert world.nothing_left(codespace.name)


@pytest.mark.parametrize(
    ("condition", "state"),
    [
        ("service_completed_successfully", ServiceState(is_running=False, exit_code=0)),
        ("service_started", ServiceState(is_running=False, exit_code=0)),
        ("service_started", ServiceState(is_running=True, health="starting")),
    ],
    ids=["it is done", "it is done, and nobody waits", "it is not well yet, and nobody waits"],
)
async def test_l8_a_service_that_is_fine(world: CodespaceWorld, condition: str, state: ServiceState) -> None:
    await rewrite(world, DB.replace("IMAGE", IMAGE).replace("CONDITION", condition), f"db: {{image: {OTHER}}}")
    world.services.state_of = where("db", state)
    assert (await world.launch()).state is State.AVAILABLE


async def test_a_service_that_the_engine_starts_again_is_left_alone(world: CodespaceWorld) -> None:
    await rewrite(world, f"app: {{image: {IMAGE}}}", f"db: {{image: {OTHER}, restart: always}}")
    world.services.state_of = where("db", ServiceState(is_running=False, exit_code=1))
    assert (await world.launch()).state is State.AVAILABLE


async def test_a_service_may_share_the_main_ones_network_or_the_other_way_round(world: CodespaceWorld) -> None:
    await rewrite(world, f"app: {{image: {IMAGE}, network_mode: 'service:db'}}", f"db: {{image: {OTHER}}}")
    await world.launch()
    (request,) = world.dev_containers.requests
    assert request.added is not None
    assert request.added.placement.joined == next(iter(world.services.bodies))
    await rewrite(world, f"app: {{image: {IMAGE}}}", f"proxy: {{image: {OTHER}, network_mode: 'service:app'}}")
    codespace = await world.launch()
    assert body(world, "proxy")["HostConfig"]["NetworkMode"] == f"container:{codespace.container_id}"


# -- what services have of their host (L4)

OPTIONS = ("capability:SYS_PTRACE", "mount:/srv/cache", "namespace:pid")
GIVEN = (
    f"app: {{image: {IMAGE}, cap_add: [SYS_PTRACE]}}",
    f"db: {{image: {OTHER}, volumes: ['/srv/cache:/cache:ro'], pid: host, privileged: false}}",
    f"worker: {{image: {OTHER}}}",
)


async def make_allowing_world(store: Store, folder: Path) -> CodespaceWorld:
    world = await make_codespace_world(store, folder, site_options=parse_host_options(OPTIONS))
    await world.give_triple()
    world.registry.passwords[f"{HOST}/team/other"] = world.registry.passwords[f"{HOST}/team/dev"]
    await configure(world, runArgs=["--pid=host"])
    await rewrite(world, *GIVEN)
    return world


async def allow(world: CodespaceWorld, *options: str) -> None:
    site = parse_host_options(OPTIONS)
    policies = CodespacePolicyService(store=world.store, clock=world.secrets.clock, site_options=site)
    policy = CodespacePolicy(name="tools", allowed_options=options)
    await policies.put(world.secrets.subject("olga"), "acme", policy)


async def test_l4_each_service_gets_what_itself_asked_for(store: Store, tmp_path: Path) -> None:
    world = await make_allowing_world(store, tmp_path)
    codespace = await make(world)
    (request,) = world.dev_containers.requests
    assert request.options.label == "capability:SYS_PTRACE,namespace:pid", "what service and configuration ask for"
    assert request.added is not None
    assert request.added.service.options == request.options
    db, worker = body(world, "db"), body(world, "worker")
    assert db["HostConfig"]["PidMode"] == "host"
    assert db["HostConfig"]["Mounts"] == [
        {"Type": "bind", "Source": "/srv/cache", "Target": "/cache", "ReadOnly": True}
    ]
    assert (db["Labels"][OPTIONS_LABEL], worker["Labels"][OPTIONS_LABEL]) == ("mount:/srv/cache,namespace:pid", "")
    assert not worker["HostConfig"].keys() & {"PidMode", "CapAdd", "Privileged"}
    assert "The service db gets mount:/srv/cache,namespace:pid of its host" in await world.log_text(codespace.name)


async def test_l4_a_service_gets_nothing_that_a_policy_leaves_out(store: Store, tmp_path: Path) -> None:
    world = await make_allowing_world(store, tmp_path)
    await allow(world, "capability:SYS_PTRACE", "namespace:pid")
    failed = await world.launch()
    assert code(failed) == "codespace.policy_option"
    assert failed.finding is not None
    assert failed.finding.sentence.startswith("'volumes' in service db in docker-compose.yml asks for mount:/srv/cache")
    assert not world.engine.pulled
    await allow(world, *OPTIONS)
    assert (await start(world, failed.name)).state is State.AVAILABLE, "the control"


async def test_l4_a_service_starts_while_it_may_have_what_it_was_given(store: Store, tmp_path: Path) -> None:
    world = await make_allowing_world(store, tmp_path)
    name = (await make(world)).name
    await stop(world, name)
    await allow(world, "capability:SYS_PTRACE", "namespace:pid")
    failed = await start(world, name)
    assert code(failed) == "codespace.option_withdrawn"
    assert failed.finding is not None
    assert failed.finding.sentence.startswith("The container of the service db has 'mount:/srv/cache'")
    assert set(statuses(world).values()) == {EXITED}, "none of them runs"
    await allow(world, *OPTIONS)
    assert (await start(world, name)).state is State.AVAILABLE
    await stop(world, name)
    await allow(world, "mount:/srv/cache")
    failed = await start(world, name)
    assert failed.finding is not None
    assert failed.finding.sentence.startswith("The codespace's container has 'capability:SYS_PTRACE'")


# -- files

MISSING = {
    "a Compose file": {"dockerComposeFile": ["docker-compose.yml", "gone.yml"], "service": "app"},
    "a file of variables": {"dockerComposeFile": "needy.yml", "service": "app"},
    "a link": {"dockerComposeFile": "link.yml", "service": "app"},
}


@pytest.mark.parametrize("config", MISSING.values(), ids=MISSING.keys())
async def test_a_file_that_is_not_there(world: CodespaceWorld, config: dict[str, Any]) -> None:
    needy = f"services:\n  app: {{image: {IMAGE}, env_file: [{{path: none, required: false}}, gone.env]}}\n"
    if config["dockerComposeFile"] == "link.yml":
        said = '{"dockerComposeFile":"link.yml","service":"app"}'
        await world.commit_tree("acme/web", f"100644 {said} .devcontainer.json", "120000 /etc/passwd link.yml")
    else:
        await world.write("acme/web", ".devcontainer/needy.yml", needy.encode())
        await world.configure("acme/web", **config)
    codespace = await world.launch()
    assert code(codespace) == "compose.missing"


async def test_files_of_variables_that_are_too_large_together(world: CodespaceWorld) -> None:
    """Each may have long values of few words, and a service many files: GiBs of them were held in memory."""
    files = [f"v{number}.env" for number in range(6)]
    for number, name in enumerate(files):
        grown = f"L{number}={'x' * 50_000}\n" + "".join(f"V{number}_{one}=a$L{number}\n" for one in range(4))
        await world.write("acme/web", f".devcontainer/{name}", grown.encode())
    await world.write("acme/web", FILE, f"services: {{app: {{image: {IMAGE}, env_file: {files[:4]}}}}}".encode())
    assert (await world.launch()).state is State.AVAILABLE, "the positive control"
    await world.write("acme/web", FILE, f"services: {{app: {{image: {IMAGE}, env_file: {files}}}}}".encode())
    assert code(await world.launch()) == "compose.value"


async def test_a_file_that_is_too_large(world: CodespaceWorld) -> None:
    await world.write("acme/web", FILE, b"#" * (1024 * 1024 + 1))
    assert code(await world.launch()) == "compose.malformed"


@pytest.mark.parametrize("text", ["services: {app: {privileged: true, image: x}}", "a: &a [*a]"], ids=["L4", "YAML"])
async def test_a_hostile_file_is_refused_before_any_registry_is_asked(world: CodespaceWorld, text: str) -> None:
    await world.write("acme/web", FILE, text.encode())
    assert code(await world.launch()) in {"compose.not_allowed", "compose.malformed"}
    assert not world.engine.pulled


# -- life


async def make(world: CodespaceWorld) -> Codespace:
    codespace = await world.launch()
    assert codespace.state is State.AVAILABLE, codespace.finding
    return codespace


async def stop(world: CodespaceWorld, name: str) -> Codespace:
    await world.service.stop(world.secrets.subject("olga"), name)
    return await world.step(name)


async def start(world: CodespaceWorld, name: str) -> Codespace:
    await world.service.start(world.secrets.subject("olga"), name)
    return await world.step(name)


async def test_it_stops_and_starts_as_a_whole(world: CodespaceWorld) -> None:
    codespace = await make(world)
    assert (await stop(world, codespace.name)).state is State.SHUTDOWN
    assert set(statuses(world).values()) == {EXITED}
    assert len(world.services.stopped) == 2, "the main one is stopped by itself"
    world.engine.limits.clear()
    started = await start(world, codespace.name)
    assert started.state is State.AVAILABLE
    assert set(statuses(world).values()) == {RUNNING}
    assert len(world.engine.limits) == 3, "each has the limits of the machine"
    assert len(world.services.belongings) == 2


async def test_a_service_that_does_not_come_at_a_start(world: CodespaceWorld) -> None:
    codespace = await make(world)
    await stop(world, codespace.name)
    world.services.state_of = where("db", ServiceState(is_running=False, exit_code=3))
    assert code(await start(world, codespace.name)) == "compose.service_failed"
    assert set(statuses(world).values()) == {EXITED}
    world.services.state_of = where("db", ServiceState(is_running=True, health="healthy"))
    assert (await start(world, codespace.name)).state is State.AVAILABLE


async def test_a_service_whose_container_is_gone(world: CodespaceWorld) -> None:
    codespace = await make(world)
    await stop(world, codespace.name)
    gone = next(one for one in world.engine.containers.values() if one.labels[SERVICE_LABEL] == "db")
    await world.engine.remove_container(gone.container_id)
    failed = await start(world, codespace.name)
    assert code(failed) == "container.lost"
    assert failed.finding is not None
    assert "service db" in failed.finding.sentence
    await world.service.rebuild(world.secrets.subject("olga"), codespace.name, Rebuild.CACHED)
    assert (await world.step(codespace.name)).state is State.AVAILABLE
    assert list(statuses(world)) == ["db", "app", "worker"]


async def test_services_do_not_run_on_without_the_main_container(world: CodespaceWorld) -> None:
    codespace = await make(world)
    await world.engine.remove_container(codespace.container_id or "")
    failed = await world.step(codespace.name)
    assert code(failed) == "container.lost"
    await world.step(codespace.name)
    assert not world.engine.containers
    await world.service.rebuild(world.secrets.subject("olga"), codespace.name, Rebuild.CACHED)
    assert (await world.step(codespace.name)).state is State.AVAILABLE
    assert set(statuses(world).values()) == {RUNNING}
    assert len(world.engine.containers) == 3


async def test_at_rest_its_services_are_no_surplus_and_what_came_late_is(world: CodespaceWorld) -> None:
    codespace = await make(world)
    labels = world.labels(codespace.name)
    late = [world.engine.make(labels), world.engine.make({**labels, SERVICE_LABEL: "app"})]
    containers = tuple(world.engine.containers.values())
    assert find_surplus(codespace, containers) == tuple(late)
    await world.step(codespace.name)
    assert list(statuses(world).items()) == [("db", RUNNING), ("app", RUNNING), ("worker", RUNNING)]
    assert len(world.engine.containers) == 3
    assert find_surplus(codespace, tuple(world.engine.containers.values())) == ()


async def test_a_rebuild_that_is_stopped_in_the_middle(world: CodespaceWorld) -> None:
    """The old main container is gone, new services are there: they go, and the next start makes all anew."""
    codespace = await make(world)
    await world.service.rebuild(world.secrets.subject("olga"), codespace.name, Rebuild.CACHED)
    await world.engine.remove_container(codespace.container_id or "")
    assert (await stop(world, codespace.name)).state is State.SHUTDOWN
    assert not world.engine.containers
    assert (await start(world, codespace.name)).state is State.AVAILABLE
    assert list(statuses(world)) == ["db", "app", "worker"]


async def test_a_rebuild_replaces_all_and_keeps_the_volumes(world: CodespaceWorld) -> None:
    codespace = await make(world)
    before, belongings = set(world.engine.containers), set(world.services.belongings)
    await world.service.rebuild(world.secrets.subject("olga"), codespace.name, Rebuild.CACHED)
    assert (await world.step(codespace.name)).state is State.AVAILABLE
    assert not before & set(world.engine.containers)
    assert list(statuses(world).items()) == [("db", RUNNING), ("app", RUNNING), ("worker", RUNNING)]
    assert set(world.services.belongings) == belongings


async def test_a_rebuild_that_fails_before_leaves_all_of_it(world: CodespaceWorld) -> None:
    codespace = await make(world)
    before = set(world.engine.containers)
    await world.write("acme/web", FILE, b"services: {app: {privileged: true, image: x}}")
    await world.service.rebuild(world.secrets.subject("olga"), codespace.name, Rebuild.CACHED)
    assert code(await world.step(codespace.name)) == "compose.not_allowed"
    assert set(world.engine.containers) == before
    assert set(statuses(world).values()) == {EXITED}
    assert (await start(world, codespace.name)).state is State.AVAILABLE, "as it was"
    assert set(world.engine.containers) == before


async def test_a_deletion_leaves_nothing(world: CodespaceWorld) -> None:
    codespace = await make(world)
    await world.service.delete(world.secrets.subject("olga"), codespace.name)
    await world.run(await world.claim(codespace.name))
    assert await world.find(codespace.name) is None
    assert world.nothing_left(codespace.name)


async def test_what_fails_in_the_middle_is_undone(world: CodespaceWorld) -> None:
    name = await world.create()
    world.dev_containers.error = UNREACHABLE
    claim = await world.claim(name)
    claim.attempts = 6
    await world.run(claim)
    assert world.nothing_left(name)


async def test_the_sweep_removes_what_belongs_to_no_codespace(world: CodespaceWorld) -> None:
    codespace = await make(world)
    for key, labels in (
        ("orphan", world.labels("gone")),
        ("nobody's", {SERVER_LABEL: SERVER_ID}),
        ("another server's", world.labels("gone", "server-2")),
    ):
        world.services.belongings[key] = Belonging(key=key, labels=labels)
    await world.worker.sweep()
    assert "another server's" in world.services.belongings
    assert len(world.services.belongings) == 3
    assert len(world.engine.containers) == 3
    assert (await world.get(codespace.name)).state is State.AVAILABLE


async def test_the_images_own_entrypoint_comes_before_the_command(world: CodespaceWorld) -> None:
    world.engine.image_entrypoint = ("entry",)
    await make(world)
    (request,) = world.dev_containers.requests
    assert request.added is not None
    assert request.added.command == ("entry", "serve")


async def test_a_command_that_is_overridden_stays_so(world: CodespaceWorld) -> None:
    await configure(world, overrideCommand=True)
    await make(world)
    (request,) = world.dev_containers.requests
    assert request.added is not None
    assert request.added.command is None
    assert isinstance(next(iter(world.engine.images.values())), LocalImage)
