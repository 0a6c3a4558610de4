"""gh as a person has it, pointed at a server in each of the ways that GITHUB_CLIENTS of the references names."""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.api_clients.api_world import ApiWorld
from tests.clients.tool import Program, Said


def _through_socket(world: ApiWorld, folder: Path) -> dict[str, str]:
    """In plain HTTP, to what it believes to be github.com."""
    (folder / "gh").mkdir(exist_ok=True)
    (folder / "gh" / "config.yml").write_text(f"http_unix_socket: {world.socket}\n")
    return {}


# By the names that tests have for them.
WAYS: Mapping[str, Callable[[ApiWorld, Path], dict[str, str]]] = {
    "TLS": lambda world, _: {"GH_HOST": world.tls_host, "SSL_CERT_FILE": str(world.ca_file)},
    "socket": _through_socket,
    "proxy": lambda world, _: {"GH_HOST": "github.localhost", "HTTP_PROXY": world.plain_url},
    "plain": lambda world, _: {"GITHUB_API_URL": f"{world.plain_url}/api/v3"},  # gh codespace only
}
_TOKEN = {"TLS": "GH_ENTERPRISE_TOKEN", "plain": "GH_ENTERPRISE_TOKEN", "socket": "GH_TOKEN", "proxy": "GH_TOKEN"}


class Gh:
    """A call is a command: its output, or the test fails."""

    def __init__(self, world: ApiWorld, way: str, folder: Path, token: str | None = "") -> None:
        """With the world's token, if none is given; None: logged in nowhere."""
        self.way = way
        self.folder = folder
        given = world.token if token == "" else token
        environment = {
            "GH_CONFIG_DIR": str(folder / "gh"),
            "GH_NO_UPDATE_NOTIFIER": "1",
            "GH_PROMPT_DISABLED": "1",
            "GH_BROWSER": "echo",
            **WAYS[way](world, folder),
            **({_TOKEN[way]: given} if given else {}),
        }
        self._gh = Program("gh", folder, environment)
        self._terminal = Program("script", folder, {**environment, "TERM": "xterm"})

    def __call__(self, *arguments: str, stdin: str = "") -> str:
        return self.say(*arguments, stdin=stdin).or_fail()

    def say(self, *arguments: str, stdin: str = "") -> Said:
        return self._gh(*arguments, stdin=stdin.encode())

    def fail(self, *arguments: str, stdin: str = "") -> str:
        said = self.say(*arguments, stdin=stdin)
        assert not said.worked, said.text
        return said.text

    def on_a_terminal(self, command: str) -> str:
        return self._terminal("-qec", f"{shutil.which('gh')} {command}", "/dev/null").or_fail()
