"""The console's cookies: the session, the visit of who is not signed in yet, the remark for the next page, and what was
begun at the provider (domain/identity.py).

1. None is readable by scripts; none leaves with a request that another site's page makes but a link (SameSite=Lax).
2. Over https their names begin with `__Host-`: a browser takes such a one only from this very host, over https, for all
   paths, so that neither a sister domain nor a plain connection can plant one. Source: RFC 6265bis, section 4.1.3.
3. A remark is signed with what its reader's own cookie holds: nobody else can make this page say something. So is what was
   begun: it ends with the session.
"""

import base64
import binascii
from dataclasses import dataclass
from datetime import timedelta

from starlette.requests import HTTPConnection, Request
from starlette.responses import Response

from berth.domain.identity import FLOW_LIFE
from berth.domain.secret_text import SecretText
from berth.domain.session import LIFE, derive, is_derived, is_value

_MAX_REMARK = 300
_REMARK_LIFE = timedelta(minutes=1)
_VISIT_LIFE = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Cookies:
    """Reads and sets them; `secure`: the console is reached by https."""

    secure: bool

    def session(self, request: HTTPConnection) -> SecretText | None:
        return self._value(request, "session")

    def visit(self, request: Request) -> SecretText | None:
        return self._value(request, "visit")

    def set_session(self, response: Response, value: SecretText) -> None:
        self._set(response, "session", value.reveal(), LIFE)
        self._delete(response, "visit")

    def end_session(self, response: Response) -> None:
        self._delete(response, "session")

    def set_visit(self, response: Response, value: SecretText) -> None:
        self._set(response, "visit", value.reveal(), _VISIT_LIFE)

    def remark(self, request: Request, key: SecretText) -> str:
        """What the last page left to be said; empty for none, and for one that was not signed with this key."""
        return self._signed(request, "remark", key)

    def set_remark(self, response: Response, key: SecretText, text: str) -> None:
        self._set_signed(response, "remark", key, text[:_MAX_REMARK], _REMARK_LIFE)

    def flow(self, request: Request, key: SecretText) -> str:
        """What was begun at the provider by this very browser, in this very session; empty for nothing."""
        return self._signed(request, "flow", key)

    def set_flow(self, response: Response, key: SecretText, text: str) -> None:
        self._set_signed(response, "flow", key, text, FLOW_LIFE)

    def end_flow(self, response: Response) -> None:
        self._delete(response, "flow")

    def end_remark(self, request: Request, response: Response) -> None:
        """Once it was shown."""
        if self._name("remark") in request.cookies:
            self._delete(response, "remark")

    def _signed(self, request: Request, name: str, key: SecretText) -> str:
        encoded, _, signature = request.cookies.get(self._name(name), "").partition(".")
        if not encoded or not is_derived(signature, key, name, encoded):
            return ""
        try:
            return base64.urlsafe_b64decode(f"{encoded}==").decode()
        except (binascii.Error, ValueError):
            return ""

    def _set_signed(self, response: Response, name: str, key: SecretText, text: str, life: timedelta) -> None:
        encoded = base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")
        self._set(response, name, f"{encoded}.{derive(key, name, encoded)}", life)

    def _value(self, request: HTTPConnection, name: str) -> SecretText | None:
        value = request.cookies.get(self._name(name), "")
        return SecretText(value) if is_value(value) else None

    def _name(self, name: str) -> str:
        return f"__Host-berth-{name}" if self.secure else f"berth-{name}"

    def _set(self, response: Response, name: str, value: str, life: timedelta) -> None:
        response.set_cookie(
            self._name(name),
            value,
            max_age=int(life.total_seconds()),
            secure=self.secure,
            httponly=True,
            samesite="lax",
        )

    def _delete(self, response: Response, name: str) -> None:
        response.delete_cookie(self._name(name), secure=self.secure, httponly=True, samesite="lax")
