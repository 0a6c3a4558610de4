"""What a launch and a start do and refuse (L1 to L9), with real git and secrets; engine and registry are in memory."""

import base64
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from sqlalchemy import delete, update
from tests.codespace_world import (
    HOST,
    IMAGE,
    ORIGIN,
    OWN_HOST,
    PASSWORD,
    SERVER_ID,
    CodespaceWorld,
    make_codespace_world,
)
from tests.domain.test_pull_request import pull_request
from tests.fakes.engine import FakeDevContainers
from tests.fakes.registry_client import DIGEST, SEEN
from tests.secret_world import ACME, MINE, WEB

from berth.adapters.store import codespace_access as access_rows
from berth.adapters.store import collaborator as collaborator_rows
from berth.adapters.store.database import Store
from berth.adapters.store.tables import accounts, collaborators, repositories
from berth.adapters.store.tables import codespaces as codespaces_table
from berth.domain.codespace import LABEL, SERVER_LABEL, Codespace
from berth.domain.dev_container import METADATA_LABEL
from berth.domain.lifecycle import State
from berth.domain.problem import Denied
from berth.domain.registry_credential import Anonymous, CredentialKind, RegistryCredential
from berth.domain.role import Role
from berth.domain.secret import SecretVisibility
from berth.domain.secret_text import SecretText
from berth.services.ports import ContainerStatus, ExecResult, UpRequest, UpResult

pytestmark = pytest.mark.parametrize(
    "database_url", ["sqlite"], indirect=True
)  # nothing here asks the database anything new


@pytest.fixture
async def codespaces(store: Store, tmp_path: Path) -> CodespaceWorld:
    return await make_codespace_world(store, tmp_path)


@pytest.fixture
async def world(codespaces: CodespaceWorld) -> CodespaceWorld:
    await codespaces.give_triple()
    return codespaces


def code(codespace: Codespace) -> str:
    assert codespace.finding is not None, codespace.state
    assert codespace.state is State.FAILED
    assert codespace.finding.next_step
    return codespace.finding.code


async def again(world: CodespaceWorld, name: str, login: str = "olga") -> Codespace:
    """Stop and start."""
    subject = world.secrets.subject(login)
    await world.service.stop(subject, name)
    assert (await world.step(name)).state is State.SHUTDOWN
    await world.service.start(subject, name)
    return await world.step(name)


async def test_what_the_row_keeps_and_the_container_gets(world: CodespaceWorld) -> None:
    commit = await world.configure("acme/web", remoteUser="root")
    launched = await world.launch()
    assert launched.commit_id == commit
    assert launched.image == f"{HOST}/team/dev@{DIGEST}"
    assert (launched.remote_user, launched.remote_folder) == ("root", "/workspaces/web")
    (request,) = world.dev_containers.requests
    assert request.configuration["image"] == launched.image, "L2: by digest"
    assert request.labels == world.labels(launched.name)
    config = (request.workspace / ".git" / "config").read_text()
    assert f"url = {ORIGIN}/acme/web.git" in config
    assert PASSWORD not in str(request.configuration), "L7"


async def test_l9_and_s7_the_environment(world: CodespaceWorld) -> None:
    await world.secrets.put("olga", WEB, "DATABASE_PASSWORD", "a'b c")
    launched = await world.launch()
    environment = world.engine.environments[-1]
    assert environment["DATABASE_PASSWORD"] == "a'b c"
    assert environment["CORP_CONTAINER_REGISTRY_PASSWORD"] == PASSWORD
    assert environment["CODESPACE_NAME"] == launched.name
    assert environment["GITHUB_USER"] == "olga"
    assert environment["GIT_COMMITTER_NAME"] == "olga"
    assert environment["GIT_COMMITTER_EMAIL"].endswith("+olga@users.noreply.localhost")
    (request,) = world.dev_containers.requests
    container_env = request.configuration["containerEnv"]
    assert isinstance(container_env, dict)
    assert not {"GITHUB_TOKEN", "DATABASE_PASSWORD"} & container_env.keys(), "L7: no secret in the configuration"
    (install,) = [one for one in world.engine.executed if one.user == "0"]
    assert PASSWORD not in str(install.command)
    assert HOST in install.stdin


async def test_hooks_run_in_order_the_labels_first(world: CodespaceWorld) -> None:
    await world.configure("acme/web", postCreateCommand="file-create", postStartCommand="file-start")
    world.engine.image_labels = {METADATA_LABEL: '[{"postCreateCommand": "label-create"}]'}
    await world.launch()
    assert world.engine.hooks == ["label-create", "file-create", "file-start"]


