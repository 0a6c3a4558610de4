"""The keyring file and what is sealed and encrypted with its keys (S5)."""

import base64
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nacl.public import PublicKey, SealedBox

from berth.adapters.clock_system import SystemClock
from berth.adapters.entropy_system import SystemEntropy
from berth.adapters.keyring import read_keyring
from berth.adapters.sealer import HEADER_BYTES, Sealer
from berth.domain.problem import Invalid, Problem, UpstreamFailed
from berth.domain.secret_text import SecretText

OWNER = "user/1"


@dataclass
class StoppedClock:
    time: datetime = datetime(2026, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        return self.time

    def advance(self, step: timedelta) -> None:
        self.time += step


@pytest.fixture
def clock() -> StoppedClock:
    return StoppedClock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys" / "master"


@pytest.fixture
def sealer(path: Path, clock: StoppedClock) -> Sealer:
    path.parent.mkdir()
    return Sealer(path, clock)


def seal(sealer: Sealer, value: bytes, owner: str = OWNER) -> tuple[str, str]:
    key_id, key = sealer.public_key(owner=owner)
    return key_id, base64.b64encode(SealedBox(PublicKey(base64.b64decode(key))).encrypt(value)).decode()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=st.text(), context=st.text(), owner=st.text())
def test_what_goes_in_comes_out(sealer: Sealer, value: str, context: str, owner: str) -> None:
    blob = sealer.encrypt(SecretText(value), context=context)
    assert sealer.decrypt(blob, context=context).reveal() == value
    assert sealer.open_sealed(*seal(sealer, value.encode(), owner), owner=owner).reveal() == value
    key_id, (first, second) = sealer.seal([SecretText(value), SecretText("x")], owner=owner)
    assert sealer.open_sealed(key_id, first, owner=owner).reveal() == value
    assert sealer.open_sealed(key_id, second, owner=owner).reveal() == "x"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_blob_with_one_bit_changed_or_cut_does_not_open(sealer: Sealer, data: st.DataObject) -> None:
    blob = bytearray(sealer.encrypt(SecretText("value"), context="c"))
    if data.draw(st.booleans()):
        bit = data.draw(st.integers(0, len(blob) * 8 - 1))
        blob[bit // 8] ^= 1 << bit % 8
    else:
        del blob[data.draw(st.integers(0, len(blob) - 1)) :]
    with pytest.raises(UpstreamFailed) as caught:
        sealer.decrypt(bytes(blob), context="c")
    assert caught.value.code == "secret.undecryptable"


def test_a_value_does_not_open_in_another_place(sealer: Sealer) -> None:
    blob = sealer.encrypt(SecretText("value"), context="user/1/A")
    for other in ("user/2/A", "organization/1/A", "user/1/B", "user/1/A\0", ""):
        with pytest.raises(UpstreamFailed, match="another owner"):
            sealer.decrypt(blob, context=other)
    assert sealer.decrypt(blob, context="user/1/A").reveal() == "value"


def test_equal_values_look_different_and_hide_theirs(sealer: Sealer) -> None:
    blobs = [sealer.encrypt(SecretText("canary"), context="c") for _ in range(2)]
    assert blobs[0] != blobs[1]
    assert not any(b"canary" in blob for blob in blobs)


def test_the_public_key_is_as_gh_needs_it(sealer: Sealer) -> None:
    key_id, key = sealer.public_key(owner=OWNER)
    assert key_id
    assert len(key) == 44
    assert len(base64.b64decode(key, validate=True)) == 32


def test_every_owner_has_a_sealing_key_of_his_own(sealer: Sealer) -> None:
    owners = [f"{level}/{number}" for level in ("user", "organization", "repository") for number in (1, 2, 11)]
    assert len({sealer.public_key(owner=owner) for owner in owners}) == len(owners)
    assert len({sealer.public_key(owner=owner)[0] for owner in owners}) == 1  # the master key's id
    for owner in owners:
        sealed = seal(sealer, b"v", owner)
        assert sealer.open_sealed(*sealed, owner=owner).reveal() == "v"
        for other in {*owners, "", "user"} - {owner}:
            with pytest.raises(Invalid) as caught:
                sealer.open_sealed(*sealed, owner=other)
            assert caught.value.code == "secret.seal_broken"


def test_an_owners_key_is_the_same_after_restarts_and_on_all_replicas(
    sealer: Sealer, path: Path, clock: StoppedClock
) -> None:
    before, sealed = sealer.public_key(owner=OWNER), seal(sealer, b"v")
    replica = Sealer(path, clock)
    assert replica.public_key(owner=OWNER) == before
    script = (
        "import sys; from pathlib import Path; from berth.adapters.clock_system import SystemClock;"
        "from berth.adapters.sealer import Sealer;"
        "print(*Sealer(Path(sys.argv[1]), SystemClock()).public_key(owner=sys.argv[2]))"
    )
    command = [sys.executable, "-c", script, str(path), OWNER]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout.split() == list(before)
    replica.rotate()
    assert sealer.public_key(owner=OWNER) == replica.public_key(owner=OWNER) != before
    for one in (sealer, replica, Sealer(path, clock)):
        assert one.open_sealed(*sealed, owner=OWNER).reveal() == "v"


@pytest.mark.parametrize(
    "make, code",
    [
        (lambda s: ("none", seal(s, b"x")[1]), "secret.key_unknown"),
        (lambda s: ("", seal(s, b"x")[1]), "secret.key_unknown"),
        (lambda s: (s.public_key(owner=OWNER)[0], "not base64"), "secret.seal_broken"),
        (lambda s: (s.public_key(owner=OWNER)[0], "é"), "secret.seal_broken"),
        (lambda s: (s.public_key(owner=OWNER)[0], ""), "secret.seal_broken"),
        (lambda s: (s.public_key(owner=OWNER)[0], base64.b64encode(bytes(100)).decode()), "secret.seal_broken"),
        (lambda s: (s.public_key(owner=OWNER)[0], seal(s, b"x")[1].rstrip("=") + "!"), "secret.seal_broken"),
        (lambda s: seal(s, b"canary\xff"), "secret.seal_broken"),
        (lambda s: seal(s, b"canary", "user/2"), "secret.seal_broken"),
    ],
    ids=[
        "unknown key",
        "no key",
        "no base64",
        "no ascii",
        "empty",
        "no box",
        "rubbish behind",
        "no utf-8",
        "other owner",
    ],
)
def test_what_was_not_sealed_for_us_is_refused(
    sealer: Sealer, make: Callable[[Sealer], tuple[str, str]], code: str
) -> None:
    with pytest.raises(Invalid) as caught:
        sealer.open_sealed(*make(sealer), owner=OWNER)
    assert caught.value.code == code
    assert caught.value.__context__ is None  # a decoding error would hold the value


def test_rotation_reaches_a_running_sealer_and_keeps_what_clients_hold(
    sealer: Sealer, path: Path, clock: StoppedClock
) -> None:
    running = Sealer(path, clock)
    old_key, sealed = seal(running, b"fetched before")
    blob = running.encrypt(SecretText("stored before"), context="c")
    new_key = sealer.rotate()
    assert running.public_key(owner=OWNER)[0] == new_key != old_key
    assert running.open_sealed(old_key, sealed, owner=OWNER).reveal() == "fetched before"
    assert running.decrypt(blob, context="c").reveal() == "stored before"
    wrapped = running.rewrap(blob)
    assert wrapped is not None
    assert running.rewrap(wrapped) is None
    assert wrapped[:HEADER_BYTES] != blob[:HEADER_BYTES]
    assert sealer.decrypt(wrapped, context="c").reveal() == "stored before"
    with pytest.raises(UpstreamFailed):
        sealer.decrypt(wrapped, context="d")


def test_an_old_key_goes_only_unused_and_a_day_after_it_retired(sealer: Sealer, clock: StoppedClock) -> None:
    old_key, sealed = seal(sealer, b"x")
    blob = sealer.encrypt(SecretText("v"), context="c")
    clock.advance(timedelta(days=30))
    sealer.rotate()
    wrapped = sealer.rewrap(blob)
    assert wrapped is not None
    assert sealer.drop_retired([wrapped[:HEADER_BYTES]]) == ()  # it retired just now
    clock.advance(timedelta(days=1))
    assert sealer.drop_retired([blob[:HEADER_BYTES]]) == ()  # a row still needs it
    assert sealer.drop_retired([wrapped[:HEADER_BYTES]]) == (old_key,)
    assert sealer.drop_retired([]) == ()  # never the newest
    with pytest.raises(Invalid, match="not one of this server's"):
        sealer.open_sealed(old_key, sealed, owner=OWNER)
    with pytest.raises(UpstreamFailed, match="is not in the master key file"):
        sealer.decrypt(blob, context="c")
    assert sealer.decrypt(wrapped, context="c").reveal() == "v"


def test_the_file_is_private_and_its_keys_are_not_printed(sealer: Sealer, path: Path) -> None:
    assert path.stat().st_mode & 0o777 == 0o600
    keys, _ = read_keyring(path)
    assert repr(keys[0]) == f"MasterKey({keys[0].id})"
    assert {entry.name for entry in path.parent.iterdir()} == {"master", "master.lock"}


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o610, 0o601])
def test_a_file_that_others_can_open_is_refused(sealer: Sealer, path: Path, clock: StoppedClock, mode: int) -> None:
    path.chmod(mode)
    with pytest.raises(Invalid, match="can be opened by others") as caught:
        Sealer(path, clock)
    assert "chmod 600" in caught.value.remedy
    with pytest.raises(Invalid, match="can be opened by others"):
        sealer.public_key(owner=OWNER)  # a running one notices
    path.chmod(0o600)
    assert sealer.public_key(owner=OWNER) == Sealer(path, clock).public_key(owner=OWNER)


