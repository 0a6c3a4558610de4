"""Jinja: what templates can say beside what a page gives them. Everything is escaped; an unknown name is an error."""

from datetime import datetime
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from berth.domain.finding import FIXERS
from berth.domain.plain_text import clean_line
from berth.domain.scope import Scope
from berth.domain.session import describe_user_agent
from berth.edge.timestamp import timestamp
from berth.ui.static_files import StaticFiles

_FOLDER = Path(__file__).with_name("templates")
# From which number on: "40 days" says more than "1 month".
_UNITS = (("year", 365 * 86400, 1), ("month", 30 * 86400, 2), ("day", 86400, 1), ("hour", 3600, 1), ("minute", 60, 1))
_FUTURE_S = 59  # what ends in thirty days does so a second later too
_SIZES = ("B", "KB", "MB", "GB", "TB")


def make_templates(static: StaticFiles) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.globals["static"] = static.url
    environment.filters.update(
        size=format_size,
        agent=describe_user_agent,
        scope_means=lambda scope: SCOPE_MEANINGS[scope],
        iso=timestamp,
        plain=clean_line,
        sentence=format_sentence,
        fixer=lambda fixer: FIXERS[fixer],
        minutes=format_minutes,
        marked=format_marked,
    )
    return environment


def format_ago(at: datetime, now: datetime) -> str:
    """As `3 minutes ago` or `in 2 days`."""
    distance = (now - at).total_seconds() if at <= now else (at - now).total_seconds() + _FUTURE_S
    for unit, seconds, least in _UNITS:
        number = int(distance // seconds)
        if number >= least:
            words = f"{number} {unit}{'' if number == 1 else 's'}"
            return f"{words} ago" if at <= now else f"in {words}"
    return "just now" if at <= now else "in a moment"


def format_minutes(minutes: int) -> str:
    """In the largest unit that it is a whole number of: "30 days", "90 minutes"."""
    number, unit = minutes, "minute"
    for size, name in ((24 * 60, "day"), (60, "hour")):
        if minutes and minutes % size == 0:
            number, unit = minutes // size, name
            break
    return f"{number} {unit}{'' if number == 1 else 's'}"


def format_size(size_bytes: int) -> str:
    """With three digits: "48.2 MB". Thousands, as docker and registries count."""
    size = float(size_bytes)
    for unit in _SIZES:
        if size < 999.5 or unit == _SIZES[-1]:
            break
        size /= 1000
    return f"{size:.0f} {unit}" if unit == "B" or size >= 99.95 else f"{size:.1f} {unit}"


def format_sentence(text: str) -> str:
    """A reason that stands alone, on one line, begun as a sentence is."""
    line = clean_line(text)
    return line[:1].upper() + line[1:]


def format_marked(text: str) -> Markup:
    """A sentence of ours with code in it, between backticks."""
    parts = text.split("`")
    if len(parts) % 2 == 0:
        return Markup("{}").format(text)
    code = Markup("<code>{}</code>")
    return Markup("").join(code.format(part) if place % 2 else part for place, part in enumerate(parts))


# What stands beside a scope's name where one chooses them.
SCOPE_MEANINGS: dict[Scope, str] = {
    Scope.REPO: "Read and change your repositories, private ones too",
    Scope.PUBLIC_REPO: "Change public repositories",
    Scope.DELETE_REPO: "Delete repositories",
    Scope.USER: "Your account, its tokens and its secrets",
    Scope.READ_USER: "Read your account",
    Scope.USER_EMAIL: "Read your address",
    Scope.ADMIN_ORG: "Administer organizations and teams",
    Scope.WRITE_ORG: "Leave organizations",
    Scope.READ_ORG: "Read organizations and teams",
    Scope.CODESPACE: "Create and use codespaces",
    Scope.CODESPACE_SECRETS: "Manage secrets for codespaces",
    Scope.READ_PACKAGES: "Pull packages",
    Scope.WRITE_PACKAGES: "Push packages, and pull them",
    Scope.DELETE_PACKAGES: "Delete packages",
    Scope.WORKFLOW: "Change workflow files",
    Scope.SITE_ADMIN: "Administer this site",
}