async def test_only_post_start_runs_at_a_start(world: CodespaceWorld) -> None:
    await world.configure("acme/web", postCreateCommand="create", postStartCommand="start")
    launched = await world.launch()
    assert (await again(world, launched.name)).state is State.AVAILABLE
    assert world.engine.hooks == ["create", "start", "start"]


async def test_a_hook_that_fails_ends_the_launch_with_its_exit_code(world: CodespaceWorld) -> None:
    await world.configure("acme/web", postCreateCommand="make", postStartCommand="never")
    world.engine.exit_codes["make"] = 7
    world.engine.chunks = (b"the rea", b"son\nand more")
    failed = await world.launch()
    assert code(failed) == "devcontainer.hook_failed"
    assert failed.finding is not None
    assert failed.finding.evidence == {"hook": "postCreateCommand", "exit_code": "7"}
    assert "the reason\nand more" in await world.log_text(failed.name)
    assert world.engine.hooks == ["make"]


async def test_s8_a_start_reads_the_secrets_of_now(world: CodespaceWorld) -> None:
    await world.secrets.put("olga", WEB, "COLOUR", "red-value")
    launched = await world.launch()
    await world.secrets.put("olga", WEB, "COLOUR", "blue-value")
    await world.give_triple("new-registry-password")
    assert (await again(world, launched.name)).state is State.AVAILABLE
    before, after = world.engine.environments
    assert (before["COLOUR"], after["COLOUR"]) == ("red-value", "blue-value")
    assert after["CORP_CONTAINER_REGISTRY_PASSWORD"] == "new-registry-password"
    assert before["GITHUB_TOKEN"] != after["GITHUB_TOKEN"]
    assert not await world.is_valid(before["GITHUB_TOKEN"])
    assert await world.is_valid(after["GITHUB_TOKEN"])


async def test_s6_who_may_only_read_gets_no_secrets_and_is_told_why(world: CodespaceWorld) -> None:
    await world.secrets.put("rita", MINE, "MINE", "rita-secret-value", repositories=("acme/web",))
    world.registry.passwords = {f"{HOST}/team/dev": None}
    launched = await world.launch("rita")
    assert launched.state is State.AVAILABLE
    environment = world.engine.environments[-1]
    assert not [name for name in environment if name == "MINE" or "REGISTRY" in name]
    assert "Secrets are withheld" in await world.log_text(launched.name)


OWN_IMAGE = f"{OWN_HOST}/acme/app:1"


def config_of(world: CodespaceWorld) -> dict[str, str]:
    """The docker config that was installed last: host → user:password."""
    return world.engine.files(world.engine.written[-1]).logins


async def test_c6_the_built_in_registry_is_opened_by_the_codespaces_token(codespaces: CodespaceWorld) -> None:
    world = codespaces
    await world.configure("acme/web", image=OWN_IMAGE)
    valid = []

    async def note(credential: RegistryCredential | Anonymous) -> None:
        assert isinstance(credential, RegistryCredential)
        valid.append((credential.kind, credential.user, await world.is_valid(credential.password.reveal())))

    world.registry.on_ask = note
    world.registry.passwords = {f"{OWN_HOST}/acme/app": None}
    launched = await world.launch()
    assert launched.state is State.AVAILABLE, launched.finding
    assert valid == [(CredentialKind.CODESPACE, "olga", True)]
    ((_, asked_with),) = world.registry.asked
    assert isinstance(asked_with, RegistryCredential)
    token = world.engine.environments[-1]["GITHUB_TOKEN"]
    assert config_of(world) == {OWN_HOST: f"olga:{token}"}, "L7"
    assert await world.is_valid(token)
    assert not await world.is_valid(asked_with.password.reveal()), "the token that opened the image has done its work"
    text = await world.log_text(launched.name)
    assert "is this server's own registry; it is opened by the codespace's own token" in text
    pair = base64.b64encode(f"olga:{token}".encode()).decode()
    for secret in (token, pair, asked_with.password.reveal()):
        assert secret not in text


async def test_a7_secrets_are_withheld_and_the_built_in_registry_is_not(codespaces: CodespaceWorld) -> None:
    world = codespaces
    await world.configure("acme/web", image=OWN_IMAGE)
    world.registry.passwords = {f"{OWN_HOST}/acme/app": None}
    assert (await world.launch("rita")).state is State.AVAILABLE
    assert config_of(world) == {OWN_HOST: f"rita:{world.engine.environments[-1]['GITHUB_TOKEN']}"}


