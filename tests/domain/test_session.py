from datetime import UTC, datetime, timedelta

import pytest

from berth.domain.scope import Scope
from berth.domain.secret_text import SecretText
from berth.domain.session import (
    IDLE,
    LIFE,
    Session,
    Visitor,
    derive,
    describe_user_agent,
    hash_value,
    is_derived,
    is_value,
    make_value,
    session_scopes,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("age", "unused", "valid"),
    [
        (timedelta(0), timedelta(0), True),
        (LIFE - timedelta(seconds=1), timedelta(0), True),
        (LIFE, timedelta(0), False),
        (IDLE, IDLE - timedelta(seconds=1), True),
        (IDLE, IDLE, False),
    ],
)
def test_1_a_session_ends_by_age_and_by_disuse(age: timedelta, unused: timedelta, valid: bool) -> None:
    visitor = Visitor(address="", user_agent="")
    session = Session(id=1, account_id=1, created_at=NOW - age, last_seen_at=NOW - unused, visitor=visitor)
    assert session.is_valid(NOW) == valid


def test_2_it_has_every_scope_but_only_an_administrators_has_that_one() -> None:
    assert session_scopes(site_admin=True) == frozenset(Scope)
    assert session_scopes(site_admin=False) == frozenset(Scope) - {Scope.SITE_ADMIN}


def test_3_a_value_is_as_random_as_what_it_is_made_of() -> None:
    one, other = make_value(bytes(range(32))), make_value(bytes(range(1, 33)))
    assert is_value(one.reveal())
    assert len(hash_value(one)) == 32
    assert hash_value(one) != hash_value(other)
    assert not any(map(is_value, ("", "A" * 42, "A" * 44, "A" * 42 + "=", "A" * 42 + "\n", "\u00e4" * 43)))
    with pytest.raises(ValueError, match="32 random bytes"):
        make_value(b"x" * 31)


def test_4_what_is_derived_fits_one_value_one_purpose_and_one_text() -> None:
    one, other = SecretText("A" * 43), SecretText("B" * 43)
    word = derive(one, "form", "x")
    assert is_derived(word, one, "form", "x")
    for wrong in (derive(other, "form", "x"), derive(one, "remark", "x"), derive(one, "form"), "", "\u00e4", word[:-1]):
        assert not is_derived(wrong, one, "form", "x")


@pytest.mark.parametrize(
    ("agent", "words"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox on Linux"),
        ("Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/139.0 Safari/537.36 Edg/139.0", "Edge on Windows"),
        ("Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 Chrome/139.0 Mobile Safari/537.36", "Chrome on Android"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Safari/604.1", "Safari on iPhone"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) Version/18.0 Safari/605.1", "Safari on macOS"),
        ("curl/8.0", "Another program"),
        ("", "Another program"),
    ],
)
def test_its_holder_knows_it_again(agent: str, words: str) -> None:
    assert describe_user_agent(agent) == words


@pytest.mark.parametrize(
    ("address", "is_here"),
    [
        ("127.0.0.1", True), ("127.8.9.1", True), ("::1", True), ("::ffff:127.0.0.1", True),
        ("172.17.0.2", False), ("192.0.2.1", False), ("fe80::1", False), ("::ffff:172.17.0.2", False), ("0.0.0.0", False),
        ("", False), ("localhost", False),
    ],
)  # fmt: skip
def test_what_began_on_this_machine_holds_there_only(address: str, is_here: bool) -> None:
    """Policy 5."""
    now = datetime(2026, 1, 1, tzinfo=UTC)
    visitor, here, elsewhere = (Visitor(address=one, user_agent="") for one in (address, "127.0.0.1", "192.0.2.7"))
    assert visitor.is_on_this_machine == is_here
    local, remote = (
        Session(id=1, account_id=1, created_at=now, last_seen_at=now, visitor=one) for one in (here, elsewhere)
    )
    assert local.holds_for(visitor) == is_here
    assert remote.holds_for(visitor)
