"""Without a server: a real registry is looked at from this machine, within C9, with what the environment says."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.cli.conftest import Berth
from tests.domain.test_environment_triple import triple
from tests.fakes.certificates import Authority
from tests.fakes.docker_registry import run_docker_registry
from tests.fakes.http_server import HTTPServer, Reply
from typer.testing import CliRunner, Result

from berth.cli.app import app

USER, PASSWORD = "robot", "canary-hunter2"
NO_ENGINE = "unix:///nonexistent/docker.sock"


@dataclass
class Machine:
    """`berth` where nobody is logged in. What is not set is not there."""

    folder: Path
    environ: dict[str, str] = field(default_factory=dict)

    async def berth(self, *arguments: str, **environ: str) -> Result:
        base = {"HOME": str(self.folder), "DOCKER_HOST": NO_ENGINE, "PATH": "/usr/bin:/bin"}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("os.environ", {**base, **self.environ, **environ})
            patch.chdir(self.folder)
            return await asyncio.to_thread(CliRunner().invoke, app, list(arguments))

    async def doctor(self, image: str, **environ: str) -> tuple[int, str]:
        """The exit code and the finding's code."""
        result = await self.berth("doctor", image, "--json", **environ)
        told = json.loads(result.stdout)
        assert PASSWORD not in result.output
        return result.exit_code, (told["finding"] or {"code": ""})["code"]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.fixture
async def registry(tmp_path: Path) -> AsyncIterator[str]:
    """Debian's, on loopback, in plain HTTP."""
    (tmp_path / "registry").mkdir()
    async with run_docker_registry(tmp_path / "registry", USER, PASSWORD) as address:
        yield address


@pytest.mark.registry
async def test_the_doctor_looks_from_this_machine(machine: Machine, registry: str) -> None:
    machine.environ = {"BERTH_INSECURE_REGISTRIES": registry}
    image, good, bad = (
        f"{registry}/acme/app:1",
        triple("CORP", registry, USER, PASSWORD),
        triple("CORP", registry, USER, "wrong"),
    )
    assert await machine.doctor(image, **good) == (0, "")
    assert await machine.doctor(f"{registry}/acme/app:2", **good) == (1, "image.not_found")
    assert await machine.doctor(image, **bad) == (1, "image.unauthorized")
    half = {"CORP_CONTAINER_REGISTRY_SERVER": registry}
    assert await machine.doctor(image, **half) == (1, "credential.incomplete")
    told = await machine.berth("doctor", image, **half)
    assert (
        "CORP_CONTAINER_REGISTRY_USER and CORP_CONTAINER_REGISTRY_PASSWORD have no value in the environment"
        in told.stdout
    )
    assert "registry.address_forbidden" not in told.stdout, (
        "the host is one that the environment names: it is looked at"
    )
    shown = await machine.berth("doctor", image, **bad)
    assert "No server is asked" in shown.stderr
    assert "CORP_CONTAINER_REGISTRY_… (environment)" in shown.stdout
    assert "Who can fix it: you" in shown.stderr
    assert "set the variables again" in shown.stderr


@pytest.mark.registry
async def test_c9_loopback_is_asked_for_a_host_that_the_environment_names_and_for_no_other(
    machine: Machine, registry: str
) -> None:
    """The name of an image may be a stranger's; the variables are one's own."""
    machine.environ = {"BERTH_INSECURE_REGISTRIES": registry}
    image = f"{registry}/acme/app:1"
    assert await machine.doctor(image) == (1, "registry.address_forbidden")
    other = triple("CORP", "ghcr.io", USER, PASSWORD)
    assert await machine.doctor(image, **other) == (1, "registry.address_forbidden")
    allowed = {"BERTH_PRIVATE_ADDRESSES": registry}
    assert await machine.doctor(image, **allowed) == (1, "image.credential_missing")
    assert await machine.doctor("169.254.169.254/a/b:1") == (1, "registry.address_forbidden")


