"""What a registry token says and lets through (A12, A14), and that nothing but what we wrote is read."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth.domain.package import PackageName
from berth.domain.package_access import PackageAction
from berth.domain.problem import Unauthenticated
from berth.domain.registry_token import RegistryClaims, RegistryGrant, from_payload, to_payload

PULL, PUSH, DELETE, ADMINISTER = PackageAction
WEB, FREE, OTHER = PackageName("acme", "web"), PackageName("acme", "free"), PackageName("acme", "other")
WEB_ID, TOKEN_ID = 7, 70
CLAIMS = RegistryClaims(
    token_id=TOKEN_ID,
    login="mia",
    grants={
        WEB: RegistryGrant(actions=frozenset({PULL, PUSH}), package_id=WEB_ID),
        FREE: RegistryGrant(actions=frozenset({PULL, PUSH}), package_id=None),
        OTHER: RegistryGrant(actions=frozenset({PULL}), package_id=None),
    },
    catalog=False,
    issued_at=datetime(2026, 1, 1, tzinfo=UTC),
    expires_at=datetime(2026, 1, 1, 0, 5, tzinfo=UTC),
)
ANONYMOUS = replace(CLAIMS, token_id=None, login="")
SOMEBODY, NEW_ID = 71, 8

LETS_THROUGH = {
    "what it was made for": (CLAIMS, WEB, PULL, WEB_ID, SOMEBODY, True),
    "the second action": (CLAIMS, WEB, PUSH, WEB_ID, SOMEBODY, True),
    "A14: no action that it was not made for": (CLAIMS, WEB, DELETE, WEB_ID, SOMEBODY, False),
    "A14: no settings": (CLAIMS, WEB, ADMINISTER, WEB_ID, SOMEBODY, False),
    "A14: no package that it was not made for": (CLAIMS, PackageName("acme", "more"), PULL, WEB_ID, SOMEBODY, False),
    "A14: not the same name of another owner": (CLAIMS, PackageName("otto", "web"), PULL, WEB_ID, SOMEBODY, False),
    "A12: no package that was made anew under the name": (CLAIMS, WEB, PULL, NEW_ID, SOMEBODY, False),
    "A12: not even one that its own access token made": (CLAIMS, WEB, PULL, NEW_ID, TOKEN_ID, False),
    "a free name, once its own access token made the package": (CLAIMS, FREE, PUSH, NEW_ID, TOKEN_ID, True),
    "A12: a free name that somebody else took": (CLAIMS, FREE, PUSH, NEW_ID, SOMEBODY, False),
    "A14: a free name with an action that was not granted": (CLAIMS, FREE, DELETE, NEW_ID, TOKEN_ID, False),
    "anonymous, what it was made for": (ANONYMOUS, WEB, PULL, WEB_ID, SOMEBODY, True),
    "A14: anonymous, a name that was free then": (ANONYMOUS, FREE, PULL, NEW_ID, SOMEBODY, False),
}


@pytest.mark.parametrize(
    ("claims", "name", "action", "package_id", "made_by", "expected"), LETS_THROUGH.values(), ids=LETS_THROUGH.keys()
)
def test_what_it_lets_through(
    claims: RegistryClaims, name: PackageName, action: PackageAction, package_id: int, made_by: int, expected: bool
) -> None:
    assert claims.lets_through(name, action, package_id=package_id, made_by=made_by) is expected


def test_it_lets_create_only_what_was_free_and_is_to_be_pushed() -> None:
    assert CLAIMS.lets_create(FREE)
    assert not CLAIMS.lets_create(WEB)  # it was there
    assert not CLAIMS.lets_create(OTHER)  # to be pulled
    assert not CLAIMS.lets_create(PackageName("acme", "more"))


@pytest.mark.parametrize("claims", [CLAIMS, ANONYMOUS, replace(CLAIMS, catalog=True), replace(CLAIMS, grants={})])
def test_what_is_written_is_read_again(claims: RegistryClaims) -> None:
    assert from_payload(json.loads(json.dumps(to_payload(claims)))) == claims


def test_what_is_written() -> None:
    """Other registries' tools read these claims. Source: distribution, "Token Authentication Implementation"."""
    assert to_payload(replace(CLAIMS, catalog=True, grants={WEB: CLAIMS.grants[WEB], FREE: CLAIMS.grants[FREE]})) == {
        "sub": "mia",
        "iat": 1767225600,
        "exp": 1767225900,
        "access_token_id": 70,
        "access": [
            {"type": "repository", "name": "acme/web", "actions": ["pull", "push"], "package_id": 7},
            {"type": "repository", "name": "acme/free", "actions": ["pull", "push"]},
            {"type": "registry", "name": "catalog", "actions": ["*"]},
        ],
    }
    assert "access_token_id" not in to_payload(ANONYMOUS)


WRITTEN = to_payload(CLAIMS)
ENTRY = {"type": "repository", "name": "acme/web", "actions": ["pull"], "package_id": 7}


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in WRITTEN.items() if key != name}


NEVER_WRITTEN: dict[str, dict[str, Any]] = {
    "nothing": {},
    "no subject": without("sub"),
    "no access": without("access"),
    "no beginning": without("iat"),
    "no end": without("exp"),
    "access that is no list": {**WRITTEN, "access": 1},
    "access that is null": {**WRITTEN, "access": None},
    "an entry that is a text": {**WRITTEN, "access": ["repository"]},
    "an entry without a type": {**WRITTEN, "access": [{"name": "acme/web", "actions": ["pull"]}]},
    "an unknown type": {**WRITTEN, "access": [{**ENTRY, "type": "plugin"}]},
    "the catalog with another action": {**WRITTEN, "access": [{"type": "registry", "name": "catalog", "actions": []}]},
    "no package's name": {**WRITTEN, "access": [{**ENTRY, "name": "Acme/Web"}]},
    "a name that is a number": {**WRITTEN, "access": [{**ENTRY, "name": 7}]},
    "an unknown action": {**WRITTEN, "access": [{**ENTRY, "actions": ["pull", "fly"]}]},
    "actions that are a text": {**WRITTEN, "access": [{**ENTRY, "actions": "pull"}]},
    "a package's id that is a text": {**WRITTEN, "access": [{**ENTRY, "package_id": "7"}]},
    "a package's id that is a truth": {**WRITTEN, "access": [{**ENTRY, "package_id": True}]},
    "a token's id that is a text": {**WRITTEN, "access_token_id": "70"},
    "a token's id that is a truth": {**WRITTEN, "access_token_id": True},
    "an end that is a text": {**WRITTEN, "exp": "soon"},
    "an end that no calendar has": {**WRITTEN, "exp": 10**15},
    "an end that no clock has": {**WRITTEN, "exp": 10**30},
    "an end that never comes": {**WRITTEN, "exp": float("inf")},
}


@pytest.mark.parametrize("payload", NEVER_WRITTEN.values(), ids=NEVER_WRITTEN.keys())
def test_a14_what_we_never_wrote_is_no_token(payload: dict[str, Any]) -> None:
    with pytest.raises(Unauthenticated) as refused:
        from_payload(payload)
    assert refused.value.code == "registry_token.invalid"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["repository", "pull", "acme/web", "*"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["type", "name", "actions", "package_id"]), inner)
    ),
    max_leaves=12,
)


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(WRITTEN, JSON)))
def test_a14_rubbish_is_refused_and_never_an_error(changes: dict[str, Any]) -> None:
    try:
        claims = from_payload({**WRITTEN, **changes})
    except Unauthenticated:
        return
    assert all(actions.actions <= frozenset(PackageAction) for actions in claims.grants.values())