async def test_c6_a_triple_that_names_this_server_wins(codespaces: CodespaceWorld) -> None:
    world = codespaces
    await world.configure("acme/web", image=OWN_IMAGE)
    for part, value in (("SERVER", OWN_HOST), ("USER", "robot"), ("PASSWORD", PASSWORD)):
        await world.secrets.put("olga", WEB, f"MINE_CONTAINER_REGISTRY_{part}", value)
    world.registry.passwords = {f"{OWN_HOST}/acme/app": PASSWORD}
    launched = await world.launch()
    assert launched.state is State.AVAILABLE
    assert config_of(world) == {OWN_HOST: f"robot:{PASSWORD}"}
    assert "MINE_CONTAINER_REGISTRY_… (repository) is used there" in await world.log_text(launched.name)


async def test_a_launch_that_fails_leaves_no_token(codespaces: CodespaceWorld) -> None:
    world = codespaces
    await world.configure("acme/web", image=OWN_IMAGE)
    failed = await world.launch()
    assert code(failed) == "package.not_found"
    assert failed.finding is not None
    assert failed.finding.evidence == SEEN, "that its own token was chosen is no news"
    ((_, asked_with),) = world.registry.asked
    assert isinstance(asked_with, RegistryCredential)
    assert not await world.is_valid(asked_with.password.reveal())


class Killed(BaseException):
    """The end of the process: nothing of ours catches it."""


async def test_a_launch_that_was_killed_leaves_no_token_to_the_next(codespaces: CodespaceWorld) -> None:
    world = codespaces
    await world.configure("acme/web", image=OWN_IMAGE)
    world.registry.passwords = {f"{OWN_HOST}/acme/app": None}
    world.engine.faults["pull"] = Killed()
    name = await world.create()
    with pytest.raises(Killed):
        await world.step(name)
    ((_, asked_with),) = world.registry.asked
    assert isinstance(asked_with, RegistryCredential)
    assert await world.is_valid(asked_with.password.reveal()), "the control"
    await world.service.delete(world.secrets.subject("olga"), name)
    await world.run(await world.claim(name))
    assert not await world.is_valid(asked_with.password.reveal())


async def test_a13_an_owner_who_lost_read_access_cannot_launch(world: CodespaceWorld) -> None:
    world.registry.passwords = {f"{HOST}/team/dev": None}
    name = await world.create("rita")
    async with world.store.begin() as connection:
        await connection.execute(delete(collaborators))
    assert code(await world.step(name)) == "repository.not_readable"
    assert world.engine.pulled == []


async def test_a13_nor_start_what_he_has(world: CodespaceWorld) -> None:
    world.registry.passwords = {f"{HOST}/team/dev": None}
    launched = await world.launch("rita")
    subject = world.secrets.subject("rita")
    await world.service.stop(subject, launched.name)
    await world.step(launched.name)
    await world.service.start(subject, launched.name)
    async with world.store.begin() as connection:
        await connection.execute(delete(collaborators))
    assert code(await world.step(launched.name)) == "repository.not_readable"
    assert len(world.engine.environments) == 1, "no token and no secret for him"
    async with world.store.begin() as connection:
        web, rita = world.secrets.repositories["acme/web"], world.secrets.accounts["rita"]
        await collaborator_rows.set_collaborator(connection, web, rita, Role.PULL)
    await world.service.start(subject, launched.name)
    assert (await world.step(launched.name)).state is State.AVAILABLE


async def test_a_repository_that_is_gone(world: CodespaceWorld) -> None:
    name = await world.create()
    async with world.store.begin() as connection:
        await connection.execute(delete(repositories).where(repositories.c.name == "web"))
    assert code(await world.step(name)) == "repository.not_readable"


async def test_a_ref_that_is_gone(world: CodespaceWorld) -> None:
    name = await world.create()
    shutil.rmtree(world.git.path(world.secrets.repositories["acme/web"]))
    await world.git.create(world.secrets.repositories["acme/web"], default_branch="main")
    failed = await world.step(name)
    assert code(failed) == "codespace.ref_gone"
    assert "'main'" in str(failed.finding)


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        (None, "acme/docs has no .devcontainer/devcontainer.json or .devcontainer.json at main"),
        ("else/where.json", "acme/docs has no else/where.json at main"),
    ],
    ids=["the usual places", "the one that was asked for"],
)
async def test_no_configuration(world: CodespaceWorld, wanted: str | None, sentence: str) -> None:
    await world.git.create(world.secrets.repositories["acme/docs"], default_branch="main")
    await world.configure("acme/docs", "README.md")
    failed = await world.launch(full_name="acme/docs", devcontainer_path=wanted)
    assert code(failed) == "devcontainer.missing"
    assert failed.finding is not None
    assert sentence in failed.finding.sentence
    assert world.nothing_left(failed.name)