def _another_key(text: str) -> str:
    head, line = text.splitlines()
    key_id, at, key = line.split(" ")
    return f"{head}\n{key_id} {at} {base64.b64encode(bytes(32)).decode()}\n{key[:0]}"


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "",
        lambda text: "berth-keyring 1\n",
        lambda text: text.replace("keyring 1", "keyring 2"),
        lambda text: text + text.splitlines()[1] + "\n",
        lambda text: text.replace("Z ", " "),
        lambda text: text[:-10],
        lambda text: text + "x\n",
        lambda text: text + "#" * 70_000,
        _another_key,
    ],
    ids=["empty", "no key", "version", "twice", "time", "cut", "no key line", "huge", "other key"],
)
def test_a_damaged_file_is_refused(path: Path, sealer: Sealer, damage: Callable[[str], str]) -> None:
    text = path.read_text()
    path.write_text(damage(text))
    with pytest.raises(Invalid, match="is damaged") as caught:
        sealer.public_key(owner=OWNER)
    assert text.split()[-1] not in str(caught.value)


def test_a_lost_file_fails_loudly_and_is_not_made_anew_under_a_running_server(sealer: Sealer, path: Path) -> None:
    path.unlink()
    with pytest.raises(UpstreamFailed, match="cannot be read"):
        sealer.encrypt(SecretText("v"), context="c")
    assert not path.exists()


