"""A login tried through the API, over the wire: what registries answer, and what an attacker gets of it. Each with a control."""

import base64
import json
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from tests.fakes.docker_registry import run_docker_registry
from tests.fakes.ecr_memory import FakeEcrAPI, make_swaps
from tests.fakes.engine import FakeEngine
from tests.fakes.http_server import Asked, HTTPServer, Reply
from tests.fakes.token_registry import run_token_registry
from tests.rest.schema import check_response
from tests.rest.test_secret import Tokens, files_with
from tests.secret_world import MINE, WEB, SecretWorld, make_secret_world

from berth.adapters.guarded_http import GuardedHTTP, GuardedHTTPSettings
from berth.adapters.registry_http import RegistryHTTP
from berth.adapters.store.database import Store
from berth.domain.address_policy import parse_private_addresses
from berth.rest import registry_check
from berth.rest.app import make_rest_app
from berth.services.image_probe import ImageProbe
from berth.services.registry_check import RegistryCheckService
from berth.services.registry_login import RegistryLogins
from berth.services.secret_access import SecretPlace
from berth.services.services import Services

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
PASSWORD, USER = "c4nary-p4ssword", "c4nary-user"
BASIC = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
QUICK = GuardedHTTPSettings(resolve_timeout_s=5, connect_timeout_s=5, read_timeout_s=5, total_timeout_s=10)
URL = "/user/codespaces/registries/check"


@dataclass
class World:
    """A server that may call the hosts that are listed, over plain http, and nothing else on this machine."""

    secrets: SecretWorld
    folder: Path
    seen: list[str] = field(default_factory=list)

    async def ask(
        self, server: str, *listed: str, password: str = PASSWORD, image: str = "", place: SecretPlace = MINE
    ) -> httpx.Response:
        """olga's request, by a server that may call what is listed."""
        _, user = self.secrets.seal("olga", place, USER)
        key_id, sealed = self.secrets.seal("olga", place, password)
        body = {
            "server": server,
            "key_id": key_id,
            "encrypted_username": user,
            "encrypted_password": sealed,
            "image": image,
        }
        return await self.send(body, *listed)

    async def send(self, body: dict[str, Any], *listed: str, login: str = "olga", url: str = URL) -> httpx.Response:
        settings = replace(QUICK, private_addresses=parse_private_addresses(listed), insecure_hosts=frozenset(listed))
        http = GuardedHTTP(settings)
        registry = RegistryHTTP(http, insecure_registries=frozenset(listed))
        clock, ecr = self.secrets.clock, FakeEcrAPI()
        probe = ImageProbe(registry=registry, engine=FakeEngine(), swaps=make_swaps(ecr, clock))
        service = RegistryCheckService(
            store=self.secrets.store,
            clock=clock,
            sealer=self.secrets.sealer,
            logins=RegistryLogins(registry=registry, probe=probe, ecr=ecr, clock=clock),
        )
        services = cast("Services", SimpleNamespace(registry_checks=service, access_tokens=Tokens(self.secrets)))
        app = Starlette(routes=[Mount("/api/v3", make_rest_app(services, registry_check.ROUTES, None))])
        try:
            async with httpx.AsyncClient(
                transport=httpx.ASGITransport(app), base_url="https://berth.test/api/v3"
            ) as client:
                answer = await client.post(url, json=body, headers={"Authorization": f"token {login}"})
        finally:
            http.close()
        check_response(answer)
        self.seen.append(f"{answer.headers} {answer.text}")
        return answer


@pytest.fixture
async def world(store: Store, tmp_path: Path) -> World:
    return World(await make_secret_world(store, tmp_path), tmp_path)


def outcome(answer: httpx.Response) -> tuple[str, str]:
    assert answer.status_code == 200, answer.text
    body = answer.json()
    return body["outcome"], body["finding"]["code"] if body["finding"] else ""


@dataclass
class Registry:
    """Basic, or Bearer with a token service somewhere; `moved` maps a path to where it redirects."""

    realm: str = ""
    moved: dict[str, str] = field(default_factory=dict)

    def __call__(self, asked: Asked) -> Reply:
        shown = asked.headers.get("authorization", "")
        if asked.path in self.moved:
            return Reply(status=307, headers={"Location": self.moved[asked.path]})
        if asked.path == "/token":
            return Reply(body=b'{"token": "t0k"}') if shown == BASIC else Reply(status=401)
        if shown == ("Bearer t0k" if self.realm else BASIC):
            return Reply(body=b"{}")
        how = f'Bearer realm="{self.realm}",service="r"' if self.realm else 'Basic realm="r"'
        return Reply(status=401, headers={"WWW-Authenticate": how})


