"""GitHub's bodies of errors. Source: GitHub REST docs, "Troubleshooting"."""

import pytest

from berth.domain.problem import Conflict, Invalid
from berth.rest.problems import error_body


@pytest.mark.parametrize(
    ("code", "resource"),
    [
        ("secret.name.reserved", "CodespaceSecret"),
        ("repository.name", "Repository"),
        ("codespace.machine", "Codespace"),
        ("account.login", "User"),
        ("invalid", "Request"),
    ],
)
def test_an_entry_names_what_its_field_belongs_to(code: str, resource: str) -> None:
    """gh prints RESOURCE.FIELD."""
    body = error_body(
        Invalid("No.", field="name", reason="missing", code=code, remedy="Do."), "https://berth.test/docs"
    )
    assert body == {
        "message": "No. Do.",
        "documentation_url": "https://berth.test/docs",
        "status": "422",
        "code": code,
        "errors": [{"resource": resource, "field": "name", "code": "missing", "message": "No."}],
    }


@pytest.mark.parametrize(
    "problem",
    [Invalid("No."), Invalid("No.", field="a", code="request.malformed"), Conflict("No.")],
    ids=["no field", "another status", "another class"],
)
def test_only_a_422_of_a_field_has_entries(problem: Invalid | Conflict) -> None:
    assert "errors" not in error_body(problem, "")
