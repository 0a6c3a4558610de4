"""A request for a repository by a name that it had is sent on, in REST and in the console.

1. GET and HEAD are 301; every other method is 307, so that a client sends it again as it was.
2. Only who may read the repository is sent on; for everybody else the former name is as missing as any (A13).
3. What stands below the name is kept, and so is the root of the API that was asked: clients send their token there, and
   nowhere else. A path with a dotted segment leads elsewhere once a client has resolved it, so it is not sent on.
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from starlette.responses import Response

from berth.domain.problem import NotFound
from berth.domain.repository import Repository
from berth.edge.asked import Asked

A = TypeVar("A", bound=Asked)


def follow(
    handler: Callable[[A], Awaitable[Response]], moved: Callable[[A, Repository, int], Response]
) -> Callable[[A], Awaitable[Response]]:
    """The same handler; where it finds nothing, former names are asked. `moved` answers with the status that it is given."""

    async def respond(asked: A) -> Response:
        try:
            return await handler(asked)
        except NotFound:
            if {".", ".."} & set(asked.here.split("/")):
                raise
            found = await asked.services.former_names.find(asked.subject, asked.path("owner"), asked.path("repo"))
            if found is None:
                raise
            return moved(asked, found.repository, 301 if asked.request.method in {"GET", "HEAD"} else 307)

    return respond