async def test_c9_plain_http_is_not_spoken_unasked(machine: Machine) -> None:
    async with HTTPServer.run(lambda _: Reply(status=401)) as plain:
        named = triple("CORP", plain.address, USER, PASSWORD)
        code, found = await machine.doctor(f"{plain.address}/a/b:1", **named)
        assert (code, found) == (1, "registry.tls")
        assert plain.asked == []
        insecure = {"BERTH_INSECURE_REGISTRIES": plain.address}
        await machine.doctor(f"{plain.address}/a/b:1", **named, **insecure)
        assert plain.asked != []


async def test_a_checkout_cannot_stand_for_a_registry(machine: Machine, tmp_path: Path) -> None:
    """A stranger's berth.toml names an authority and an address of his own: nothing reaches him."""
    authority = Authority(tmp_path)
    context = authority.server_context("ghcr.io")
    async with HTTPServer.run(lambda _: Reply(status=401), tls=context) as stranger:
        settings = {"RESOLVE": f"ghcr.io={stranger.address}", "CA_FILE": str(authority.ca_file)}
        lines = [f'{name} = "{value}"' for name, value in settings.items()]
        (machine.folder / "berth.toml").write_text("\n".join(lines))
        named = triple("CORP", "ghcr.io", USER, PASSWORD)
        own = {"BERTH_RESOLVE": "ghcr.io=127.0.0.1:1"}  # so that nobody outside is asked
        await machine.doctor("ghcr.io/a/b:1", **named, **own)
        assert stranger.connections == 0
        await machine.doctor("ghcr.io/a/b:1", **named, **{f"BERTH_{name}": value for name, value in settings.items()})
        assert stranger.asked != [], "one's own variables say the same"


async def test_who_is_logged_in_asks_his_server_unless_he_says_local(machine: Machine) -> None:
    login = {"BERTH_HOST": "http://127.0.0.1:1", "BERTH_TOKEN": "t"}
    asked = await machine.berth("doctor", "127.0.0.2/a/b:1", "--repo", "acme/web", **login)
    assert (asked.exit_code, "127.0.0.1:1" in asked.stderr) == (1, True)
    assert (await machine.berth("doctor", "127.0.0.2/a/b:1", **login)).exit_code == 2
    local = await machine.berth("doctor", "127.0.0.2/a/b:1", "--local", "--json", **login)
    assert json.loads(local.stdout)["finding"]["code"] == "registry.address_forbidden"
    in_ci = await machine.berth("doctor", "127.0.0.2/a/b:1", "--json", GITHUB_REPOSITORY="acme/web")
    assert json.loads(in_ci.stdout)["finding"]["code"] == "registry.address_forbidden"
    assert (await machine.berth("doctor", "127.0.0.2/a/b:1", "--repo", "acme/web")).exit_code == 4


@pytest.mark.parametrize("docker_host", ["ssh://somebody@elsewhere", "nonsense", "tcp://127.0.0.1:1", NO_ENGINE])
async def test_an_engine_that_cannot_be_asked_is_a_warning(machine: Machine, docker_host: str) -> None:
    result = await machine.berth("doctor", "127.0.0.2/a/b:1", "--json", DOCKER_HOST=docker_host)
    states = {check["id"]: check["state"] for check in json.loads(result.stdout)["checks"]}
    assert (states["engine"], states["address"]) == ("warning", "failed")


@pytest.mark.engine
async def test_the_platform_is_that_of_this_machine_s_engine(machine: Machine, docker_host: str) -> None:
    for variable in ("DOCKER_HOST", "BERTH_DOCKER_HOST"):
        result = await machine.berth("doctor", "127.0.0.2/a/b:1", "--json", **{variable: docker_host})
        states = {check["id"]: check["state"] for check in json.loads(result.stdout)["checks"]}
        assert states["engine"] == "passed"


def test_an_unknown_setting_is_2(anonymous_berth: Berth) -> None:
    assert anonymous_berth("doctor", "ghcr.io/a/b:1", "--local").exit_code == 2


@pytest.fixture
def anonymous_berth(monkeypatch: pytest.MonkeyPatch) -> Berth:
    monkeypatch.setenv("BERTH_RESOLV", "x")
    return lambda *argv: CliRunner().invoke(app, list(argv))
