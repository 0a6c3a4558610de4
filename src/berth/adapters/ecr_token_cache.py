"""Tokens of ECR between two runs of a program, in files that only the AWS keys themselves open.

1. A file's name and the key that encrypts it are derived from the secret access key (HKDF, RFC 5869). Who has the file and not
   the keys learns nothing, not even of which keys it is; who has the keys can have a token from AWS anyway. A secret access
   key is 240 random bits: there is nothing to try out.
2. A token serves for half of its life. After that AWS is asked; if that fails, the old one serves until it expires (C8).
3. A file that cannot be read, opened or written is no error: then there is no cache.
4. Old files go, and only those that are called as ours: the folder may be a link that somebody else made, in a shared place.
"""

import json
import os
import re
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from berth.domain.ecr_answer import EcrFailure
from berth.domain.ecr_host import EcrRegistry
from berth.domain.ecr_key import AwsKeys, EcrToken
from berth.domain.secret_text import SecretText
from berth.services.ports import Clock, EcrAPI

_NONCE_BYTES, _ID_BYTES, _KEY_BYTES = 12, 16, 32
_MAX_BYTES = 32 * 1024
_OLD = timedelta(days=1)  # no token lives as long
_PREFIX = ".new-"  # of a file that is not whole yet
_OURS = re.compile(rf"[0-9a-f]{{{2 * _ID_BYTES}}}|{re.escape(_PREFIX)}.+")


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a token lies, and what opens it."""

    path: Path
    key: bytes


@dataclass(frozen=True, slots=True)
class _Kept:
    token: EcrToken
    renew_at: datetime


class CachedEcr:
    """EcrAPI: a kept token, or what `make` makes asks AWS for one. `make` is called for a token that is not there only."""

    def __init__(
        self, make: Callable[[], EcrAPI], *, folder: Path, clock: Clock, endpoint: str | None, is_renewed: bool = False
    ) -> None:
        """`endpoint` stands for all of AWS, in tests. `is_renewed`: AWS is asked whatever is kept."""
        self._make = make
        self._made: EcrAPI | None = None
        self._folder = folder
        self._clock = clock
        self._endpoint = endpoint or ""
        self._is_renewed = is_renewed

    async def authorize(self, registry: EcrRegistry, keys: AwsKeys) -> EcrToken | EcrFailure:
        """See EcrAPI."""
        place, now = self._place(registry, keys), self._clock.now()
        kept = None if self._is_renewed else _read(place)
        if kept is not None and now < kept.renew_at:
            return kept.token
        self._made = self._made or self._make()
        answer = await self._made.authorize(registry, keys)
        if isinstance(answer, EcrToken):
            self._keep(place, answer, now)
        elif kept is not None and kept.token.expires_at is not None and now < kept.token.expires_at:
            return kept.token
        return answer

    def _place(self, registry: EcrRegistry, keys: AwsKeys) -> _Place:
        about = f"{keys.key_id}\n{registry.service}\n{registry.api_host}\n{self._endpoint}"
        secret = keys.secret.reveal() + (keys.session_token.reveal() if keys.session_token else "")
        derive = HKDF(algorithm=SHA256(), length=_ID_BYTES + _KEY_BYTES, salt=b"berth ecr token 1", info=about.encode())
        derived = derive.derive(secret.encode())
        return _Place(self._folder / derived[:_ID_BYTES].hex(), derived[_ID_BYTES:])

    def _keep(self, place: _Place, token: EcrToken, now: datetime) -> None:
        if token.expires_at is None:
            return
        renew_at = now + (token.expires_at - now) / 2
        told = {
            "password": token.password.reveal(),
            "expires_at": token.expires_at.timestamp(),
            "renew_at": renew_at.timestamp(),
        }
        nonce = os.urandom(_NONCE_BYTES)
        with suppress(OSError):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _remove_old(self._folder, (now - _OLD).timestamp())
            _write(place.path, nonce + AESGCM(place.key).encrypt(nonce, json.dumps(told).encode(), None))


def _read(place: _Place) -> _Kept | None:
    try:
        with place.path.open("rb") as file:
            content = file.read(_MAX_BYTES)
        told = json.loads(AESGCM(place.key).decrypt(content[:_NONCE_BYTES], content[_NONCE_BYTES:], None))
        expires_at, renew_at = (datetime.fromtimestamp(told[name], UTC) for name in ("expires_at", "renew_at"))
    except (OSError, InvalidTag, ValueError):
        return None
    return _Kept(EcrToken(password=SecretText(told["password"]), expires_at=expires_at), renew_at)


def _write(path: Path, content: bytes) -> None:
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=_PREFIX)  # 0600 by its contract
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _remove_old(folder: Path, before: float) -> None:
    for path in folder.iterdir():
        with suppress(OSError):
            if _OURS.fullmatch(path.name) and path.is_file() and path.stat().st_mtime < before:
                path.unlink()
