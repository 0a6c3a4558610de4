"""What people ask for while things break, and what they were told: the last acknowledged request is what shall be."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import httpx
from tests.chaos.world import BUILT, ChaosWorld
from tests.world import put_secret

from berth.domain.lifecycle import Desired

Call = Callable[[httpx.AsyncClient], Awaitable[httpx.Response]]
_OTHERS = {"stop": 26, "start": 26, "rebuild": 10, "full rebuild": 6, "delete": 16, "secret": 8, "policy": 8}
_KEPT = 2  # are not deleted: there is to be something to ask of
_DESIRED = {
    "stop": Desired.STOPPED,
    "start": Desired.RUNNING,
    "rebuild": Desired.RUNNING,
    "full rebuild": Desired.RUNNING,
    "delete": Desired.DELETED,
}
_ORGANIZATION = "/orgs/acme/codespaces"


@dataclass
class Asked:
    """Of one codespace. Requests to one come one after the other, or nobody would know which was the last."""

    desired: Desired
    maybe: set[Desired] = field(default_factory=set)  # sent since, without an answer
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def allows(self, desired: Desired) -> bool:
        return desired is self.desired or desired in self.maybe


@dataclass
class Requests:
    """`kinds` counts those that were answered, `unanswered` those whose server went meanwhile."""

    chaos: ChaosWorld
    asked: dict[str, Asked] = field(default_factory=dict)
    kinds: Counter[str] = field(default_factory=Counter)
    unanswered: int = 0
    broken: list[str] = field(default_factory=list)  # answers that there must not be

    async def send(self, plan: list[str], *, clients: int, pause_s: float) -> None:
        """All of the plan, by clients that pause about so long after each."""
        left = list(reversed(plan))

        async def client() -> None:
            while left:
                await self._send_one(left.pop())
                await asyncio.sleep(self.chaos.dice.uniform(0, 2 * pause_s))

        await asyncio.gather(*(client() for _ in range(clients)))

    async def rebuild(self, name: str) -> None:
        """What a finding asks its reader to do."""
        asked = self.asked[name]
        async with asked.lock:
            await self._until_answered("rebuild", lambda api: _call(api, "rebuild", name), asked.maybe)
            asked.desired = Desired.RUNNING

    async def _send_one(self, kind: str) -> None:
        """Until somebody answers."""
        if kind == "create":
            await self._create()
        elif kind == "secret":
            url = f"{_ORGANIZATION}/secrets/CHAOS"
            await self._until_answered(kind, lambda api: put_secret(api, url, "value", visibility="all"))
        elif kind == "policy":
            body = {"idle_timeout_max_minutes": self.chaos.dice.randrange(60, 240)}
            await self._until_answered(kind, lambda api: api.put(f"{_ORGANIZATION}/policies/chaos", json=body))
        else:
            await self._change(kind)

    async def _create(self) -> None:
        repository = BUILT if self.chaos.dice.random() < 0.15 else self.chaos.world.repository
        answer = await self._until_answered("create", lambda api: api.post(f"/repos/{repository}/codespaces", json={}))
        if answer.status_code == 201:
            self.asked[answer.json()["name"]] = Asked(Desired.RUNNING)

    async def _change(self, kind: str) -> None:
        while not (names := [name for name, one in self.asked.items() if one.desired is not Desired.DELETED]):
            await asyncio.sleep(0.1)  # for the first one
        if kind == "delete" and len(names) <= _KEPT:
            kind = "start"
        name = self.chaos.dice.choice(names)
        asked, desired = self.asked[name], _DESIRED[kind]
        async with asked.lock:
            answer = await self._until_answered(kind, lambda api: _call(api, kind, name), asked.maybe, desired)
            if answer.is_success:
                asked.desired = desired
                asked.maybe.clear()

    async def _until_answered(
        self, kind: str, call: Call, maybe: set[Desired] | None = None, desired: Desired = Desired.RUNNING
    ) -> httpx.Response:
        while (answer := await self._ask(kind, call)) is None:
            if maybe is not None:
                maybe.add(desired)
        if not answer.is_success and answer.status_code not in {404, 409}:
            self.broken.append(f"{kind}: {answer.status_code} {answer.text}")
        self.kinds[kind] += 1
        return answer

    async def _ask(self, kind: str, call: Call) -> httpx.Response | None:
        """None: nobody knows whether it was stored."""
        while True:
            try:
                async with self.chaos.api() as api:
                    answer = await call(api)
                if answer.status_code < 500:
                    return answer
                if answer.status_code != 503:
                    self.broken.append(f"{kind}: {answer.status_code} {answer.text}")
            except httpx.ConnectError:
                await asyncio.sleep(0.1)
                continue  # it was not sent
            except (httpx.TransportError, httpx.HTTPStatusError):  # the latter: of the secrets' public key
                self.unanswered += 1
            await asyncio.sleep(0.1)
            return None


async def _call(api: httpx.AsyncClient, kind: str, name: str) -> httpx.Response:
    path = f"/user/codespaces/{name}"
    if kind == "delete":
        return await api.delete(path)
    if kind in {"rebuild", "full rebuild"}:
        return await api.post(f"{path}/rebuild", json={"full": kind != "rebuild"})
    return await api.post(f"{path}/{kind}")


def make_plan(dice: random.Random, codespaces: int, requests: int) -> list[str]:
    """Creations, and among them as many others as make up the number; a creation comes first."""
    others = dice.choices(list(_OTHERS), list(_OTHERS.values()), k=requests - codespaces)
    plan = ["create"] * (codespaces - 1) + others
    dice.shuffle(plan)
    return ["create", *plan]
