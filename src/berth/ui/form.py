"""What a form sent. Nothing in here decides; what is typed is text until a use case has looked at it."""

from dataclasses import dataclass, field
from urllib.parse import parse_qs

from starlette.requests import Request

from berth.domain.problem import Invalid
from berth.domain.secret_text import SecretText
from berth.edge.asked import read_body

MAX_BODY_BYTES = 256 * 1024  # a secret's 48 KB, three bytes for each where it is percent-encoded
_MAX_FIELDS = 2000
FORM_WORD = "form_word"  # the hidden field that shows that our own page made the form


@dataclass(frozen=True, slots=True)
class Form:
    """The fields of a form by name. Never print one: passwords stand in there."""

    fields: dict[str, list[str]] = field(default_factory=dict, repr=False)

    def text(self, name: str, default: str = "") -> str:
        """One field without the blanks around it."""
        return self.fields.get(name, [default])[0].strip()

    def raw(self, name: str) -> str:
        """One field as it was typed, with line ends as they are on a server."""
        return self.fields.get(name, [""])[0].replace("\r\n", "\n")

    def secret(self, name: str) -> SecretText:
        """One field that is not to be seen again."""
        return SecretText(self.raw(name))

    def all(self, name: str) -> list[str]:
        """All boxes of this name that were ticked."""
        return [value.strip() for value in self.fields.get(name, [])]

    def has(self, name: str) -> bool:
        """Whether a box was ticked or a button pressed."""
        return name in self.fields


async def read_form(request: Request) -> Form:
    """The body as a form. Raises Invalid for what is none, LimitReached for one that is too large."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/x-www-form-urlencoded":
        raise Invalid("That is not a form of this console.", code="request.malformed")
    body = await read_body(request, MAX_BODY_BYTES, "The form is larger than 256 KB.")
    try:
        found = parse_qs(body.decode(), keep_blank_values=True, max_num_fields=_MAX_FIELDS, errors="strict")
    except ValueError:
        raise Invalid("That is not a form of this console.", code="request.malformed") from None
    if any("\0" in text for name, texts in found.items() for text in (name, *texts)):
        raise Invalid("No text may hold the character U+0000.", code="request.invalid")
    return Form(found)
