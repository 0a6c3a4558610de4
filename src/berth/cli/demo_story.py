"""The demo's second act: a private image in somebody else's registry, three secrets, a codespace; and three that fail."""

from dataclasses import dataclass

from berth.cli.demo_screen import Screen, expect
from berth.cli.demo_stage import ADMINISTRATOR, CONFIGURATION, ORGANIZATION, Stage
from berth.cli.terminal import clean_line
from berth.client import Client, Codespace, SecretOwner
from berth.domain.secret_text import SecretText

OTHER_ORGANIZATION = "globex"  # has no secrets of its own, so its repositories show what is missing
REPOSITORY = f"{ORGANIZATION}/backend"
PREFIX = "CORP"
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
    """The scenes in their order."""

    stage: Stage
    image: PrivateImage

    @property
    def screen(self) -> Screen:
        return self.stage.screen

    @property
    def client(self) -> Client:
        return self.stage.client

    def make_repository(self) -> None:
        with self.screen.step("Repository", f"Private repository {REPOSITORY}") as step:
            self.client.create_organization(OTHER_ORGANIZATION, ADMINISTRATOR)
            self.stage.make_repository(REPOSITORY, self.image.reference)
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
        with self.screen.step("Codespace from the private image", live=True) as step:
            return self.stage.launch(REPOSITORY, step)

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
            logins = self.stage.read_docker_config(codespace)
            expect(set(logins) == {self.image.registry, self.stage.host}, f"The docker config is for {list(logins)}.")
            user, password = logins[self.image.registry]
            expect(user == self.image.user, f"The docker config names the user {user}.")
            expect(password == self.image.password, "The docker config has another password.")
            for host, (name, _) in logins.items():
                self.screen.note(f"~/.docker/config.json: {host} -> {name}:********")
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
        with self.screen.step(failure.title, f"{failure.title}: the launch failed and said why") as step:
            self.stage.make_repository(failure.repository, failure.image)
            for name, value in failure.triple.items():
                self.client.set_secret(SecretOwner.repository(failure.repository), name, value)
            self.stage.show_refusal(failure.repository, failure.code, step)

    def _triple(self, user: str, password: SecretText) -> dict[str, SecretText]:
        values = {"SERVER": SecretText(self.image.registry), "USER": SecretText(user), "PASSWORD": password}
        return {f"{PREFIX}_CONTAINER_REGISTRY_{part}": value for part, value in values.items()}
