"""Style, scripts and pictures: read once, and asked for by a hash of their content, so that browsers keep them for good."""

import hashlib
import mimetypes
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from berth.domain.problem import NotFound

PATH = "/static"
_FOLDER = Path(__file__).with_name("static")
# What pages have from npm: its name here, and where it lies in node_modules.
_PACKAGES = {
    "xterm/xterm.mjs": "@xterm/xterm/lib/xterm.mjs",
    "xterm/xterm.css": "@xterm/xterm/css/xterm.css",
    "xterm/addon-fit.mjs": "@xterm/addon-fit/lib/addon-fit.mjs",
}
_FOR_GOOD = "public, max-age=31536000, immutable"
_TYPES = {".js": "text/javascript", ".mjs": "text/javascript", ".svg": "image/svg+xml", ".woff2": "font/woff2"}


@dataclass(frozen=True, slots=True)
class StaticFile:
    """One file, with the hash that stands in its address."""

    content: bytes
    version: str
    media_type: str


class StaticFiles:
    """All files of the folder `static`, by their path in there."""

    def __init__(self, files: Mapping[str, StaticFile]) -> None:
        self._files = files

    def url(self, name: str) -> str:
        """Its address, which changes with its content. A page that names a file that is not there is a bug: KeyError."""
        return f"{PATH}/{name}?v={self._files[name].version}"

    def __contains__(self, name: str) -> bool:
        return name in self._files

    def respond(self, request: Request, name: str) -> Response:
        """The file; kept for good if it was asked for by the hash that it has. Raises NotFound."""
        file = self._files.get(name)
        if file is None:
            raise NotFound("Not Found")
        current = request.query_params.get("v") == file.version
        headers = {"Cache-Control": _FOR_GOOD if current else "no-cache", "ETag": f'"{file.version}"'}
        if request.headers.get("if-none-match") == headers["ETag"]:
            return Response(status_code=304, headers=headers)
        return Response(file.content, headers=headers, media_type=file.media_type)


def read_static_files(folder: Path = _FOLDER, *, node_modules: Path | None = None) -> StaticFiles:
    """All of our own, and those of npm's that are there."""
    files = {path.relative_to(folder).as_posix(): _read(path) for path in sorted(folder.rglob("*")) if path.is_file()}
    for name, place in _PACKAGES.items():
        if node_modules is not None and (node_modules / place).is_file():
            files[name] = _read(node_modules / place)
    return StaticFiles(files)


def _read(path: Path) -> StaticFile:
    content = path.read_bytes()
    media_type = _TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return StaticFile(content, hashlib.sha256(content).hexdigest()[:16], media_type)
