"""What holds of every decision about packages, whatever the facts: also of facts that contradict each other."""

from collections.abc import Iterator
from dataclasses import replace
from typing import cast

from hypothesis import example, given
from hypothesis import strategies as st
from tests.test_documented import first_cells

from berth.domain.access import Decision, Effect, RepositoryFacts, Subject
from berth.domain.access_token import TokenKind
from berth.domain.package import PackagePolicy
from berth.domain.package_access import (
    NamespaceFacts,
    PackageAction,
    PackageFacts,
    SourceFacts,
    decide_creation,
    decide_package,
    limit_of_token,
)
from berth.domain.package_role import PackageRole
from berth.domain.repository import Visibility
from berth.domain.role import Role
from berth.domain.scope import Scope
from berth.domain.workflow_permissions import WorkflowPermission, WorkflowPermissions

PULL = PackageAction.PULL
PUBLIC = Visibility.PUBLIC
IDS = st.integers(1, 3)
KINDS = st.sampled_from([*TokenKind, cast("TokenKind", "ghx")])  # and one that nobody knows
ROLES = st.sampled_from(PackageRole)

SUBJECTS = st.builds(
    Subject,
    account_id=IDS,
    login=st.just("mia"),
    site_admin=st.booleans(),
    token_kind=KINDS,
    token_id=IDS,
    scopes=st.frozensets(st.sampled_from(Scope)),
    codespace_id=st.none() | IDS,
    codespace_repository_id=st.none() | IDS,
    workflow_repository_id=st.none() | IDS,
    permissions=st.builds(
        WorkflowPermissions,
        packages=st.sampled_from(WorkflowPermission),
        contents=st.sampled_from(WorkflowPermission),
    ),
)
REPOSITORIES = st.builds(
    RepositoryFacts,
    repository_id=IDS,
    visibility=st.sampled_from(Visibility),
    is_owner=st.booleans(),
    is_member=st.booleans(),
    collaborator_role=st.sampled_from(Role),
    team_role=st.sampled_from(Role),
)
SOURCES = st.builds(
    SourceFacts,
    repository=REPOSITORIES,
    owner_id=IDS,
    on_codespaces_list=st.booleans(),
    workflow_role=ROLES,
)
FACTS = st.builds(
    PackageFacts,
    package_id=IDS,
    owner_id=IDS,
    owner_is_organization=st.booleans(),
    visibility=st.sampled_from(Visibility),
    inherits_access=st.booleans(),
    is_owner=st.booleans(),
    is_member=st.booleans(),
    user_role=ROLES,
    team_role=ROLES,
    linked=st.none() | REPOSITORIES,
    source=st.none() | SOURCES,
)
NAMESPACES = st.builds(
    NamespaceFacts,
    owner_id=IDS,
    is_owner=st.booleans(),
    is_member=st.booleans(),
    policy=st.builds(
        PackagePolicy,
        inherit_access_default=st.booleans(),
        creatable_visibilities=st.frozensets(st.sampled_from(Visibility)),
    ),
    source=st.none() | SOURCES,
)
WITH_EVERYTHING = PackageFacts(
    package_id=1,
    owner_id=1,
    owner_is_organization=True,
    visibility=Visibility.INTERNAL,
    inherits_access=True,
    is_owner=True,
    is_member=True,
    user_role=PackageRole.ADMIN,
    team_role=PackageRole.ADMIN,
    linked=RepositoryFacts(
        repository_id=1, visibility=Visibility.PRIVATE, is_owner=True, is_member=True, collaborator_role=Role.ADMIN
    ),
    source=SourceFacts(
        repository=RepositoryFacts(repository_id=1, visibility=Visibility.PRIVATE, is_owner=True, is_member=True),
        owner_id=1,
        on_codespaces_list=True,
        workflow_role=PackageRole.ADMIN,
    ),
)
PERSON = Subject(
    account_id=1,
    login="mia",
    site_admin=True,
    token_kind=TokenKind.PERSONAL,
    token_id=1,
    scopes=frozenset(Scope),
    codespace_repository_id=1,
    workflow_repository_id=1,
    permissions=WorkflowPermissions(packages=WorkflowPermission.WRITE, contents=WorkflowPermission.WRITE),
)
CODESPACE = replace(PERSON, token_kind=TokenKind.CODESPACE)
JOB = replace(PERSON, token_kind=TokenKind.WORKFLOW)


def allowed_by(subject: Subject | None, facts: PackageFacts) -> set[PackageAction]:
    return {action for action in PackageAction if decide_package(subject, facts, action)}


@given(SUBJECTS, FACTS)
@example(PERSON, WITH_EVERYTHING)
def test_a6_scopes_never_add(subject: Subject, facts: PackageFacts) -> None:
    """Fewer scopes never allow more; and none gives what the role does not."""
    allowed = allowed_by(subject, facts)
    for scope in subject.scopes:
        assert allowed_by(replace(subject, scopes=subject.scopes - {scope}), facts) <= allowed
    roleless = replace(facts, is_owner=False, is_member=False, linked=None, source=None)
    roleless = replace(roleless, user_role=PackageRole.NONE, team_role=PackageRole.NONE)
    assert allowed_by(replace(subject, scopes=frozenset(Scope)), roleless) == allowed_by(None, roleless)


