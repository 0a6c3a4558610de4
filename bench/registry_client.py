"""The client's side of bench/registry.py: pushes and HEADs of our own, `curl` for pulls, `wrk` for small GETs.

A push goes over one connection, which the registry may keep open. Failures end the whole run: a benchmark of errors is none.
"""

import hashlib
import http.client
import json
import os
import select
import socket
import ssl
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

MIB = 1 << 20
CHUNK_BYTES = 32 * 1024
FRESH_BYTES = 16
TIMEOUT_S = 300
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
NO_CHECK = ssl._create_unverified_context()  # noqa: SLF001 the certificates are made up a moment before


class Refused(RuntimeError):
    """The registry's answer was not the one that is being measured."""


@dataclass(frozen=True, slots=True)
class Door:
    """How one registry is reached: an address, a name in it, a token for that name."""

    host: str
    tls: bool
    name: str
    token: str

    @property
    def origin(self):
        return f"http{'s' if self.tls else ''}://{self.host}"

    @property
    def headers(self):
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    def path(self, kind, reference):
        return f"/v2/{self.name}/{kind}/{reference}"

    def connect(self):
        if self.tls:
            return http.client.HTTPSConnection(self.host, context=NO_CHECK, timeout=TIMEOUT_S)
        return http.client.HTTPConnection(self.host, timeout=TIMEOUT_S)


@dataclass(frozen=True, slots=True)
class Body:
    """What a push sends: a file's bytes but the last 16, which are new at each push so that nothing is there already."""

    path: Path
    size: int
    tail: bytes
    digest: str

    def pieces(self, size):
        left = self.size - len(self.tail)
        with self.path.open("rb", buffering=0) as file:
            while left > 0 and (piece := file.read(min(size, left))):
                left -= len(piece)
                yield piece if left else piece + self.tail


class Content:
    """A file of random bytes, read once at the start: it stays in the page cache, and new digests cost no second hash."""

    def __init__(self, path, size):
        self.path, self.size = path, size
        self._hash = hashlib.sha256()
        with path.open("wb") as file:
            for start in range(0, size, MIB):
                file.write(os.urandom(min(MIB, size - start)))
        with path.open("rb", buffering=0) as file:
            left = size - FRESH_BYTES
            while left > 0 and (piece := file.read(min(MIB, left))):
                self._hash.update(piece)
                left -= len(piece)

    def fresh(self):
        tail, whole = os.urandom(FRESH_BYTES), self._hash.copy()
        whole.update(tail)
        return Body(self.path, self.size, tail, f"sha256:{whole.hexdigest()}")


def ask(connection, door, method, path, body=b"", headers=None, *, expect):
    """One request and its whole answer: (headers, body)."""
    connection.request(method, path, body=body, headers={**door.headers, **(headers or {})})
    return _answer(connection, method, path, expect)


def _answer(connection, method, path, expect):
    try:
        response = connection.getresponse()
        body = response.read()
    except (ConnectionError, http.client.HTTPException) as error:
        raise Refused(f"{method} {path}: no whole answer: {error!r}") from error
    if response.status != expect:
        raise Refused(f"{method} {path}: {response.status} instead of {expect}: {body[:300]!r}")
    return response.headers, body


def _location(headers, **query):
    parts = urlsplit(headers["Location"])
    words = [parts.query, *(f"{key}={value}" for key, value in query.items())]
    return f"{parts.path}?{'&'.join(word for word in words if word)}"


def push(door, body, *, as_docker=False):
    """POST, then one PUT with Content-Length; or as docker does: PATCH with chunked transfer encoding, then PUT."""
    connection = door.connect()
    try:
        begun, _ = ask(connection, door, "POST", door.path("blobs", "uploads/"), expect=202)
        if as_docker:
            path = _location(begun)
            _send_head(connection, door, "PATCH", path, {"Transfer-Encoding": "chunked"})
            _send_chunks(connection.sock, body)
            begun, _ = _answer(connection, "PATCH", path, 202)
            ask(connection, door, "PUT", _location(begun, digest=body.digest), expect=201)
        else:
            path = _location(begun, digest=body.digest)
            _send_head(connection, door, "PUT", path, {"Content-Length": str(body.size)})
            _send_plain(connection.sock, body)
            _answer(connection, "PUT", path, 201)
    except ConnectionError as error:
        raise Refused(f"the registry hung up during a push: {error}") from error
    finally:
        connection.close()


def _send_head(connection, door, method, path, headers):
    connection.putrequest(method, path)
    for name, value in {**door.headers, "Content-Type": "application/octet-stream", **headers}.items():
        connection.putheader(name, value)
    connection.endheaders()


def _send_plain(sock, body):
    if isinstance(sock, ssl.SSLSocket):  # its own sendfile reads 8 KiB at a time
        for piece in body.pieces(256 * 1024):
            sock.sendall(piece)
        return
    with body.path.open("rb") as file:
        sock.sendfile(file, count=body.size - len(body.tail))
    sock.sendall(body.tail)


def _send_chunks(sock, body):
    """The writes of Go's net/http for a body of unknown length, as seen with strace: 4096 bytes, the rest, CRLF."""
    for piece in body.pieces(CHUNK_BYTES):
        chunk = b"%x\r\n%b" % (len(piece), piece)
        sock.sendall(chunk[:4096])
        sock.sendall(chunk[4096:])
        sock.sendall(b"\r\n")
    sock.sendall(b"0\r\n\r\n")


