"""The registries that bench/registry.py compares: each a process of its own on one core, with token authentication.

Berth gives its own tokens. CNCF distribution has no token service, so its tokens are signed here, with what costs it least: RS256,
and a key that it knows by its id.
"""

import base64
import hashlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlencode, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import NameOID
from registry_client import Door, Refused, ask

START_TIMEOUT_S = 30
STOP_TIMEOUT_S = 30
LOG_TAIL_LINES = 25
DISTRIBUTION_TOKEN_S = 24 * 3600
USER = "bench"
ACTIONS = "pull,push"


def sign_certificate(folder, key, name):
    """A certificate for 127.0.0.1, signed by its own key: (certificate file, key file)."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=2))
        .sign(key, hashes.SHA256())
    )
    paths = folder / f"{name}.crt", folder / f"{name}.key"
    pem = serialization.Encoding.PEM
    paths[0].write_bytes(certificate.public_bytes(pem))
    paths[1].touch(0o600)
    paths[1].write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )  # fmt: skip
    return paths


def log_tail(path):
    return "\n".join(path.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:]) or "(it is empty)"


@contextmanager
def running_on(core):
    """What is started in the block runs on this core alone, with all its threads."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class Target:
    """A registry: `start`, `stop`, and `start` again on the same data. It gets one core, the rest is the client's."""

    name: str
    what: str  # which program, for the report

    def __init__(self, folder, core):
        self.folder = folder / self.name
        self.folder.mkdir()
        self.data, self.log = self.folder / "data", self.folder / "log"
        self.core, self.tls, self.process, self.host = core, False, None, ""
        self.places, self._kept = [self.folder], set()  # where this registry's blobs can be

    def command(self):
        raise NotImplementedError

    def environment(self):
        raise NotImplementedError

    def door(self, *names):
        """The way in, with a new token for these names (the first is the one that the door's paths are of)."""
        return Door(self.host, self.tls, names[0], self.token(names))

    def token(self, names):
        raise NotImplementedError

    def start(self, *, tls=False):
        self.stop()
        self.tls = tls
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.host = f"127.0.0.1:{free.getsockname()[1]}"
        with self.log.open("ab") as log, running_on(self.core):
            self.process = subprocess.Popen(
                self.command(),
                env=self.environment(),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C in a terminal must reach us, who then stop it in order
            )
        self._wait_until_ready()

    def _wait_until_ready(self):
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise Refused(f"{self.name} ended with status {self.process.returncode}")
            try:
                self._challenge()
                return
            except (OSError, http.client.HTTPException):
                time.sleep(0.03)
        raise Refused(f"{self.name} does not answer after {START_TIMEOUT_S} s")

    def _challenge(self):
        """Where tokens are had: what the 401 for a request without one says."""
        door = Door(self.host, self.tls, "", "")
        connection = door.connect()
        try:
            headers, _ = ask(connection, door, "GET", "/v2/", expect=401)
        except Refused as problem:
            raise Refused(f"{self.name} ({self.what}): {problem}") from problem
        finally:
            connection.close()
        return dict(re.findall(r'(\w+)="([^"]*)"', headers["WWW-Authenticate"]))

    def stop(self):
        if self.process is None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def processes(self):
        """The server's process and all below it."""
        children = {}
        for entry in Path("/proc").iterdir():
            try:
                words = (entry / "stat").read_text().rpartition(")")[2].split() if entry.name.isdigit() else []
            except OSError:
                continue  # it ended meanwhile
            if words:
                children.setdefault(int(words[1]), []).append(int(entry.name))
        found = [self.process.pid]
        for process in found:
            found.extend(children.get(process, ()))
        return found

    def cpu_s(self):
        """What /proc/PID/stat counts in ticks of 10 ms, in nanoseconds: each process's CPU clock (clock_getcpuclockid(3))."""
        return sum(time.clock_gettime((~process << 3) | 2) for process in self.processes())

    def peak_mb(self):
        """The most that one process ever had in memory since it was started (VmHWM); MB of 10^6 bytes."""
        peaks = [
            int(line.split()[1])
            for process in self.processes()
            for line in Path(f"/proc/{process}/status").read_text().splitlines()
            if line.startswith("VmHWM:")
        ]
        return max(peaks) * 1024 / 1e6

    def keep(self):
        """What is on the disk now shall stay there: see `drop`."""
        self._kept = set(self._files())

    def drop(self, size):
        """Remove the files of pushed blobs of that size, or the disk would fill. Nobody asks for these blobs again."""
        for path in self._files():
            if path not in self._kept and path.stat().st_size == size:
                path.unlink()

    def _files(self):
        return [path for place in self.places for path in place.rglob("*") if path.is_file()]


