"""Which configurations a repository has, and their names."""

import pytest

from berth.domain.dev_container_list import DevContainerEntry, configuration_paths, describe_configuration

USUAL, PLAIN, IN_FOLDER = (
    ".devcontainer/devcontainer.json",
    ".devcontainer.json",
    ".devcontainer/docs/devcontainer.json",
)


def test_the_usual_places_come_first_then_the_folders_by_name() -> None:
    assert configuration_paths(["docs", "api"]) == (USUAL, PLAIN, ".devcontainer/api/devcontainer.json", IN_FOLDER)


NAMES = {
    "its own name": (USUAL, b'{"name": "Web", /* c */}', "Web", "Web"),
    "no name": (PLAIN, b"{}", None, None),
    "the folder's": (IN_FOLDER, b"{}", None, "docs"),
    "its own before the folder's": (IN_FOLDER, b'{"name": "Docs"}', "Docs", "Docs"),
    "not JSON": (IN_FOLDER, b"{", None, "docs"),
    "no object": (USUAL, b"[]", None, None),
    "too large to be opened": (IN_FOLDER, None, None, "docs"),
    "a number": (USUAL, b'{"name": 1}', None, None),
    "empty": (USUAL, b'{"name": ""}', None, None),
    "with an escape sequence": (USUAL, b'{"name": "\\u001b[31m"}', None, None),
    "endless": (USUAL, b'{"name": "%s"}' % (b"x" * 101), None, None),
}


@pytest.mark.parametrize(
    ("data", "image"),
    [
        (b'{"image": "registry.example.com/a:1"}', "registry.example.com/a:1"),
        (b'{"image": "a", "build": {"dockerfile": "D"}}', "a"),
        (b'{"build": {"dockerfile": "D"}}', None),
        (b'{"image": ["a"]}', None),
        (b'{"image": "a\\u0000"}', None),
        (b"{", None),
        (None, None),
    ],
)
def test_which_image_it_names(data: bytes | None, image: str | None) -> None:
    assert describe_configuration(USUAL, data).image == image


@pytest.mark.parametrize(("path", "data", "name", "shown"), NAMES.values(), ids=NAMES.keys())
def test_what_it_is_called(path: str, data: bytes | None, name: str | None, shown: str | None) -> None:
    assert describe_configuration(path, data) == DevContainerEntry(path=path, name=name, display_name=shown)
