import pytest

from berth.domain.problem import Conflict, Invalid, LimitReached, Problem, UpstreamFailed, is_passing


def test_a_problem_has_its_class_code_unless_it_is_given_one() -> None:
    assert Conflict("m").code == "conflict"
    assert Conflict("m", code="account.last_owner").code == "account.last_owner"
    assert Conflict.code == "conflict"


def test_what_a_caller_may_act_upon_is_kept() -> None:
    assert LimitReached("m", retry_after_s=7, code="x", remedy="wait").retry_after_s == 7
    assert LimitReached("m").retry_after_s is None
    assert UpstreamFailed("m", retryable=True).retryable
    assert (Invalid("m", field="name", reason="missing").field, Invalid("m").reason) == ("name", "invalid")
    assert (str(Problem("m", remedy="do")), Problem("m", remedy="do").remedy) == ("m", "do")


@pytest.mark.parametrize(
    ("problem", "passing"),
    [
        (UpstreamFailed("m", retryable=True), True),
        (UpstreamFailed("m"), False),
        (LimitReached("m", code="store.full"), True),
        (LimitReached("m"), False),
        (Conflict("m"), False),
    ],
)
def test_what_may_pass_by_itself(problem: Problem, passing: bool) -> None:
    assert is_passing(problem) is passing
