"""Features as a configuration names them: where each lies, its options, the order that is asked for (L1).

1. A Feature lies in a registry (`host/namespace/name[:tag][@digest]`, as an image does) or in a folder of the repository
   (`./name`, relative to devcontainer.json, never out of the repository). What a published one depends on is published.
2. A name without a registry's host is refused: which registry it means is nobody's guess. So is an address: no credential
   belongs to it, and nothing says what it held yesterday.
3. Options are texts or true and false. A text alone is the option `version`.

Decided: as for the CLI, the case of a published Feature's name counts for nothing.
Source: containers.dev, "Dev Container Features reference", "Referencing a Feature" and "Option resolution"; "Features
distribution", "Locally referenced Features".
"""

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn

from berth.domain.docker_hub import DOCKER_HUB
from berth.domain.image_reference import ImageReference, parse_image_reference
from berth.domain.jsonc import printable
from berth.domain.problem import Invalid, LimitReached

MAX_FEATURES = 50  # of one launch, with what they depend on
MAX_OPTIONS = 100
MAX_OPTION = 4096
_MAX_NAME = 1024
_FILE = "devcontainer.json"
_DOCKER_HUB_HOSTS = (f"{DOCKER_HUB}/", f"index.{DOCKER_HUB}/")


@dataclass(frozen=True, slots=True)
class Folder:
    """A Feature of the repository; the path is the repository's."""

    path: str

    def __str__(self) -> str:
        return self.path


Place = ImageReference | Folder


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureRequest:
    """A Feature that somebody wants. `options` are sorted by name; equal ones are one Feature."""

    name: str  # as it is written
    place: Place
    options: tuple[tuple[str, str], ...] = ()

    @property
    def source(self) -> str:
        """What a message calls it."""
        return f"the Feature {self.name}"

    @property
    def resource(self) -> str:
        """Which Feature it is, whatever its version."""
        return resource_of(self.place)


def resource_of(place: Place) -> str:
    """`host/path`, or the folder."""
    return place.path if isinstance(place, Folder) else f"{place.host}/{place.path}"


def find_features(values: Mapping[str, object], path: str) -> tuple[FeatureRequest, ...]:
    """What the configuration at `path` wants. Raises Invalid, LimitReached."""
    return parse_features(values.get("features"), f"'features' in {_FILE}", posixpath.dirname(path))


def find_install_order(values: Mapping[str, object], path: str) -> tuple[str, ...]:
    """`overrideFeatureInstallOrder` as resources, the first to be installed first. Raises Invalid."""
    value = values.get("overrideFeatureInstallOrder") or []
    return parse_resources(value, f"'overrideFeatureInstallOrder' in {_FILE}", posixpath.dirname(path))


def parse_features(value: object, source: str, folder: str | None) -> tuple[FeatureRequest, ...]:
    """An object of Features and their options. `folder` is what folders are relative to; None: they are refused."""
    if value is None:
        return ()
    if not isinstance(value, dict):
        _refuse(f"{source} must be an object of Features and their options.")
    if len(value) > MAX_FEATURES:
        raise too_many()
    return tuple(
        FeatureRequest(name=name, place=_parse_place(name, source, folder), options=_parse_options(options, name))
        for name, options in value.items()
    )


def parse_resources(value: object, source: str, folder: str | None) -> tuple[str, ...]:
    """A list of Features without versions; a version in one counts for nothing. Raises Invalid, LimitReached."""
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        _refuse(f"{source} must be a list of Features' names.")
    if len(value) > MAX_FEATURES:
        raise too_many()
    return tuple(dict.fromkeys(resource_of(_parse_place(name, source, folder)) for name in value))


def option_text(value: object) -> str | None:
    """An option's value as install.sh gets it; None if it is none. Numbers were read as floats."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    return value if isinstance(value, str) and len(value) <= MAX_OPTION else None


def too_many() -> LimitReached:
    """The one bound on what a launch installs."""
    return LimitReached(
        f"A launch installs at most {MAX_FEATURES} Features, with those that they depend on.",
        code="feature.too_many",
        remedy="Build an image that has some of them, and name that as the image.",
    )


def _parse_place(name: str, source: str, folder: str | None) -> Place:
    shown = printable(name)
    if not name or len(name) > _MAX_NAME or not name.isprintable():
        _refuse(f"{source} holds {shown}, which names no Feature.")
    if "://" in name:
        _refuse(
            f"{source} names {shown}, an address: Berth takes no Feature from there.",
            "Publish it to a registry (devcontainer features publish), or put it into the repository.",
        )
    if name.startswith((".", "/")):
        return _parse_folder(name, source, folder)
    try:
        reference = parse_image_reference(name.lower())
    except Invalid as problem:
        _refuse(f"{source} names {shown}, which is no Feature in a registry. {problem.message}", problem.remedy)
    if reference.host == DOCKER_HUB and not name.lower().startswith(_DOCKER_HUB_HOSTS):
        _refuse(
            f"{source} names {shown} without a registry's host.",
            "Write host/namespace/name:version, such as ghcr.io/devcontainers/features/node:1.",
        )
    return reference


def _parse_folder(name: str, source: str, folder: str | None) -> Folder:
    shown = printable(name)
    if folder is None:
        _refuse(f"{source} names {shown}: a published Feature depends on published ones only.")
    parts = name.split("/")
    path = posixpath.normpath(posixpath.join(folder, name))
    if parts[0] != "." or ".." in parts or "\\" in name or path in {".", folder}:
        _refuse(
            f"{source} names {shown}, which is no folder beside {_FILE}.",
            "Write ./name for a folder beside it, or below.",
        )
    return Folder(path)


def _parse_options(value: object, name: str) -> tuple[tuple[str, str], ...]:
    if isinstance(value, str):
        value = {"version": value}
    if value is True:
        value = {}
    if not isinstance(value, dict) or len(value) > MAX_OPTIONS or "" in value:
        _refuse(f"What {_FILE} or a Feature says of {printable(name)} must be an object of options, or its version.")
    options = {key: option_text(item) for key, item in value.items()}
    for key, text in options.items():
        if text is None or len(key) > MAX_OPTION:
            _refuse(
                f"The option {printable(key)} of {printable(name)} must be a text, true or false,"
                f" of at most {MAX_OPTION} characters."
            )
    return tuple(sorted((key, text) for key, text in options.items() if text is not None))


def _refuse(sentence: str, remedy: str = "") -> NoReturn:
    raise Invalid(sentence, field="devcontainer_path", code="feature.reference", remedy=remedy)
