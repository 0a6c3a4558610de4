"""What the demo shows, through the public API alone: a codespace from a private image, and three that fail."""

import base64
import contextlib
import json
import time
from dataclasses import dataclass, field

import httpx
import msgspec

from berth.cli.demo_screen import Screen, Step, expect
from berth.cli.terminal import clean_line
from berth.client import Client, Codespace, PullProgress, SecretOwner
from berth.domain.problem import NotFound
from berth.domain.secret_text import SecretText

ORGANIZATION = "acme"
OTHER_ORGANIZATION = "globex"  # has no secrets of its own, so its repositories show what is missing
REPOSITORY = f"{ORGANIZATION}/webapp"
ADMINISTRATOR = "admin"
PREFIX = "CORP"
CONFIGURATION = ".devcontainer/devcontainer.json"
_POST_CREATE = "echo Made by postCreateCommand as $(id -un) > made-at-creation; cat made-at-creation"
_COMMAND = 'echo "Hello from $CODESPACE_NAME"; id -un; cat made-at-creation'


@dataclass(frozen=True, slots=True)
class PrivateImage:
    """The image and what opens it."""

    name: str
    tag: str
    registry: str
    user: str
    password: SecretText

    @property
    def reference(self) -> str:
        return f"{self.name}:{self.tag}"


@dataclass(frozen=True, slots=True)
class Failure:
    """A way to fail: the secrets of a repository and its image, and the code that Berth must answer with."""

    title: str
    repository: str
    triple: dict[str, SecretText]
    image: str
    code: str


