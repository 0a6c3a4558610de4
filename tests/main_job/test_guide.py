"""docs/guide: both languages say the same, and what they show is what happens: real server, engine, docker and registry.

A block marked `console` is a terminal: lines that begin with `$ ` are typed, and go on in the next line after `|` or a
backslash; the others are what is printed. There `…` stands for anything, alone on a line for any number of lines, and how
many spaces there are counts for nothing. A command of which nothing is shown may print what it likes. A command ends well
unless what is shown of it says otherwise. Anything else than a terminal is marked `text`.
"""

import asyncio
import json
import os
import re
import shutil
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from tests.fakes.certificates import Authority
from tests.fakes.ecr import SECRET, FakeECR
from tests.fakes.http_server import HTTPServer
from tests.fakes.provider_registry import PASSWORD as ACR_PASSWORD
from tests.fakes.providers import PROGRAMS
from tests.main_job.test_ecr import HOST as ECR
from tests.main_job.test_ecr import image as ecr_image
from tests.program_image import program_layer
from tests.server import Server
from tests.world import REGISTRY_PASSWORD, World, engine_api, import_image, push

from berth.cli.demo_registry import DemoRegistry
from berth.domain.registry_host import normalise_registry_host
from berth.domain.registry_provider import Provider, provider_of_host

FOLDER = Path(__file__).parents[2] / "docs" / "guide"
ENGLISH, SPANISH = FOLDER / "private-images.md", FOLDER / "private-images.es.md"
LANGUAGES = pytest.mark.parametrize("path", [ENGLISH, SPANISH], ids=["English", "Spanish"])

# What a guide to private images has to tell, with the heading that tells it in each language, in order.
SECTIONS = (
    ("what a registry is, and which ones need secrets", 2, "About image registries", "Qué es un registro de imágenes"),
    ("the built-in registry", 2, "Images in Berth's own registry", "Imágenes en el registro propio de Berth"),
    (
        "the codespace's own repository published it",
        3,
        "An image that the codespace's own repository published",
        "Una imagen publicada por el repositorio del codespace",
    ),
    ("what is inherited, and by whose push", 4, "Inherited access", "El acceso heredado"),
    (
        "internal, and the exception of public repositories",
        3,
        "An image for all of an organization's codespaces",
        "Una imagen para todos los codespaces de una organización",
    ),
    ("the access list", 3, "An image for some repositories", "Una imagen para algunos repositorios"),
    (
        "pushing takes a token with write:packages; better from CI",
        3,
        "Publish an image from a codespace",
        "Publicar una imagen desde un codespace",
    ),
    ("three secrets, their levels, who gets them", 2, "Images in other registries", "Imágenes en otros registros"),
    ("Azure, and that variables come with a start", 3, "Examples", "Ejemplos"),
    ("keys, permissions, ready tokens, prefixes", 4, "Amazon ECR", "Amazon ECR"),
    ("what SERVER is at each", 3, "Common servers", "Servidores habituales"),
    ("why there is no image", 2, "When an image does not come", "Cuando una imagen no llega"),
)
SERVERS = (Provider.DOCKER_HUB, Provider.GHCR, Provider.ACR, Provider.ECR, Provider.GOOGLE)

# What a reader's own files hold.
FILES = {
    "registry-password": REGISTRY_PASSWORD,
    "old-password": "the one before",
    "acr-password": ACR_PASSWORD,
    "aws-secret-key": SECRET,
}
REGISTRY_USER = "acme-bot"
SCOPES = ("repo", "codespace", "admin:org", "write:packages", "user")
_REFUSALS = ("FAILED", "pulls only")


@dataclass(frozen=True, slots=True)
class Step:
    """A command, and what is shown of what it prints."""

    command: str
    shown: tuple[str, ...]

    @property
    def ends_well(self) -> bool:
        return not any(word in line for line in self.shown for word in _REFUSALS)


