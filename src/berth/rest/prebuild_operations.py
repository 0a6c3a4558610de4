"""What the operations on prebuilds take and answer; see `own_operations.py`."""

from berth.domain.prebuild import MAX_EVERY_HOURS, MAX_KEPT_VERSIONS, PrebuildState, PrebuildTrigger
from berth.rest.operation_schema import (
    FINDING,
    LOG_LINE,
    MAYBE_NUMBER,
    MAYBE_TEXT,
    MAYBE_TIME,
    NUMBER,
    PAGES,
    TEXT,
    TIME,
    OwnOperation,
    closed,
    list_of,
    words,
)
from berth.rest.prebuild import CreatePrebuild

_VERSION = closed(configuration_hash=TEXT, digest=TEXT, commit=TEXT, created_at=TIME)
_PREBUILD = closed(
    id=NUMBER,
    branch=TEXT,
    devcontainer_path=MAYBE_TEXT,
    trigger=words(PrebuildTrigger),
    every_hours=MAYBE_NUMBER,
    kept_versions=NUMBER,
    state=words(PrebuildState),
    commit=MAYBE_TEXT,
    created_at=TIME,
    finished_at=MAYBE_TIME,
    finding={"anyOf": [FINDING, {"type": "null"}]},
    package=TEXT,
    versions=list_of(_VERSION),
)
_BASE = "/repos/{owner}/{repo}/codespaces/prebuilds"
_ONE = f"{_BASE}/{{prebuild_id}}"
_HOURS = {"type": "integer", "minimum": 1, "maximum": MAX_EVERY_HOURS}

PREBUILD_OPERATIONS: dict[str, OwnOperation] = {
    f"GET {_BASE}": OwnOperation(
        id="berth/list-prebuilds",
        summary="List a repository's prebuilds",
        answer=closed(total_count=NUMBER, prebuilds=list_of(_PREBUILD)),
        query=PAGES,
    ),
    f"POST {_BASE}": OwnOperation(
        id="berth/create-prebuild",
        summary="Keep the image of a branch's configuration prebuilt",
        status=201,
        answer=_PREBUILD,
        request=CreatePrebuild,
        narrowed={
            "trigger": words(PrebuildTrigger),
            "every_hours": {"anyOf": [_HOURS, {"type": "null"}]},
            "kept_versions": {"minimum": 1, "maximum": MAX_KEPT_VERSIONS},
        },
    ),
    f"GET {_ONE}": OwnOperation(id="berth/get-prebuild", summary="Get a prebuild", answer=_PREBUILD),
    f"DELETE {_ONE}": OwnOperation(
        id="berth/delete-prebuild", summary="Delete a prebuild and its versions", status=204
    ),
    f"POST {_ONE}/runs": OwnOperation(
        id="berth/run-prebuild", summary="Make a prebuild anew", status=202, answer=_PREBUILD
    ),
    f"GET {_ONE}/logs": OwnOperation(
        id="berth/read-prebuild-log", summary="Read the log of a prebuild's last run", answer=list_of(LOG_LINE)
    ),
}
