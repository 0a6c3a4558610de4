"""Whether a registry takes a login, asked as `docker login` asks; no image is named. Without a socket.

1. One login at most, under the policy of `exchange_session.py`: the ping, the challenge, a token without any scope or Basic,
   and the ping once more with what came of it.
2. A registry that does not ask for a login never sees one: then there is nothing to tell.
3. A token service may give a token to anybody, and a wrong login is no wrong one there. Where the provider is known to refuse
   a wrong one, or the token names the user that was shown, the login was looked at. Where the token says that it is
   nobody's, it was not. Else the same is asked for without any login: that is no attempt. A service that refuses that, or
   gives a token of somebody else, tells them apart.

Source: distribution `docs/content/spec/auth/jwt.md`, the claim `sub`: empty if the client did not authenticate.
"""

from collections.abc import Generator
from enum import StrEnum

from berth.domain.exchange_message import ExchangeRequest, ExchangeResponse
from berth.domain.exchange_session import (
    ExchangeFailure,
    ExchangePolicy,
    Session,
    classify,
    open_session,
    ping,
    read_token,
)
from berth.domain.registry_credential import RegistryCredential
from berth.domain.registry_provider import Provider
from berth.domain.token_grant import token_subject


class LoginProof(StrEnum):
    """What it is worth that a login was not refused."""

    CHECKED = "checked"
    NOT_ASKED = "not_asked"  # the registry answers without a login
    NOT_CHECKED = "not_checked"  # its token service gives the same to anybody


_Exchange = Generator[ExchangeRequest, ExchangeResponse, LoginProof | ExchangeFailure]


def login_exchange(credential: RegistryCredential, policy: ExchangePolicy) -> _Exchange:
    """Ask whether the registry takes the credential (policy 1 to 3)."""
    session = open_session(credential.host, credential, policy, "")
    failure = yield from ping(session)
    if failure is not None:
        return failure
    if not session.scheme:
        return LoginProof.NOT_ASKED
    url = session.url("/v2/")
    response = yield ExchangeRequest(phase="ping", url=url, authorization=session.authorization)
    if not 200 <= response.status < 300:
        return classify(session, "ping", response)
    return weigh(session) or (yield from _compare(session))


def weigh(session: Session) -> LoginProof | None:
    """What an exchange that was not refused says of its login by itself (policy 2 and 3); None: nothing, or there was none."""
    if not isinstance(session.credential, RegistryCredential):
        return None
    if not session.scheme:
        return LoginProof.NOT_ASKED
    if session.token is None or session.provider is not Provider.PLAIN:
        return LoginProof.CHECKED
    subject = token_subject(session.token)
    if subject == session.credential.user:
        return LoginProof.CHECKED
    return LoginProof.NOT_CHECKED if subject == "" else None


def _compare(session: Session) -> Generator[ExchangeRequest, ExchangeResponse, LoginProof]:
    """Whether the token service gives nobody what it gave for the login (policy 3)."""
    response = yield ExchangeRequest(phase="token", url=session.token_url, accept="application/json", optional=True)
    nobody = read_token(response) if response.status == 200 else None
    if nobody is None:
        return LoginProof.CHECKED if response.status in {401, 403} else LoginProof.NOT_CHECKED
    subject = None if session.token is None else token_subject(session.token)
    return LoginProof.NOT_CHECKED if subject == token_subject(nobody) else LoginProof.CHECKED
