"""A login at the built-in registry, tried as at any other: its token service gives tokens to anybody, and says whose they are."""

from urllib.parse import urlsplit

import pytest
from tests.oci.registry_api import HOST, OCIClient, Registry

from berth.domain.exchange_message import ExchangeResponse
from berth.domain.exchange_session import ExchangeFailure, ExchangePolicy
from berth.domain.login_exchange import LoginProof, login_exchange
from berth.domain.registry_credential import CredentialSource, RegistryCredential
from berth.domain.secret import SecretLevel
from berth.domain.secret_text import SecretText

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def log_in(client: OCIClient, user: str, password: str) -> LoginProof | ExchangeFailure:
    """The exchange, driven against the application in this process."""
    source = CredentialSource(SecretLevel.USER, "OWN")
    credential = RegistryCredential(host=HOST, user=user, password=SecretText(password), source=source)
    exchange = login_exchange(credential, ExchangePolicy(insecure_hosts={HOST}))
    request = next(exchange)
    while True:
        headers = {} if request.authorization is None else {"Authorization": request.authorization.reveal()}
        url = urlsplit(request.url)
        answer = await client.http.get(f"{url.path}?{url.query}", headers=headers)
        response = ExchangeResponse(status=answer.status_code, headers=dict(answer.headers), body=answer.content)
        try:
            request = exchange.send(response)
        except StopIteration as end:
            proof: LoginProof | ExchangeFailure = end.value
            return proof


@pytest.mark.parametrize("user", ["octo", "any-name"])
async def test_a_login_is_told_from_none_and_from_a_wrong_one(registry: Registry, octo: OCIClient, user: str) -> None:
    assert octo.password is not None
    assert await log_in(octo, user, octo.password) is LoginProof.CHECKED
    wrong = await log_in(octo, user, "berth_pat_wrong")
    assert isinstance(wrong, ExchangeFailure)
    assert (wrong.code, wrong.phase) == ("image.unauthorized", "token")