@dataclass
class Story:
    """The scenes in their order. `codespaces` are the names of all that were made, for whoever cleans up."""

    screen: Screen
    client: Client
    token: SecretText
    image: PrivateImage
    codespaces: list[str] = field(default_factory=list)

    def make_organization(self) -> None:
        title = "Organization and repository"
        with self.screen.step(title, f"Organization {ORGANIZATION}, private repository {REPOSITORY}") as step:
            for login in (ORGANIZATION, OTHER_ORGANIZATION):
                self.client.create_organization(login, ADMINISTRATOR)
            self._make_repository(REPOSITORY, self.image.reference)
            self.screen.note(f'{CONFIGURATION}: "image": "{self.image.reference}"')
            step.in_table = REPOSITORY

    def store_triple(self) -> None:
        title = "Three secrets"
        done = f"Three secrets of {ORGANIZATION}, sealed here, stored encrypted"
        with self.screen.step(title, done) as step:
            owner = SecretOwner.organization(ORGANIZATION)
            for name, value in self._triple(self.image.user, self.image.password).items():
                self.client.set_secret(owner, name, value, visibility="all")
                self.screen.note(f"{name} = {'********' if name.endswith('PASSWORD') else value.reveal()}")
            stored = {secret.name for secret in self.client.list_secrets(owner)}
            expect(len(stored) == 3, f"The organization has these secrets instead of three: {sorted(stored)}")
            step.in_table = f"{PREFIX}_CONTAINER_REGISTRY_*"

    def launch(self) -> Codespace:
        """The codespace, with its phases as they come."""
        with self.screen.step("Codespace from the private image", live=True) as step:
            codespace = self._launch(REPOSITORY, step)
            finding = codespace.finding
            why = f" ({finding.code}: {finding.sentence})" if finding else ""
            expect(codespace.state == "Available", f"The codespace is {codespace.state}{why}.")
            step.done = f"Codespace {codespace.name} is {codespace.state}"
        return codespace

    def _launch(self, repository: str, step: Step) -> Codespace:
        started = time.perf_counter()
        name = self.client.create_codespace(repository).name
        self.codespaces.append(name)
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
        return self.client.get_codespace(name)

    def run_command(self, codespace: str) -> None:
        with self.screen.step("A command inside", f"A command ran inside {codespace}") as step:
            result = self.client.execute(codespace, ["sh", "-c", _COMMAND])
            lines = result.data.decode(errors="replace").splitlines()
            for line in lines:
                self.screen.note(f"| {clean_line(line)}")
            wanted = [f"Hello from {codespace}", "dev", "Made by postCreateCommand as dev"]
            expect(result.exit_code == 0, f"The command ended with exit code {result.exit_code}.")
            expect(lines == wanted, f"The command printed {lines}.")
            step.in_table = "exit code 0"

    def check_docker_config(self, codespace: str) -> None:
        """`~/.docker/config.json` holds this registry's credential and no other. The password is never shown."""
        title = "Registry login inside"
        with self.screen.step(title, "docker, podman and skopeo inside are logged in") as step:
            result = self.client.execute(codespace, ["sh", "-c", "cat ~/.docker/config.json"])
            expect(result.exit_code == 0, "There is no ~/.docker/config.json in the codespace.")
            auths = json.loads(result.data)["auths"]
            expect(list(auths) == [self.image.registry], f"The docker config is for {list(auths)}.")
            user, _, password = base64.b64decode(auths[self.image.registry]["auth"]).decode().partition(":")
            expect(user == self.image.user, f"The docker config names the user {user}.")
            expect(SecretText(password) == self.image.password, "The docker config has another password.")
            self.screen.note(f"~/.docker/config.json: {self.image.registry} -> {user}:********")
            step.in_table = f"{user} at {self.image.registry}"

    def show_failures(self) -> None:
        user, wrong = self.image.user, SecretText("not-the-password")
        whole = self._triple(user, wrong)
        partial = {name: value for name, value in whole.items() if not name.endswith("_PASSWORD")}
        missing = f"{self.image.name}:no-such-tag"
        for failure in (
            Failure("Wrong password", f"{OTHER_ORGANIZATION}/wrong-password", whole, self.image.reference,
                    "image.unauthorized"),
            Failure("PASSWORD secret missing", f"{OTHER_ORGANIZATION}/no-password", partial, self.image.reference,
                    "credential.incomplete"),
            Failure("Image does not exist", f"{ORGANIZATION}/no-image", {}, missing, "image.not_found"),
        ):  # fmt: skip
            self._show_failure(failure)

    def _show_failure(self, failure: Failure) -> None:
        with self.screen.step(failure.title) as step:
            self._make_repository(failure.repository, failure.image)
            for name, value in failure.triple.items():
                self.client.set_secret(SecretOwner.repository(failure.repository), name, value)
            name = self.client.create_codespace(failure.repository).name
            self.codespaces.append(name)
            for _ in self.client.follow_log(name):
                pass
            codespace = self.client.get_codespace(name)
            finding = codespace.finding
            expect(codespace.state == "Failed", f"The codespace of {failure.repository} is {codespace.state}.")
            if finding is None:
                expect(finding, f"The codespace of {failure.repository} failed without a finding.")
                return
            self.screen.fact("Berth says", clean_line(finding.sentence))
            self.screen.fact("code", finding.code)
            self.screen.fact("who mends", finding.fixer.replace("_", " "))
            self.screen.fact("next step", clean_line(finding.next_step))
            expect(finding.code == failure.code, f"Berth's code is {finding.code}, not {failure.code}.")
            expect(finding.next_step and finding.fixer, "Berth does not say what to do, or who.")
            step.done = f"{failure.title}: the launch failed and said why"
            step.in_table = finding.code

    def delete_codespaces(self) -> None:
        """Ask Berth to delete every codespace that there is: those of the story, and what was tried by hand since."""
        self.codespaces.extend({each.name for each in self.client.list_codespaces()} - set(self.codespaces))
        for name in self.codespaces:
            with contextlib.suppress(NotFound):  # deleted by hand
                self.client.delete_codespace(name)

    def _make_repository(self, full_name: str, image: str) -> None:
        self.client.create_repository(full_name, private=True)
        configuration = {"image": image, "remoteUser": "dev", "postCreateCommand": _POST_CREATE}
        content = json.dumps(configuration, indent=2).encode() + b"\n"
        answer = httpx.put(
            f"{self.client.origin}/api/v3/repos/{full_name}/contents/{CONFIGURATION}",
            headers={"Authorization": f"token {self.token.reveal()}"},
            json={"message": "Add the dev container", "content": base64.b64encode(content).decode()},
            timeout=30,
            trust_env=False,
        )
        expect(answer.status_code == 201, f"Committing {CONFIGURATION} was answered with {answer.status_code}.")

    def _triple(self, user: str, password: SecretText) -> dict[str, SecretText]:
        values = {"SERVER": SecretText(self.image.registry), "USER": SecretText(user), "PASSWORD": password}
        return {f"{PREFIX}_CONTAINER_REGISTRY_{part}": value for part, value in values.items()}


def _pull(progress: PullProgress) -> str:
    layers = f"{progress.layers_done} of {progress.layers_total} layers"
    return f"pulled {_size(progress.bytes_done)} of {_size(progress.bytes_total)}, {layers}"


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.1f} MB" if size_bytes >= 100_000 else f"{size_bytes / 1e3:.0f} kB"
