"""What the description allows, and what it does not, sent to every operation: no 5xx, no answer that is not as described.

`make fuzz` goes on for ten minutes; BERTH_FUZZ_S is for how long, on each database, and without it there is one round. A failure
prints the request, and the seed of its round.
"""

import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.core.result import Ok
from schemathesis.schemas import APIOperation
from tests.databases import KINDS, new_database
from tests.dice import seed_from
from tests.rest.fuzz_server import FuzzServer
from tests.rest.schema import check_response, description

SECONDS = float(os.environ.get("BERTH_FUZZ_S", "0"))  # 0: one round
EXAMPLES = 2 if SECONDS < 60 else 8  # of an operation in a round
Operation = APIOperation[Any, Any, Any, Any]
_ORDER = ("get", "put", "post", "patch", "delete")  # what takes away comes last
_MODES = [GenerationMode.POSITIVE, GenerationMode.POSITIVE, GenerationMode.NEGATIVE]


@pytest.fixture(params=KINDS)
def server(request: pytest.FixtureRequest) -> Iterator[FuzzServer]:
    made = FuzzServer(new_database(request))
    made.start()
    yield made
    made.stop()


def operations() -> list[Operation]:
    schema = schemathesis.openapi.from_dict(description())
    schema.config.generation.with_security_parameters = False
    found = [result.ok() for result in schema.get_all_operations() if isinstance(result, Ok)]
    assert len(found) == len(list(schema.get_all_operations()))
    return sorted(found, key=lambda operation: _ORDER.index(operation.method.lower()))


def send(server: FuzzServer, case: Case[Any], chance: int) -> int:
    """The status, 0 where the request is for no operation (a parameter that is empty, or holds a `/`).

    `chance` of ten: how many parameters of the path name what is there; at 0 no credential is sent.
    """
    if chance >= 4:
        names = [name for name in case.path_parameters if chance > 5 or len(name) % 2]
        known = server.seeded.known(case.path)
        case.path_parameters = {**case.path_parameters, **{name: known[name] for name in names}}
    token = server.seeded.berth.admin_token if case.path.startswith("/admin") else server.token
    headers = {"Authorization": f"token {token}"} if chance else {}
    answer = case.call(base_url=server.url, headers=headers)
    request = httpx.Request(case.method, str(answer.request.url))
    plain = {name: values[0] for name, values in answer.headers.items() if name != "content-encoding"}
    got = httpx.Response(answer.status_code, headers=plain, content=answer.content, request=request)
    sent = f"{case.method} {answer.request.url} {answer.request.body!r:.500} -> {got.status_code} {got.text[:300]}"
    assert got.status_code < 500, sent
    try:
        checked = check_response(got)
    except AssertionError as error:
        raise AssertionError(f"{error}\n{sent}") from error
    return got.status_code if checked else 0


@pytest.mark.timeout(max(60, SECONDS * 3))
@pytest.mark.filterwarnings("ignore")
def test_no_request_finds_a_bug_or_an_undescribed_answer(server: FuzzServer) -> None:
    first = seed_from("BERTH_FUZZ_SEED")
    statuses: Counter[int] = Counter()
    failures: dict[str, str] = {}
    everything, rounds = operations(), 0
    until = time.monotonic() + SECONDS
    while time.monotonic() < until or not rounds:
        if rounds:
            server.seed()
        for operation in everything:
            if time.monotonic() > until and rounds:
                break
            fuzz(server, operation, first + rounds, statuses, failures)
        rounds += 1
    print(f"\n{statuses.total()} requests, {rounds} rounds, statuses: {sorted(statuses.items())}")
    assert not failures, f"BERTH_FUZZ_SEED={first}\n" + "\n\n".join(failures.values())
    assert {200, 404, 422} <= statuses.keys(), "the requests got nowhere"
    assert statuses[0] < statuses.total() / 10, "answers that were not checked"


def fuzz(
    server: FuzzServer, operation: Operation, number: int, statuses: Counter[int], failures: dict[str, str]
) -> None:
    """Some requests for one operation. A failure is kept and not raised: to reproduce it hypothesis would need the same world."""
    dice = random.Random(f"{number} {operation.method} {operation.path}")  # hypothesis would begin with the simplest

    @seed(number)
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=st.one_of([operation.as_strategy(generation_mode=mode) for mode in _MODES]))
    def run(case: Case[Any]) -> None:
        try:
            statuses[send(server, case, dice.randrange(10))] += 1
        except AssertionError as error:
            failures.setdefault(f"{operation.method} {operation.path}", str(error))

    run()