def push_bytes(door, content):
    """A small blob; its descriptor."""
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    connection = door.connect()
    begun, _ = ask(connection, door, "POST", door.path("blobs", "uploads/"), expect=202)
    ask(connection, door, "PUT", _location(begun, digest=digest), content, expect=201)
    connection.close()
    return {"mediaType": "application/vnd.oci.image.layer.v1.tar", "size": len(content), "digest": digest}


def push_manifest(door, tag, descriptors):
    """An image of these blobs, the first of them its configuration; its digest."""
    config, *layers = descriptors
    config = {**config, "mediaType": "application/vnd.oci.image.config.v1+json"}
    image = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers}
    content = json.dumps(image).encode()
    connection = door.connect()
    ask(connection, door, "PUT", door.path("manifests", tag), content, {"Content-Type": MANIFEST}, expect=201)
    connection.close()
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


# What docker offers, in its order, where the processor knows AES: Go's cipher_suites.go, defaultCipherSuitesTLS13.
AS_DOCKER = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"


class Pulls:
    """`curl`s of blobs, started together."""

    def __init__(self, door, digests, folder):
        header = folder / f"header-{threading.get_ident()}"
        header.write_text("".join(f"{name}: {value}\n" for name, value in door.headers.items()))
        command = [
            "curl",
            "-sSLk",
            "--fail",
            "--http1.1",
            "--tls13-ciphers",
            AS_DOCKER,
            "-H",
            f"@{header}",
            "-o",
            "/dev/null",
            "-w",
            "%{size_download}",
        ]
        self.started = time.perf_counter()
        self._all = [
            subprocess.Popen([*command, door.origin + door.path("blobs", digest)], stdout=subprocess.PIPE, text=True)
            for digest in digests
        ]

    def wait(self, size):
        """Until all are here, each of `size` bytes; the seconds since they were started."""
        said = [curl.communicate()[0] for curl in self._all]
        seconds = time.perf_counter() - self.started
        if any(curl.returncode for curl in self._all) or any(int(text) != size for text in said):
            raise Refused(f"a pull of {size} bytes went wrong: curl said {said}")
        return seconds


def pull_is_whole(door, digest):
    """Does what comes have that digest? Asked once for each registry, so that what is measured is known to be right."""
    command = ["curl", "-sSLk", "--fail", "-H", "@-", door.origin + door.path("blobs", digest)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as curl:
        curl.stdin.write("".join(f"{name}: {value}\n" for name, value in door.headers.items()).encode())
        curl.stdin.close()
        whole = hashlib.sha256()
        while piece := curl.stdout.read(MIB):
            whole.update(piece)
    return f"sha256:{whole.hexdigest()}" == digest


_SCRIPT = """
local paths, requests, turn = %s, {}, 0
wrk.headers["Accept"] = "%s"
%s
function init(args)
  for i, path in ipairs(paths) do requests[i] = wrk.format("GET", path) end
end
if #paths > 1 then
  function request()
    turn = turn %% #requests + 1
    return requests[turn]
  end
end
function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format("\\nsaid %%d %%d %%d %%d\\n", summary.requests, summary.duration, latency:percentile(99),
    e.connect + e.read + e.write + e.status + e.timeout))
end
"""


def get_often(door, paths, seconds, connections, folder):
    """`wrk` GETs these paths in turn, one thread. Returns (requests, seconds, 99th percentile in seconds)."""
    script = folder / "wrk.lua"
    headers = "\n".join(f'wrk.headers["{name}"] = "{value}"' for name, value in door.headers.items())
    listed = "{" + ", ".join(f'"{path}"' for path in paths) + "}"
    script.write_text(_SCRIPT % (listed, MANIFEST, headers))
    done = subprocess.run(
        ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", "-s", str(script), door.origin + paths[0]],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    said = next((line.split()[1:] for line in done.stdout.splitlines() if line.startswith("said ")), None)
    if done.returncode or said is None or int(said[3]) or not int(said[0]):
        raise Refused(f"wrk on {paths[0]} failed:\n{done.stdout}{done.stderr}")
    return int(said[0]), int(said[1]) / 1e6, int(said[2]) / 1e6


def head_often(door, path, seconds, connections):
    """HEADs on kept connections, one asked when one is answered; wrk would wait for a body. Returns (requests, seconds).

    Plain HTTP only.
    """
    lines = [
        f"HEAD {path} HTTP/1.1",
        f"Host: {door.host}",
        *(f"{name}: {value}" for name, value in door.headers.items()),
    ]
    request = "\r\n".join([*lines, "", ""]).encode()
    host, _, port = door.host.partition(":")
    poll, sockets, pending, count = select.epoll(), {}, {}, 0
    try:
        for _ in range(connections):
            sock = socket.create_connection((host, int(port)), timeout=TIMEOUT_S)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sockets[sock.fileno()] = sock
            poll.register(sock, select.EPOLLIN)
            sock.sendall(request)
        started = now = time.perf_counter()
        while now < started + seconds:
            for number, _ in poll.poll(1):
                sock = sockets[number]
                answer = pending.pop(number, b"") + sock.recv(65536)
                if answer.endswith(b"\r\n\r\n") and answer.startswith(b"HTTP/1.1 200 "):
                    count += 1
                    sock.sendall(request)
                elif not answer or b"\r\n\r\n" in answer:
                    raise Refused(f"HEAD {path}: {answer[:300]!r}")
                else:
                    pending[number] = answer
            now = time.perf_counter()
        return count, now - started
    finally:
        for sock in sockets.values():
            sock.close()
        poll.close()
