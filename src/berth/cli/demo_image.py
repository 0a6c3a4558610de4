"""The demo's private images: made of busybox, pushed to a registry, removed from the engine. Speaks the Docker Engine API.

Source: Docker Engine API 1.41, "Create an image" (fromSrc), "Push an image" (X-Registry-Auth), "Remove an image".
"""

import base64
import io
import json
import shutil
import subprocess
import tarfile
from types import TracebackType
from typing import Any, Self

import httpx

from berth.domain.secret_text import SecretText

_TIMEOUT_S = 60.0
_ACCOUNTS = "root:x:0:0:root:/root:/bin/sh\ndev:x:1000:1000:dev:/home/dev:/bin/sh\n"
_PROFILE = 'for f in /etc/profile.d/*.sh; do [ -r "$f" ] && . "$f"; done; unset f\n'
_LABEL = "dev.berth.codespace"


class ImageNotMade(RuntimeError):
    """The image could not be built or pushed; the text says why and what to do."""


def dev_image_layer(image: str) -> bytes:
    """The tar of a small dev image: a static busybox under all of its names, a user `dev`, and the image's name.

    With the name no two images share the layer: the engine pulls each.
    """
    busybox = shutil.which("busybox", path="/bin:/usr/bin")
    if busybox is None:
        raise ImageNotMade("busybox is not installed (Debian: busybox-static)")
    names = subprocess.run([busybox, "--list"], check=True, capture_output=True, text=True).stdout.split()
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        for folder, owner, mode in (
            ("bin", 0, 0o755),
            ("etc", 0, 0o755),
            ("etc/profile.d", 0, 0o755),
            ("home", 0, 0o755),
            ("home/dev", 1000, 0o755),
            ("root", 0, 0o700),
            ("tmp", 0, 0o1777),
        ):
            _add(tar, folder, type=tarfile.DIRTYPE, mode=mode, uid=owner, gid=owner)
        tar.add(busybox, "bin/busybox")
        for name in names:
            if name != "busybox":
                _add(tar, f"bin/{name}", type=tarfile.SYMTYPE, linkname="busybox")
        for path, text in (("passwd", _ACCOUNTS), ("group", "root:x:0:\ndev:x:1000:\n"), ("profile", _PROFILE)):
            _add(tar, f"etc/{path}", text.encode())
        _add(tar, "etc/image-name", f"{image}\n".encode())
    return raw.getvalue()


def _add(tar: tarfile.TarFile, name: str, data: bytes = b"", **fields: Any) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(data), 0o644
    for field, value in fields.items():
        setattr(info, field, value)
    tar.addfile(info, io.BytesIO(data))


class DemoEngine:
    """What the demo itself asks of the engine. Everything else is Berth's business."""

    def __init__(self, docker_host: str) -> None:
        self.docker_host = docker_host
        scheme, _, rest = docker_host.partition("://")
        if scheme == "unix":
            transport = httpx.HTTPTransport(uds=rest)
            self._http = httpx.Client(transport=transport, base_url="http://engine", timeout=_TIMEOUT_S)
        else:
            base_url = f"http://{rest}" if scheme == "tcp" else docker_host
            self._http = httpx.Client(base_url=base_url, timeout=_TIMEOUT_S, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    @property
    def version(self) -> str:
        return str(self._http.get("/version").raise_for_status().json()["Version"])

    def make_image(self, image: str) -> None:
        """Import the dev image under this name."""
        name, _, tag = image.rpartition(":")
        changes = ("ENV PATH=/bin", 'CMD ["sh"]')
        query: list[tuple[str, str | float | bool | None]] = [("fromSrc", "-"), ("repo", name), ("tag", tag)]
        query += [("changes", change) for change in changes]
        answer = self._http.post("/images/create", params=query, content=dev_image_layer(image))
        _check(answer, f"the engine did not import {image}")

    def push(self, image: str, user: str, password: SecretText) -> None:
        """Push with this credential, which the engine uses for this one request."""
        name, _, tag = image.rpartition(":")
        pair = json.dumps({"username": user, "password": password.reveal()}).encode()
        headers = {"X-Registry-Auth": base64.urlsafe_b64encode(pair).decode()}
        answer = self._http.post(f"/images/{name}/push", params={"tag": tag}, headers=headers)
        _check(answer, f"the engine could not push {image}")

    def remove_images(self, name: str) -> None:
        """Remove every tag and digest of this image name. Nothing happens if there are none."""
        listed = self._http.get("/images/json", params={"digests": "1"}).raise_for_status().json()
        for image in listed:
            references = [*(image.get("RepoTags") or ()), *(image.get("RepoDigests") or ())]
            for reference in references:
                if reference.startswith((f"{name}:", f"{name}@")):
                    self._http.delete(f"/images/{reference}", params={"force": "1"})

    def has_image(self, image: str) -> bool:
        return self._http.get(f"/images/{image}/json").status_code == 200

    def count_containers(self, codespaces: list[str]) -> int:
        return sum(len(self._containers(name)) for name in codespaces)

    def remove_containers(self, codespaces: list[str]) -> None:
        """Remove what codespaces of these names left."""
        for name in codespaces:
            for container_id in self._containers(name):
                self._http.delete(f"/containers/{container_id}", params={"force": "1", "v": "1"})

    def _containers(self, codespace: str) -> list[str]:
        filters = json.dumps({"label": [f"{_LABEL}={codespace}"]})
        answer = self._http.get("/containers/json", params={"all": "1", "filters": filters})
        return [container["Id"] for container in answer.raise_for_status().json()]


def _check(answer: httpx.Response, sentence: str) -> None:
    """The engine answers 200 and puts errors into the stream."""
    why = ""
    for line in answer.text.splitlines():
        event = json.loads(line)
        why = event.get("error") or event.get("message") or why
    if answer.status_code != 200 or why:
        raise ImageNotMade(f"{sentence}: {why or answer.status_code}")
