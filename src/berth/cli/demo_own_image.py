"""The demo's first act: an image in Berth's own registry, private, and no secret at all.

A job of the repository publishes it; a codespace of that repository opens it; one of another repository does not, nor
does one of the same repository once that is public; an administrator of the package lets them.
"""

import httpx

from berth.cli.demo_image import DemoEngine
from berth.cli.demo_screen import Step, expect
from berth.cli.demo_stage import ADMINISTRATOR, CONFIGURATION, ORGANIZATION, Stage
from berth.client import PackageGrantee, SecretOwner
from berth.domain.secret_text import SecretText

REPOSITORY = f"{ORGANIZATION}/webapp"
OTHER_REPOSITORY = f"{ORGANIZATION}/tools"
PACKAGE = "dev"


class OwnImageAct:
    """The scenes in their order."""

    def __init__(self, stage: Stage, engine: DemoEngine) -> None:
        self._stage = stage
        self._screen = stage.screen
        self._engine = engine
        self._refused: dict[str, str] = {}  # repository → codespace
        self.name = f"{stage.host}/{ORGANIZATION}/{PACKAGE}"
        self.reference = f"{self.name}:1"

    def perform(self) -> None:
        self.make_repository()
        self.publish()
        self.launch()
        self.refuse_another()
        self.refuse_public()
        self.allow()

    def make_repository(self) -> None:
        done = f"Organization {ORGANIZATION}, private repository {REPOSITORY}"
        with self._screen.step("Organization and repository", done) as step:
            self._stage.client.create_organization(ORGANIZATION, ADMINISTRATOR)
            self._make_repository(REPOSITORY)
            step.in_table = REPOSITORY

    def _make_repository(self, full_name: str) -> None:
        self._stage.make_repository(full_name, self.reference)
        self._screen.note(f'{CONFIGURATION}: "image": "{self.reference}"')

    def publish(self) -> None:
        with self._screen.step("Image pushed to Berth", f"docker push {self.reference}") as step:
            body = {"permissions": {"packages": "write"}}
            made = self._stage.call("POST", f"/repos/{REPOSITORY}/workflow-tokens", body, status=201)
            self._screen.note(
                f"by a CI job of {REPOSITORY}: its token is good for an hour and for this repository only"
            )
            self._engine.make_image(self.reference)
            self._engine.push(self.reference, "ci", SecretText(made["token"]))
            self._engine.remove_images(self.name)
            expect(not self._engine.has_image(self.reference), f"The engine still has {self.reference}.")
            status = self._ask_anonymously()
            expect(status == 401, f"Anonymous callers are answered with {status}.")
            self._screen.note(
                f"The new package {ORGANIZATION}/{PACKAGE} is private and inherits its access from {REPOSITORY}. The engine "
                "has no copy any more."
            )
            step.in_table = f"{ORGANIZATION}/{PACKAGE}, private"

    def _ask_anonymously(self) -> int:
        token = httpx.get(
            f"{self._stage.client.origin}/token",
            params={"scope": f"repository:{ORGANIZATION}/{PACKAGE}:pull"},
            trust_env=False,
        ).json()["token"]
        answer = httpx.get(
            f"{self._stage.client.origin}/v2/{ORGANIZATION}/{PACKAGE}/manifests/1",
            headers={"Authorization": f"Bearer {token}"},
            trust_env=False,
        )
        return answer.status_code

    def launch(self) -> None:
        secrets = self._stage.client.list_secrets(SecretOwner.organization(ORGANIZATION))
        expect(not secrets, "The organization has secrets.")
        with self._screen.step("Codespace, and no secret at all", live=True) as step:
            codespace = self._stage.launch(REPOSITORY, step)
            ((host, (user, password)),) = self._stage.read_docker_config(codespace.name).items()
            expect(host == self._stage.host, f"The docker config is for {host}.")
            expect(password.reveal().startswith("ghu_"), "The docker config does not hold the codespace's token.")
            self._screen.note(
                f"Nobody stored a credential: the codespace's own token opens the image, and is what docker inside is "
                f"logged in with ({host} -> {user}:********)."
            )

    def refuse_another(self) -> None:
        title = "Another repository's codespace"
        with self._screen.step(title, f"{OTHER_REPOSITORY} names the same image: refused") as step:
            self._make_repository(OTHER_REPOSITORY)
            self._show_refusal(OTHER_REPOSITORY, "neither linked to the package", step)

    def refuse_public(self) -> None:
        title = "A public repository's codespace"
        with self._screen.step(title, f"{REPOSITORY} becomes public: refused, though the image is its own") as step:
            self._stage.call("PATCH", f"/repos/{REPOSITORY}", {"visibility": "public"}, status=200)
            self._show_refusal(REPOSITORY, "a public repository needs", step)

    def _show_refusal(self, repository: str, rule: str, step: Step) -> None:
        codespace = self._stage.show_refusal(repository, "package.codespace_denied", step)
        said = codespace.finding.sentence if codespace.finding else ""
        expect(rule in said, f"Berth does not name the rule: {said}")
        self._refused[repository] = codespace.name

    def allow(self) -> None:
        title = "Both allowed, by name"
        with self._screen.step(title, "Both are put on the package's Codespaces access list: they launch") as step:
            package = f"{ORGANIZATION}/{PACKAGE}"
            for repository, name in self._refused.items():
                self._stage.client.grant_package(package, PackageGrantee("codespaces", repository), None)
                self._screen.note(f"berth package grant {package} --codespaces {repository}")
                self._stage.client.start_codespace(name)
            for name in self._refused.values():
                self._stage.wait_until_available(name)
                self._screen.note(f"{name} was refused; started again, it is Available.")
            step.in_table = "2 codespaces"
