"""The policy of `domain/lifecycle.py`, quoted by its numbers."""

from itertools import product

import pytest

from berth.domain.lifecycle import Desired, Phase, State, Step, World, choose_step, is_settled, state_of

RUNNING, STOPPED, DELETED = Desired


@pytest.mark.parametrize(
    ("phase", "world", "launched", "changed"),
    list(product(Phase, World, (True, False), (True, False))),
)
def test_policy_1_deleted_always_removes(phase: Phase, world: World, launched: bool, changed: bool) -> None:
    for rebuild in (False, True):
        step = choose_step(DELETED, phase, world, launched=launched, changed=changed, rebuild=rebuild)
        assert step is Step.REMOVE


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


SETTLED = {
    "one that runs": (RUNNING, Phase.AVAILABLE, World.RUNNING, True, False, True),
    "one that ended by itself": (RUNNING, Phase.AVAILABLE, World.STOPPED, True, False, False),
    "one that is gone": (RUNNING, Phase.AVAILABLE, World.ABSENT, True, False, False),
    "one that runs, and a second one": (RUNNING, Phase.AVAILABLE, World.RUNNING, True, True, False),
    "a stopped one": (STOPPED, Phase.SHUTDOWN, World.STOPPED, True, False, True),
    "a stopped one that runs": (STOPPED, Phase.SHUTDOWN, World.RUNNING, True, False, False),
    "one stopped before its launch": (STOPPED, Phase.QUEUED, World.ABSENT, False, False, True),
    "one stopped before its launch, and what came late": (STOPPED, Phase.QUEUED, World.ABSENT, False, True, False),
    "a failed launch": (RUNNING, Phase.FAILED, World.ABSENT, False, False, True),
    "a failed start": (RUNNING, Phase.FAILED, World.STOPPED, True, False, True),
    "a failed one that runs": (RUNNING, Phase.FAILED, World.RUNNING, True, False, False),
    "a failed one that is gone": (RUNNING, Phase.FAILED, World.ABSENT, True, False, True),
}


@pytest.mark.parametrize(
    ("desired", "phase", "world", "launched", "surplus", "settled"), SETTLED.values(), ids=SETTLED.keys()
)
def test_policy_7_what_is_as_it_was_left_is_settled(
    desired: Desired, phase: Phase, world: World, launched: bool, surplus: bool, settled: bool
) -> None:
    assert is_settled(desired, phase, world, launched=launched, rebuild=False, surplus=surplus) is settled


@pytest.mark.parametrize(("desired", "phase", "world", "launched", "changed", "step"), CASES.values(), ids=CASES.keys())
def test_choose_step(desired: Desired, phase: Phase, world: World, launched: bool, changed: bool, step: Step) -> None:
    assert choose_step(desired, phase, world, launched=launched, changed=changed, rebuild=False) is step


REBUILDS = {
    "policy 6: of what runs": (RUNNING, Phase.AVAILABLE, World.RUNNING, True, Step.REBUILD),
    "policy 6: of what is stopped": (RUNNING, Phase.SHUTDOWN, World.STOPPED, True, Step.REBUILD),
    "policy 6: of what failed": (RUNNING, Phase.FAILED, World.STOPPED, True, Step.REBUILD),
    "policy 6: of what is lost": (RUNNING, Phase.FAILED, World.ABSENT, True, Step.REBUILD),
    "policy 6: interrupted before the old one went": (RUNNING, Phase.REBUILDING, World.RUNNING, True, Step.REBUILD),
    "policy 6: interrupted after the old one went": (RUNNING, Phase.REBUILDING, World.ABSENT, True, Step.REBUILD),
    "policy 6: a failed one rests": (RUNNING, Phase.FAILED, World.ABSENT, False, Step.REST),
    "policy 6: stopped before the old one went": (STOPPED, Phase.REBUILDING, World.RUNNING, True, Step.STOP),
    "policy 6: stopped after the old one went": (STOPPED, Phase.REBUILDING, World.ABSENT, True, Step.STOP),
    "policy 6: it waits for the next start": (STOPPED, Phase.SHUTDOWN, World.ABSENT, False, Step.REST),
    "policy 6: and is done then": (RUNNING, Phase.SHUTDOWN, World.ABSENT, True, Step.REBUILD),
}


@pytest.mark.parametrize(("desired", "phase", "world", "changed", "step"), REBUILDS.values(), ids=REBUILDS.keys())
def test_choose_step_with_a_rebuild_to_do(
    desired: Desired, phase: Phase, world: World, changed: bool, step: Step
) -> None:
    assert choose_step(desired, phase, world, launched=True, changed=changed, rebuild=True) is step


def test_policy_6_what_was_never_launched_is_launched() -> None:
    step = choose_step(RUNNING, Phase.FAILED, World.ABSENT, launched=False, changed=True, rebuild=True)
    assert step is Step.LAUNCH


@pytest.mark.parametrize(
    ("desired", "phase", "world", "launched", "changed", "rebuild"),
    list(product(Desired, Phase, World, (True, False), (True, False), (True, False))),
)
def test_a_container_that_ran_once_is_never_undone_by_less_than_a_deletion(
    desired: Desired, phase: Phase, world: World, launched: bool, changed: bool, rebuild: bool
) -> None:
    step = choose_step(desired, phase, world, launched=launched, changed=changed, rebuild=rebuild)
    if launched and desired is not DELETED:
        assert step not in {Step.LAUNCH, Step.UNDO, Step.REMOVE}
    if not launched:
        assert step not in {Step.START, Step.STOP, Step.FAIL_LOST}
    assert step is not Step.REBUILD or (launched and rebuild and desired is RUNNING)


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
    "being rebuilt": (RUNNING, Phase.REBUILDING, False, State.REBUILDING),
    "a rebuild asked to stop": (STOPPED, Phase.REBUILDING, True, State.SHUTTING_DOWN),
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


@pytest.mark.parametrize("phase", [Phase.AVAILABLE, Phase.SHUTDOWN, Phase.FAILED, Phase.REBUILDING])
def test_what_is_asked_to_be_rebuilt_is_shown_so(phase: Phase) -> None:
    assert state_of(RUNNING, phase, changed=True, rebuild=True) is State.REBUILDING


def test_a_stopped_codespace_whose_rebuild_waits_is_shown_as_stopped() -> None:
    assert state_of(STOPPED, Phase.SHUTDOWN, changed=False, rebuild=True) is State.SHUTDOWN
    assert state_of(RUNNING, Phase.FAILED, changed=False, rebuild=True) is State.FAILED
