"""The policy of `domain/lifecycle.py`, quoted by its numbers."""

from itertools import product

import pytest

from berth.domain.lifecycle import Desired, Phase, State, Step, World, choose_step, state_of

RUNNING, STOPPED, DELETED = Desired


@pytest.mark.parametrize(
    ("phase", "world", "launched", "changed"),
    list(product(Phase, World, (True, False), (True, False))),
)
def test_policy_1_deleted_always_removes(phase: Phase, world: World, launched: bool, changed: bool) -> None:
    assert choose_step(DELETED, phase, world, launched=launched, changed=changed) is Step.REMOVE


CASES = {
    "policy 3: a new codespace is launched": (RUNNING, Phase.QUEUED, World.ABSENT, False, True, Step.LAUNCH),
    "policy 3: an interrupted launch is done again": (
        RUNNING, Phase.PROVISIONING, World.ABSENT, False, True, Step.LAUNCH,
    ),
    "policy 3: a stopped codespace is started": (RUNNING, Phase.SHUTDOWN, World.STOPPED, True, True, Step.START),
    "policy 3: an interrupted start is done again": (RUNNING, Phase.STARTING, World.RUNNING, True, True, Step.START),
    "policy 3: while it runs there is nothing to do": (RUNNING, Phase.AVAILABLE, World.RUNNING, True, False, Step.REST),
    "policy 3: one that stopped by itself is started": (
        RUNNING, Phase.AVAILABLE, World.STOPPED, True, False, Step.START,
    ),
    "policy 2: a running codespace is stopped": (STOPPED, Phase.AVAILABLE, World.RUNNING, True, True, Step.STOP),
    "policy 2: a stopped one rests": (STOPPED, Phase.SHUTDOWN, World.STOPPED, True, False, Step.REST),
    "policy 2: one that runs though stopped is stopped": (
        STOPPED, Phase.SHUTDOWN, World.RUNNING, True, False, Step.STOP,
    ),
    "policy 2: a launch under way is undone": (STOPPED, Phase.PROVISIONING, World.ABSENT, False, True, Step.UNDO),
    "policy 2: once undone it rests": (STOPPED, Phase.QUEUED, World.ABSENT, False, False, Step.REST),
    "policy 4: a failure rests": (RUNNING, Phase.FAILED, World.ABSENT, False, False, Step.REST),
    "policy 4: a failed launch is tried again when asked": (
        RUNNING, Phase.FAILED, World.ABSENT, False, True, Step.LAUNCH,
    ),
    "policy 4: a failed start is tried again when asked": (
        RUNNING, Phase.FAILED, World.STOPPED, True, True, Step.START,
    ),
    "policy 4: stopping a failed start keeps the container": (
        STOPPED, Phase.FAILED, World.RUNNING, True, True, Step.STOP,
    ),
    "policy 4: a stopped failure rests": (STOPPED, Phase.FAILED, World.ABSENT, True, False, Step.REST),
    "policy 5: a vanished container is a failure": (RUNNING, Phase.AVAILABLE, World.ABSENT, True, False, Step.FAIL_LOST),
    "policy 5: also while it was stopped": (STOPPED, Phase.SHUTDOWN, World.ABSENT, True, False, Step.FAIL_LOST),
}  # fmt: skip


@pytest.mark.parametrize(("desired", "phase", "world", "launched", "changed", "step"), CASES.values(), ids=CASES.keys())
def test_choose_step(desired: Desired, phase: Phase, world: World, launched: bool, changed: bool, step: Step) -> None:
    assert choose_step(desired, phase, world, launched=launched, changed=changed) is step


@pytest.mark.parametrize(
    ("desired", "phase", "world", "launched", "changed"),
    list(product(Desired, Phase, World, (True, False), (True, False))),
)
def test_a_container_that_ran_once_is_never_undone_by_less_than_a_deletion(
    desired: Desired, phase: Phase, world: World, launched: bool, changed: bool
) -> None:
    step = choose_step(desired, phase, world, launched=launched, changed=changed)
    if launched and desired is not DELETED:
        assert step not in {Step.LAUNCH, Step.UNDO, Step.REMOVE}
    if not launched:
        assert step not in {Step.START, Step.STOP, Step.FAIL_LOST}


STATES = {
    "just created": (RUNNING, Phase.QUEUED, True, State.QUEUED),
    "being launched": (RUNNING, Phase.PROVISIONING, True, State.PROVISIONING),
    "running": (RUNNING, Phase.AVAILABLE, False, State.AVAILABLE),
    "asked to stop": (STOPPED, Phase.AVAILABLE, True, State.SHUTTING_DOWN),
    "a launch asked to stop": (STOPPED, Phase.PROVISIONING, True, State.SHUTTING_DOWN),
    "stopped": (STOPPED, Phase.SHUTDOWN, False, State.SHUTDOWN),
    "stopped before it was launched": (STOPPED, Phase.QUEUED, False, State.SHUTDOWN),
    "asked to start": (RUNNING, Phase.SHUTDOWN, True, State.STARTING),
    "failed": (RUNNING, Phase.FAILED, False, State.FAILED),
    "failed, asked to start": (RUNNING, Phase.FAILED, True, State.QUEUED),
    "deleted": (DELETED, Phase.AVAILABLE, True, State.DELETED),
}


@pytest.mark.parametrize(("desired", "phase", "changed", "state"), STATES.values(), ids=STATES.keys())
def test_state_of(desired: Desired, phase: Phase, changed: bool, state: State) -> None:
    assert state_of(desired, phase, changed=changed) is state


@pytest.mark.parametrize(
    ("desired", "phase", "changed"),
    list(product(Desired, Phase, (True, False))),
)
def test_an_export_shows_on_what_would_be_available_and_hides_nothing_else(
    desired: Desired, phase: Phase, changed: bool
) -> None:
    before = state_of(desired, phase, changed=changed)
    expected = State.EXPORTING if before is State.AVAILABLE else before
    assert state_of(desired, phase, changed=changed, exporting=True) is expected