@asynccontextmanager
async def serving(make: Callable[[str, str], Registry]) -> AsyncIterator[tuple[HTTPServer, HTTPServer]]:
    """A registry that knows its own address and a sink's, and the sink."""
    handlers: list[Registry] = []

    def answer(asked: Asked) -> Reply:
        return handlers[0](asked)

    async with (
        HTTPServer.run(lambda _: Reply(body=b"{}")) as sink,
        HTTPServer.run(answer) as there,
    ):
        handlers.append(make(there.address, sink.address))
        yield there, sink


@pytest.mark.registry
async def test_the_real_docker_registry(world: World, tmp_path: Path) -> None:
    async with run_docker_registry(tmp_path, USER, PASSWORD) as address:
        assert outcome(await world.ask(address, address)) == ("accepted", "")
        assert outcome(await world.ask(address, address, password="wrong")) == ("refused", "image.unauthorized")
        pulled = await world.ask(address, address, image=f"{address}/acme/app:1")
        assert outcome(pulled) == ("accepted", "")
        assert pulled.json()["digest"].startswith("sha256:")
        missing = await world.ask(address, address, image=f"{address}/acme/app:2")
        assert outcome(missing) == ("accepted", "")
        assert "has no acme/app:2" in missing.json()["warnings"][0]
        refused = await world.ask(address, address, image=f"{address}/acme/app:1", password="wrong")
        assert outcome(refused) == ("refused", "image.unauthorized")


@pytest.mark.registry
async def test_the_real_docker_registry_with_tokens(world: World, tmp_path: Path) -> None:
    async with run_token_registry(tmp_path, USER, PASSWORD) as registry:
        here = registry.address
        assert outcome(await world.ask(here, here)) == ("accepted", "")
        assert registry.shown == [BASIC], "the token says whose it is"
        assert outcome(await world.ask(here, here, password="wrong")) == ("refused", "image.unauthorized")
        registry.careless = True
        assert outcome(await world.ask(here, here, password="wrong")) == ("unknown", "registry.login_not_checked")


async def test_one_attempt_and_no_more(world: World) -> None:
    async with serving(lambda here, _: Registry(realm=f"http://{here}/token")) as (there, _):
        assert outcome(await world.ask(there.address, there.address)) == ("accepted", "")
        assert there.authorizations.count(BASIC) == 1
        wrong = await world.ask(there.address, there.address, password="wrong")
        assert outcome(wrong) == ("refused", "image.unauthorized")
        assert len([shown for shown in there.authorizations if shown.startswith("Basic ")]) == 2


@pytest.mark.parametrize(
    "where", ["127.0.0.1", "localhost", "127.0.0.1.", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "0x7f.1", "127.1"]
)
async def test_c9_a_server_on_this_machine_is_not_called(world: World, where: str) -> None:
    async with serving(lambda *_: Registry()) as (there, _):
        refused = await world.ask(f"{where}:{there.port}")
        if refused.status_code == 200:
            assert outcome(refused) == ("unknown", "registry.address_forbidden")
        else:
            assert (refused.status_code, refused.json()["code"].partition(".")[0]) == (422, "registry_host")
        assert there.connections == 0
        assert outcome(await world.ask(there.address, there.address)) == ("accepted", ""), "control: it is listed"


@pytest.mark.parametrize(
    "where", ["169.254.169.254", "[fd00:ec2::254]", "10.0.0.1:5000", "[64:ff9b::a9fe:a9fe]", "100.64.0.1"]
)
async def test_c9_nor_is_what_is_inside(world: World, where: str) -> None:
    assert outcome(await world.ask(where)) == ("unknown", "registry.address_forbidden")


