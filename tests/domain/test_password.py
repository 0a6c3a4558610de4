import pytest

from berth.domain.password import check_password
from berth.domain.problem import Invalid
from berth.domain.secret_text import SecretText


@pytest.mark.parametrize(
    "password", ["a" * 12, "a" * 256, "correct horse battery staple", "\u00e4" * 12, "octo-the-cat!"]
)
def test_1_length_is_all_that_counts(password: str) -> None:
    check_password(SecretText(password), "octo-the-cat")


@pytest.mark.parametrize(
    ("password", "code"),
    [
        ("a" * 11, "password.length"),
        ("a" * 257, "password.length"),
        ("", "password.length"),
        (" " * 12, "password.guessable"),
        ("Octo-The-Cat", "password.guessable"),
        (" octo-the-cat ", "password.guessable"),
    ],
)
def test_1_what_is_refused(password: str, code: str) -> None:
    with pytest.raises(Invalid) as caught:
        check_password(SecretText(password), "octo-the-cat")
    assert caught.value.code == code
    assert caught.value.field == "password"
