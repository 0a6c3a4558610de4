"""The decision about packages over its whole space, against DESIGN section 2 A read a second time.

A case says in words who asks for what; the tables and `expected` below are the rules A1 to A8 in those words, and ask
nothing of the code under test. `facts_of` says the same in the facts that a decision takes. Where DESIGN leaves room, the
reading is that of domain/package_access.py and is marked `Read as`. The last tests fail where something has no row.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from itertools import chain, combinations, product

import pytest

from berth.domain.access import RepositoryFacts, Subject
from berth.domain.access_token import TokenKind
from berth.domain.package import PackagePolicy
from berth.domain.package_access import (
    NamespaceFacts,
    PackageAction,
    PackageFacts,
    SourceFacts,
    decide_creation,
    decide_package,
)
from berth.domain.package_role import PackageRole
from berth.domain.repository import Visibility
from berth.domain.role import Role
from berth.domain.scope import Scope, expand_scopes
from berth.domain.workflow_permissions import WorkflowPermission, WorkflowPermissions

# --- The rules -----------------------------------------------------------------------------------------------------

KINDS = {"anonymous": None, "person": "ghp", "codespace": "ghu", "workflow": "ghs"}
VISIBILITIES = ("public", "private", "internal")
ACTIONS = ("pull", "push", "delete", "administer")
# What each role may do. "delete is its own action" (A14): only an admin does.
ROLES = {"none": "", "read": "pull", "write": "pull push", "admin": "pull push delete administer"}
STRENGTH = list(ROLES)
# A4: "pull/triage→read, push/maintain→write, admin→admin".
INHERITED = {"none": "none", "pull": "read", "triage": "read", "push": "write", "maintain": "write", "admin": "admin"}
# A6: "read:packages pull, write:packages push (implies read), delete:packages delete (together with read)".
# Read as: settings need write:packages; DESIGN names no scope for them.
NEEDED = {
    "pull": {"read:packages"},
    "push": {"write:packages"},
    "delete": {"read:packages", "delete:packages"},
    "administer": {"write:packages"},
}
SCOPES = ("read:packages", "write:packages", "delete:packages")
# A8: "packages: read|write".
PERMITTED = {"none": "", "read": "pull", "write": "pull push delete"}
# What an account is to the repository: its owner (or an owner of its organization), a member of the organization, or
# somebody with a role by name or by a team.
STANDINGS = (
    "none",
    "owner",
    "member",
    *(f"{how} {role}" for how in ("named", "team") for role in INHERITED if role != "none"),
)
# `linked` is a link without inheritance, `inherits` one with it.
LINKS = ("none", "linked", "inherits")


def explicit_role(standing: str, visibility: str) -> str:
    """A4: "the *explicit* roles on that repository … the implicit 'everyone reads a public repository' gives nothing".

    Read as: a member's base permission on a private or internal repository is an explicit role.
    """
    match standing.split():
        case ["owner"]:
            return "admin"
        case ["member"]:
            return "none" if visibility == "public" else "pull"
        case [_, role]:
            return role
        case _:
            return "none"


def role_anyhow(standing: str, visibility: str) -> str:
    """With what everybody has on a public repository."""
    explicit = explicit_role(standing, visibility)
    return "pull" if explicit == "none" and visibility == "public" else explicit


@dataclass(frozen=True)
class Person:
    """A person, and one package of an account."""

    owner: str  # user, organization
    visibility: str
    account: str  # none, member, owner (of the account, or of the organization)
    by_name: str
    by_team: str
    link: str
    repository: str  # its visibility; "" where there is no link
    standing: str


def role_of(case: Person) -> str:
    """A2 to A5."""
    found = ["none"]
    if case.account == "owner":
        found.append("admin")  # A2
    granted_to_anybody = case.owner == "user" or case.visibility == "public"
    if granted_to_anybody or case.account != "none":
        found += [case.by_name, case.by_team]  # A3
    if case.link == "inherits":
        found.append(INHERITED[explicit_role(case.standing, case.repository)])  # A4
    if case.visibility == "internal" and case.account != "none":
        found.append("read")  # A5
    return max(found, key=STRENGTH.index)


def expected_of_person(case: Person, scopes: frozenset[str]) -> set[str]:
    allowed = {action for action in ROLES[role_of(case)].split() if NEEDED[action] <= scopes}  # A6
    return allowed | ({"pull"} if case.visibility == "public" else set())  # A1


@dataclass(frozen=True)
class Job:
    """A codespace or a workflow of one repository, and one package."""

    package: str  # its visibility
    same_owner: bool  # package and repository
    link: str
    linked_to: str  # it, other
    listed: bool  # on the Codespaces access list
    workflow_role: str
    repository: str  # its visibility; "" once it is deleted
    standing: str  # what the account behind the token is to the repository


def expected_of_codespace(case: Job) -> set[str]:
    """A7: "pull only, decided by the *repository the codespace was launched from*".

    Read as: as long as its user may read that repository.
    """
    if case.package == "public":
        return {"pull"}  # a
    if not case.repository or role_anyhow(case.standing, case.repository) == "none":
        return set()
    not_public = case.repository != "public"
    b = case.link == "inherits" and case.linked_to == "it" and not_public
    c = case.listed
    d = case.package == "internal" and case.same_owner and not_public
    return {"pull"} if b or c or d else set()


def expected_of_workflow(case: Job, permission: str) -> set[str]:
    """A8: "push to packages linked to its repository with inheritance on or where the repository is on the package's
    workflow access list with a role".

    Read as: a job does what its role on the list may, so it also deletes as admin; as long as who made the token may write.
    """
    public = {"pull"} if case.package == "public" else set()
    standing = role_anyhow(case.standing, case.repository)
    if not case.repository or standing not in {"push", "maintain", "admin"}:
        return public
    found = [case.workflow_role]
    if case.link == "inherits" and case.linked_to == "it":
        found.append("write")
    role = max(found, key=STRENGTH.index)
    return public | (set(ROLES[role].split()) & set(PERMITTED[permission].split()))


# --- The same in facts ---------------------------------------------------------------------------------------------

IT, OTHER = 20, 21
ACCOUNT, ELSEWHERE = 10, 11


def repository_of(visibility: str, standing: str, repository_id: int = IT) -> RepositoryFacts:
    roles = {"named": Role.NONE, "team": Role.NONE}
    how, _, word = standing.partition(" ")
    if word:
        roles[how] = Role[word.upper()]
    return RepositoryFacts(
        repository_id=repository_id,
        visibility=Visibility(visibility),
        is_owner=standing == "owner",
        is_member=standing in {"owner", "member"},
        collaborator_role=roles["named"],
        team_role=roles["team"],
    )


def subject_of(kind: str, scopes: frozenset[str] = frozenset(), permission: str = "none") -> Subject | None:
    word = KINDS[kind]
    if word is None:
        return None
    return Subject(
        account_id=1,
        login="mia",
        site_admin=True,  # gives nothing
        token_kind=TokenKind(word),
        token_id=1,
        scopes=frozenset(map(Scope, scopes)),
        codespace_id=1 if kind == "codespace" else None,
        codespace_repository_id=IT if kind == "codespace" else None,
        workflow_repository_id=IT if kind == "workflow" else None,
        permissions=WorkflowPermissions(packages=WorkflowPermission(permission), contents=WorkflowPermission.WRITE),
    )


def facts_of(case: Person) -> PackageFacts:
    return PackageFacts(
        package_id=5,
        owner_id=ACCOUNT,
        owner_is_organization=case.owner == "organization",
        visibility=Visibility(case.visibility),
        inherits_access=case.link == "inherits",
        is_owner=case.account == "owner",
        is_member=case.owner == "organization" and case.account != "none",
        user_role=PackageRole[case.by_name.upper()],
        team_role=PackageRole[case.by_team.upper()],
        linked=repository_of(case.repository, case.standing) if case.repository else None,
    )


def facts_of_job(case: Job, *, account_owns: bool) -> PackageFacts:
    """`account_owns`: the account behind the token owns the package, which must change nothing (A7, A8)."""
    source = None
    if case.repository:
        source = SourceFacts(
            repository=repository_of(case.repository, case.standing),
            owner_id=ACCOUNT if case.same_owner else ELSEWHERE,
            on_codespaces_list=case.listed,
            workflow_role=PackageRole[case.workflow_role.upper()],
        )
    linked = None
    if case.link != "none" and case.linked_to == "other":
        linked = repository_of("private", "owner", OTHER)
    elif case.link != "none" and source is not None:
        linked = source.repository
    return PackageFacts(
        package_id=5,
        owner_id=ACCOUNT,
        owner_is_organization=True,
        visibility=Visibility(case.package),
        inherits_access=case.link == "inherits",
        is_owner=account_owns,
        is_member=account_owns,
        user_role=PackageRole.ADMIN if account_owns else PackageRole.NONE,
        linked=linked,
        source=source,
    )


def allowed_by(subject: Subject | None, facts: PackageFacts) -> set[str]:
    return {action for action in ACTIONS if decide_package(subject, facts, PackageAction(action))}


# --- The cross products --------------------------------------------------------------------------------------------

SCOPE_SETS = [
    frozenset(found)
    for found in chain.from_iterable(combinations(SCOPES, count) for count in range(len(SCOPES) + 1))
    if "write:packages" not in found or "read:packages" in found  # tokens are shown with what their scopes imply
]
PLACES = [("none", "", "none"), *product(LINKS[1:], VISIBILITIES, STANDINGS)]
JOB_PLACES = [("", "none"), *product(VISIBILITIES, STANDINGS)]
OWNERS = {
    f"{visibility} of {owner}, asked by {account}": (owner, visibility, account)
    for owner, visibility, account in product(("user", "organization"), VISIBILITIES, ("none", "member", "owner"))
    if owner == "organization" or (visibility != "internal" and account != "member")  # a user has no members
}


def people(owner: str, visibility: str, account: str) -> Iterator[Person]:
    for by_name, by_team in product(ROLES, ROLES):
        if owner == "organization" or by_team == "none":  # a user has no teams
            for link, repository, standing in PLACES:
                yield Person(owner, visibility, account, by_name, by_team, link, repository, standing)


def jobs(package: str, workflow_roles: tuple[str, ...] = ("none",)) -> Iterator[Job]:
    for same_owner, link, linked_to, listed, role in product(
        (True, False), LINKS, ("it", "other"), (True, False), workflow_roles
    ):
        for repository, standing in JOB_PLACES:
            yield Job(package, same_owner, link, linked_to, listed, role, repository, standing)


@pytest.mark.parametrize(("owner", "visibility", "account"), OWNERS.values(), ids=OWNERS.keys())
def test_what_people_may(owner: str, visibility: str, account: str) -> None:
    subjects = {scopes: subject_of("person", scopes) for scopes in SCOPE_SETS}
    for case in people(owner, visibility, account):
        facts = facts_of(case)
        for scopes, subject in subjects.items():
            assert allowed_by(subject, facts) == expected_of_person(case, scopes), f"{case} with {sorted(scopes)}"


@pytest.mark.parametrize(("owner", "visibility", "account"), OWNERS.values(), ids=OWNERS.keys())
def test_a1_anonymous_pulls_what_is_public_and_nothing_else(owner: str, visibility: str, account: str) -> None:
    for case in people(owner, visibility, account):
        assert allowed_by(None, facts_of(case)) == ({"pull"} if visibility == "public" else set()), case


@pytest.mark.parametrize("package", VISIBILITIES)
def test_what_codespaces_may(package: str) -> None:
    """Scopes and the user's own rights change nothing."""
    subjects = [subject_of("codespace", scopes) for scopes in (frozenset(), frozenset(SCOPES))]
    for case, subject, account_owns in product(jobs(package), subjects, (False, True)):
        facts = facts_of_job(case, account_owns=account_owns)
        assert allowed_by(subject, facts) == expected_of_codespace(case), f"{case}, {account_owns=}"


