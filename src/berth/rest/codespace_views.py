"""GitHub's bodies of codespaces and machines."""

from typing import Any

from berth.domain.account import Account, AccountType
from berth.domain.codespace import Codespace
from berth.domain.machine import Machine
from berth.domain.prebuild import PrebuildAvailability
from berth.domain.repository import Repository
from berth.edge.timestamp import maybe_timestamp, timestamp
from berth.rest.call import Call
from berth.rest.simple_user import simple_user_of
from berth.rest.views import minimal_repository, simple_user
from berth.services.codespace_view import CodespaceView


def codespace_body(call: Call, view: CodespaceView) -> dict[str, Any]:
    """GitHub's `codespace`; ours are `finding` and `failed_hook`, where there are any, and `retention_notice` before it goes."""
    codespace, repository = view.codespace, view.shown_repository
    url = call.links.api(f"/user/codespaces/{codespace.name}")
    body: dict[str, Any] = {
        "id": codespace.id,
        "name": codespace.name,
        "display_name": codespace.display_name,
        "environment_id": codespace.environment_id,
        "owner": simple_user(call.links, view.owner),
        "billable_owner": billable_owner(call, repository, view.owner),
        "repository": minimal_repository(call.links, repository),
        "machine": machine_body(view.machine),
        "devcontainer_path": codespace.devcontainer_path,
        "prebuild": codespace.from_prebuild,
        "created_at": timestamp(codespace.created_at),
        "updated_at": timestamp(codespace.updated_at),
        "last_used_at": timestamp(codespace.last_used_at),
        "state": codespace.state,
        "url": url,
        "git_status": {"ref": codespace.ref},
        "location": codespace.location,
        "idle_timeout_minutes": view.idle_timeout_minutes,
        "web_url": call.links.web(f"/codespaces/{codespace.name}"),
        "machines_url": f"{url}/machines",
        "start_url": f"{url}/start",
        "stop_url": f"{url}/stop",
        "publish_url": None,
        "pulls_url": _pull_request_url(call, codespace, repository),
        "recent_folders": list(codespace.recent_folders),
        "runtime_constraints": {"allowed_port_privacy_settings": None},
        "pending_operation": codespace.is_busy,
        "pending_operation_disabled_reason": f"The codespace is {codespace.state}." if codespace.is_busy else None,
        "idle_timeout_notice": _idle_timeout_notice(view),
        "last_known_stop_notice": codespace.stop_notice,
        "retention_period_minutes": view.retention_minutes,
        "retention_expires_at": maybe_timestamp(view.expires_at),
    }
    if codespace.failed_hook is not None:
        failed = codespace.failed_hook
        body["failed_hook"] = {"hook": failed.hook, "exit_code": failed.exit_code, "at": timestamp(failed.at)}
    if view.expiry_notice is not None:
        body["retention_notice"] = view.expiry_notice
    if codespace.finding is not None:
        body["finding"] = codespace.finding
    return body


def _pull_request_url(call: Call, codespace: Codespace, repository: Repository) -> str | None:
    number = codespace.pull_request_number
    return None if number is None else call.links.api(f"/repos/{repository.full_name}/pulls/{number}")


def _idle_timeout_notice(view: CodespaceView) -> str | None:
    """Where the server or a policy allows less than the codespace would have."""
    if view.idle_timeout_minutes == view.codespace.idle_timeout_minutes:
        return None
    return f"At most {view.idle_timeout_minutes} minutes are allowed here."


def billable_owner(call: Call, repository: Repository, owner: Account) -> dict[str, Any]:
    """Nobody pays here; it says whose the codespace is to list and to stop: the organization's, or its owner's alone."""
    if not repository.owner_is_organization:
        return simple_user(call.links, owner)
    return simple_user_of(call.links, repository.owner_id, repository.owner_login, AccountType.ORGANIZATION)


def machine_body(machine: Machine, availability: PrebuildAvailability | None = None) -> dict[str, Any]:
    """GitHub's `codespace-machine`; `availability` None: it is not about a branch."""
    return {
        "name": machine.name,
        "display_name": machine.display_name,
        "operating_system": "linux",
        "storage_in_bytes": machine.storage_bytes,
        "memory_in_bytes": machine.memory_bytes,
        "cpus": machine.cpus,
        "prebuild_availability": availability,
    }
