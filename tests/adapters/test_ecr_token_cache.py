"""Tokens of ECR on the disk: who has the file and not the keys has nothing; half of a life; what is broken is no error."""

import json
import os
import stat
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.fakes.ecr_memory import ECR_HOST, KEY_ID, SECRET, FakeEcrAPI

from berth.adapters.ecr_token_cache import CachedEcr
from berth.domain.ecr_answer import EcrFailure
from berth.domain.ecr_host import EcrRegistry, find_ecr_registry
from berth.domain.ecr_key import AwsKeys, EcrToken
from berth.domain.secret_text import SecretText

START = datetime.now(UTC).replace(microsecond=0)  # files carry the machine's time
KEYS = AwsKeys(key_id=KEY_ID, secret=SecretText(SECRET))


@dataclass
class Clock:
    time: datetime = START

    def now(self) -> datetime:
        return self.time


class World:
    """Each call is a new process: nothing is kept but files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "cache" / "berth"
        self.clock = Clock()
        self.ecr = FakeEcrAPI(now=self.clock.now)

    async def ask(
        self, keys: AwsKeys = KEYS, host: str = ECR_HOST, *, endpoint: str | None = None, is_renewed: bool = False
    ) -> str:
        cache = CachedEcr(
            lambda: self.ecr, folder=self.folder, clock=self.clock, endpoint=endpoint, is_renewed=is_renewed
        )
        answer = await cache.authorize(registry(host), keys)
        return answer.password.reveal() if isinstance(answer, EcrToken) else answer.code

    @property
    def files(self) -> list[Path]:
        return sorted(self.folder.iterdir())


def registry(host: str) -> EcrRegistry:
    found = find_ecr_registry(host)
    assert found is not None
    return found


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


async def test_c8_a_token_serves_for_half_of_its_life(world: World) -> None:
    assert await world.ask() == "token-1"
    world.clock.time += timedelta(hours=5, minutes=59)
    assert await world.ask() == "token-1"
    assert await world.ask(is_renewed=True) == "token-2"
    assert await world.ask() == "token-2"
    world.clock.time += timedelta(hours=6)
    assert await world.ask() == "token-3"


async def test_c8_if_aws_does_not_answer_the_old_one_serves_until_it_expires(world: World) -> None:
    await world.ask()
    world.ecr.always = EcrFailure(code="ecr.unreachable")
    world.clock.time += timedelta(hours=11, minutes=59)
    assert await world.ask() == "token-1"
    world.clock.time += timedelta(minutes=1)
    assert await world.ask() == "ecr.unreachable"
    assert await world.ask(replace(KEYS, key_id="AKIAOTHER0000000000A")) == "ecr.unreachable", "failures are not kept"
    assert len(world.files) == 1


@pytest.mark.parametrize(
    "keys,host,endpoint",
    [
        (replace(KEYS, key_id="AKIAOTHER0000000000A"), ECR_HOST, None),
        (replace(KEYS, secret=SecretText("x" * 40)), ECR_HOST, None),
        (replace(KEYS, session_token=SecretText("t" * 20)), ECR_HOST, None),
        (KEYS, "public.ecr.aws", None),
        (KEYS, ECR_HOST.replace("eu-west-1", "us-east-1"), None),
        (KEYS, ECR_HOST, "http://127.0.0.1:1"),
    ],
    ids=["key id", "secret", "session token", "public", "region", "endpoint"],
)
async def test_c10_other_keys_and_other_addresses_have_tokens_of_their_own(
    world: World, keys: AwsKeys, host: str, endpoint: str | None
) -> None:
    assert await world.ask() == "token-1"
    assert await world.ask(keys, host, endpoint=endpoint) == "token-2"
    assert await world.ask() == "token-1"
    assert len(world.files) == 2


async def test_the_disk_shows_neither_token_nor_keys_and_is_the_owner_s(world: World) -> None:
    await world.ask()
    (file,) = world.files
    everything = file.name.encode() + file.read_bytes()
    for secret in ("token-1", KEY_ID, SECRET, ECR_HOST, "eu-west-1", "expires_at"):
        assert secret.encode() not in everything
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(world.folder.stat().st_mode) == 0o700


async def test_a_file_that_somebody_changed_is_not_believed(world: World) -> None:
    await world.ask()
    (file,) = world.files
    good = file.read_bytes()
    for number, bad in enumerate((b"", good[:8], good[:-1], bytes([good[0] ^ 1]) + good[1:], json.dumps({}).encode())):
        file.write_bytes(bad)
        assert await world.ask() == f"token-{number + 2}"
        file.write_bytes(good)
        assert await world.ask() == "token-1"


async def test_without_a_place_for_it_aws_is_asked_each_time(world: World, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    assert [await world.ask(), await world.ask()] == ["token-1", "token-2"]


async def test_a_token_that_does_not_say_when_it_ends_is_not_kept(world: World) -> None:
    class Endless(FakeEcrAPI):
        async def authorize(self, registry: EcrRegistry, keys: AwsKeys) -> EcrToken | EcrFailure:
            return EcrToken(password=SecretText("endless"), expires_at=None)

    world.ecr = Endless()
    assert await world.ask() == "endless"
    assert not world.folder.exists()


async def test_what_has_expired_long_ago_is_removed(world: World) -> None:
    await world.ask()
    (file,) = world.files
    then = (START - timedelta(days=2)).timestamp()
    os.utime(file, (then, then))
    (world.folder / "folder").mkdir()
    assert await world.ask(host="public.ecr.aws") == "token-2"
    assert file not in world.files
    assert len(world.files) == 2


async def test_a_link_to_somebodys_folder_costs_him_no_file(world: World, tmp_path: Path) -> None:
    """In a shared place anybody can make a link of the folder's name; the control is a token of that age (policy 4)."""
    await world.ask()
    (token,) = world.files
    for theirs in ("thesis.tex", "a" * 31, "a" * 33, "A" * 32, ".new"):
        (world.folder / theirs).write_text("precious")
    (unfinished := world.folder / ".new-x1").write_text("cut off")
    for file in world.files:
        then = (world.clock.time - timedelta(days=2)).timestamp()
        os.utime(file, (then, then))
    real = tmp_path / "home"
    world.folder.rename(real)
    world.folder.symlink_to(real)
    assert await world.ask(replace(KEYS, key_id="AKIAOTHER0000000000A")) == "token-2"
    assert not token.exists()
    assert not unfinished.exists()
    assert {file.name for file in world.files} >= {"thesis.tex", "a" * 31, "a" * 33, "A" * 32, ".new"}