def weaker_role(role: PackageRole) -> list[PackageRole]:
    return [other for other in PackageRole if other < role]


def weaker_repository(facts: RepositoryFacts) -> Iterator[RepositoryFacts]:
    yield replace(facts, is_owner=False)
    yield replace(facts, is_member=False)
    for role in Role:
        if role < facts.collaborator_role:
            yield replace(facts, collaborator_role=role)
        if role < facts.team_role:
            yield replace(facts, team_role=role)


def weaker_source(facts: SourceFacts) -> Iterator[SourceFacts]:
    yield replace(facts, on_codespaces_list=False)
    for role in weaker_role(facts.workflow_role):
        yield replace(facts, workflow_role=role)
    for repository in weaker_repository(facts.repository):
        yield replace(facts, repository=repository)


def weaker(facts: PackageFacts) -> Iterator[PackageFacts]:
    """The same with one thing less that speaks for the caller."""
    yield replace(facts, is_owner=False)
    yield replace(facts, is_member=False)
    yield replace(facts, inherits_access=False)
    yield replace(facts, linked=None)
    yield replace(facts, source=None)
    for role in weaker_role(facts.user_role):
        yield replace(facts, user_role=role)
    for role in weaker_role(facts.team_role):
        yield replace(facts, team_role=role)
    if facts.linked is not None:
        for linked in weaker_repository(facts.linked):
            yield replace(facts, linked=linked)
    if facts.source is not None:
        for source in weaker_source(facts.source):
            yield replace(facts, source=source)


@given(st.none() | SUBJECTS, FACTS)
@example(PERSON, WITH_EVERYTHING)
@example(CODESPACE, WITH_EVERYTHING)
@example(JOB, WITH_EVERYTHING)
def test_a14_taking_a_fact_away_never_adds_an_action(subject: Subject | None, facts: PackageFacts) -> None:
    allowed = allowed_by(subject, facts)
    for less in weaker(facts):
        assert allowed_by(subject, less) <= allowed


@given(SUBJECTS, FACTS)
@example(JOB, WITH_EVERYTHING)
def test_a8_a_lesser_permission_never_adds_an_action(subject: Subject, facts: PackageFacts) -> None:
    allowed = [
        allowed_by(replace(subject, permissions=WorkflowPermissions(packages=permission)), facts)
        for permission in (WorkflowPermission.NONE, WorkflowPermission.READ, WorkflowPermission.WRITE)
    ]
    assert allowed[0] <= allowed[1] <= allowed[2]


@given(SUBJECTS, FACTS)
@example(CODESPACE, WITH_EVERYTHING)
@example(CODESPACE, replace(WITH_EVERYTHING, visibility=PUBLIC))
def test_a7_a_codespace_only_pulls(subject: Subject, facts: PackageFacts) -> None:
    codespace = replace(subject, token_kind=TokenKind.CODESPACE)
    assert allowed_by(codespace, facts) <= {PULL}
    for action in set(PackageAction) - {PULL}:
        limit = limit_of_token(codespace, action)
        assert limit is not None
        assert "personal access token that has the scope write:packages" in limit.text


@given(SUBJECTS, FACTS)
@example(CODESPACE, WITH_EVERYTHING)
def test_a7_a_public_repositorys_codespace_pulls_no_closed_package_that_does_not_list_it(
    subject: Subject, facts: PackageFacts
) -> None:
    codespace = replace(subject, token_kind=TokenKind.CODESPACE)
    closed = replace(facts, visibility=Visibility.PRIVATE) if facts.visibility is PUBLIC else facts
    source = closed.source or cast("SourceFacts", WITH_EVERYTHING.source)
    public = replace(source.repository, visibility=PUBLIC)
    unlisted = replace(closed, source=replace(source, repository=public, on_codespaces_list=False))
    listed = replace(closed, source=replace(source, repository=public, on_codespaces_list=True))
    assert allowed_by(codespace, unlisted) == set()
    assert allowed_by(codespace, listed) == {PULL}


@given(st.sampled_from([TokenKind.CODESPACE, TokenKind.WORKFLOW]), FACTS)
@example(TokenKind.CODESPACE, WITH_EVERYTHING)
@example(TokenKind.WORKFLOW, WITH_EVERYTHING)
def test_a7_a8_the_accounts_own_roles_on_the_package_are_not_its_tokens(kind: TokenKind, facts: PackageFacts) -> None:
    subject = replace(PERSON, token_kind=kind)
    without = replace(facts, is_owner=False, is_member=False, user_role=PackageRole.NONE, team_role=PackageRole.NONE)
    assert allowed_by(subject, facts) == allowed_by(subject, without)


