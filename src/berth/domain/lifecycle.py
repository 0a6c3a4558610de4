"""The life of a codespace: what is desired, how far it has come, and the one next step (pure; the loop obeys).

Policy, in evaluation order:
1. Desired `deleted`: remove, whatever there is.
2. Desired `stopped`: a launch that is under way is undone, a running container is stopped; then rest.
3. Desired `running`: launch what was never launched, start what was stopped, and rest while it runs.
4. `Failed` is an answer, not a fault to retry: it rests until the next request.
5. A container that vanished under an available or stopped codespace is a failure with that reason, never a silent rebuild:
   its owner's files outside the checkout are gone, and he shall know.
6. A rebuild that was asked for comes before anything else runs, and until it has succeeded no container need be there.
   Stopped in between, it waits for the next start; a container that is still there is kept and stopped.
7. What is at rest is settled while the world stays as it was left: its own container and no other, and none that runs for one
   that failed.
"""

from enum import StrEnum


class Desired(StrEnum):
    """What the last request asked for."""

    RUNNING = "running"
    STOPPED = "stopped"
    DELETED = "deleted"


class Phase(StrEnum):
    """How far the loop has come."""

    QUEUED = "queued"  # never launched, or its launch was undone
    PROVISIONING = "provisioning"
    AVAILABLE = "available"
    STARTING = "starting"
    REBUILDING = "rebuilding"
    STOPPING = "stopping"
    SHUTDOWN = "shutdown"
    FAILED = "failed"


class State(StrEnum):
    """GitHub's `state` of a codespace, all of its values. Source: GitHub's OpenAPI description, schema `codespace`."""

    UNKNOWN = "Unknown"
    CREATED = "Created"
    QUEUED = "Queued"
    PROVISIONING = "Provisioning"
    AVAILABLE = "Available"
    AWAITING = "Awaiting"
    UNAVAILABLE = "Unavailable"
    DELETED = "Deleted"
    MOVED = "Moved"
    SHUTDOWN = "Shutdown"
    ARCHIVED = "Archived"
    STARTING = "Starting"
    SHUTTING_DOWN = "ShuttingDown"
    FAILED = "Failed"
    EXPORTING = "Exporting"
    UPDATING = "Updating"
    REBUILDING = "Rebuilding"


class World(StrEnum):
    """What a look at the engine found of the codespace's own container."""

    ABSENT = "absent"
    STOPPED = "stopped"
    RUNNING = "running"


class Step(StrEnum):
    """The one thing to do next. Each may be repeated."""

    REST = "rest"
    LAUNCH = "launch"
    START = "start"
    REBUILD = "rebuild"  # another container on the checkout that is there
    STOP = "stop"
    UNDO = "undo"  # a launch that is not wanted any more: remove what it made, keep the codespace
    FAIL_LOST = "fail_lost"
    REMOVE = "remove"


def choose_step(desired: Desired, phase: Phase, world: World, *, launched: bool, changed: bool, rebuild: bool) -> Step:
    """The next step. `launched`: a launch has succeeded once; `changed`: a request came since one was last met;
    `rebuild`: one was asked for and has not succeeded yet.
    """
    resting = phase in {Phase.FAILED, Phase.QUEUED} and not changed
    if desired is Desired.DELETED:
        return Step.REMOVE
    if desired is Desired.STOPPED:
        if resting:
            return Step.REST
        return _step_to_stop(phase, world, rebuild=rebuild) if launched else Step.UNDO
    if phase is Phase.FAILED and resting:
        return Step.REST
    if not launched:
        return Step.LAUNCH
    return Step.REBUILD if rebuild else _step_to_run(phase, world)


def is_settled(desired: Desired, phase: Phase, world: World, *, launched: bool, rebuild: bool, surplus: bool) -> bool:
    """Whether there is nothing to do for a codespace at rest. `surplus`: there are containers beside its own."""
    if surplus or (phase is Phase.FAILED and world is World.RUNNING):
        return False
    return choose_step(desired, phase, world, launched=launched, changed=False, rebuild=rebuild) is Step.REST


def _step_to_stop(phase: Phase, world: World, *, rebuild: bool) -> Step:
    if world is World.ABSENT and not rebuild:
        return Step.FAIL_LOST
    if world is World.RUNNING or phase is not Phase.SHUTDOWN:
        return Step.STOP
    return Step.REST


def _step_to_run(phase: Phase, world: World) -> Step:
    if world is World.ABSENT:
        return Step.FAIL_LOST
    if phase is Phase.AVAILABLE and world is World.RUNNING:
        return Step.REST
    return Step.START


_STATES = {
    Phase.QUEUED: State.QUEUED,
    Phase.PROVISIONING: State.PROVISIONING,
    Phase.AVAILABLE: State.AVAILABLE,
    Phase.STARTING: State.STARTING,
    Phase.REBUILDING: State.REBUILDING,
    Phase.STOPPING: State.SHUTTING_DOWN,
    Phase.SHUTDOWN: State.SHUTDOWN,
    Phase.FAILED: State.FAILED,
}

# What a request that the loop has not met yet looks like from outside.
_PENDING = {
    (Desired.RUNNING, Phase.SHUTDOWN): State.STARTING,
    (Desired.RUNNING, Phase.STOPPING): State.STARTING,
    (Desired.RUNNING, Phase.FAILED): State.QUEUED,
    (Desired.STOPPED, Phase.QUEUED): State.SHUTTING_DOWN,
    (Desired.STOPPED, Phase.PROVISIONING): State.SHUTTING_DOWN,
    (Desired.STOPPED, Phase.AVAILABLE): State.SHUTTING_DOWN,
    (Desired.STOPPED, Phase.STARTING): State.SHUTTING_DOWN,
    (Desired.STOPPED, Phase.REBUILDING): State.SHUTTING_DOWN,
}


def state_of(desired: Desired, phase: Phase, *, changed: bool, rebuild: bool = False, exporting: bool = False) -> State:
    """What the API shows: the phase, or the way to what was asked for; an export, where there would be nothing to wait for.

    `rebuild`: one of a container that there was is to be done.
    """
    if desired is Desired.DELETED:
        return State.DELETED
    if desired is Desired.STOPPED and phase is Phase.QUEUED and not changed:
        return State.SHUTDOWN  # stopped before it was ever launched
    if changed and rebuild and desired is Desired.RUNNING:
        return State.REBUILDING
    if changed and (desired, phase) in _PENDING:
        return _PENDING[desired, phase]
    if exporting and phase is Phase.AVAILABLE:
        return State.EXPORTING
    return _STATES[phase]