def fences(text: str) -> list[tuple[str, list[str]]]:
    """Every block: its mark and its lines."""
    return [
        (mark, body.splitlines()) for mark, body in re.findall(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    ]


def without_remark(line: str) -> str:
    """Remarks are in the reader's language."""
    return re.sub(r"\s{2,}# .*", "", line)


def steps(text: str) -> list[Step]:
    found: list[Step] = []
    for mark, lines in fences(text):
        if mark != "console":
            continue
        for line in map(without_remark, lines):
            if line.startswith("$ "):
                found.append(Step(line.removeprefix("$ "), ()))
            elif found[-1].command.endswith(("|", "\\")) and not found[-1].shown:
                found[-1] = replace(found[-1], command=f"{found[-1].command}\n{line}")
            else:
                found[-1] = replace(found[-1], shown=(*found[-1].shown, line))
    return found


def is_as_shown(shown: tuple[str, ...], said: str) -> bool:
    lines = [" ".join(line.split()) for line in shown]
    pattern = "".join(
        r"(?:.*\n)*" if line == "…" else f"{'.*'.join(map(re.escape, line.split('…')))}\n" for line in lines
    )
    return re.fullmatch(pattern, "".join(f"{' '.join(line.split())}\n" for line in said.splitlines())) is not None


def headings(text: str) -> list[tuple[int, str]]:
    outside = re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
    return [(len(marks), title) for marks, title in re.findall(r"^(#+) (.+)$", outside, re.MULTILINE)]


def anchor(title: str) -> str:
    """As GitHub makes one of a heading."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


@LANGUAGES
def test_every_section_is_there(path: Path) -> None:
    place = 2 if path == ENGLISH else 3
    assert headings(path.read_text())[1:] == [(row[1], row[place]) for row in SECTIONS]


@LANGUAGES
def test_every_link_leads_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text().replace("\n", " ")):
        if target.startswith("https://"):
            continue
        name, _, fragment = target.partition("#")
        page = (path.parent / name).resolve() if name else path
        assert page.is_file(), target
        assert not fragment or fragment in {anchor(title) for _, title in headings(page.read_text())}, target


def test_both_languages_show_the_same_blocks() -> None:
    english, spanish = (fences(path.read_text()) for path in (ENGLISH, SPANISH))
    assert {mark for mark, _ in english} == {"console", "text"}
    for (mark, ours), (other_mark, theirs) in zip(english, spanish, strict=True):
        assert mark == other_mark
        if mark == "console":
            assert [without_remark(line) for line in theirs] == [without_remark(line) for line in ours]
        else:
            assert [line.partition("(")[0] for line in theirs] == [line.partition("(")[0] for line in ours]


@LANGUAGES
def test_the_common_servers_are_those(path: Path) -> None:
    text = path.read_text()
    title = "### Common servers" if path == ENGLISH else "### Servidores habituales"
    rows = re.findall(r"^\| \[[^|]+\) \| (.+) \|$", text.partition(title)[2].partition("\n## ")[0], re.MULTILINE)
    examples = {"NAME": "acme", "ACCOUNT": "123456789012", "REGION": "eu-west-1", "LOCATION": "europe"}
    for provider, cell in zip(SERVERS, rows, strict=True):
        hosts = re.findall(r"`([^`]+)`", cell)
        assert hosts
        for host in hosts:
            real = re.sub("|".join(examples), lambda found: examples[found[0]], host)
            assert provider_of_host(normalise_registry_host(real).host) is provider, host


def test_commands_are_told_from_what_they_print() -> None:
    block = "x\n```console\n$ a |\n    b   # why\nout\n    more\n$ c\n```\n```text\n$ d\n```\n"
    assert steps(block) == [Step("a |\n    b", ("out", "    more")), Step("c", ())]
    assert not Step("berth doctor", ("FAILED   login",)).ends_well


def test_the_comparison_sees_a_difference() -> None:
    assert is_as_shown(("…", "a  b … d"), "x\ny\na\tb c  d\n")
    assert is_as_shown((), "")
    assert not is_as_shown(("…", "a b"), "a b\nc\n")
    assert not is_as_shown(("a … d",), "a c\n")


class Shell:
    """One bash for all commands, as at a terminal: what is set in one is there in the next. Both outputs come together."""

    _MARK = "--- that was it:"

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    @asynccontextmanager
    async def open(cls, folder: Path, environment: Mapping[str, str]) -> AsyncIterator["Shell"]:
        process = await asyncio.create_subprocess_exec(
            "bash", "--noprofile", "--norc", cwd=folder, env=dict(environment), limit=1 << 22,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        try:
            yield cls(process)
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()

    async def run(self, command: str) -> tuple[int, str]:
        """How it ended, and what it printed. Nobody answers if it asks."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{{ {command}\n}} < /dev/null\nprintf '\\n{self._MARK} %s\\n' $?\n".encode())
        await self._process.stdin.drain()
        said: list[str] = []
        while line := (await self._process.stdout.readline()).decode(errors="replace"):
            if line.startswith(self._MARK):
                return int(line.removeprefix(self._MARK)), "".join(said)[:-1]
            said.append(line)
        raise AssertionError(f"the shell ended in {command}: {''.join(said)}")


@dataclass(frozen=True, slots=True)
class Reader:
    """Somebody who follows the guide: at this terminal, with these names in the place of those that the guide uses."""

    shell: Shell
    places: Mapping[str, str]
    server: Server
    token: str

    def put(self, text: str) -> str:
        for name, real in self.places.items():
            text = text.replace(name, real)
        return text

    async def follow(self, step: Step) -> None:
        command, shown = self.put(step.command), tuple(map(self.put, step.shown))
        code, said = await self.shell.run(command)
        assert (code == 0) == step.ends_well, f"$ {command}\n{said}\nended with {code}"
        if shown:
            wanted = "\n".join(shown)
            assert is_as_shown(shown, said), f"$ {command}\n{said}\nis not what is shown:\n{wanted}"
        if command.startswith("berth codespace stop "):  # people type slower than the next command comes here
            async with self.server.api(self.token) as api:
                (codespace,) = (await api.get("/user/codespaces")).json()["codespaces"]
                await self.server.until_at_rest(api, codespace["name"])


@dataclass(frozen=True, slots=True)
class Others:
    """The registries that are not Berth's, and what the server has to be told to find them."""

    registry: str
    ready_token: str
    environment: Mapping[str, str]


