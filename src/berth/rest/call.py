"""One call of the API: who asks, what was sent, where links point. Handlers get a Call and return a Response."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from berth.domain.access import Action, Subject
from berth.domain.problem import Invalid, Unauthenticated
from berth.domain.repository import Repository
from berth.edge.asked import Asked, ListPage, parse_id, parse_list_page, read_body
from berth.rest.segments import sent_path
from berth.services.services import Services

Struct = TypeVar("Struct", bound=msgspec.Struct)
Result = TypeVar("Result")

MAX_BODY_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Links:
    """Absolute addresses of this server, as the client reached it or as EXTERNAL_URL says (own_address.py)."""

    api_origin: str  # scheme://host[:port]
    api_prefix: str  # "/api/v3", or "" for a host that begins with "api."
    web_origin: str  # of everything that is not the API

    def api(self, path: str) -> str:
        return f"{self.api_origin}{self.api_prefix}{path}"

    def web(self, path: str) -> str:
        return f"{self.web_origin}{path}"


class Call(Asked):
    """A request with everything a handler needs."""

    def __init__(self, request: Request, services: Services, subject: Subject | None, links: Links) -> None:
        super().__init__(request, services, subject)
        self.links = links

    @property
    def user(self) -> Subject:
        """The caller, who must be somebody. Raises Unauthenticated."""
        if self.subject is None:
            raise Unauthenticated("Requires authentication")
        return self.subject

    @property
    def repository(self) -> tuple[str, str]:
        """The repository that the path names: owner and name."""
        return self.path("owner"), self.path("repo")

    async def readable_repository(self) -> Repository:
        """The same, if the caller may read it. Raises NotFound."""
        return await self.services.repositories.get(self.user, *self.repository, Action.READ)

    def query_id(self, name: str) -> int | None:
        """A numeric parameter of the query; None where it is not given."""
        return parse_id(self.query(name)) if name in self.request.query_params else None

    async def body(self) -> bytes:
        """The whole body, at most 1 MiB."""
        return await read_body(self.request, MAX_BODY_BYTES, "The request is larger than 1 MiB.")

    async def unless_gone(self, work: Coroutine[None, None, Result]) -> Result | None:
        """Its result. If the client closes the connection first, it is cancelled, and None. For after the body was read."""
        working, watching = asyncio.create_task(work), asyncio.create_task(self._until_gone())
        try:
            await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
            return working.result() if working.done() else None
        finally:
            working.cancel()
            watching.cancel()
            await asyncio.gather(working, watching, return_exceptions=True)

    async def _until_gone(self) -> None:
        while (await self.request.receive())["type"] != "http.disconnect":
            pass

    async def json(self, kind: type[Struct], *, nullable: bool = False) -> Struct:
        """The body as a request type; unknown keys are ignored, an empty body is `{}`, and so is `null` of a `nullable` one.

        Raises Invalid: 400 for what is no JSON object, 422 for a wrong type or a missing parameter (GitHub's texts).
        """
        raw = await self.body()
        try:
            parsed = msgspec.json.decode(raw or b"{}")
        except (msgspec.DecodeError, RecursionError):
            raise Invalid("Problems parsing JSON", code="request.malformed") from None
        if parsed is None and nullable:
            parsed = {}
        if not isinstance(parsed, dict):
            raise Invalid("Body should be a JSON object", code="request.malformed")
        if b"\\u0000" in raw and _has_nul(parsed):
            raise Invalid("Invalid request.\n\nNo text may hold the character U+0000.", code="request.invalid")
        try:
            return msgspec.convert(parsed, kind)
        except msgspec.ValidationError as error:
            raise Invalid(f"Invalid request.\n\n{error}", code="request.invalid") from None

    def page(self) -> ListPage:
        return parse_list_page(self.query("page"), self.query("per_page"))

    def list_response(
        self, items: Sequence[Any], total: int, page: ListPage, *, key: str | None = None, **beside: Any
    ) -> Response:
        """A page of a list: a bare array, or `{total_count, …, <key>: [...]}` with what stands `beside` before the items.

        With a Link header if there are more pages.
        """
        body: Any = {"total_count": total, **beside, key: items} if key else items
        links = self._link(page, total)
        return json_response(body, headers={"Link": links} if links else {})

    def _link(self, page: ListPage, total: int) -> str:
        """Empty for a list of one page. `next` also stands where the deepest page is not the list's end.

        Who walks a list is then told that there is more, and does not take what he has for all of it.
        """
        last, targets = page.last(total), []
        if page.number * page.limit < total:
            targets.append(("next", page.number + 1))
        if page.number < last:
            targets.append(("last", last))
        if page.number > 1 and last > 1:
            targets += [("first", 1), ("prev", min(page.number - 1, last))]
        return ", ".join(f'<{self._page_url(target)}>; rel="{name}"' for name, target in targets)

    def _page_url(self, number: int) -> str:
        return f"{self.links.api(sent_path(self.request.scope))}?{self.query_of_page(number)}"


def _has_nul(parsed: dict[str, Any]) -> bool:
    """Whether a text in what JSON holds has the one character that PostgreSQL cannot store."""
    left: list[Any] = [parsed]
    while left:
        value = left.pop()
        if isinstance(value, str) and "\0" in value:
            return True
        if isinstance(value, dict):
            left += [*value, *value.values()]
        elif isinstance(value, list):
            left += value
    return False


def json_response(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer; `body` holds only what msgspec writes (structs, dataclasses, dicts, lists, datetimes, enums)."""
    return Response(msgspec.json.encode(body), status, headers, media_type="application/json; charset=utf-8")


def no_content() -> Response:
    return Response(status_code=204)


Handler = Callable[[Call], Awaitable[Response]]
