"""What a launch is told when the built-in registry refuses its image (A13, DESIGN section 5)."""

from dataclasses import replace

import pytest

from berth.domain.access import RepositoryFacts, Subject
from berth.domain.access_token import TokenKind
from berth.domain.finding import Finding, Fixer
from berth.domain.package import PackageName
from berth.domain.package_access import PackageFacts, SourceFacts
from berth.domain.package_refusal import PullRefusal, explain_pull_refusal, no_package_name
from berth.domain.package_role import PackageRole
from berth.domain.registry_credential import CODESPACE_TOKEN, CredentialKind, CredentialSource, RegistryCredential
from berth.domain.repository import Visibility
from berth.domain.role import Role
from berth.domain.scope import Scope
from berth.domain.secret import SecretLevel
from berth.domain.secret_text import SecretText

PRIVATE, PUBLIC, INTERNAL = Visibility.PRIVATE, Visibility.PUBLIC, Visibility.INTERNAL
HOST = "berth.example"
SEEN = Finding(
    code="image.not_found", sentence="No.", fixer=Fixer.DEVELOPER, next_step="Look.", evidence={"status": "404"}
)
ACME, WEB, SITE = 1, 10, 11
NAME = PackageName("acme", "team/app")


def repository(repository_id: int, visibility: Visibility) -> RepositoryFacts:
    return RepositoryFacts(
        repository_id=repository_id, visibility=visibility, is_owner=False, is_member=True, collaborator_role=Role.PULL
    )


def facts(
    source: RepositoryFacts | None,
    *,
    visibility: Visibility = PRIVATE,
    inherits: bool = True,
    listed: bool = False,
    user_role: PackageRole = PackageRole.NONE,
) -> PackageFacts:
    """A package that is linked to the private repository WEB."""
    return PackageFacts(
        package_id=5,
        owner_id=ACME,
        owner_is_organization=True,
        visibility=visibility,
        inherits_access=inherits,
        is_owner=False,
        is_member=True,
        user_role=user_role,
        linked=repository(WEB, PRIVATE),
        source=None if source is None else SourceFacts(repository=source, owner_id=ACME, on_codespaces_list=listed),
    )


CODESPACE = Subject(
    account_id=7,
    login="ana",
    site_admin=False,
    token_kind=TokenKind.CODESPACE,
    token_id=1,
    scopes=frozenset({Scope.READ_PACKAGES}),
    codespace_id=1,
    codespace_repository_id=SITE,
)
PERSON = Subject(
    account_id=8, login="bob", site_admin=False, token_kind=TokenKind.PERSONAL, token_id=2, scopes=frozenset()
)
OWN = RegistryCredential(
    host=HOST, user="ana", password=SecretText("t"), source=CODESPACE_TOKEN, kind=CredentialKind.CODESPACE
)
TRIPLE = RegistryCredential(
    host=HOST, user="bob", password=SecretText("t"), source=CredentialSource(SecretLevel.ORGANIZATION, "CORP")
)
READER = facts(None, user_role=PackageRole.READ)
REFUSAL = PullRefusal(
    seen=SEEN,
    host=HOST,
    name=NAME,
    credential=OWN,
    subject=CODESPACE,
    facts=facts(repository(SITE, PRIVATE)),
    user_facts=READER,
    repository_name="acme/site",
)

NEITHER = "The codespace's repository is neither linked to the package with inheritance on, nor on its Codespaces access list."
LINKED_PUBLIC = (
    "The package is linked to it and inherits access, but a public repository needs to be on the package's Codespaces "
    "access list."
)
INTERNAL_PUBLIC = (
    "The package is internal to the same organization, but a public repository needs to be on the package's Codespaces "
    "access list."
)


@pytest.mark.parametrize(
    ("about", "reasons", "rules"),
    [
        pytest.param(facts(repository(SITE, PRIVATE)), NEITHER, "package.codespace.not_linked", id="A7 another one's"),
        pytest.param(
            facts(repository(WEB, PRIVATE), inherits=False), NEITHER, "package.codespace.not_linked", id="A7 b not inheriting"
        ),
        pytest.param(
            facts(repository(WEB, PUBLIC)), LINKED_PUBLIC, "package.codespace.public_repository", id="A7 b a public one"
        ),
        pytest.param(
            facts(repository(SITE, PUBLIC), visibility=INTERNAL),
            INTERNAL_PUBLIC,
            "package.codespace.public_repository",
            id="A7 d a public one",
        ),
    ],
)  # fmt: skip
def test_the_rule_is_named_to_who_may_read_the_package(about: PackageFacts, reasons: str, rules: str) -> None:
    finding = explain_pull_refusal(replace(REFUSAL, facts=about))
    assert finding == Finding(
        code="package.codespace_denied",
        sentence=f"A codespace of acme/site may not pull acme/team/app. {reasons}",
        fixer=Fixer.PACKAGE_ADMIN,
        next_step=(
            "Have an administrator of the package, such as an owner of acme, put the repository on its Codespaces access "
            "list, and start the codespace again: berth package grant acme/team/app --codespaces acme/site"
        ),
        evidence={"status": "404", "rule": rules},
    )


