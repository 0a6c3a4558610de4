"""Names by the specification, of which only some can be a package's."""

import pytest

from berth.domain.package import find_package_name, is_repository_name

NAMES = {
    "one part": ("app", True, False),
    "an owner and a name": ("acme/app", True, True),
    "many parts": ("acme/a/b/c", True, True),
    "longer than a package's": (f"acme/{'a' * 300}", True, False),
    "upper case": ("acme/App", False, False),
    "an empty part": ("acme//app", False, False),
    "nothing": ("", False, False),
    "a separator at the end": ("app-", False, False),
    "a line end": ("app\n", False, False),
}


@pytest.mark.parametrize(("text", "by_specification", "of_a_package"), NAMES.values(), ids=NAMES)
def test_which_names_are_names(text: str, by_specification: bool, of_a_package: bool) -> None:
    assert is_repository_name(text) == by_specification
    assert (find_package_name(text) is not None) == of_a_package
