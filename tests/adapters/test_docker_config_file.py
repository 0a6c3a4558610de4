"""A docker config on this machine: what is the user's stays, what was ours is replaced, and nobody reads a half of it."""

import base64
import json
import stat
from pathlib import Path
from typing import Any

import pytest

from berth.adapters import docker_config_file
from berth.adapters.docker_config_file import merge_into_file
from berth.domain.problem import Conflict
from berth.domain.registry_credential import CredentialSource, RegistryCredential
from berth.domain.secret import OwnLevel
from berth.domain.secret_text import SecretText

OWN = {"auths": {"mine.example": {"auth": "bWU6bWU="}}, "HttpHeaders": {"X": "y"}}


def login(host: str, password: str = "hunter2") -> RegistryCredential:
    return RegistryCredential(
        host=host,
        user="robot",
        password=SecretText(password),
        source=CredentialSource(OwnLevel.ENVIRONMENT, "P"),
    )


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "docker" / "config.json"


def read(file: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(file.read_text())
    return content


def write(file: Path, content: object) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content))


def test_a_new_file_is_its_owner_s_alone(file: Path) -> None:
    assert merge_into_file(file, [login("ghcr.io")]) == ()
    pair = base64.b64encode(b"robot:hunter2").decode()
    assert read(file) == {"auths": {"ghcr.io": {"auth": pair}}}
    for path in file.parent.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_what_is_the_user_s_stays_and_what_was_ours_goes(file: Path) -> None:
    write(file, OWN)
    merge_into_file(file, [login("ghcr.io"), login("reg.example")])
    assert set(read(file)["auths"]) == {"mine.example", "ghcr.io", "reg.example"}
    merge_into_file(file, [login("ghcr.io", "new")])
    content = read(file)
    assert set(content["auths"]) == {"mine.example", "ghcr.io"}
    assert base64.b64decode(content["auths"]["ghcr.io"]["auth"]) == b"robot:new"
    merge_into_file(file, [])
    assert read(file) == OWN


def test_c8_a_login_that_could_not_be_renewed_stays(file: Path) -> None:
    merge_into_file(file, [login("aws.example"), login("ghcr.io")])
    merge_into_file(file, [login("ghcr.io")], {"aws.example"})
    assert set(read(file)["auths"]) == {"aws.example", "ghcr.io"}
    merge_into_file(file, [login("ghcr.io")])
    assert set(read(file)["auths"]) == {"ghcr.io"}, "what the next run gives up is gone"


def test_the_user_s_own_login_wins_and_that_is_said(file: Path) -> None:
    write(file, OWN)
    (note,) = merge_into_file(file, [login("mine.example")])
    assert "mine.example" in note
    assert read(file) == OWN


def test_nothing_is_made_for_nothing(file: Path) -> None:
    assert merge_into_file(file, []) == ()
    assert not file.parent.exists()


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"auths": 1}', '{"x": "' + "y" * 70_000 + '"}'], ids=["half", "list", "auths", "large"]
)
def test_what_cannot_be_understood_is_left_alone(file: Path, content: str) -> None:
    file.parent.mkdir()
    file.write_text(content)
    with pytest.raises(Conflict, match="left alone"):
        merge_into_file(file, [login("ghcr.io")])
    assert file.read_text() == content


def test_what_is_no_file_or_cannot_be_written_is_said(file: Path, tmp_path: Path) -> None:
    file.mkdir(parents=True)
    with pytest.raises(Conflict, match="no file"):
        merge_into_file(file, [login("ghcr.io")])
    with pytest.raises(Conflict, match="cannot be written"):
        merge_into_file(Path("/proc/nothing/config.json"), [login("ghcr.io")])


def test_a_link_stays_one(file: Path, tmp_path: Path) -> None:
    target = tmp_path / "elsewhere.json"
    write(target, OWN)
    file.parent.mkdir()
    file.symlink_to(target)
    merge_into_file(file, [login("ghcr.io")])
    assert file.is_symlink()
    assert "ghcr.io" in read(target)["auths"]


def test_a_login_by_somebody_else_meanwhile_is_not_lost(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(file, {})
    replace, done = docker_config_file._replace, list[Path]()

    def meanwhile(path: Path, text: SecretText) -> None:
        if not done:
            done.append(path)
            write(file, OWN)
        replace(path, text)

    monkeypatch.setattr(docker_config_file, "_replace", meanwhile)
    merge_into_file(file, [login("ghcr.io")])
    assert set(read(file)["auths"]) == {"mine.example", "ghcr.io"}

    def always(path: Path, text: SecretText) -> None:
        done.append(path)
        write(file, {"HttpHeaders": {"n": str(len(done))}})
        replace(path, text)

    monkeypatch.setattr(docker_config_file, "_replace", always)
    with pytest.raises(Conflict, match="all the time"):
        merge_into_file(file, [login("ghcr.io")])


def test_a_write_that_breaks_off_leaves_no_half(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(file, OWN)
    before = sorted(file.parent.iterdir())

    def fail(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(Conflict, match="No space left"):
        merge_into_file(file, [login("ghcr.io")])
    assert read(file) == OWN
    assert [path for path in file.parent.iterdir() if path not in before] == [file.with_name(".config.json.berth.lock")]


def test_a_link_in_the_locks_place_makes_no_file_elsewhere(file: Path, tmp_path: Path) -> None:
    """PATH may lie in a stranger's checkout. The control is the same file without the link."""
    file.parent.mkdir()
    lock = file.with_name(".config.json.berth.lock")
    lock.symlink_to(elsewhere := tmp_path / "elsewhere")
    with pytest.raises(Conflict, match="cannot be written"):
        merge_into_file(file, [login("reg.example")])
    assert not elsewhere.exists()
    assert not file.exists()
    lock.unlink()
    merge_into_file(file, [login("reg.example")])
    assert list(read(file)["auths"]) == ["reg.example"]