async def test_the_second_usual_place_and_one_that_was_asked_for(world: CodespaceWorld) -> None:
    await world.git.create(world.secrets.repositories["acme/docs"], default_branch="main")
    await world.configure("acme/docs", ".devcontainer.json")
    assert (await world.launch(full_name="acme/docs")).state is State.AVAILABLE
    await world.configure("acme/web", "other/devcontainer.json", postStartCommand="other")
    launched = await world.launch(devcontainer_path="other/devcontainer.json")
    assert launched.state is State.AVAILABLE
    assert world.engine.hooks == ["other"]


async def test_a_branch_is_checked_out_as_one_and_a_commit_is_detached(world: CodespaceWorld) -> None:
    commit = await world.configure("acme/web", postStartCommand="x")
    on_branch = await world.launch()
    detached = await world.launch(ref=commit[:12])
    heads = [(world.workspaces / one.name / "web" / ".git" / "HEAD").read_text() for one in (on_branch, detached)]
    assert heads == ["ref: refs/heads/main\n", f"{commit}\n"]


async def test_a_branch_whose_name_begins_like_its_commit_is_still_a_branch(world: CodespaceWorld) -> None:
    repository_id = world.secrets.repositories["acme/web"]
    head = await world.git.find_commit(repository_id, "main")
    assert head is not None
    await world.git._git(repository_id, "update-ref", f"refs/heads/{head[0]}", head)
    launched = await world.launch(ref=head[0])
    text = (world.workspaces / launched.name / "web" / ".git" / "HEAD").read_text()
    assert text == f"ref: refs/heads/{head[0]}\n"


@pytest.mark.parametrize(("user", "state"), [("dev", State.AVAILABLE), ("65534", State.AVAILABLE)])
async def test_the_checkout_belongs_to_the_user(world: CodespaceWorld, user: str, state: State) -> None:
    world.engine.image_user = user
    launched = await world.launch()
    assert launched.state is state
    owner = (world.workspaces / launched.name / "web" / ".git" / "HEAD").stat().st_uid
    assert owner == (1000 if user == "dev" else 65534)


async def test_a_user_that_the_image_does_not_have(world: CodespaceWorld) -> None:
    await world.configure("acme/web", remoteUser="nobody-here")
    failed = await world.launch()
    assert code(failed) == "devcontainer.user_unknown"
    assert world.nothing_left(failed.name)


@pytest.mark.parametrize("code_of_exit", [3, 4])
async def test_an_environment_that_cannot_be_installed(world: CodespaceWorld, code_of_exit: int) -> None:
    world.engine.install_result = ExecResult(code_of_exit, b"/run/codespaces is not a tmpfs\n")
    failed = await world.launch()
    assert code(failed) == "container.install_failed"
    assert failed.finding is not None
    assert "is not a tmpfs" in failed.finding.sentence
    assert world.nothing_left(failed.name)


async def test_what_the_installation_says_comes_whole_and_masked(world: CodespaceWorld) -> None:
    """No line of it is cut: half a secret would not be recognised."""
    await world.secrets.put("olga", WEB, "LONG", "long-secret-" * 20)
    said = f"{'long-secret-' * 20} and much more text than is ever kept {'x' * 100}\nthe last line\n"
    world.engine.install_result = ExecResult(3, said.encode())
    failed = await world.launch()
    assert "long-secret" not in await world.log_text(failed.name) + str(failed.finding)
    assert "the last line" in str(failed.finding)


async def test_no_secret_is_in_the_log_but_a_host_is(world: CodespaceWorld) -> None:
    await world.configure("acme/web", postCreateCommand="env")
    await world.secrets.put("olga", WEB, "TWO_LINES", "upper-half\nlower-half")
    await world.secrets.put("olga", ACME, "SHORT", "abc", visibility=SecretVisibility.ALL)
    world.engine.chunks = (b"correct-horse-", b"battery upper-half\nlower", b"-half abc\n", b"from " + HOST.encode())
    launched = await world.launch()
    text = await world.log_text(launched.name)
    for secret in (PASSWORD, "upper-half", "lower-half", world.engine.environments[-1]["GITHUB_TOKEN"]):
        assert secret not in text
    mask = SecretText.MASK
    assert f"{mask} {mask}\n{mask} abc\nfrom {HOST}" in text


