"""A login, asked as `docker login` asks: what is sent, how often, and what an answer that is no refusal is worth."""

import base64
import json
from dataclasses import dataclass, replace

import pytest

from berth.domain.exchange_message import ExchangeRequest, ExchangeResponse
from berth.domain.exchange_session import ExchangeFailure, ExchangePolicy
from berth.domain.login_exchange import LoginProof, login_exchange
from berth.domain.registry_credential import CredentialSource, RegistryCredential
from berth.domain.secret import SecretLevel
from berth.domain.secret_text import SecretText

PASSWORD = "c4nary-pw"
CREDENTIAL = RegistryCredential(
    host="r.test", user="ana", password=SecretText(PASSWORD), source=CredentialSource(SecretLevel.USER, "R")
)
BASIC = "Basic " + base64.b64encode(f"ana:{PASSWORD}".encode()).decode()
HTML = ExchangeResponse(status=200, headers={"content-type": "text/html"}, body=b"<html>")
OPEN = ExchangeResponse(status=200, headers={"content-type": "application/json"}, body=b"{}")


def answer(status: int, **headers: str) -> ExchangeResponse:
    return ExchangeResponse(status=status, headers={k.replace("_", "-"): v for k, v in headers.items()})


def bearer(realm: str = "https://r.test/token", service: str = "r.test") -> ExchangeResponse:
    return answer(401, www_authenticate=f'Bearer realm="{realm}",service="{service}"')


BASIC_401 = answer(401, www_authenticate='Basic realm="x"')


def token(subject: object = None) -> ExchangeResponse:
    """A JWT that says whose it is; without a subject an opaque one."""
    value = "t0k"
    if subject is not None:
        claims = base64.urlsafe_b64encode(json.dumps({"sub": subject}).encode()).decode().rstrip("=")
        value = f"h.{claims}.s"
    return ExchangeResponse(status=200, body=json.dumps({"token": value}).encode())


@dataclass(frozen=True)
class Story:
    """What was asked, and what it ended in."""

    asked: list[ExchangeRequest]
    result: LoginProof | ExchangeFailure

    @property
    def end(self) -> str:
        return self.result.code if isinstance(self.result, ExchangeFailure) else self.result.value

    @property
    def attempts(self) -> int:
        """Requests that show the password."""
        return sum(each.authorization is not None and each.authorization.reveal() == BASIC for each in self.asked)


def play(*answers: ExchangeResponse, credential: RegistryCredential = CREDENTIAL) -> Story:
    """Play the answers in order; all must be used."""
    exchange, asked, left = login_exchange(credential, ExchangePolicy()), [], list(answers)
    try:
        asked.append(next(exchange))
        while left:
            asked.append(exchange.send(left.pop(0)))
    except StopIteration as end:
        assert not left, f"{len(left)} answers are not used"
        return Story(asked, end.value)
    raise AssertionError(f"not at the end: {asked[-1]}")


HARBOR = bearer("https://r.test/service/token", "harbor-registry")
ROWS = {
    "Basic, taken": ([BASIC_401, OPEN], "checked"),
    "Basic, rejected": ([BASIC_401, BASIC_401], "image.unauthorized"),
    "Basic, taken and let do nothing": ([BASIC_401, answer(403)], "image.denied"),
    "no login is asked for": ([OPEN], "not_asked"),
    "a token in the user's name": ([bearer(), token("ana"), OPEN], "checked"),
    "a token in nobody's name": ([bearer(), token(""), OPEN], "not_checked"),
    "nobody gets a token": ([bearer(), token(), OPEN, answer(401)], "checked"),
    "nobody is forbidden one": ([bearer(), token(), OPEN, answer(403)], "checked"),
    "anybody gets a token": ([bearer(), token(), OPEN, token()], "not_checked"),
    "anybody gets a token of somebody": ([bearer(), token("(anonymous)"), OPEN, token("(anonymous)")], "not_checked"),
    "it tells them apart by an id": ([bearer(), token("7f3a"), OPEN, token("")], "checked"),
    "a claim that is no text": ([bearer(), token(7), OPEN, token(7)], "not_checked"),
    "nobody gets no token, but a yes": ([bearer(), token(), OPEN, OPEN], "not_checked"),
    "the comparison fails": ([bearer(), token(), OPEN, answer(0)], "not_checked"),
    "a provider that refuses a wrong login": ([HARBOR, token(""), OPEN], "checked"),
    "the token service rejects it": ([bearer(), answer(401)], "image.unauthorized"),
    "the token is not taken": ([bearer(), token(), answer(401)], "image.unauthorized"),
    "no token in the answer": ([bearer(), OPEN], "registry.server_error"),
    "too many": ([bearer(), answer(429)], "registry.rate_limited"),
    "it is ill": ([answer(500)], "registry.server_error"),
    "a login page": ([answer(302, location="https://sink.test/")], "registry.not_a_registry"),
    "a web site": ([HTML], "registry.not_a_registry"),
    "no registry": ([answer(404)], "registry.not_a_registry"),
    "no way to log in": ([answer(401)], "registry.not_a_registry"),
    "C7 a token service elsewhere": ([bearer("https://sink.test/token")], "registry.realm_elsewhere"),
    "C7 one without encryption": ([bearer("http://r.test/token")], "registry.realm_elsewhere"),
    "C7 one that sends on": ([bearer(), answer(307, location="https://sink.test/")], "registry.realm_elsewhere"),
}


@pytest.mark.parametrize("name", ROWS)
def test_what_comes_of_a_login(name: str) -> None:
    answers, end = ROWS[name]
    story = play(*answers)
    assert story.end == end
    assert story.attempts <= 1, "registries lock accounts"
    assert {each.url.partition("?")[0] for each in story.asked} <= {
        "https://r.test/v2/",
        "https://r.test/token",
        "https://r.test/service/token",
    }, "C7"
    assert PASSWORD not in repr(story)
    assert BASIC.removeprefix("Basic ") not in repr(story)


def test_no_scope_is_asked_for_and_nobody_asks_for_the_same() -> None:
    story = play(bearer(), token(), OPEN, answer(401))
    shown = [each.authorization.reveal() if each.authorization else "-" for each in story.asked]
    assert [each.phase for each in story.asked] == ["ping", "token", "ping", "token"]
    assert shown == ["-", BASIC, "Bearer t0k", "-"]
    assert story.asked[1].url == story.asked[3].url == "https://r.test/token?service=r.test"
    assert story.asked[3].optional, "who cannot be asked a second time was asked"


def test_b3_a_token_of_ecr_that_is_too_old() -> None:
    body = b'{"errors":[{"message":"Your authorization token has expired."}]}'
    too_old = ExchangeResponse(status=403, body=body)
    ecr = replace(CREDENTIAL, host="123456789012.dkr.ecr.eu-west-1.amazonaws.com")
    assert play(BASIC_401, too_old, credential=ecr).end == "image.token_expired"
    assert play(BASIC_401, too_old).end == "image.denied"