@given(FACTS)
@example(WITH_EVERYTHING)
@example(replace(WITH_EVERYTHING, visibility=PUBLIC))
def test_a1_anonymous_pulls_what_is_public_and_nothing_else(facts: PackageFacts) -> None:
    assert allowed_by(None, facts) == ({PULL} if facts.visibility is PUBLIC else set())


@given(st.none() | SUBJECTS, FACTS)
@example(PERSON, replace(WITH_EVERYTHING, visibility=PUBLIC))
def test_a1_nobody_may_less_of_a_public_package_than_anonymous(subject: Subject | None, facts: PackageFacts) -> None:
    assert PULL in allowed_by(subject, replace(facts, visibility=PUBLIC))


@given(SUBJECTS, FACTS)
@example(PERSON, WITH_EVERYTHING)
def test_a14_an_unknown_kind_of_token_has_what_anonymous_has(subject: Subject, facts: PackageFacts) -> None:
    strange = replace(subject, token_kind=cast("TokenKind", "ghx"))
    assert allowed_by(strange, facts) == allowed_by(None, facts)


@given(st.none() | SUBJECTS, FACTS)
@example(replace(PERSON, scopes=frozenset({Scope.WRITE_PACKAGES})), WITH_EVERYTHING)  # it could push, but not pull
def test_a13_what_may_not_be_pulled_does_not_exist(subject: Subject | None, facts: PackageFacts) -> None:
    may_pull = bool(decide_package(subject, facts, PULL))
    for action in PackageAction:
        assert decide_package(subject, facts, action).may_know_it_exists is may_pull


# --- Trails --------------------------------------------------------------------------------------------------------

RULES = first_cells("access-rules.md")


def check_trail(decision: Decision) -> None:
    """The last reason is the verdict, the others only prepare it; every rule is documented and says why in a sentence."""
    assert decision.trail
    assert {reason.rule for reason in decision.trail} <= RULES
    for reason in decision.trail:
        assert reason.text.endswith(".")
        assert reason.text[0].isupper()
    *before, last = decision.trail
    assert last.effect is (Effect.ALLOW if decision else Effect.DENY)
    assert all(reason.effect is not Effect.ALLOW for reason in before)


@given(st.none() | SUBJECTS, FACTS, st.sampled_from(PackageAction))
def test_a_trail_is_never_empty_and_ends_with_the_action(
    subject: Subject | None, facts: PackageFacts, action: PackageAction
) -> None:
    decision = decide_package(subject, facts, action)
    check_trail(decision)
    assert decision.trail[-1].rule == f"package.action.{action}"


@given(st.none() | SUBJECTS, FACTS, st.sampled_from(PackageAction))
def test_what_the_token_cannot_do_at_all_it_cannot_do(
    subject: Subject | None, facts: PackageFacts, action: PackageAction
) -> None:
    """Its sentence is said of hidden and missing packages alike, so it must not depend on them."""
    limit = limit_of_token(subject, action)
    if limit is not None:
        assert limit.rule in RULES
        assert not decide_package(subject, facts, action)


@given(st.none() | SUBJECTS, NAMESPACES)
def test_a_creation_has_a_trail_and_stays_within_what_may_be_created(
    subject: Subject | None, facts: NamespaceFacts
) -> None:
    creation = decide_creation(subject, facts)
    decision = creation.decision
    assert {reason.rule for reason in decision.trail} <= RULES
    assert decision.trail[-1].effect is (Effect.ALLOW if decision else Effect.DENY)
    if decision:
        assert subject is not None
        assert subject.token_kind in {TokenKind.PERSONAL, TokenKind.WORKFLOW}
        by_an_owner = facts.is_owner and subject.token_kind is TokenKind.PERSONAL
        assert by_an_owner or creation.visibility in facts.policy.creatable_visibilities  # A11
        assert (creation.repository_id is None) is (subject.token_kind is TokenKind.PERSONAL)  # A9
        assert creation.visibility is not PUBLIC or subject.token_kind is TokenKind.WORKFLOW  # A9: private
    else:
        assert (creation.visibility, creation.inherits_access) == (Visibility.PRIVATE, False)


@given(st.none() | SUBJECTS, NAMESPACES)
def test_a8_whoever_makes_a_package_can_push_to_it(subject: Subject | None, facts: NamespaceFacts) -> None:
    """What is made is decided about like any other package, at once."""
    creation = decide_creation(subject, facts)
    if not creation.decision or subject is None:
        return
    is_job = subject.token_kind is TokenKind.WORKFLOW
    source = facts.source if is_job else None
    made = PackageFacts(
        package_id=1,
        owner_id=facts.owner_id,
        owner_is_organization=facts.is_member,
        visibility=creation.visibility,
        inherits_access=creation.inherits_access,
        is_owner=facts.is_owner,
        is_member=facts.is_member,
        user_role=PackageRole.NONE if is_job else PackageRole.ADMIN,  # A2
        linked=None if source is None else source.repository,
        source=None if source is None else replace(source, workflow_role=creation.workflow_role),
    )
    assert decide_package(subject, made, PackageAction.PUSH)