async def test_c3_a_server_that_is_refused_stays_hidden(world: CodespaceWorld) -> None:
    await world.configure("acme/web", postCreateCommand="env")
    await world.secrets.put("olga", WEB, "BAD_CONTAINER_REGISTRY_SERVER", "https://user:hidden-pass@x.example")
    world.engine.chunks = (b"https://user:hidden-pass@x.example\n",)
    launched = await world.launch()
    assert "hidden-pass" not in await world.log_text(launched.name)


async def test_the_lines_of_the_dev_container_cli_are_logged(world: CodespaceWorld) -> None:
    world.dev_containers.lines = ("npm install", "done")
    launched = await world.launch()
    kinds = [entry.text for entry in await world.log(launched.name) if entry.kind == "phase"]
    assert kinds == [
        "Reading the dev container configuration",
        "Finding the credentials",
        f"Pulling {IMAGE}",
        "Checking out main",
        "Creating the container",
        "Installing secrets and registry credentials",
        "Available",
    ]
    assert "npm install\ndone" in await world.log_text(launched.name)


async def test_an_owner_with_a_name_and_an_address_commits_as_himself(world: CodespaceWorld) -> None:
    async with world.store.begin() as connection:
        values = {"name": "Olga O.", "email": "olga@example.com"}
        await connection.execute(update(accounts).where(accounts.c.login == "olga").values(**values))
    await world.launch()
    environment = world.engine.environments[-1]
    assert (environment["GIT_COMMITTER_NAME"], environment["GIT_COMMITTER_EMAIL"]) == ("Olga O.", "olga@example.com")


async def test_the_machine_limits_the_container_and_a_change_comes_with_the_next_start(world: CodespaceWorld) -> None:
    olga = world.secrets.subject("olga")
    launched = await world.launch()
    (request,) = world.dev_containers.requests
    arguments = str(request.configuration["runArgs"])
    assert "--cpus=1" in arguments
    assert f"--memory={2**29}" in arguments
    changed = await world.service.update(olga, launched.name, display_name=None, machine="big", recent_folders=None)
    assert changed.machine.name == "big"
    assert world.engine.limits == {}, "not while it runs"
    assert (await again(world, launched.name)).state is State.AVAILABLE
    assert world.engine.limits == {launched.container_id: (2, 2**30)}


async def test_a_machine_that_is_not_offered_any_more_gives_no_freedom_from_limits(world: CodespaceWorld) -> None:
    launched = await world.launch()
    async with world.store.begin() as connection:
        await connection.execute(update(codespaces_table).values(machine="standardLinux"))
    await again(world, launched.name)
    assert world.engine.limits == {launched.container_id: (1, 2**29)}
    view = await world.service.get(world.secrets.subject("olga"), launched.name)
    assert view.machine.name == "small"


async def test_the_default_image_is_for_a_repository_without_a_configuration(store: Store, tmp_path: Path) -> None:
    world = await make_codespace_world(store, tmp_path, default_image=IMAGE)
    await world.give_triple()
    shutil.rmtree(world.git.path(world.secrets.repositories["acme/web"]))
    await world.git.create(world.secrets.repositories["acme/web"], default_branch="main")
    await world.configure("acme/web", path="README.md")
    launched = await world.launch()
    assert launched.image == f"{HOST}/team/dev@{DIGEST}"
    assert f"no dev container configuration: using {IMAGE}" in await world.log_text(launched.name)
    named = await world.launch(devcontainer_path="x/devcontainer.json")
    assert code(named) == "devcontainer.missing", "one that was asked for is not replaced"
    world.launcher._configurations._default_image = ""
    assert (await again(world, launched.name)).state is State.AVAILABLE, "what was launched with it keeps it"
    assert code(await world.launch()) == "devcontainer.missing"


async def test_an_organization_that_allows_none_any_more_stops_a_launch_and_a_start(world: CodespaceWorld) -> None:
    async def say(visibility: str) -> None:
        async with world.store.begin() as connection:
            await access_rows.set_visibility(connection, world.secrets.accounts["acme"], visibility)

    name, launched = await world.create(), await world.launch()
    await say("disabled")
    assert code(await world.step(name)) == "codespace.access"
    assert world.nothing_left(name)
    olga = world.secrets.subject("olga")
    with pytest.raises(Denied):
        await again(world, launched.name)
    await say("all_members")
    await world.service.start(olga, launched.name)
    await say("disabled")
    assert code(await world.step(launched.name)) == "codespace.access"
    (container,) = world.engine.containers.values()
    assert container.status is ContainerStatus.EXITED