@pytest.mark.parametrize("permission", PERMITTED)
@pytest.mark.parametrize("package", VISIBILITIES)
def test_what_workflows_may(package: str, permission: str) -> None:
    """The Codespaces access list, scopes and the maker's own rights change nothing."""
    subject = subject_of("workflow", frozenset(SCOPES), permission)
    for case, account_owns in product(jobs(package, tuple(ROLES)), (False, True)):
        facts = facts_of_job(case, account_owns=account_owns)
        assert allowed_by(subject, facts) == expected_of_workflow(case, permission), f"{case}, {account_owns=}"


# --- New packages --------------------------------------------------------------------------------------------------

POLICIES = [frozenset(found) for found in chain.from_iterable(combinations(VISIBILITIES, count) for count in range(4))]


@pytest.mark.parametrize("account", ["none", "member", "owner"])
@pytest.mark.parametrize("kind", KINDS)
def test_who_makes_packages(kind: str, account: str) -> None:
    """A8, A9, A11. Read as: a person makes packages in his account and his organizations; a job, if its maker may write
    to the repository, and only with a visibility that *members* may create, whoever made it.
    """
    wide = frozenset(SCOPES)
    for scopes, permission, policy, inherits, same_owner, place in product(
        (frozenset(), frozenset({"read:packages"}), frozenset({"delete:packages"}), wide),
        PERMITTED, POLICIES, (True, False), (True, False), JOB_PLACES,
    ):  # fmt: skip
        repository, standing = place
        source = None
        if repository:
            owner_id = ACCOUNT if same_owner else ELSEWHERE
            source = SourceFacts(repository=repository_of(repository, standing), owner_id=owner_id)
        facts = NamespaceFacts(
            owner_id=ACCOUNT,
            is_owner=account == "owner",
            is_member=account != "none",
            policy=PackagePolicy(
                inherit_access_default=inherits, creatable_visibilities=frozenset(map(Visibility, policy))
            ),
            source=source,
        )
        expected: tuple[str, bool, int | None, str] | None = None
        if kind == "person" and "write:packages" in scopes and account != "none":
            if account == "owner" or "private" in policy:
                expected = ("private", False, None, "none")
        elif kind == "workflow" and permission == "write" and repository and same_owner:
            may_write = role_anyhow(standing, repository) in {"push", "maintain", "admin"}
            if may_write and repository in policy:
                expected = (repository, inherits, IT, "none" if inherits else "write")
        made = decide_creation(subject_of(kind, scopes, permission), facts)
        got = (made.visibility, made.inherits_access, made.repository_id, made.workflow_role.word)
        assert (got if made.decision else None) == expected, (kind, account, scopes, permission, policy, place)


