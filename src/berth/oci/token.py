"""`/token`: a registry token for an access token, as a GET with Basic or a POST with a form.

Source: distribution, "Token Authentication Specification" and "OAuth2 Token Authentication"; RFC 6749, section 5.
"""

from urllib.parse import parse_qs

import msgspec

from berth.domain.problem import Invalid, Unauthenticated
from berth.domain.secret_text import SecretText
from berth.edge.credential import password_of
from berth.edge.timestamp import timestamp
from berth.oci.call import OCIServices
from berth.oci.exchange import Answer, OCIRequest, Refusal, wrong_method

_MAX_FORM_BYTES = 64 * 1024
_NO_STORE = (b"cache-control", b"no-store")


async def issue(services: OCIServices, request: OCIRequest) -> Answer:
    """200 with a token for what is allowed of what was asked; 401 for bad credentials only."""
    try:
        if request.method == "GET":
            header = request.header(b"authorization")
            password = None if header is None else password_of(header)
            scopes = request.parameters("scope")
        elif request.method == "POST":
            password, scopes = await _of_form(request)
        else:
            raise wrong_method(request.method, ("GET", "POST"))
        made = await services.tokens.issue(password, scopes)
    except Unauthenticated as problem:
        raise Refusal(problem, [(b"www-authenticate", f'Basic realm="{request.host}"'.encode())]) from problem
    body = {
        "token": made.value.reveal(),
        "access_token": made.value.reveal(),
        "expires_in": made.lifetime_s,
        "issued_at": timestamp(made.issued_at),
    }
    return Answer(200, [(b"content-type", b"application/json"), _NO_STORE], msgspec.json.encode(body))


async def _of_form(request: OCIRequest) -> tuple[SecretText | None, list[str]]:
    """`grant_type=password`, or `refresh_token` with the access token itself: it is one that lasts."""
    raw = await request.body(_MAX_FORM_BYTES, code="registry_token.too_large")
    try:
        form = parse_qs(raw.decode("ascii"), keep_blank_values=True, max_num_fields=200)
    except ValueError:
        raise Invalid("The form cannot be read.", code="registry_token.form") from None
    field = {"password": "password", "refresh_token": "refresh_token"}.get(form.get("grant_type", [""])[0])
    if field is None:
        raise Invalid("grant_type is password or refresh_token.", code="registry_token.grant_type")
    return SecretText(form.get(field, [""])[0]), form.get("scope", [])