@pytest.mark.parametrize(
    "make,code,shown",
    [
        pytest.param(lambda _, sink: Registry(realm=f"http://{sink}/token"), "registry.realm_elsewhere", 0, id="a realm"),
        pytest.param(
            lambda here, sink: Registry(f"http://{here}/token", {"/token": f"http://{sink}/token"}),
            "registry.realm_elsewhere", 1, id="its token service sends on",
        ),
        pytest.param(
            lambda _, sink: Registry(moved={"/v2/": f"http://{sink}/v2/"}), "registry.not_a_registry", 0, id="it sends on"
        ),
    ],
)  # fmt: skip
async def test_c7_the_password_goes_nowhere_else(
    world: World, make: Callable[[str, str], Registry], code: str, shown: int
) -> None:
    """The sink may be called, too: it is not for want of a way. `shown`: how often the registry's own token service saw it."""
    async with serving(make) as (there, sink):
        assert outcome(await world.ask(there.address, there.address, sink.address)) == ("unknown", code)
        assert (sink.connections, there.authorizations.count(BASIC)) == (0, shown)
    async with serving(lambda here, _: Registry(realm=f"http://{here}/token")) as (there, sink):
        assert outcome(await world.ask(there.address, there.address, sink.address)) == ("accepted", "")


async def test_s5_a_sealed_value_of_another_owner_is_sent_to_nobody(world: World) -> None:
    """olga's password for her repository, as a Terraform state has it, sent in by somebody else for his own account."""
    key_id, stolen = world.secrets.seal("olga", WEB, PASSWORD)
    _, user = world.secrets.seal("otto", MINE, USER)
    async with serving(lambda *_: Registry()) as (there, _):
        body = {"server": there.address, "key_id": key_id, "encrypted_username": user, "encrypted_password": stolen}
        answer = await world.send(body, there.address, login="otto")
        assert (answer.status_code, answer.json()["code"], there.connections) == (422, "secret.seal_broken", 0)
        mine = world.secrets.seal("otto", MINE, PASSWORD)[1]
        control = await world.send({**body, "encrypted_password": mine}, there.address, login="otto")
        assert (outcome(control), there.authorizations) == (("accepted", ""), [BASIC])
        his = "/repos/acme/web/codespaces/registries/check"
        assert (await world.send(body, there.address, login="otto", url=his)).status_code == 404


async def test_user_and_password_are_in_no_answer_no_log_and_no_file(
    world: World, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    """Neither where it is accepted nor where it fails; a registry that echoes what it was shown changes nothing."""

    def echo(asked: Asked) -> Reply:
        shown = base64.b64decode(asked.headers.get("authorization", "").partition(" ")[2]).decode()
        body = json.dumps({"errors": [{"code": "DENIED", "message": shown}]}).encode()
        return Reply(status=401, headers={"WWW-Authenticate": f'Basic realm="{shown}"'}, body=body)

    caplog.set_level(logging.INFO)
    caplog.set_level(logging.DEBUG, logger="berth")
    async with serving(lambda *_: Registry()) as (there, _), HTTPServer.run(echo) as echoing:
        assert outcome(await world.ask(there.address, there.address))[0] == "accepted"
        assert outcome(await world.ask(echoing.address, echoing.address))[0] == "refused"
        assert echoing.authorizations == [BASIC], "control: it was shown"
        await world.ask(there.address)
        await world.ask(f"{USER}:{PASSWORD}@{there.address}", there.address)
        await world.ask(there.address, there.address, image="other.test/a")
        await world.ask(there.address, there.address, password=f"{PASSWORD}\0")
    said = caplog.text + "".join(repr(record.__dict__) for record in caplog.records) + "".join(world.seen)
    written = files_with(tmp_path, b"c4nary")
    assert ("c4nary" in said, BASIC.partition(" ")[2] in said, written) == (False, False, [])


@pytest.mark.parametrize(
    "change,code",
    [
        ({"server": "https://ana:c4nary@r.test"}, "registry_host.userinfo"),
        ({"server": "acme/app:1"}, "registry_host.image"),
        ({"image": "UP/er"}, "image_reference.upper_case"),
        ({"key_id": "nothing"}, "secret.key_unknown"),
        ({"encrypted_password": "%"}, "secret.seal_broken"),
        ({"encrypted_password": None}, "request.invalid"),
        ({"prefix": "GITHUB"}, "secret.name.reserved"),
    ],
)
async def test_a_body_that_cannot_be_tried(world: World, change: dict[str, Any], code: str) -> None:
    key_id, sealed = world.secrets.seal("olga", MINE, PASSWORD)
    body = {"server": "r.test", "key_id": key_id, "encrypted_username": sealed, "encrypted_password": sealed}
    answer = await world.send(body | change)
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert "c4nary" not in answer.text
