"""What a request asks, for REST and the console: what its path and query name, which part of a list, what its body is."""

import asyncio
from dataclasses import dataclass
from math import ceil
from urllib.parse import urlencode

from starlette.requests import ClientDisconnect, Request

from berth.domain.access import Subject
from berth.domain.problem import Invalid, LimitReached, NotFound
from berth.domain.whole_number import parse_whole_number
from berth.services.services import Services

PER_PAGE = 30
MAX_PER_PAGE = 100
BODY_S = 60.0
_MAX_PAGE = 1_000_000  # so that no offset is too large for a database


@dataclass(frozen=True, slots=True)
class ListPage:
    """Which part of a list: `limit` rows from `offset`. Source: GitHub REST docs, "Using pagination in the REST API".

    `deepest`: no page of the list begins behind that many rows; None: every page is answered.
    """

    number: int
    limit: int = PER_PAGE
    deepest: int | None = None

    @property
    def offset(self) -> int:
        return (self.number - 1) * self.limit

    def last(self, total: int) -> int:
        """The number of the last page that is answered, of a list of that many rows."""
        reached = total if self.deepest is None else min(total, self.deepest)
        return max(1, ceil(reached / self.limit))


def parse_list_page(number: str, limit: str = "") -> ListPage:
    """Clamped like GitHub does."""
    return ListPage(_clamped(number, 1, _MAX_PAGE), _clamped(limit, PER_PAGE, MAX_PER_PAGE))


def _clamped(text: str, default: int, most: int) -> int:
    """The number that is nearest to the one given, of 1 to `most`; the default for what is no whole number."""
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdecimal()):
        return default
    if text.startswith("-"):
        return 1
    significant = digits.lstrip("0")
    return most if len(significant) > len(str(most)) else min(max(int(significant or "0"), 1), most)


def parse_id(text: str) -> int:
    """What is no number is no id of anything: -1 is never found."""
    number = parse_whole_number(text)
    return -1 if number is None else number


class Asked:
    """A request and who asks, None for nobody; nothing in here decides."""

    def __init__(self, request: Request, services: Services, subject: Subject | None) -> None:
        self.request = request
        self.services = services
        self.subject = subject

    @property
    def here(self) -> str:
        """The path, decoded."""
        return str(self.request.scope["path"])

    def path(self, name: str) -> str:
        return str(self.request.path_params[name])

    def path_id(self, name: str) -> int:
        return parse_id(self.path(name))

    def query(self, name: str, default: str = "") -> str:
        return self.request.query_params.get(name, default)

    def query_of_page(self, number: int) -> str:
        """The query of this list's other page, with all else that was asked for."""
        return urlencode({**dict(self.request.query_params), "page": str(number)})


def check_address(request: Request) -> None:
    """Raises NotFound for a NUL: nothing is called so, and PostgreSQL cannot even be asked."""
    if "\0" in request.scope["path"] or b"%00" in request.scope["query_string"]:
        raise NotFound("Not Found")


async def read_body(request: Request, most_bytes: int, too_large: str) -> bytes:
    """The whole body. Raises LimitReached, with that sentence, or for one that takes longer than BODY_S; Invalid for half of one.

    Who sends a byte now and then, or none, would hold a connection for ever, and needs not be anybody for that.
    """
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_S):
            async for chunk in request.stream():
                body += chunk
                if len(body) > most_bytes:
                    raise LimitReached(too_large, code="request.too_large")
    except TimeoutError:
        raise LimitReached(f"The body took longer than {BODY_S:g} seconds.", code="request.idle") from None
    except ClientDisconnect:  # who has gone reads no answer; it is no bug of ours
        raise Invalid("The body broke off.", code="request.malformed") from None
    return bytes(body)
