"""What is seen of user and password before anybody is asked, and what is refused (REGISTRY_CREDENTIALS A4, C1)."""

import base64
import json

import pytest

from berth.domain.credential_form import check_credential_form, describe_password, refuse_bad_form
from berth.domain.problem import Invalid
from berth.domain.secret_text import SecretText

KEY = json.dumps({"type": "service_account", "client_email": "a@b", "private_key": "-----BEGIN c4nary"}, indent=1)
DAMAGED = KEY.replace("\n", "").replace("-----BEGIN", '"')
KEY_64 = base64.b64encode(KEY.encode()).decode()
WRAPPED_64 = "\n".join(KEY_64[at : at + 40] for at in range(0, len(KEY_64), 40))
GOOGLE, HUB, GHCR, ACR = "europe-docker.pkg.dev", "docker.io", "ghcr.io", "acme.azurecr.io"
ANY = "r.example"


@pytest.mark.parametrize(
    "host,bad,good,code,refused",
    [
        pytest.param(GOOGLE, ("_json_key", DAMAGED), ("_json_key", KEY), "json_key", True, id="a damaged JSON key"),
        pytest.param(GOOGLE, ("_json_key", KEY_64), ("_json_key", KEY), "json_key", True, id="base64 for a JSON key"),
        pytest.param(GOOGLE, ("_json_key", "{}"), ("_json_key", KEY), "json_key", True, id="another JSON"),
        pytest.param(GOOGLE, ("_json_key", "[" * 9999), ("_json_key", KEY), "json_key", True, id="JSON without end"),
        pytest.param(ANY, ("_json_key", "x"), ("_json_key", KEY), "json_key", True, id="a JSON key at any host"),
        pytest.param(
            GOOGLE, ("_json_key_base64", KEY), ("_json_key_base64", KEY_64), "json_key_base64", True,
            id="the key itself for base64",
        ),
        pytest.param(
            GOOGLE, ("_json_key_base64", "/w=="), ("_json_key_base64", WRAPPED_64), "json_key_base64", True,
            id="base64 of no text",
        ),
        pytest.param(GOOGLE, ("me@acme", KEY), ("_json_key", KEY), "json_key_user", True, id="a key with another user"),
        pytest.param(
            GOOGLE, ("oauth2accesstoken", "ya29.x"), ("_json_key", KEY), "short_lived", False, id="a token of an hour"
        ),
        pytest.param(
            ACR, ("00000000-0000-0000-0000-000000000000", "x"), ("ci", "x"), "short_lived", False, id="a refresh token"
        ),
        pytest.param(HUB, ("ana@example.com", "x"), ("ana", "x"), "email_user", False, id="an e-mail address"),
        pytest.param(ANY, ("ana:x", "x"), ("ana", "x"), "user_colon", True, id="a colon"),
        pytest.param(ANY, (" ana", "x"), ("ana", "x"), "white_space", False, id="white space of the user"),
        pytest.param(ANY, ("ana", "x \n"), ("ana", "x y"), "white_space", False, id="white space of the password"),
        pytest.param(ANY, ("ana", "'x'"), ("ana", "'x"), "quotes", False, id="quotes"),
        pytest.param(ANY, ("ana", "Bearer abc"), ("ana", "Bearerabc"), "header", False, id="a header"),
        pytest.param(ANY, ("robotci", "x"), ("robot$ci", "x"), "robot_user", False, id="a robot without its $"),
        pytest.param(GHCR, ("a", "github_pat_x"), ("a", "ghp_x"), "fine_grained", False, id="a fine-grained token"),
        pytest.param(HUB, ("a", "ghp_x"), ("a", "dckr_pat_x"), "other_provider", False, id="another one's token"),
        pytest.param(GHCR, ("a", "glpat-x"), ("a", "ghp_x"), "other_provider", False, id="a token of GitLab"),
    ],
)  # fmt: skip
def test_a_form_is_checked(host: str, bad: tuple[str, str], good: tuple[str, str], code: str, refused: bool) -> None:
    notes = check_credential_form(host, bad[0], SecretText(bad[1]))
    assert [(note.code, note.refused) for note in notes] == [(f"credential_form.{code}", refused)]
    assert check_credential_form(host, good[0], SecretText(good[1])) == ()
    if refused:
        with pytest.raises(Invalid) as refusal:
            refuse_bad_form(host, bad[0], SecretText(bad[1]))
        assert refusal.value.code == f"credential_form.{code}"
    else:
        assert refuse_bad_form(host, bad[0], SecretText(bad[1])) == notes


def test_only_a_name_that_may_have_lost_something_is_a_guess() -> None:
    (guess,) = check_credential_form(ANY, "robot", SecretText("x"))
    (known,) = check_credential_form("docker.io", "ana@example.com", SecretText("x"))
    assert (guess.guess, known.guess) == (True, False)


def test_where_the_other_form_was_meant_it_is_named() -> None:
    (for_key,) = check_credential_form(GOOGLE, "_json_key", SecretText(KEY_64))
    (for_base64,) = check_credential_form(GOOGLE, "_json_key_base64", SecretText(KEY))
    assert for_key.text.endswith("set USER to _json_key_base64.")
    assert for_base64.text.endswith("set USER to _json_key.")


@pytest.mark.parametrize(
    "value,words",
    [
        ("ghp_c4nary", "a classic token of GitHub"),
        ("dckr_oat_c4nary", "an organization access token of Docker Hub"),
        (KEY, "a JSON key of Google"),
        ("c4nary", ""),
    ],
)
def test_only_the_kind_of_a_password_is_told(value: str, words: str) -> None:
    assert describe_password(SecretText(value)) == words


def test_no_value_is_repeated() -> None:
    for user, value in (("c4nary:@x.example ", "c4nary "), ("_json_key", "{c4nary"), ("_json_key_base64", "c4nary")):
        for host in (HUB, GOOGLE, GHCR, ANY):
            assert "c4nary" not in repr(check_credential_form(host, user, SecretText(value)))