# --- Nothing is left out -------------------------------------------------------------------------------------------


def test_every_kind_of_token_has_rows() -> None:
    assert set(TokenKind) == set(KINDS.values()) - {None}


def test_every_role_has_rows() -> None:
    assert [role.word for role in sorted(PackageRole)] == STRENGTH
    assert {role.word for role in Role} == INHERITED.keys()
    assert {standing.partition(" ")[2] for standing in STANDINGS} - {""} == {role.word for role in Role} - {"none"}


def test_every_visibility_has_rows() -> None:
    assert set(Visibility) == set(VISIBILITIES)


def test_every_action_has_rows() -> None:
    assert set(PackageAction) == set(ACTIONS) == NEEDED.keys()
    assert set(" ".join(ROLES.values()).split()) == set(ACTIONS)


def test_every_permission_has_rows() -> None:
    assert set(WorkflowPermission) == PERMITTED.keys()


def test_every_scope_of_packages_has_rows() -> None:
    assert {scope for scope in Scope if "packages" in scope} == set(SCOPES)
    assert {expand_scopes(frozenset(map(Scope, scopes))) for scopes in SCOPE_SETS} == {
        frozenset(map(Scope, scopes)) for scopes in SCOPE_SETS
    }


def test_a6_no_other_scope_opens_a_package() -> None:
    others = frozenset(Scope) - frozenset(map(Scope, SCOPES))
    facts = facts_of(Person("organization", "private", "owner", "admin", "admin", "none", "", "none"))
    assert allowed_by(subject_of("person", others), facts) == set()


def test_every_fact_has_rows() -> None:
    """A fact that is new here needs a word in the cases above."""
    known = {
        PackageFacts: "package_id owner_id owner_is_organization visibility inherits_access is_owner is_member user_role "
        "team_role linked source",
        SourceFacts: "repository owner_id on_codespaces_list workflow_role",
        RepositoryFacts: "repository_id visibility is_owner is_member collaborator_role team_role",
        NamespaceFacts: "owner_id is_owner is_member policy source",
        PackagePolicy: "inherit_access_default creatable_visibilities",
        Subject: "account_id login site_admin token_kind token_id scopes codespace_id codespace_repository_id "
        "workflow_repository_id permissions session_id",
    }
    for facts, names in known.items():
        assert {one.name for one in fields(facts)} == set(names.split()), facts.__name__
