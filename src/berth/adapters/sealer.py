"""The Sealer port: opens what clients sealed, encrypts what the store keeps (S5).

1. A value gets a data key of its own. The value is encrypted with it, bound to its context: the same bytes in another
   owner's row, or under another name, do not open.
2. The data key is wrapped with a key derived from a master key, bound to that key's id. Rotation wraps the data key
   anew; the value's own ciphertext stays as it is.
3. All keys come from the keyring file (`keyring.py`). It is looked at before every use, which costs microseconds, so
   that a rotation reaches running servers without a restart.
4. A retired master key is dropped only if no row uses it and it has been retired for a day: clients that fetched one of
   its sealing keys, and writes under way, are done by then.
5. Every owner has a sealing key of his own. Whoever gets hold of a value sealed for another owner (a Terraform state has
   them) cannot store it as his and read it: it does not open.

Decided: sealing keys are derived at every use, not cached. That costs 30 µs, less than opening the box does.

Blob: version (1) · key id (8) · wrapped data key (24 nonce + 32 + 16 tag) · value (24 nonce + n + 16 tag).
Cipher: XChaCha20-Poly1305 of libsodium, whose nonces are long enough to be drawn at random under one key for ever.
"""

import base64
import binascii
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

from nacl.exceptions import CryptoError
from nacl.public import PrivateKey, SealedBox
from nacl.secret import Aead
from nacl.utils import random

from berth.adapters.keyring import (
    KEY_BYTES,
    KEY_ID_BYTES,
    MasterKey,
    Signature,
    add_key,
    create_keyring,
    drop_keys,
    look_at,
    read_keyring,
)
from berth.domain.problem import Invalid, UpstreamFailed
from berth.domain.secret_text import SecretText
from berth.services.ports import Clock

HEADER_BYTES = 1 + KEY_ID_BYTES  # version and key id: what tells which master key a blob needs
RETIRED_FOR = timedelta(days=1)
_VERSION = b"\x01"
_AEAD_OVERHEAD = Aead.NONCE_SIZE + Aead.MACBYTES
_WRAPPED_BYTES = KEY_BYTES + _AEAD_OVERHEAD
_CONTEXT = b"berth secret v1\0"


@dataclass(frozen=True, slots=True)
class _Key:
    """What one master key is good for."""

    id: str
    wrap: Aead
    master: MasterKey

    @classmethod
    def of(cls, master: MasterKey) -> "_Key":
        return cls(master.id, Aead(master.derive("data key wrapping")), master)

    def sealing(self, owner: str) -> PrivateKey:
        return PrivateKey(self.master.derive(f"sealing {owner}"))

    @property
    def header(self) -> bytes:
        return _VERSION + bytes.fromhex(self.id)


class Sealer:
    """Makes the keyring file if it is absent. Safe to share between tasks; several processes may share the file."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        create_keyring(path, clock.now())
        self._keys: dict[str, _Key] = {}  # newest first
        self._signature: Signature | None = None
        self._current()

    def _current(self) -> dict[str, _Key]:
        """The keys as the file has them now (policy 3)."""
        if look_at(self._path) != self._signature:
            masters, signature = read_keyring(self._path)
            self._keys = {key.id: key for key in map(_Key.of, masters)}
            self._signature = signature
        return self._keys

    def _newest(self) -> _Key:
        return next(iter(self._current().values()))

    def public_key(self, *, owner: str) -> tuple[str, str]:
        key = self._newest()
        return key.id, base64.b64encode(bytes(key.sealing(owner).public_key)).decode()

    def seal(self, values: Sequence[SecretText], *, owner: str) -> tuple[str, tuple[str, ...]]:
        key = self._newest()
        box = SealedBox(key.sealing(owner).public_key)
        return key.id, tuple(base64.b64encode(box.encrypt(value.reveal().encode())).decode() for value in values)

    def open_sealed(self, key_id: str, sealed_base64: str, *, owner: str) -> SecretText:
        key = self._current().get(key_id)
        if key is None:
            raise Invalid(
                "The key_id is not one of this server's.",
                field="key_id",
                code="secret.key_unknown",
                remedy="Fetch the public key again and seal the value with it.",
            )
        try:
            sealed = base64.b64decode(sealed_base64, validate=True)
            return SecretText(SealedBox(key.sealing(owner)).decrypt(sealed).decode())
        except (binascii.Error, CryptoError, ValueError):  # a UnicodeDecodeError would hold the value: not chained
            pass
        raise Invalid(
            "The encrypted_value does not open: it must be UTF-8 text, sealed to this owner's key, in base64.",
            field="encrypted_value",
            code="secret.seal_broken",
            remedy="Fetch the public key beside this secret, seal with libsodium's crypto_box_seal, encode in padded base64.",
        )

    def encrypt(self, value: SecretText, *, context: str) -> bytes:
        key = self._newest()
        data_key = random(KEY_BYTES)
        wrapped = key.wrap.encrypt(data_key, key.header)
        return key.header + wrapped + Aead(data_key).encrypt(value.reveal().encode(), _CONTEXT + context.encode())

    def decrypt(self, blob: bytes, *, context: str) -> SecretText:
        data_key = self._unwrap(blob)
        body = blob[HEADER_BYTES + _WRAPPED_BYTES :]
        try:
            return SecretText(Aead(data_key).decrypt(body, _CONTEXT + context.encode()).decode())
        except (CryptoError, ValueError):
            pass
        raise _undecryptable("it is damaged, or was stored for another owner or name")

    def rewrap(self, blob: bytes) -> bytes | None:
        """Raises UpstreamFailed where the data key cannot be unwrapped."""
        newest = self._newest()
        if blob.startswith(newest.header):
            return None
        wrapped = newest.wrap.encrypt(self._unwrap(blob), newest.header)
        return newest.header + wrapped + blob[HEADER_BYTES + _WRAPPED_BYTES :]

    def rotate(self) -> str:
        """Put a new newest key into the file; its id. Old keys stay until `drop_retired`."""
        return add_key(self._path, self._clock.now()).id

    def drop_retired(self, headers_in_use: Iterable[bytes]) -> tuple[str, ...]:
        """Remove the keys that may go (policy 4); their ids. `headers_in_use`: the first HEADER_BYTES of every row."""
        in_use = {header[len(_VERSION) :].hex() for header in headers_in_use}
        before = self._clock.now() - RETIRED_FOR
        masters = read_keyring(self._path)[0]
        retired_at = {old.id: newer.made_at for newer, old in pairwise(masters)}

        def may_go(key: MasterKey) -> bool:
            return key.id not in in_use and key.id in retired_at and retired_at[key.id] <= before

        return drop_keys(self._path, may_go)

    def _unwrap(self, blob: bytes) -> bytes:
        if not blob.startswith(_VERSION) or len(blob) < HEADER_BYTES + _WRAPPED_BYTES + _AEAD_OVERHEAD:
            raise _undecryptable("it is damaged")
        header, wrapped = blob[:HEADER_BYTES], blob[HEADER_BYTES : HEADER_BYTES + _WRAPPED_BYTES]
        key_id = header[len(_VERSION) :].hex()
        key = self._current().get(key_id)
        if key is None:
            raise _undecryptable(f"its master key {key_id} is not in the master key file")
        try:
            return key.wrap.decrypt(wrapped, header)
        except CryptoError as error:
            raise _undecryptable("it is damaged") from error


def _undecryptable(why: str) -> UpstreamFailed:
    return UpstreamFailed(
        f"A stored secret cannot be opened: {why}.",
        code="secret.undecryptable",
        remedy="The site administrator restores the master key file, or the secret is set again.",
    )
