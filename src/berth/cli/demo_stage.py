"""What both acts of the demo work with: the public API of a Berth that runs, and a screen to show it on."""

import base64
import contextlib
import json
import time
from dataclasses import dataclass, field
from typing import Any

import httpx
import msgspec

from berth.cli.demo_screen import Screen, Step, Unexpected, expect
from berth.cli.terminal import clean_line
from berth.client import Client, Codespace, PullProgress
from berth.domain.problem import NotFound
from berth.domain.secret_text import SecretText

ORGANIZATION = "acme"
ADMINISTRATOR = "admin"
CONFIGURATION = ".devcontainer/devcontainer.json"
_POST_CREATE = "echo Made by postCreateCommand as $(id -un) > made-at-creation; cat made-at-creation"


@dataclass
class Stage:
    """`codespaces` are the names of all that were made, for whoever cleans up."""

    screen: Screen
    client: Client
    token: SecretText
    codespaces: list[str] = field(default_factory=list)

    @property
    def host(self) -> str:
        """Where Berth answers: what the names of its own images begin with."""
        return self.client.origin.partition("://")[2]

    def call(self, method: str, path: str, body: dict[str, Any] | None = None, *, status: int) -> Any:
        """A request that the client has no word for. Raises Unexpected unless it is answered with this status."""
        answer = httpx.request(
            method,
            f"{self.client.origin}/api/v3{path}",
            headers={"Authorization": f"token {self.token.reveal()}"},
            json=body,
            timeout=30,
            trust_env=False,
        )
        expect(answer.status_code == status, f"{method} {path} was answered with {answer.status_code}: {answer.text}")
        return answer.json() if answer.content else None

    def make_repository(self, full_name: str, image: str) -> None:
        """A private repository with a dev container of that image."""
        self.client.create_repository(full_name, private=True)
        configuration = {"image": image, "remoteUser": "dev", "postCreateCommand": _POST_CREATE}
        content = json.dumps(configuration, indent=2).encode() + b"\n"
        body = {"message": "Add the dev container", "content": base64.b64encode(content).decode()}
        self.call("PUT", f"/repos/{full_name}/contents/{CONFIGURATION}", body, status=201)

    def launch(self, repository: str, step: Step) -> Codespace:
        """A codespace that becomes available, with its phases as they come."""
        started = time.perf_counter()
        name = self._create(repository)
        pulled = PullProgress()
        for entry in self.client.follow_log(name):
            seconds = time.perf_counter() - started
            if entry.kind == "phase":
                self.screen.note(f"{seconds:6.2f} s  {clean_line(entry.text)}")
            elif entry.kind == "progress":
                now = msgspec.json.decode(entry.text, type=PullProgress)
                if now.layers_total and now != pulled:
                    self.screen.note(f"{seconds:6.2f} s    {_pull(now)}")
                pulled = now
        if pulled.layers_total:
            step.in_table = f"{_size(pulled.bytes_done)} pulled"
        codespace = self._available(name)
        step.done = f"Codespace {codespace.name} is {codespace.state}"
        return codespace

    def wait_until_available(self, name: str) -> None:
        self._wait(name)
        self._available(name)

    def _create(self, repository: str) -> str:
        name = self.client.create_codespace(repository).name
        self.codespaces.append(name)
        return name

    def _available(self, name: str) -> Codespace:
        codespace = self.client.get_codespace(name)
        finding = codespace.finding
        why = f" ({finding.code}: {finding.sentence})" if finding else ""
        expect(codespace.state == "Available", f"The codespace is {codespace.state}{why}.")
        return codespace

    def _wait(self, name: str) -> None:
        for _ in self.client.follow_log(name):
            pass

    def show_refusal(self, repository: str, code: str, step: Step) -> Codespace:
        """A launch that fails with this code, and what Berth says about it."""
        name = self._create(repository)
        self._wait(name)
        codespace = self.client.get_codespace(name)
        finding = codespace.finding
        expect(codespace.state == "Failed", f"The codespace of {repository} is {codespace.state}.")
        if finding is None:
            raise Unexpected(f"The codespace of {repository} failed without a finding.")
        self.screen.fact("Berth says", clean_line(finding.sentence))
        self.screen.fact("code", finding.code)
        self.screen.fact("who mends", finding.fixer.replace("_", " "))
        self.screen.fact("next step", clean_line(finding.next_step))
        expect(finding.code == code, f"Berth's code is {finding.code}, not {code}.")
        expect(finding.next_step and finding.fixer, "Berth does not say what to do, or who.")
        step.in_table = finding.code
        return codespace

    def read_docker_config(self, codespace: str) -> dict[str, tuple[str, SecretText]]:
        """Whom docker, podman and skopeo inside are logged in as: host → user and password."""
        result = self.client.execute(codespace, ["sh", "-c", "cat ~/.docker/config.json"])
        expect(result.exit_code == 0, "There is no ~/.docker/config.json in the codespace.")
        logins = {}
        for host, entry in json.loads(result.data)["auths"].items():
            user, _, password = base64.b64decode(entry["auth"]).decode().partition(":")
            logins[host] = user, SecretText(password)
        return logins

    def delete_codespaces(self) -> None:
        """Ask Berth to delete every codespace that there is: those of the story, and what was tried by hand since."""
        self.codespaces.extend({each.name for each in self.client.list_codespaces()} - set(self.codespaces))
        for name in self.codespaces:
            with contextlib.suppress(NotFound):  # deleted by hand
                self.client.delete_codespace(name)


def _pull(progress: PullProgress) -> str:
    layers = f"{progress.layers_done} of {progress.layers_total} layers"
    return f"pulled {_size(progress.bytes_done)} of {_size(progress.bytes_total)}, {layers}"


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.1f} MB" if size_bytes >= 100_000 else f"{size_bytes / 1e3:.0f} kB"