@asynccontextmanager
async def other_registries(folder: Path, docker_host: str) -> AsyncIterator[Others]:
    """Debian's for the company's own. Those of Azure and AWS cannot be had here: programs play them, under their names."""
    fake, authority = FakeECR(), Authority(folder)
    acr = PROGRAMS[Provider.ACR]
    until = datetime.now(UTC) + timedelta(hours=12)
    fake.tokens[ready := "a-token-that-aws-has-printed"] = until
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        async with engine_api(docker_host) as docker:
            fake.content = ecr_image("team/dev", (await docker.get("/version")).json()["Arch"])
        registry = await enter(DemoRegistry({REGISTRY_USER: REGISTRY_PASSWORD}))
        image = await import_image(docker_host, f"{registry.host}/team/dev", "1")
        await push(docker_host, image, REGISTRY_USER, REGISTRY_PASSWORD)
        azure = await enter(HTTPServer.run(acr, tls=authority.server_context(acr.host)))
        amazon = await enter(HTTPServer.run(fake, tls=authority.server_context(ECR)))
        swaps = await enter(HTTPServer.run(fake))
        yield Others(
            registry.host,
            ready,
            {
                "BERTH_RESOLVE": f"{acr.host}={azure.address},{ECR}={amazon.address}",
                "BERTH_CA_FILE": str(authority.ca_file),
                "BERTH_ECR_ENDPOINT": f"http://{swaps.address}",
                "BERTH_INSECURE_REGISTRIES": registry.host,
            },
        )


async def make_ada(api: httpx.AsyncClient) -> str:
    """She owns the organization; her token."""
    for url, body in (
        ("/admin/users", {"login": "ada", "email": "ada@example.com"}),
        ("/admin/organizations", {"login": "acme", "admin": "ada"}),
    ):
        answer = await api.post(url, json=body)
        assert answer.status_code == 201, answer.text
    made = await api.post("/admin/users/ada/authorizations", json={"scopes": list(SCOPES)})
    return str(made.raise_for_status().json()["token"])


def make_program(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o700)


def surroundings(folder: Path, docker_host: str) -> dict[str, str]:
    """The environment of the reader's terminal: a home of its own, and the `berth` that is tested."""
    bin_folder = folder / "bin"
    bin_folder.mkdir()
    make_program(bin_folder / "berth", f'exec {sys.executable} -m berth "$@"')
    make_program(bin_folder / "aws", f"cat {folder}/printed-by-aws")  # AWS cannot be asked here
    make_program(bin_folder / "askpass", f"cat {folder}/home/my-token")
    git = {"GIT_ASKPASS": str(bin_folder / "askpass"), "GIT_TERMINAL_PROMPT": "0", "GIT_CONFIG_NOSYSTEM": "1"}
    for role in ("AUTHOR", "COMMITTER"):
        git |= {f"GIT_{role}_NAME": "Ada", f"GIT_{role}_EMAIL": "ada@example.com"}
    return {
        "PATH": f"{bin_folder}:{os.environ['PATH']}",
        "HOME": str(folder / "home"),
        "DOCKER_HOST": docker_host,
        "LANG": "C.UTF-8",
        **git,
    }


def skopeo_layer(own_host: str) -> bytes:
    """A dev image with skopeo, which is told that this registry has no TLS."""
    policy = json.dumps({"default": [{"type": "insecureAcceptAnything"}]})
    registries = f'[[registry]]\nlocation = "{own_host}"\ninsecure = true\n'
    files = {"etc/containers/policy.json": policy, "etc/containers/registries.conf": registries}
    program = shutil.which("skopeo")
    assert program is not None
    return program_layer({"bin/skopeo": Path(program)}, files)


@pytest.fixture
async def reader(networked: World, tmp_path: Path) -> AsyncIterator[Reader]:
    docker_host, address = networked.docker_host, networked.server.address
    home = tmp_path / "home"
    home.mkdir()
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        others = await enter(other_registries(tmp_path, docker_host))
        data = tmp_path / "data"
        server = await enter(Server(data, docker_host, environment=dict(others.environment), address=address))
        own_host = server.url.removeprefix("http://")
        async with server.api() as api:
            token = await make_ada(api)
        for name, content in {**FILES, "my-token": token}.items():
            (home / name).write_text(content)
        (tmp_path / "printed-by-aws").write_text(others.ready_token)
        await import_image(docker_host, "dev", "latest", layer=skopeo_layer(own_host))
        shell = await enter(Shell.open(home, surroundings(tmp_path, docker_host)))
        places = {
            "https://berth.example.com": server.url,
            "berth.example.com": own_host,
            "registry.example.com": others.registry,
        }
        yield Reader(shell, places, server, token)


@pytest.mark.engine
@pytest.mark.registry
@pytest.mark.timeout(600)  # some fifty programs, one after the other
async def test_what_the_guide_shows_is_what_happens(reader: Reader) -> None:
    """The English one: the Spanish one has the same blocks."""
    for step in steps(ENGLISH.read_text()):
        await reader.follow(step)
