"""domain/identity.py: what stands in a cookie, which answers count, how a new account is called."""

from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth.domain.account import RESERVED_LOGINS, is_login
from berth.domain.identity import Answer, Claims, Flow, check_answer, parse_flow, parse_issuer, propose_logins
from berth.domain.problem import Unauthenticated
from berth.domain.secret_text import SecretText

_VALUE = "v" * 43


@pytest.mark.parametrize("links", [True, False])
@pytest.mark.parametrize("return_to", ["/", "/a b?c=%20 d", ""])
def test_a_flow_comes_back_as_it_was(links: bool, return_to: str) -> None:
    flow = Flow(value=SecretText(_VALUE), links=links, return_to=return_to)
    assert parse_flow(flow.to_text()) == flow
    assert len({flow.state, flow.nonce, flow.verifier.reveal()}) == 3


@pytest.mark.parametrize("text", ["", "link", f"link {_VALUE[1:]} /", f"other {_VALUE} /", f"link  {_VALUE} /"])
def test_what_is_no_flow(text: str) -> None:
    assert parse_flow(text) is None


@pytest.mark.parametrize(
    ("answer", "always_named", "said"),
    [
        ({}, False, ""),
        ({"issuer": "https://a"}, True, ""),
        ({}, True, "another provider"),
        ({"issuer": "https://b"}, False, "another provider"),
        ({"issuer": "https://a/"}, False, "another provider"),
        ({"state": ""}, False, "did not ask"),
        ({"state": "ä"}, False, "did not ask"),
        ({"code": ""}, False, "no code"),
        ({"error": "login_required"}, False, "says: login_required"),
        ({"error": "Sign in at evil.example"}, False, "no code"),
    ],
)
def test_which_answers_count(answer: dict[str, str], always_named: bool, said: str) -> None:
    """Policies 4 and 5."""
    flow = Flow(value=SecretText(_VALUE), links=False)
    brought = Answer(**{"state": flow.state, "code": "c", **answer})
    if not said:
        check_answer(brought, flow, "https://a", always_named=always_named)
        return
    with pytest.raises(Unauthenticated, match=said):
        check_answer(brought, flow, "https://a", always_named=always_named)


@pytest.mark.parametrize(
    ("claims", "first"),
    [
        ({"preferred_name": "Ada"}, "ada"),
        ({"preferred_name": "ada.lovelace@example.com"}, "ada-lovelace"),
        ({"email": "ada+x@example.com"}, "ada-x"),
        ({"preferred_name": "admin", "email": "boss@example.com"}, "boss"),
        ({"preferred_name": "--"}, "person"),
        ({"preferred_name": "x" * 100}, "x" * 39),
        ({}, "person"),
    ],
)
def test_how_a_new_account_is_called(claims: dict[str, str], first: str) -> None:
    """Policy 3."""
    names = list(islice(propose_logins(Claims(issuer="i", subject="s", **claims)), 5))
    assert names[0] == first
    assert names[-1].startswith(first[:34])
    assert names[-1][-2] == "-"


@given(st.text(), st.text())
def test_every_proposed_name_could_be_one(preferred: str, email: str) -> None:
    names = list(islice(propose_logins(Claims(issuer="i", subject="s", email=email, preferred_name=preferred)), 9))
    assert all(is_login(name) for name in names)
    assert not RESERVED_LOGINS & set(names[:1])


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("https://id.example", True),
        ("https://id.example/tenant/", True),
        ("http://127.0.0.1:3000", True),
        ("http://id.example", False),
        ("http://127.0.0.1.evil.example", False),
        ("https://", False),
        ("https://user@id.example", False),
        ("https://id.example?x=1", False),
        ("https://id.example#x", False),
        ("id.example", False),
    ],
)
def test_how_an_issuer_is_named(text: str, good: bool) -> None:
    if good:
        assert parse_issuer(text) == text
        return
    with pytest.raises(ValueError, match="https"):
        parse_issuer(text)


def test_by_what_a_person_knows_it() -> None:
    assert Claims(issuer="i", subject="s", email="a@b.c", preferred_name="p").shown == "a@b.c"
    assert Claims(issuer="i", subject="s", preferred_name="p").shown == "p"
    assert Claims(issuer="i", subject="s").shown == "s"
