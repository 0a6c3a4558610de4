"""Contents of repositories and branches. Source: GitHub REST docs, "Repository contents", "Branches"."""

import base64
import binascii
from typing import Any
from urllib.parse import quote

import msgspec
from starlette.responses import Response

from berth.domain.git_object import Commit, Signature, TreeEntry
from berth.domain.problem import Invalid
from berth.domain.repository import Repository
from berth.domain.scope import Scope
from berth.edge.timestamp import timestamp
from berth.rest.app import Route
from berth.rest.call import Call, json_response
from berth.rest.simple_user import node_id
from berth.services.contents import FileChange, FileView


class Author(msgspec.Struct, kw_only=True):
    """Who a commit is by."""

    name: str
    email: str


class PutFile(msgspec.Struct, kw_only=True):
    """The body of a file to write; `content` is base64."""

    message: str
    content: str
    sha: str | None = None
    branch: str | None = None
    author: Author | None = None
    committer: Author | None = None


async def get(call: Call) -> Response:
    repository, found = await call.services.contents.get(
        call.subject, *call.repository, call.path("path").strip("/"), call.query("ref")
    )
    if isinstance(found, FileView):
        return json_response(_file(call, repository, found))
    return json_response([_entry(call, repository, entry) for entry in found])


async def get_root(call: Call) -> Response:
    call.request.path_params["path"] = ""
    return await get(call)


async def put(call: Call) -> Response:
    body = await call.json(PutFile)
    try:
        data = base64.b64decode("".join(body.content.split()), validate=True)
    except (binascii.Error, ValueError):
        raise Invalid("content is not valid Base64", field="content", code="contents.base64") from None
    author = body.author or body.committer
    change = FileChange(
        message=body.message,
        data=data,
        expected=body.sha or None,
        branch=body.branch or None,
        author_name=author.name if author else None,
        author_email=author.email if author else None,
    )
    path = call.path("path").strip("/")
    repository, written = await call.services.contents.put(call.user, *call.repository, path, change)
    entry = TreeEntry(name=path.rpartition("/")[2], path=path, kind="file", sha=written.blob, size_bytes=len(data))
    content = _entry(call, repository, entry)
    commit = _commit(call, repository, written.commit)
    return json_response({"content": content, "commit": commit}, 201 if written.created else 200)


async def get_branch(call: Call) -> Response:
    name = call.path("branch")
    repository, commit = await call.services.contents.get_branch(call.subject, *call.repository, name)
    url = call.links.api(f"/repos/{repository.full_name}/branches/{quote(name)}")
    git = _commit(call, repository, commit)
    body = {
        "name": name,
        "commit": {
            "url": call.links.api(f"/repos/{repository.full_name}/commits/{commit.sha}"),
            "sha": commit.sha,
            "node_id": git["node_id"],
            "html_url": git["html_url"],
            "comments_url": call.links.api(f"/repos/{repository.full_name}/commits/{commit.sha}/comments"),
            "commit": {
                "url": git["url"],
                "author": git["author"],
                "committer": git["committer"],
                "message": commit.message,
                "tree": git["tree"],
                "comment_count": 0,
            },
            "author": None,
            "committer": None,
            "parents": git["parents"],
        },
        "_links": {"self": url, "html": call.links.web(f"/{repository.full_name}/tree/{quote(name)}")},
        "protected": False,
        "protection": {"enabled": False},
        "protection_url": f"{url}/protection",
    }
    return json_response(body)


def _entry(call: Call, repository: Repository, entry: TreeEntry) -> dict[str, Any]:
    path = quote(entry.path)
    url = call.links.api(f"/repos/{repository.full_name}/contents/{path}")
    html = call.links.web(f"/{repository.full_name}/blob/{repository.default_branch}/{path}")
    git = call.links.api(f"/repos/{repository.full_name}/git/blobs/{entry.sha}")
    return {
        "type": entry.kind,
        "name": entry.name,
        "path": entry.path,
        "sha": entry.sha,
        "size": entry.size_bytes,
        "url": url,
        "git_url": git,
        "html_url": html,
        "download_url": url if entry.kind == "file" else None,
        "_links": {"self": url, "git": git, "html": html},
    }


def _file(call: Call, repository: Repository, view: FileView) -> dict[str, Any]:
    body = _entry(call, repository, view.entry)
    match view.entry.kind:
        case "file":
            # Lines of 60 characters, as GitHub breaks them.
            text = base64.b64encode(view.data).decode()
            lines = "".join(f"{text[i : i + 60]}\n" for i in range(0, len(text), 60))
            return {**body, "encoding": "base64", "content": lines}
        case "symlink":
            return {**body, "target": view.data.decode(errors="replace")}
        case _:
            return {**body, "submodule_git_url": ""}


def _signature(signature: Signature) -> dict[str, Any]:
    return {"name": signature.name, "email": signature.email, "date": timestamp(signature.at)}


def _commit(call: Call, repository: Repository, commit: Commit) -> dict[str, Any]:
    base = f"/repos/{repository.full_name}/git"
    web = f"/{repository.full_name}/commit"
    return {
        "sha": commit.sha,
        "node_id": node_id("Commit", int(commit.sha[:12], 16)),
        "url": call.links.api(f"{base}/commits/{commit.sha}"),
        "html_url": call.links.web(f"{web}/{commit.sha}"),
        "author": _signature(commit.author),
        "committer": _signature(commit.committer),
        "message": commit.message,
        "tree": {"sha": commit.tree, "url": call.links.api(f"{base}/trees/{commit.tree}")},
        "parents": [
            {
                "sha": parent,
                "url": call.links.api(f"{base}/commits/{parent}"),
                "html_url": call.links.web(f"{web}/{parent}"),
            }
            for parent in commit.parents
        ],
        "verification": {
            "verified": False,
            "reason": "unsigned",
            "signature": None,
            "payload": None,
            "verified_at": None,
        },
    }


_CONTENTS = "/repos/{owner}/{repo}/contents"
_REPO = frozenset({Scope.REPO})
_WRITE = frozenset({Scope.REPO, Scope.PUBLIC_REPO})
ROUTES: tuple[Route, ...] = (
    Route("GET", _CONTENTS, get_root, anonymous=True, accepted=_REPO),
    Route("GET", f"{_CONTENTS}/{{path:path}}", get, anonymous=True, accepted=_REPO),
    Route("PUT", f"{_CONTENTS}/{{path:path}}", put, _WRITE, accepted=_REPO),
    Route("GET", "/repos/{owner}/{repo}/branches/{branch:path}", get_branch, anonymous=True, accepted=_REPO),
)
