"""Every Problem has a status, and every row of the table a use."""

import pytest
from tests.test_documented import all_codes

from berth.domain.problem import Conflict, Denied, LimitReached, Problem, UpstreamFailed
from berth.edge.problem_status import _STATUS_OF_CODE, STATUSES, status_of


def test_every_problem_has_a_status() -> None:
    kinds = Problem.__subclasses__()
    assert len(kinds) == len(STATUSES)
    for kind in kinds:
        assert status_of(kind("x")) == STATUSES[kind]
    with pytest.raises(TypeError):
        status_of(Problem("x"))


def test_a_kind_of_a_kind_has_its_status() -> None:
    assert status_of(type("Refused", (Denied,), {})("x")) == 403


def test_every_row_is_of_a_code_that_there_is() -> None:
    assert set(_STATUS_OF_CODE) - all_codes() == set()


@pytest.mark.parametrize(
    ("problem", "status"),
    [
        (LimitReached("x", code="doctor.busy"), 429),
        (LimitReached("x", code="registry_login.busy"), 429),
        (LimitReached("x", code="blob.disk_full"), 507),
        (UpstreamFailed("x", code="store.unavailable"), 503),
        (Conflict("x", code="export.in_progress"), 422),
    ],
    ids=lambda value: str(getattr(value, "code", value)),
)
def test_a_code_may_have_a_status_of_its_own(problem: Problem, status: int) -> None:
    assert status_of(problem) == status
