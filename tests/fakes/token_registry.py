"""Debian's docker-registry behind a token service, at one address: the registry is real, and believes what is signed here.

Source: distribution "Token Authentication Implementation".
"""

import base64
import json
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID
from tests.fakes.docker_registry import free_port, start_docker_registry
from tests.fakes.http_server import Asked, HTTPServer, Reply

_NAME = "tokens.test"
_PASSED_ON = ("authorization", "accept")
_PASSED_BACK = ("content-type", "docker-distribution-api-version", "www-authenticate")


@dataclass(slots=True)
class TokenRegistry:
    """Without a login there is a token, too. `careless`: it gives everybody the token of nobody, whatever is shown."""

    address: str
    user: str
    password: str
    registry: httpx.Client
    careless: bool = False
    shown: list[str] = field(default_factory=list)  # at the token service
    _key: rsa.RSAPrivateKey = field(
        default_factory=lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048)
    )

    _certificate: bytes = field(init=False)  # one: the registry knows it by its bytes

    def __post_init__(self) -> None:
        self._certificate = _sign_for(self._key)

    def __call__(self, asked: Asked) -> Reply:
        if asked.path == "/token":
            return self._give_token(asked.headers.get("authorization", ""))
        headers = {name: asked.headers[name] for name in _PASSED_ON if name in asked.headers}
        answer = self.registry.get(asked.target, headers=headers)
        kept = {name: answer.headers[name] for name in _PASSED_BACK if name in answer.headers}
        return Reply(status=answer.status_code, headers=kept, body=answer.content)

    def _give_token(self, shown: str) -> Reply:
        self.shown.append(shown)
        right = "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        if not self.careless and shown not in {"", right}:
            return Reply(status=401, body=b'{"errors": [{"code": "UNAUTHORIZED"}]}')
        subject = self.user if shown == right and not self.careless else ""
        return Reply(body=json.dumps({"token": self._sign(subject)}).encode())

    def _sign(self, subject: str) -> str:
        now = int(time.time())
        header = {"typ": "JWT", "alg": "RS256", "x5c": [base64.b64encode(self._certificate).decode()]}
        claims = {
            "iss": _NAME, "aud": _NAME, "sub": subject, "jti": os.urandom(8).hex(),
            "nbf": now - 60, "iat": now, "exp": now + 300, "access": [],
        }  # fmt: skip
        body = ".".join(_base64url(json.dumps(part).encode()) for part in (header, claims))
        return f"{body}.{_base64url(self._key.sign(body.encode(), padding.PKCS1v15(), hashes.SHA256()))}"

    def write_trusted(self, path: Path) -> None:
        """What the registry is to believe."""
        certificate = x509.load_der_x509_certificate(self._certificate)
        path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


@asynccontextmanager
async def run_token_registry(folder: Path, user: str, password: str) -> AsyncIterator[TokenRegistry]:
    port = free_port()
    trusted, realm = folder / "trusted.pem", f"http://127.0.0.1:{port}/token"
    with httpx.Client(trust_env=False) as client:
        made = TokenRegistry(f"127.0.0.1:{port}", user, password, client)
        made.write_trusted(trusted)
        auth = f"token: {{realm: '{realm}', service: {_NAME}, issuer: {_NAME}, rootcertbundle: {trusted}}}"
        async with start_docker_registry(folder, auth) as address, HTTPServer.run(made, port=port):
            client.base_url = httpx.URL(f"http://{address}")
            yield made


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _sign_for(key: rsa.RSAPrivateKey) -> bytes:
    """A certificate that it signs itself."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, _NAME)])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = (
        builder.serial_number(1).not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    )
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)
