"""Registries: the logins that are stored at a level, each as one thing. New ones are tried before they are stored."""

from dataclasses import dataclass

from starlette.responses import Response

from berth.domain.credential_form import TOKEN_BEGINNINGS
from berth.domain.problem import Conflict, Invalid, LimitReached, Problem
from berth.domain.registry_credential import CredentialSource
from berth.domain.registry_host import normalise_registry_host
from berth.domain.registry_login import LoginOutcome, LoginVerdict
from berth.domain.registry_provider import PROVIDERS, Provider, provider_of_host
from berth.domain.secret import SecretLevel
from berth.domain.secret_text import SecretText
from berth.services.registry_login import GivenLogin
from berth.services.registry_triple import Access, StoredTriple
from berth.ui import registry_credential, secret_selection
from berth.ui.app import Route
from berth.ui.page import Page
from berth.ui.secret_place import (
    NO_PREFIX,
    REGISTRIES,
    Place,
    chosen_ids,
    list_selectable,
    render,
    route,
    visibility_of,
)
from berth.ui.session import safe_return_to


async def list_registries(page: Page, at: Place) -> Response:
    if at.level is SecretLevel.USER and page.query("repo").strip():
        return await registry_credential.show_used(page)
    part, services = page.list_page, page.services
    found, total = await services.registry_triples.list_of(page.user, at.of, limit=part.limit, offset=part.offset)
    manages = await services.secret_groups.may_manage(page.user, at.of)
    return await render(
        page,
        at,
        "registries.html",
        triples=found,
        total=total,
        manages=manages,
        providers=PROVIDERS,
        path_of=_path_of,
        shadowed=await _shadowed(page, at),
    )


async def _shadowed(page: Page, at: Place) -> dict[CredentialSource, str]:
    """Which logins of a repository the reader's own codespaces do not use, since his own come first; and why.

    One's own are never shadowed, and what an organization's are shadowed by differs from repository to repository.
    """
    if at.level is not SecretLevel.REPOSITORY:
        return {}
    used = await page.services.registry_credentials.list_for(page.user, at.of.owner, at.of.repository)
    return {entry.source: entry.reason for entry in used.entries if entry.shadowed}


def _path_of(at: Place, triple: StoredTriple) -> str:
    return f"{at.registries}/{triple.source.prefix or NO_PREFIX}"


async def _get(page: Page, at: Place) -> StoredTriple:
    prefix = page.path("prefix")
    return await page.services.registry_triples.get(page.user, at.of, "" if prefix == NO_PREFIX else prefix)