class Berth(Target):
    """Ours: `berth serve` with nothing but its own defaults, a user who is not the administrator, and that user's PAT."""

    name = "berth"

    def __init__(self, folder, core, certificate, *, settings=None, name="berth"):
        self.name, self.what = name, "berth serve"
        super().__init__(folder, core)
        self._certificate, self._settings = certificate, settings or {}
        if not (blobs := self._settings.get("BLOBS", "s3://")).startswith("s3://"):
            self.places.append(Path(blobs))
        self._pat = ""

    def command(self):
        return [sys.executable, "-m", "berth", "serve"]

    def environment(self):
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("BERTH_")}
        certificate, key = self._certificate
        return {
            **inherited,
            "BERTH_DATA_DIR": str(self.data),
            "BERTH_LISTEN": self.host,
            "BERTH_DOCKER_HOST": f"unix://{self.folder}/no-engine",  # no codespace is started here
            **({"BERTH_TLS_CERT": str(certificate), "BERTH_TLS_KEY": str(key)} if self.tls else {}),
            **{f"BERTH_{name}": value for name, value in self._settings.items()},
        }

    def start(self, *, tls=False):
        super().start(tls=tls)
        if not self._pat:
            admin = (self.data / "admin-token").read_text().strip()
            self._post("/admin/users", {"login": USER}, admin)
            scopes = ["write:packages", "delete:packages"]
            self._pat = self._post(f"/admin/users/{USER}/authorizations", {"scopes": scopes}, admin)["token"]

    def _post(self, path, body, token):
        door = Door(self.host, self.tls, "", "")
        connection = door.connect()
        headers = {"Authorization": f"token {token}", "Content-Type": "application/json"}
        _, answer = ask(connection, door, "POST", f"/api/v3{path}", json.dumps(body).encode(), headers, expect=201)
        connection.close()
        return json.loads(answer)

    def token(self, names):
        """New each time: they last minutes."""
        challenge = self._challenge()
        words = [("service", challenge["service"]), *(("scope", f"repository:{name}:{ACTIONS}") for name in names)]
        connection = Door(self.host, self.tls, "", "").connect()
        basic = base64.b64encode(f"{USER}:{self._pat}".encode()).decode()
        path = f"{urlsplit(challenge['realm']).path}?{urlencode(words)}"
        _, answer = ask(
            connection, Door("", False, "", ""), "GET", path, headers={"Authorization": f"Basic {basic}"}, expect=200
        )
        connection.close()
        return json.loads(answer)["token"]

    @property
    def database_url(self):
        return self._settings.get("DATABASE_URL") or f"sqlite:///{self.data}/berth.db"


class Distribution(Target):
    """CNCF distribution, 2.8 or 3, with its filesystem storage (it calls fsync at the end of each upload) and no logs."""

    def __init__(self, folder, core, certificate, *, name, program):
        self.name = name
        super().__init__(folder, core)
        self.program = shutil.which(program)
        if self.program is None:
            raise SystemExit(f"please install {program} (Debian: docker-registry), or name another with --d3")
        self.what = subprocess.run(
            [self.program, "--version"], capture_output=True, text=True, check=True
        ).stdout.strip()
        self._certificate = certificate
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._trusted, _ = sign_certificate(self.folder, self._key, "token")
        self._write_key_set()

    @property
    def _key_id(self):
        """As distribution 2 derives it from the certificate (libtrust): it finds the key by this name."""
        der = self._key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        text = base64.b32encode(hashlib.sha256(der).digest()[:30]).decode()
        return ":".join(text[start : start + 4] for start in range(0, len(text), 4))

    def _write_key_set(self):
        """For distribution 3, which would name the key otherwise."""
        public = self._key.public_key().public_numbers()
        n, e = (_base64url(number.to_bytes((number.bit_length() + 7) // 8)) for number in (public.n, public.e))
        key = {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": self._key_id, "n": n, "e": e}
        (self.folder / "keys.json").write_text(json.dumps({"keys": [key]}))

    def command(self):
        path = self.folder / "config.yml"
        path.write_text(json.dumps(self._configuration()))  # JSON is YAML
        return [self.program, "serve", str(path)]

    def _configuration(self):
        certificate, key = self._certificate
        tls = {"tls": {"certificate": str(certificate), "key": str(key)}} if self.tls else {}
        token = {
            "realm": "http://127.0.0.1/token",
            "service": "bench",
            "issuer": "bench",
            "rootcertbundle": str(self._trusted),
            "jwks": str(self.folder / "keys.json"),
        }
        return {
            "version": 0.1,
            "log": {"level": "error", "accesslog": {"disabled": True}},
            "storage": {
                "filesystem": {"rootdirectory": str(self.data)},
                "cache": {"blobdescriptor": "inmemory"},
                "delete": {"enabled": True},
            },
            "http": {"addr": self.host, **tls},
            "auth": {"token": token},
        }

    def environment(self):
        return {
            "PATH": os.environ["PATH"],
            "OTEL_TRACES_EXPORTER": "none",  # version 3 sends traces to a collector unless told not to
            # Started on one core, Go would plan for one; beside bulk its small requests then wait twice as long.
            "GOMAXPROCS": str(os.cpu_count()),
        }

    def token(self, names):
        """Signed here, as distribution's documentation asks ("Token Authentication Implementation")."""
        now = int(time.time())
        access = [{"type": "repository", "name": name, "actions": ACTIONS.split(",")} for name in names]
        claims = {
            "iss": "bench", "aud": "bench", "sub": USER, "jti": os.urandom(8).hex(),
            "iat": now, "nbf": now - 10, "exp": now + DISTRIBUTION_TOKEN_S, "access": access,
        }  # fmt: skip
        header = {"typ": "JWT", "alg": "RS256", "kid": self._key_id}
        text = ".".join(_base64url(json.dumps(part).encode()) for part in (header, claims))
        signature = self._key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{text}.{_base64url(signature)}"


def _base64url(data):
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def make_certificate(folder):
    """For TLS: the kind that most certificate authorities give today."""
    return sign_certificate(folder, ec.generate_private_key(ec.SECP256R1()), "server")
