"""How the client pages: by number, as long as the answer links a next page."""

import asyncio
from urllib.parse import parse_qs, urlsplit

import pytest
from tests.fakes.http_server import Asked, HTTPServer, Reply

from berth.client.connection import Connection

PAGES = ((b"[1,2]", True), (b"[3]", True), (b"[4]", False), (b'{"message": "behind the list"}', False))


def answer(asked: Asked) -> Reply:
    """A page of `PAGES`; the one behind them is refused, as the deepest of a list of packages is."""
    query = parse_qs(urlsplit(asked.target).query)
    number = int(query["page"][0])
    body, is_more = PAGES[number - 1]
    if query.get("of") == ["object"] and number < 4:
        body = b'{"total_count":4,"numbers":%s}' % body
    links = {"Link": '<http://elsewhere.test/>; rel="next", <http://elsewhere.test/>; rel="last"'} if is_more else {}
    return Reply(status=400 if number == 4 else 200, headers=links, body=body)


@pytest.mark.parametrize("key", ["", "numbers"])
async def test_pages_are_read_to_the_last_that_is_linked_however_full_they_are(key: str) -> None:
    async with HTTPServer.run(answer) as server:
        with Connection(f"http://{server.address}") as connection:
            query = {"of": "object"} if key else None
            found = await asyncio.to_thread(connection.list_all, "/list", int, key, query=query)
    assert found == [1, 2, 3, 4]
    asked = [parse_qs(urlsplit(each.target).query)["page"] for each in server.asked]
    assert asked == [["1"], ["2"], ["3"]], "the number goes on, links elsewhere are not followed"
