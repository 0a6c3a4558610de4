from tests.rest.berth_api import Berth
from tests.rest.schema import check_body


async def test_bodies_have_every_key_that_github_requires(berth: Berth) -> None:
    octo = await berth.user("octo")
    check_body((await octo.get("/user")).json(), "private-user")
    check_body((await octo.get("/users/ADMIN")).json(), "public-user")
    check_body((await octo.get("/users")).json(), "simple-user", is_list=True)
    check_body((await octo.get("/")).json(), "root")
    check_body((await berth.anonymous.get("/meta")).json(), "api-overview")
    check_body((await berth.anonymous.get("/rate_limit")).json(), "rate-limit-overview")


async def test_an_email_address_is_shown_to_its_user_only(berth: Berth) -> None:
    octo = await berth.user("octo")
    assert (await octo.get("/user")).json()["email"] == "octo@example.com"
    assert "example.com" not in (await berth.anonymous.get("/users/octo")).text


async def test_a_bad_token_is_401_on_public_routes_too(berth: Berth) -> None:
    for token in ("", "x", "ghp_" + "0" * 36):
        answer = await berth.anonymous.get("/users/admin", headers={"Authorization": f"token {token}"})
        assert answer.status_code == 401
    assert (await berth.anonymous.get("/users/admin")).status_code == 200
    assert (await berth.anonymous.get("/user")).json()["message"] == "Requires authentication"
