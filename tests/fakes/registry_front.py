"""A door before a real registry: it passes requests on, and remembers each and what became of it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx
from tests.fakes.http_server import Asked, HTTPServer, Reply

_PASSED_ON = ("authorization", "accept")
_PASSED_BACK = ("content-type", "docker-content-digest", "docker-distribution-api-version", "www-authenticate")


@dataclass(slots=True)
class RegistryFront:
    """`asked` and `statuses` go together. Nothing is pushed through it."""

    registry: httpx.Client
    asked: list[Asked] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)

    @property
    def authorizations(self) -> list[str]:
        return [one.headers["authorization"] for one in self.asked if "authorization" in one.headers]

    @property
    def refused(self) -> list[Asked]:
        """The logins that the registry did not take."""
        both = zip(self.asked, self.statuses, strict=True)
        return [one for one, status in both if status == 401 and "authorization" in one.headers]

    def answer(self, request: Asked) -> Reply:
        """HEAD is asked as GET: the length that a Reply says is that of its body."""
        method = "GET" if request.method == "HEAD" else request.method
        headers = {name: request.headers[name] for name in _PASSED_ON if name in request.headers}
        answer = self.registry.request(method, request.target, headers=headers)
        self.asked.append(request)
        self.statuses.append(answer.status_code)
        kept = {name: answer.headers[name] for name in _PASSED_BACK if name in answer.headers}
        return Reply(status=answer.status_code, headers=kept, body=answer.content)


@asynccontextmanager
async def open_front(registry_host: str, *, host: str) -> AsyncIterator[RegistryFront]:
    """At `host`, on loopback, until the end of the block."""
    with httpx.Client(base_url=f"http://{registry_host}", trust_env=False) as client:
        front = RegistryFront(client)
        async with HTTPServer.run(front.answer, port=int(host.rpartition(":")[2])):
            yield front
