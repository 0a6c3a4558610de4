"""The doctor: what is wrong with an image for one's codespaces of a repository.

Without a script the form is answered by the whole diagnosis. With `static/doctor.js` the same form is answered by lines of
JSON, as the checks finish: each `html` is all that is to be shown from then on, the last one what the page would have shown.
"""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

from starlette.responses import Response, StreamingResponse

from berth.domain.doctor import Check, CheckID, CheckState, Diagnosis
from berth.domain.problem import Denied, Invalid, LimitReached, NotFound, Problem
from berth.edge.problem_status import bug_text
from berth.ui.app import Route
from berth.ui.finding import next_steps
from berth.ui.organization import no_such_user
from berth.ui.page import Page

_PATH = "/doctor"
_LINES = "application/x-ndjson"
_MOST_SUGGESTED = 50
_LOG = logging.getLogger(__name__)
_RUNNING: set[asyncio.Task[Diagnosis]] = set()  # so that they end, and are recorded, when nobody listens any more

LABELS: Mapping[CheckID, str] = {
    CheckID.POLICY: "Policy",
    CheckID.ENGINE: "Container engine",
    CheckID.CREDENTIAL: "Credential",
    CheckID.FORM: "User and password",
    CheckID.NAME: "Image name",
    CheckID.DNS: "Host name",
    CheckID.ADDRESS: "Address",
    CheckID.CONNECTION: "Connection",
    CheckID.TLS: "TLS",
    CheckID.REGISTRY: "Registry",
    CheckID.LIMIT: "Rate limit",
    CheckID.TOKEN_SERVICE: "Token service",
    CheckID.LOGIN: "Login",
    CheckID.ACCESS: "Access",
    CheckID.IMAGE: "Image",
    CheckID.PLATFORM: "Platform",
    CheckID.CONTENT: "Content",
}
TONES: Mapping[CheckState, str] = {
    CheckState.PASSED: "good",
    CheckState.WARNING: "warn",
    CheckState.FAILED: "bad",
    CheckState.SKIPPED: "",
}


async def show(page: Page, problem: Problem | None = None, diagnosis: Diagnosis | None = None) -> Response:
    """`?repo=owner/name&image=` fill in the form."""
    known, _total = await page.services.repositories.list_own(page.user, limit=_MOST_SUGGESTED, offset=0)
    return await page.render(
        "doctor.html",
        problem=problem,
        repository=page.query("repo").strip(),
        image=page.query("image").strip(),
        suggested=[each.repository.full_name for each in known],
        **await _result(page, diagnosis),
    )


async def _result(page: Page, diagnosis: Diagnosis | None, checks: tuple[Check, ...] = ()) -> dict[str, Any]:
    """What `doctor_result.html` shows. Without a diagnosis more checks are to come."""
    return {
        "diagnosis": diagnosis,
        "checks": checks if diagnosis is None else diagnosis.checks,
        "steps": [] if diagnosis is None else await _next_steps(page, diagnosis),
        "labels": LABELS,
        "tones": TONES,
    }


async def examine(page: Page) -> Response:
    try:
        if _LINES in page.request.headers.get("accept", ""):
            return await _stream(page)
        return await show(page, diagnosis=await _ask(page, lambda _: None))
    except NotFound as problem:
        if problem.code == "account.not_found":
            return await show(page, no_such_user(page.form.text("login")))
        text = "There is no such repository, or you may not read it."
        return await show(page, Invalid(text, field="repository", code="repository.not_found"))
    except (Invalid, Denied, LimitReached) as problem:
        return await show(page, problem)


async def _ask(page: Page, seen: Callable[[tuple[Check, ...]], None]) -> Diagnosis:
    owner, _slash, name = page.form.text("repository").partition("/")
    login = page.form.text("login") or None
    return await page.services.doctor.examine(page.user, owner, name, page.form.text("image"), login=login, seen=seen)


async def _stream(page: Page) -> Response:
    """The first line is waited for: what cannot begin is answered as without a script."""
    come: asyncio.Queue[tuple[Check, ...] | None] = asyncio.Queue()
    task = asyncio.create_task(_ask(page, come.put_nowait))
    _RUNNING.add(task)
    task.add_done_callback(_RUNNING.discard)
    task.add_done_callback(lambda _: come.put_nowait(None))
    first = await come.get()
    if first is None:
        await task
    return StreamingResponse(_lines(page, first, come, task), media_type=_LINES)


async def _lines(
    page: Page,
    checks: tuple[Check, ...] | None,
    come: asyncio.Queue[tuple[Check, ...] | None],
    task: asyncio.Task[Diagnosis],
) -> AsyncIterator[bytes]:
    try:
        while checks is not None:
            yield await _line(page, None, checks)
            checks = await come.get()
        yield await _line(page, task.result())
    except Problem as problem:
        yield _said(problem.text)
    except Exception:  # noqa: BLE001 an edge: the answer has begun, so ui/app.py cannot make this a 500
        request_id = uuid4().hex
        _LOG.exception("ui.failed", extra={"request_id": request_id, "route": _PATH})
        yield _said(bug_text(request_id))


async def _line(page: Page, diagnosis: Diagnosis | None, checks: tuple[Check, ...] = ()) -> bytes:
    values = await _result(page, diagnosis, checks)
    template = page.console.templates.get_template("doctor_result.html")
    return json.dumps({"html": template.render(page=page, problem=None, **values)}).encode() + b"\n"


def _said(text: str) -> bytes:
    return json.dumps({"problem": text}).encode() + b"\n"


async def _next_steps(page: Page, diagnosis: Diagnosis) -> list[tuple[str, str]]:
    if diagnosis.finding is None:
        return []
    is_own = page.form.text("login").lower() in {"", page.user.login.lower()}
    repository, image = page.form.text("repository"), page.form.text("image")
    back = f"{_PATH}?{urlencode({'repo': repository, 'image': image})}"
    return await next_steps(page, diagnosis.finding, repository, str(diagnosis.image), back=back, is_own=is_own)


ROUTES: tuple[Route, ...] = (
    Route("GET", _PATH, show),
    Route("POST", _PATH, examine),
)
