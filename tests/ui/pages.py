"""Every page of the console: one line a page. Screenshots, the tests with a real browser and those of queries walk this table.

`values` fill the parameters of a path for which `pictured.py` has no value of the parameter's own name, or not the one that is
meant: texts in which its values stand as `{word}`.
"""

from dataclasses import dataclass, field

OWNER, ADMIN, NOBODY = "octo", "admin", ""


@dataclass(frozen=True)
class Shown:
    """A page: the name of its pictures, its path as in the table of routes, and who looks at it."""

    name: str
    path: str
    values: dict[str, str] = field(default_factory=dict)
    query: str = ""
    viewer: str = OWNER
    status: int = 200


PAGES: tuple[Shown, ...] = (
    Shown("login", "/login", viewer=NOBODY),
    Shown("invitation", "/login/invitation/{value}", {"value": "{invitation}"}, viewer=NOBODY),
    Shown("identity-refused", "/login/provider/answer", viewer=NOBODY, status=401),
    Shown("no-page", "/{path}", {"path": "nowhere"}, status=404),
    Shown("account", "/settings/account"),
    Shown("sessions", "/settings/sessions"),
    Shown("sessions-end", "/settings/sessions/end"),
    Shown("tokens", "/settings/tokens"),
    Shown("token-new", "/settings/tokens/new"),
    Shown("token-revoke", "/settings/tokens/{id}/revoke"),
)

# Paths of GET that show no page of their own, and why.
EXCUSED: dict[str, str] = {
    "/": "leads on",
    "/settings": "leads on",
    "/login/provider": "leads on to the provider",
    "/login/provider/answer": "leads on, or says why not: test_identity.py",
}
