"""What a Feature says of itself, `devcontainer-feature.json`: reviewed (L4), and what of it reaches an image.

1. Keys that act on a container are judged by the tables of `dev_container_keys`, as in a file or a label; the message names
   the Feature; what the administrator allows of the host reaches the label, and with it the container. Keys that describe are
   read here. Others are passed over: nobody reads the file but Berth, and the image's label gets what is taken from it here.
2. The file in the archive counts, not the annotation of the manifest: it is what install.sh belongs to.
3. An option that somebody gives has to fit an `enum`. One that the Feature does not have is passed on with a note, as by the
   CLI: options come and go with a Feature's versions.

Source: containers.dev, "Dev Container Features reference".
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn

from berth.domain.allowance import NO_ALLOWANCES, Allowances
from berth.domain.dev_container import names_local_folder, review_values, without_local_env
from berth.domain.dev_container_keys import IN_FEATURE, REFUSED
from berth.domain.dev_container_options import OPTION_KEYS
from berth.domain.feature import (
    MAX_OPTIONS,
    FeatureRequest,
    Folder,
    option_text,
    parse_features,
    parse_resources,
)
from berth.domain.jsonc import parse_jsonc, printable
from berth.domain.problem import Invalid

METADATA_FILE = "devcontainer-feature.json"
_DESCRIBES = frozenset(
    {
        "id",
        "version",
        "name",
        "description",
        "documentationURL",
        "licenseURL",
        "keywords",
        "options",
        "installsAfter",
        "dependsOn",
        "legacyIds",
        "currentId",
        "deprecated",
        "$schema",
    }
)
_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_TEXT_LENGTH = 200
_NOT_A_WORD = re.compile(r"[^A-Za-z0-9_]")
_LEADING = re.compile(r"^[0-9_]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureOption:
    """What the Feature says of one of its options. `allowed` is empty where every value is."""

    default: str | None
    allowed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureMetadata:
    """One Feature, reviewed."""

    id: str
    version: str = ""
    options: Mapping[str, FeatureOption]
    depends_on: tuple[FeatureRequest, ...] = ()
    installs_after: tuple[str, ...] = ()  # resources
    former_ids: tuple[str, ...] = ()
    container_env: Mapping[str, str]
    entry: Mapping[str, object]  # what it adds to the image's label
    notes: tuple[str, ...] = ()


def read_feature_metadata(
    data: bytes, request: FeatureRequest, folder: str, allowances: Allowances = NO_ALLOWANCES
) -> FeatureMetadata:
    """`folder` is that of devcontainer.json: a Feature of the repository may name others there. Raises Invalid."""
    source = request.source
    value = parse_jsonc(data, f"{METADATA_FILE} of {source}")
    if not isinstance(value, dict):
        _refuse(source, "it holds no object {…}")
    values = {key: without_local_env(item, source) for key, item in value.items()}
    acting = {key: item for key, item in values.items() if key in IN_FEATURE or key in REFUSED}
    review_values(acting, IN_FEATURE, source, allowances)
    taken = {key: item for key, item in acting.items() if key in IN_FEATURE and item not in (None, "", [], {})}
    taken |= {key: item for key, item in acting.items() if key in OPTION_KEYS and item not in (None, False, [])}
    if names_local_folder(taken):
        _refuse(source, "it uses a folder of the machine that builds, such as ${localWorkspaceFolder}")
    container_env = taken.pop("containerEnv", {})
    identifier, deprecated = _text(values.get("id")), values.get("deprecated")
    if not _ID.fullmatch(identifier):
        _refuse(source, "its 'id' is missing or malformed")
    near = folder if isinstance(request.place, Folder) else None
    unknown = [printable(key) for key in values if key not in acting and key not in _DESCRIBES]
    notes = [f"{source}: {', '.join(unknown[:5])} in {METADATA_FILE} means nothing to Berth."] if unknown else []
    notes += [f"{source} is deprecated."] if deprecated is True else []
    return FeatureMetadata(
        id=identifier,
        version=_text(values.get("version")),
        options=_read_options(values.get("options"), source),
        depends_on=parse_features(values.get("dependsOn"), f"'dependsOn' of {source}", near),
        installs_after=parse_resources(values.get("installsAfter") or [], f"'installsAfter' of {source}", near),
        former_ids=_read_ids(values.get("legacyIds"), source),
        container_env=container_env if isinstance(container_env, dict) else {},
        entry={"id": request.name, **taken},
        notes=tuple(notes),
    )


def resolve_options(metadata: FeatureMetadata, request: FeatureRequest) -> tuple[dict[str, str], tuple[str, ...]]:
    """The variables that install.sh gets, and what is to be said (policy 3). Raises Invalid(code="feature.option")."""
    notes = []
    values = {name: option.default for name, option in metadata.options.items() if option.default is not None}
    for name, value in request.options:
        option = metadata.options.get(name)
        if option is None:
            notes.append(f"{request.source} has no option {printable(name)}; it is passed on.")
        elif option.allowed and value not in option.allowed:
            raise Invalid(
                f"The option {printable(name)} of {request.source} is {printable(value)}, which it does not have.",
                field="devcontainer_path",
                code="feature.option",
                remedy=f"It takes {', '.join(option.allowed[:20])}.",
            )
        values[name] = value
    return {variable_name(name): value for name, value in values.items()}, tuple(notes)


def variable_name(option: str) -> str:
    """An option's name as a variable's. Source: "Dev Container Features reference", "Option Resolution"."""
    return _LEADING.sub("_", _NOT_A_WORD.sub("_", option)).upper()


def _read_options(value: object, source: str) -> dict[str, FeatureOption]:
    if value is None:
        return {}
    if not isinstance(value, dict) or len(value) > MAX_OPTIONS or "" in value:
        _refuse(source, f"its 'options' are no object of at most {MAX_OPTIONS}")
    found = {}
    for name, option in value.items():
        said = option if isinstance(option, dict) else {}
        default, allowed = said.get("default"), said.get("enum")
        texts = [option_text(one) for one in allowed] if isinstance(allowed, list) else []
        if not isinstance(option, dict) or (default is not None and option_text(default) is None) or None in texts:
            _refuse(source, f"what it says of its option {printable(name)} is malformed")
        found[name] = FeatureOption(
            default=option_text(default), allowed=tuple(text for text in texts if text is not None)
        )
    return found


def _read_ids(value: object, source: str) -> tuple[str, ...]:
    ids = value if isinstance(value, list) else [] if value is None else [None]
    if len(ids) > MAX_OPTIONS or not all(isinstance(one, str) and _ID.fullmatch(one) for one in ids):
        _refuse(source, "its 'legacyIds' are malformed")
    return tuple(ids)


def _text(value: object) -> str:
    return value[:_TEXT_LENGTH] if isinstance(value, str) and value.isprintable() else ""


def _refuse(source: str, why: str) -> NoReturn:
    raise Invalid(
        f"{METADATA_FILE} of {source} cannot be used: {why}.",
        field="devcontainer_path",
        code="feature.metadata",
        remedy="Tell whoever publishes the Feature, or name another version.",
    )
