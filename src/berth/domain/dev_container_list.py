"""Which dev container configurations a repository has, and what people call them.

They lie in `.devcontainer/devcontainer.json`, `.devcontainer.json` and `.devcontainer/<folder>/devcontainer.json`, one
folder deep. A launch that is not told which one takes the first of the first two. Source: containers.dev, "Dev Container
specification", devcontainer.json.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from berth.domain.codespace import DEFAULT_CONFIGURATIONS
from berth.domain.dev_container import parse_dev_container
from berth.domain.problem import Invalid

FOLDER = ".devcontainer"
FILE = "devcontainer.json"
MAX_NAME = 100
MAX_IMAGE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class DevContainerEntry:
    """One configuration. `name` is the file's own, `display_name` what a list shows; None where there is none.

    `image` is what it names, if that is all it takes to know it: not what a Dockerfile or a Compose file says.
    """

    path: str
    name: str | None = None
    display_name: str | None = None
    image: str | None = None


def configuration_paths(folders: Iterable[str]) -> tuple[str, ...]:
    """Where configurations may lie, given the folders in `.devcontainer`; the two usual places first."""
    return (*DEFAULT_CONFIGURATIONS, *(f"{FOLDER}/{name}/{FILE}" for name in sorted(folders)))


def describe_configuration(path: str, data: bytes | None) -> DevContainerEntry:
    """The entry of a file. One that cannot be read (None: it is too large) has no name; its launch says why."""
    values = {} if data is None else _values(data)
    name, image = _text(values.get("name"), MAX_NAME), _text(values.get("image"), MAX_IMAGE)
    parts = path.split("/")
    folder = parts[1] if len(parts) == 3 else None
    return DevContainerEntry(path=path, name=name, display_name=name or folder, image=image)


def _values(data: bytes) -> Mapping[str, object]:
    try:
        return parse_dev_container(data).values
    except Invalid:
        return {}


def _text(value: object, most: int) -> str | None:
    return value if isinstance(value, str) and value.isprintable() and 0 < len(value) <= most else None