async def test_an_organization_that_says_so_while_a_container_is_made_gives_it_no_secrets(
    world: CodespaceWorld,
) -> None:
    name = await world.create()

    class Slow(FakeDevContainers):
        async def up(self, request: UpRequest, on_line: Callable[[str], Awaitable[None]]) -> UpResult:
            async with world.store.begin() as connection:
                await access_rows.set_visibility(connection, world.secrets.accounts["acme"], "disabled")
            return await super().up(request, on_line)

    world.launcher._dev_containers = Slow(world.engine)
    assert code(await world.step(name)) == "codespace.access"
    assert world.engine.environments == []
    assert world.nothing_left(name)


@pytest.mark.parametrize("from_fork", [False, True], ids=["the positive control", "S6 a fork's pull request"])
async def test_s6_a_forks_pull_request_gets_nothing(world: CodespaceWorld, from_fork: bool) -> None:
    """No secret, no token, no registry credential: not at the launch, not at a start. Its commits are what is checked out."""
    await world.secrets.put("olga", WEB, "DATABASE_PASSWORD", "hunter2")
    repository = world.secrets.repositories["acme/web"]
    world.registry.passwords[f"{HOST}/open/dev"] = None

    async def move(source: str, target: str) -> None:
        await world.git.fetch(repository, {source: target}, source_id=repository)

    await move("refs/heads/main", "refs/before")
    theirs = await world.configure("acme/web", image=f"{HOST}/open/dev:1")
    await move("refs/heads/main", "refs/pull/1/head" if from_fork else "refs/heads/topic")
    await move("refs/before", "refs/heads/main")
    pull = pull_request(repository_id=repository, head_repository_id=repository + from_fork, number=1)
    launched = await world.launch(pull_request=pull)
    assert launched.commit_id == theirs
    (request,) = world.dev_containers.requests
    assert "open/dev" in (request.workspace / ".devcontainer/devcontainer.json").read_text()
    for codespace in (launched, await again(world, launched.name)):
        assert codespace.state is State.AVAILABLE, codespace.finding
        environment = world.engine.environments[-1]
        for name in ("DATABASE_PASSWORD", "CORP_CONTAINER_REGISTRY_PASSWORD", "GITHUB_TOKEN"):
            assert (name in environment) is not from_fork, name
        assert (config_of(world) == {}) is from_fork
    assert ("(S6)" in await world.log_text(launched.name)) is from_fork
    assert all(isinstance(credential, Anonymous) is from_fork for credential, _token in world.engine.logins)
    world.registry.passwords[f"{HOST}/open/dev"] = "open no more"
    refused = await world.launch(pull_request=pull)
    assert refused.finding is not None
    assert ("(S6)" in refused.finding.sentence) is from_fork


@pytest.mark.parametrize("ref", ["topic", "refs/pull/1/head"])
async def test_s6_what_gets_secrets_launches_no_strangers_commit(world: CodespaceWorld, ref: str) -> None:
    """Whatever its row says; a branch is the positive control."""
    repository, name = world.secrets.repositories["acme/web"], await world.create()
    for target in ("refs/heads/topic", "refs/pull/1/head"):
        await world.git.fetch(repository, {"refs/heads/main": target}, source_id=repository)
    async with world.store.begin() as connection:
        await connection.execute(update(codespaces_table).where(codespaces_table.c.name == name).values(ref=ref))
    launched = await world.step(name)
    if ref == "topic":
        assert launched.state is State.AVAILABLE, launched.finding
    else:
        assert code(launched) == "codespace.ref_gone"


async def test_l4_a_cli_that_names_anothers_container_brings_no_secret_there(world: CodespaceWorld) -> None:
    other = world.engine.make({LABEL: "anothers", SERVER_LABEL: SERVER_ID})
    world.dev_containers.named = other.container_id
    assert code(await world.launch()) == "devcontainer.up_failed"
    assert other.container_id not in [one.container_id for one in world.engine.executed]
    assert other.container_id in world.engine.containers
    world.dev_containers.named = ""
    assert (await world.launch()).state is State.AVAILABLE, "the control"
