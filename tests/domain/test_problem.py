from berth.domain.problem import Conflict, Invalid, LimitReached, Problem, UpstreamFailed


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