def test_what_is_no_regular_file_is_refused(tmp_path: Path, clock: StoppedClock) -> None:
    os.mkfifo(tmp_path / "fifo", 0o600)
    with pytest.raises(Invalid, match="not a regular file"):
        Sealer(tmp_path / "fifo", clock)
    with pytest.raises(Problem):
        Sealer(tmp_path, clock)


def test_a_directory_that_is_not_there_is_said(tmp_path: Path, clock: StoppedClock) -> None:
    with pytest.raises(Invalid, match="cannot be written"):
        Sealer(tmp_path / "missing" / "master", clock)


def test_replicas_that_start_together_agree(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from berth.adapters.clock_system import SystemClock;"
        "from berth.adapters.sealer import Sealer; s = Sealer(Path(sys.argv[1]), SystemClock());"
        "s.rotate(); print(s.public_key(owner='user/1')[0])"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "master")]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(6)]
    assert all(process.communicate()[0] and process.returncode == 0 for process in started)
    keys, _ = read_keyring(tmp_path / "master")
    assert len(keys) == 7  # the first one, and nobody's rotation lost


@pytest.mark.parametrize("step", ["os.fsync", "Path.rename", "os.open"])
def test_killed_at_any_step_of_a_rotation_the_file_is_whole(
    sealer: Sealer, path: Path, clock: StoppedClock, step: str
) -> None:
    before = sealer.public_key(owner=OWNER)
    script = f"""
import os, signal, sys
from pathlib import Path
from berth.adapters.clock_system import SystemClock
from berth.adapters.sealer import Sealer
sealer = Sealer(Path(sys.argv[1]), SystemClock())
def die(*args, **kwargs):
    if {step!r} == "os.open" and not str(args[0]).endswith(".new"):
        return original(*args, **kwargs)
    os.kill(os.getpid(), signal.SIGKILL)
original = {step}
{step} = die
sealer.rotate()
"""
    process = subprocess.run([sys.executable, "-c", script, str(path)], check=False, stderr=subprocess.DEVNULL)
    assert process.returncode == -9
    assert sealer.public_key(owner=OWNER) == before
    rotated = sealer.rotate()  # nothing left behind is in the way
    assert [key.id for key in read_keyring(path)[0]] == [rotated, before[0]]


def test_the_small_ports() -> None:
    assert SystemClock().now().tzinfo is UTC
    first, second = SystemEntropy().token_bytes(16), SystemEntropy().token_bytes(16)
    assert len(first) == 16
    assert first != second