# The form for a login, new or in another's place


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of a login that was not stored: a problem with what was typed, or what the registry says."""

    problem: Problem | None = None
    verdict: LoginVerdict | None = None

    @property
    def status(self) -> int:
        return 200 if self.problem is None and self.verdict is None else 422


async def new(page: Page, at: Place, tried: Tried = Tried()) -> Response:
    repositories, total = await list_selectable(page, at) if at.selects else ((), 0)
    return await _form(page, at, tried, None, repositories=repositories, total=total)


async def _form(page: Page, at: Place, tried: Tried, before: StoredTriple | None, **values: object) -> Response:
    await page.services.secret_groups.require_manager(page.user, at.of)
    _forget_passwords(page)
    server = page.form.text("server", page.query("server").strip() if before is None else before.server)
    provider = _provider(page, server)
    return await render(
        page,
        at,
        "registry_new.html",
        status=tried.status,
        problem=tried.problem,
        verdict=tried.verdict,
        before=before,
        server=server,
        provider=provider,
        providers=PROVIDERS,
        action=at.registries if before is None else f"{_path_of(at, before)}/replace",
        return_to=_after(page, at),
        **({"repositories": (), "total": 0} | values),
    )


def _after(page: Page, at: Place) -> str:
    """Where one is led when the login is stored: to what was being done, or to the list that it stands in."""
    wanted = page.form.text("return_to", page.query("return_to"))
    return safe_return_to(wanted) if wanted else at.registries


def _forget_passwords(page: Page) -> None:
    """What may be a password in another field than its own does not stand in the form again (C3): `user:password@host`,
    a token as the user's name, which is what DigitalOcean wants.
    """
    form = page.form
    for name in ("server", "image"):
        if "@" in form.text(name).replace("@sha256:", ""):
            form.fields[name] = [""]
    user = form.text("user")
    if user and (user == form.text("password") or user.startswith(tuple(TOKEN_BEGINNINGS))):
        form.fields["user"] = [""]


def _provider(page: Page, server: str) -> Provider | None:
    """Whose hints stand beside the form: as the server is recognised, or as one has chosen. None: all are offered."""
    try:
        known = provider_of_host(normalise_registry_host(server).host)
    except Invalid:
        known = None
    chosen = page.query("provider")
    if known in {None, Provider.PLAIN} and chosen in list(Provider):
        return Provider(chosen)
    return known


def _given(page: Page, at: Place, prefix: str) -> GivenLogin:
    """What was typed. Raises Invalid for what is missing."""
    form = page.form
    for name, words in (("server", "server"), ("user", "user"), ("password", "password")):
        if not form.text(name):
            raise Invalid(f"Type the {words}.", field=name, code="registry.missing")
    token = form.secret("session_token")
    return GivenLogin(
        level=at.level,
        server=form.text("server"),
        user=SecretText(form.text("user")),
        password=form.secret("password"),
        session_token=token or None,
        prefix=prefix,
    )


async def create(page: Page, at: Place) -> Response:
    form, ids = page.form, None
    try:
        visibility = visibility_of(page, at)
        ids = chosen_ids(page, at, visibility)
        verdict = await page.services.registry_triples.add(
            page.user,
            at.of,
            _given(page, at, form.text("prefix")),
            Access(visibility=visibility, repository_ids=ids),
            image=form.text("image"),
            unchecked=form.has("unchecked"),
        )
    except (Invalid, LimitReached, Conflict) as problem:
        return await new(page, at, Tried(problem))
    if verdict is not None and verdict.outcome is not LoginOutcome.ACCEPTED:
        return await new(page, at, Tried(verdict=verdict))
    return page.redirect(_after(page, at), _told(verdict, nobody=ids == ()))


async def ask_replace(page: Page, at: Place, tried: Tried = Tried()) -> Response:
    return await _form(page, at, tried, await _get(page, at))


async def replace(page: Page, at: Place) -> Response:
    form, before = page.form, await _get(page, at)
    try:
        verdict = await page.services.registry_triples.replace(
            page.user,
            at.of,
            before.source.prefix,
            _given(page, at, before.source.prefix),
            image=form.text("image"),
            unchecked=form.has("unchecked"),
        )
    except (Invalid, LimitReached) as problem:
        return await ask_replace(page, at, Tried(problem))
    if verdict is not None and verdict.outcome is not LoginOutcome.ACCEPTED:
        return await ask_replace(page, at, Tried(verdict=verdict))
    return page.redirect(_after(page, at), _told(verdict, nobody=False))


def _told(verdict: LoginVerdict | None, *, nobody: bool) -> str:
    """What is said on the next page."""
    said = ["The login was stored without a try." if verdict is None else f"{verdict.sentence} It was stored."]
    if nobody:
        said.append("No repository's codespaces get it yet: choose some.")
    return " ".join((*said, *(() if verdict is None else verdict.warnings)))


async def check(page: Page, at: Place) -> Response:
    """What comes of a stored login now. Its card says so from then on."""
    triple = await _get(page, at)
    verdict = await page.services.registry_triples.check(page.user, at.of, triple.source.prefix)
    return await render(page, at, "registry_checked.html", triple=triple, verdict=verdict, path=_path_of(at, triple))


async def ask_delete(page: Page, at: Place) -> Response:
    await page.services.secret_groups.require_manager(page.user, at.of)
    triple = await _get(page, at)
    return await page.confirm(
        title=f"Remove the login to {triple.server or triple.source.prefix}",
        text=f"This deletes {', '.join(triple.names)}. Codespaces that run are logged out there. "
        "Its password is kept nowhere else.",
        action=f"{_path_of(at, triple)}/delete",
        button="Remove the login",
        back=at.registries,
    )


async def delete(page: Page, at: Place) -> Response:
    triple = await _get(page, at)
    await page.services.registry_triples.remove(page.user, at.of, triple.source.prefix)
    return page.redirect(at.registries, f"The login to {triple.server or triple.source.prefix} was removed.")


async def _group(page: Page, at: Place) -> secret_selection.Group:
    triple = await _get(page, at)
    path = f"{_path_of(at, triple)}/repositories"
    title = triple.server or triple.source.prefix
    return secret_selection.Group(title, triple.names, triple.visibility, path, at.registries)


def _routes(level: SecretLevel) -> tuple[Route, ...]:
    base = REGISTRIES[level]
    one = f"{base}/{{prefix}}"
    return (
        route("GET", level, base, list_registries),
        route("GET", level, f"{base}/new", new),
        route("POST", level, base, create),
        route("GET", level, f"{one}/replace", ask_replace),
        route("POST", level, f"{one}/replace", replace),
        route("POST", level, f"{one}/check", check),
        route("GET", level, f"{one}/delete", ask_delete),
        route("POST", level, f"{one}/delete", delete),
        *secret_selection.routes(level, f"{one}/repositories", _group),
    )


ROUTES: tuple[Route, ...] = tuple(each for level in SecretLevel for each in _routes(level))
