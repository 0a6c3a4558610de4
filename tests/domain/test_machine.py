"""Machines: the administrator's table, and what a codespace gets of it."""

import json
from typing import Any

import pytest

from berth.domain.machine import MAX_MACHINES, UNLIMITED, Machine, Machines, parse_machines
from berth.domain.problem import Invalid

SMALL: dict[str, Any] = {"name": "small", "cpus": 2, "memory_gb": 8}


def parse(*entries: object) -> Machines:
    return parse_machines(json.dumps(entries))


def test_without_the_setting_there_is_one_without_limits() -> None:
    assert parse_machines("") == parse_machines(" ") == Machines((UNLIMITED,))
    assert UNLIMITED.engine_arguments == ()


def test_a_machine_is_shown_and_limited_as_it_says() -> None:
    machines = parse({**SMALL, "storage_gb": 32}, {"name": "tiny", "cpus": 1, "memory_gb": 0.5, "display_name": "Tiny"})
    small, tiny = machines.offered
    assert small == Machine(
        name="small",
        display_name="2 cores, 8 GB RAM, 32 GB storage",
        cpus=2,
        memory_bytes=8 * 2**30,
        storage_bytes=32 * 2**30,
    )
    assert small.engine_arguments == ("--cpus=2", f"--memory={8 * 2**30}", f"--memory-swap={8 * 2**30}")
    assert (tiny.display_name, tiny.memory_bytes, tiny.storage_bytes) == ("Tiny", 2**29, 0)
    assert parse({**SMALL, "cpus": 1}).default.display_name == "1 core, 8 GB RAM"


REFUSED: dict[str, object] = {
    "no object": 1,
    "a key that nobody knows": {**SMALL, "gpus": 1},
    "no name": {"cpus": 2, "memory_gb": 8},
    "a name with a space": {**SMALL, "name": "a b"},
    "a name that begins like an option": {**SMALL, "name": "--privileged"},
    "a name that the column cannot hold": {**SMALL, "name": "a" * 65},
    "no processors": {"name": "a", "memory_gb": 8},
    "0 processors": {**SMALL, "cpus": 0},
    "half a processor": {**SMALL, "cpus": 1.5},
    "true processors": {**SMALL, "cpus": True},
    "more processors than there are": {**SMALL, "cpus": 10**9},
    "no memory": {"name": "a", "cpus": 1},
    "less memory than a shell needs": {**SMALL, "memory_gb": 0.001},
    "memory as a text": {**SMALL, "memory_gb": "8"},
    "true memory": {**SMALL, "memory_gb": True},
    "endless memory": {**SMALL, "memory_gb": 1e300},
    "storage below nothing": {**SMALL, "storage_gb": -1},
    "an empty display name": {**SMALL, "display_name": ""},
    "a display name with a line break": {**SMALL, "display_name": "a\nb"},
    "a display name that is no text": {**SMALL, "display_name": 1},
}


@pytest.mark.parametrize("entry", REFUSED.values(), ids=REFUSED.keys())
def test_what_the_setting_refuses(entry: object) -> None:
    with pytest.raises(ValueError, match=r"machine|cpus|memory_gb|storage_gb|display_name"):
        parse(entry)


@pytest.mark.parametrize(
    "text",
    ["[]", "{}", "1", "nonsense", "[" * 5000, "[NaN]", json.dumps([SMALL, {**SMALL, "name": "SMALL"}]),
     json.dumps([{**SMALL, "name": f"m{n}"} for n in range(MAX_MACHINES + 1)]), '[{"name": "a", "name": "b"}]',
     '[{"name": "a", "cpus": 1, "memory_gb": NaN}]', '[], "x": []'],
    ids=["empty", "an object", "a number", "no JSON", "deep", "NaN", "a name twice", "too many", "a key twice",
         "no number", "more than one value"],
)  # fmt: skip
def test_a_text_that_is_no_table(text: str) -> None:
    with pytest.raises(ValueError, match=r"^it "):
        parse_machines(text)


def test_the_first_is_for_who_does_not_ask() -> None:
    machines = parse(SMALL, {**SMALL, "name": "big"})
    assert [machines.choose(asked).name for asked in (None, "", "big")] == ["small", "small", "big"]
    with pytest.raises(Invalid, match="no machine 'huge'; there is small, big") as refused:
        machines.choose("huge")
    assert (refused.value.code, refused.value.field) == ("codespace.machine", "machine")


def test_one_that_is_not_offered_any_more_runs_as_the_first() -> None:
    machines = parse(SMALL, {**SMALL, "name": "big"})
    assert [machines.resolve(name).name for name in ("big", "standardLinux")] == ["big", "small"]