def test_a8_a_prebuild_needs_the_workflows_list_and_a_codespace_its_own() -> None:
    job = replace(CODESPACE, token_kind=TokenKind.WORKFLOW, codespace_id=None, codespace_repository_id=None)
    prebuild, codespace = (explain_pull_refusal(replace(REFUSAL, subject=subject)) for subject in (job, CODESPACE))
    assert prebuild.sentence.startswith("A prebuild of acme/site may not pull acme/team/app. ")
    assert prebuild.next_step.endswith(
        "and run the prebuild again: berth package grant acme/team/app --workflows acme/site --role read"
    )
    assert codespace.sentence.startswith("A codespace of ")
    assert codespace.next_step.endswith(" --codespaces acme/site")


def test_a7_a_repository_that_is_gone_is_on_no_list() -> None:
    finding = explain_pull_refusal(replace(REFUSAL, facts=facts(None)))
    assert finding.sentence.endswith("The codespace's repository is gone, or its user may not read it any more.")
    assert finding.evidence["rule"] == "package.codespace.no_repository"
    assert finding.next_step == "Get read access to acme/site, and start the codespace again."


@pytest.mark.parametrize(
    ("visibility", "is_organization", "helps"),
    [
        pytest.param(PRIVATE, True, False, id="A3 private, of an organization"),
        pytest.param(INTERNAL, True, False, id="A3 internal"),
        pytest.param(PRIVATE, False, True, id="of a user"),
    ],
)
def test_the_list_is_named_only_to_a_repository_that_it_takes(
    visibility: Visibility, is_organization: bool, helps: bool
) -> None:
    about = replace(facts(None, visibility=visibility, inherits=False), owner_is_organization=is_organization)
    other = SourceFacts(repository=repository(SITE, PUBLIC), owner_id=ACME + 1, on_codespaces_list=False)
    refusal = replace(REFUSAL, repository_name="octo/site")
    outside = explain_pull_refusal(replace(refusal, facts=replace(about, source=other)))
    inside = explain_pull_refusal(replace(refusal, facts=replace(about, source=replace(other, owner_id=ACME))))
    command = "berth package grant acme/team/app --codespaces octo/site"
    assert inside.next_step.endswith(command)
    assert outside.next_step.endswith(command if helps else "or have acme/team/app made public.")


def test_who_administers_a_users_package_is_named() -> None:
    about = replace(facts(repository(SITE, PRIVATE)), owner_is_organization=False)
    finding = explain_pull_refusal(replace(REFUSAL, facts=about, name=PackageName("ana", "app")))
    assert "an administrator of the package, such as ana, " in finding.next_step


@pytest.mark.parametrize("credential", [OWN, TRIPLE], ids=["the codespace's token", "a triple"])
def test_a13_what_the_user_may_not_read_and_what_is_missing_are_one_finding(credential: RegistryCredential) -> None:
    subject = CODESPACE if credential is OWN else PERSON
    refusal = replace(REFUSAL, credential=credential, subject=subject)
    stranger = replace(READER, user_role=PackageRole.NONE, linked=None)
    hidden = explain_pull_refusal(replace(refusal, user_facts=stranger))
    missing = explain_pull_refusal(replace(refusal, facts=None, user_facts=None))
    assert hidden == missing
    assert hidden.code == "package.not_found"
    assert hidden.evidence == SEEN.evidence
    control = explain_pull_refusal(refusal)
    assert control.code in {"package.codespace_denied", "package.credential_denied"}


@pytest.mark.parametrize(
    "about",
    [
        pytest.param(facts(repository(SITE, PUBLIC), listed=True), id="A7 c"),
        pytest.param(facts(repository(WEB, PRIVATE)), id="A7 b"),
        pytest.param(facts(repository(SITE, PRIVATE), visibility=INTERNAL), id="A7 d"),
        pytest.param(facts(repository(SITE, PUBLIC), visibility=PUBLIC), id="A7 a"),
    ],
)
def test_where_the_right_is_there_the_tag_is_missing(about: PackageFacts) -> None:
    assert explain_pull_refusal(replace(REFUSAL, facts=about)) is SEEN


@pytest.mark.parametrize(
    ("role", "reasons", "rules"),
    [
        pytest.param(
            PackageRole.READ,
            "The role is read, but the token's scopes do not let it pull.",
            "package.scope.missing",
            id="A6 a scope is missing",
        ),
        pytest.param(
            PackageRole.NONE,
            "The account has no role on the package: none. Nothing gives the right to pull.",
            "package.role.none package.action.pull",
            id="no role",
        ),
    ],
)
def test_c6_a_triples_token_is_judged_as_what_it_is(role: PackageRole, reasons: str, rules: str) -> None:
    about = replace(facts(None, user_role=role), linked=None)
    finding = explain_pull_refusal(replace(REFUSAL, credential=TRIPLE, subject=PERSON, facts=about))
    assert finding.code == "package.credential_denied"
    assert finding.sentence == f"The credential CORP_CONTAINER_REGISTRY_… (organization) may not pull {NAME}. {reasons}"
    assert finding.fixer is Fixer.ORGANIZATION_OWNER
    assert finding.evidence == {"status": "404", "rule": rules}


def test_a_token_that_proves_nobody() -> None:
    assert explain_pull_refusal(replace(REFUSAL, subject=None)).code == "codespace.token_void"
    void = explain_pull_refusal(replace(REFUSAL, subject=None, credential=TRIPLE))
    instead = "Or delete the three secrets, so that the codespace's own token is used."
    assert void == replace(SEEN, next_step=f"{SEEN.next_step} {instead}")


def test_an_image_whose_name_is_no_package() -> None:
    finding = no_package_name(SEEN, HOST, "app")
    assert finding.code == "package.name"
    assert f"{HOST}/owner/name" in finding.sentence
    assert finding.evidence == SEEN.evidence
