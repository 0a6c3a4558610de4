import pickle

import pytest

from berth.domain.secret_text import SecretText

CANARY = "canary-5d1"


def test_no_printed_form_shows_the_value() -> None:
    text = SecretText(CANARY)
    assert CANARY not in f"{text} {text!r} {text:>40} {text!s} {[text]} {'%s' % text}"  # noqa: UP031 every form
    assert text.reveal() == CANARY


def test_it_is_never_serialised() -> None:
    with pytest.raises(TypeError):
        pickle.dumps(SecretText(CANARY))


def test_it_equals_the_same_value_and_no_plain_text() -> None:
    assert SecretText(CANARY) == SecretText(CANARY)
    assert SecretText(CANARY) != SecretText("other")
    assert SecretText(CANARY) != CANARY
    assert len({SecretText(CANARY), SecretText(CANARY)}) == 1
    assert SecretText(CANARY)
    assert not SecretText("")
