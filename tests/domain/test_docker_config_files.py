"""Where the docker config lies: the real scripts, in folders of this machine, under the shells that images have (C8, L7)."""

import base64
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.fakes.container_files import ContainerFiles

from berth.domain.docker_config import MAX_CONFIG_BYTES
from berth.domain.docker_config_files import (
    CHANGED_MEANWHILE,
    READ_SCRIPT,
    WRITE_SCRIPT,
    Place,
    SeenConfig,
    parse_seen,
    plan_replacement,
    plan_saving,
    replacement_input,
)
from berth.domain.problem import Invalid
from berth.domain.registry_credential import CODESPACE_TOKEN, RegistryCredential
from berth.domain.secret_text import SecretText

HOST = "berth.example"
OWN = {"auths": {"quay.io": {"auth": "bWU6bWluZQ=="}}, "HttpHeaders": {"X": "it's $(id) \\n"}}


@pytest.fixture(params=[("dash",), ("bash",), ("busybox", "sh")], ids=lambda shell: shell[0])
def files(request: pytest.FixtureRequest, tmp_path: Path) -> ContainerFiles:
    made = ContainerFiles(tmp_path, request.param)
    made.install()
    return made


def look(files: ContainerFiles) -> SeenConfig:
    return files.look(READ_SCRIPT)


def credential(password: str, host: str = HOST) -> RegistryCredential:
    return RegistryCredential(host=host, user="ana", password=SecretText(password), source=CODESPACE_TOKEN)


def write(files: ContainerFiles, *credentials: RegistryCredential, seen: SeenConfig | None = None) -> str:
    """Log in; what was said."""
    seen = seen or look(files)
    token = credentials[0].password if credentials else None
    replacement = plan_replacement(seen, credentials)
    result = files.run(WRITE_SCRIPT, replacement_input(seen, replacement, token).reveal())
    assert result.exit_code == 0, result.output
    return "".join((*replacement.notes, result.output.decode()))


def save(files: ContainerFiles) -> None:
    seen = look(files)
    replacement = plan_saving(seen)
    assert replacement is not None
    assert files.run(WRITE_SCRIPT, replacement_input(seen, replacement, None).reveal()).exit_code == 0


def make_own(files: ContainerFiles, text: str | None = None) -> None:
    """A file that the image or the user brings along."""
    files.config_file.parent.mkdir()
    files.config_file.write_text(json.dumps(OWN) if text is None else text)


def test_in_an_empty_home(files: ContainerFiles) -> None:
    assert look(files) == SeenConfig(place=Place.NONE, entries={}, token=None, content=b"")
    assert write(files, credential("first")) == ""
    assert files.logins == {HOST: "ana:first"}
    assert files.token == "first"
    assert (files.home / ".docker").readlink() == files.run_folder / "docker", "L7: not on disk"
    assert sorted(path.name for path in files.home.iterdir()) == [".docker"]
    assert files.config_file.stat().st_mode & 0o777 == 0o600
    assert look(files).place is Place.RUN
    assert write(files, credential("second")) == ""
    assert (files.logins, files.token) == ({HOST: "ana:second"}, "second")
    assert sorted(path.name for path in (files.run_folder / "docker").iterdir()) == ["config.json"]
    assert sorted(path.name for path in (files.run_folder / "fresh").iterdir()) == ["entries", "token"]


def test_a_file_that_was_there_is_taken_over(files: ContainerFiles) -> None:
    make_own(files)
    assert look(files).place is Place.OWN
    assert write(files, credential("first")) == ""
    assert files.logins == {"quay.io": "me:mine", HOST: "ana:first"}
    assert files.config["HttpHeaders"] == OWN["HttpHeaders"]
    assert files.config_file.readlink() == files.run_folder / "docker" / "config.json"
    assert json.loads((files.home / ".docker-own.json").read_text()) == OWN, "it is kept beside"
    assert "first" not in (files.home / ".docker-own.json").read_text()
    write(files)
    assert files.config == OWN, "only ours goes"


def log_in_like_docker(files: ContainerFiles, host: str = "quay.io", pair: bytes = b"me:mine") -> None:
    """As docker saves: a file beside, in the folder that it knows, renamed to where the link leads."""
    config = json.loads(files.config_file.read_text())
    config.setdefault("auths", {})[host] = {"auth": base64.b64encode(pair).decode()}
    new = files.home / ".docker" / "config.json123"
    new.write_text(json.dumps(config, indent="\t"))
    new.rename(files.config_file.resolve())


def test_his_own_login_survives_refresh_stop_and_start(files: ContainerFiles) -> None:
    write(files, credential("first"))
    log_in_like_docker(files)
    write(files, credential("second"))
    assert files.logins == {HOST: "ana:second", "quay.io": "me:mine"}
    log_in_like_docker(files, "later.example")
    save(files)
    files.stop()
    assert not files.config_file.exists()
    files.install()
    assert look(files).place is Place.SAVED
    assert write(files, credential("third")) == ""
    assert files.logins == {HOST: "ana:third", "quay.io": "me:mine", "later.example": "me:mine"}
    assert "ana" not in str({name: base64.b64decode(one["auth"]) for name, one in saved(files)["auths"].items()})


def saved(files: ContainerFiles) -> dict[str, dict[str, dict[str, str]]]:
    kept: dict[str, dict[str, dict[str, str]]] = json.loads((files.home / ".docker-own.json").read_text())
    return kept


def test_what_he_logged_out_of_is_not_brought_back(files: ContainerFiles) -> None:
    make_own(files)
    write(files, credential("first"))
    files.config_file.resolve().write_text('{"auths": {}}')
    save(files)
    assert not (files.home / ".docker-own.json").exists()


def test_where_there_is_nothing_nothing_is_kept(files: ContainerFiles) -> None:
    assert plan_saving(look(files)) is None
    make_own(files)
    assert plan_saving(look(files)) is None, "that is on disk anyway"


def test_a_tool_that_replaced_the_link_by_a_file(files: ContainerFiles) -> None:
    make_own(files)
    write(files, credential("first"))
    text = files.config_file.read_text()
    files.config_file.unlink()
    files.config_file.write_text(text)
    assert look(files).place is Place.OWN
    write(files, credential("second"))
    assert files.logins == {"quay.io": "me:mine", HOST: "ana:second"}
    assert files.config_file.is_symlink(), "L7: it does not stay on disk"


def test_a_link_that_he_took_away_comes_back(files: ContainerFiles) -> None:
    write(files, credential("first"))
    (files.home / ".docker").unlink()
    write(files, credential("second"))
    assert files.logins == {HOST: "ana:second"}


def test_the_mode_that_he_gave_it_is_kept(files: ContainerFiles) -> None:
    write(files, credential("first"))
    files.config_file.chmod(0o640)
    write(files, credential("second"))
    assert files.config_file.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("text", ["{", "\x00", "[]", "x" * (MAX_CONFIG_BYTES + 1)], ids=["cut", "NUL", "list", "large"])
def test_a_malformed_file_of_his_is_left_alone(files: ContainerFiles, text: str) -> None:
    make_own(files, text)
    assert "left alone" in write(files, credential("first"))
    assert files.config_file.read_text() == text
    assert not files.config_file.is_symlink()
    assert files.token == "first"
    assert HOST in (files.run_folder / "docker" / "config.json").read_text(), "for who sets DOCKER_CONFIG"
    files.config_file.write_text(json.dumps(OWN))
    assert write(files, credential("second")) == "", "mended, it is merged"
    assert files.logins == {"quay.io": "me:mine", HOST: "ana:second"}


def test_so_is_one_on_the_tmpfs(files: ContainerFiles) -> None:
    write(files, credential("first"))
    files.config_file.write_text("{")
    assert "left alone" in write(files, credential("second"))
    assert files.config_file.read_text() == "{"
    assert files.token == "second", "git goes on"
    seen = look(files)
    assert plan_saving(seen) is None


def test_what_was_kept_and_is_malformed_is_left_where_it_is(files: ContainerFiles) -> None:
    kept = files.home / ".docker-own.json"
    kept.write_text("{")
    assert "left alone" in write(files, credential("first"))
    assert kept.read_text() == "{"
    assert files.logins == {HOST: "ana:first"}


def fifo(path: Path) -> None:
    os.mkfifo(path)


@pytest.mark.parametrize("make", [Path.mkdir, fifo], ids=["a folder", "a FIFO"])
@pytest.mark.parametrize("where", ["home", "tmpfs"])
def test_what_is_no_file_is_left_alone_and_holds_nothing_up(
    files: ContainerFiles, make: Callable[[Path], None], where: str
) -> None:
    files.config_file.parent.mkdir()
    path = files.config_file if where == "home" else files.run_folder / "docker" / "config.json"
    make(path)
    assert look(files).place is Place.ODD
    assert "no file" in write(files, credential("first"))
    assert not path.is_file()
    assert files.token == "first"


def test_a_link_of_his_leads_nothing_astray(files: ContainerFiles, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    for planted in ("docker/config.json", "docker/.config.json.new", "fresh/token", "fresh/.token.new", "fresh/entries",
                    "fresh/.entries.new", "fresh/.seen", "fresh/.own"):  # fmt: skip
        (files.run_folder / planted).symlink_to(victim)
    (files.home / ".docker-own.json.new").symlink_to(victim)
    (files.home / ".docker-own.json").symlink_to(victim)
    write(files, credential("first"))
    (files.run_folder / "docker" / "config.json").unlink()
    write(files, credential("first"))
    assert files.logins == {HOST: "ana:first"}
    assert victim.read_text() == "untouched"


def test_a_folder_that_is_a_link_of_his(files: ContainerFiles, tmp_path: Path) -> None:
    elsewhere = tmp_path / "dotfiles"
    elsewhere.mkdir()
    (elsewhere / "config.json").write_text(json.dumps(OWN))
    (files.home / ".docker").symlink_to(elsewhere)
    write(files, credential("first"))
    assert files.logins == {"quay.io": "me:mine", HOST: "ana:first"}
    assert (files.home / ".docker").readlink() == elsewhere
    assert (elsewhere / "config.json").is_symlink()


@pytest.mark.parametrize("kind", ["leads nowhere", "is a file"])
def test_a_docker_folder_that_is_none(files: ContainerFiles, tmp_path: Path, kind: str) -> None:
    place = files.home / ".docker"
    if kind == "is a file":
        place.write_text("")
    else:
        place.symlink_to(tmp_path / "nowhere")
    assert "in " + str(files.run_folder / "docker") in write(files, credential("first"))
    assert HOST in (files.run_folder / "docker" / "config.json").read_text()


def test_who_has_no_home(files: ContainerFiles) -> None:
    for home in ("", "/nonexistent"):
        seen = parse_seen(files.run(READ_SCRIPT, home=home).output)
        replacement = plan_replacement(seen, [credential("first")])
        text = replacement_input(seen, replacement, SecretText("t")).reveal()
        result = files.run(WRITE_SCRIPT, text, home=home)
        assert (result.exit_code, b"no home" in result.output) == (0, True)
        assert files.token == "t"


@pytest.mark.parametrize("change", ["another content", "gone", "another place", "made"])
def test_what_changed_meanwhile_is_not_written_over(files: ContainerFiles, change: str) -> None:
    if change != "made":
        write(files, credential("first"))
    seen = look(files)
    if change == "another content":
        log_in_like_docker(files)
    elif change == "gone":
        files.config_file.unlink()
    elif change == "another place":
        (files.home / ".docker").unlink()
        make_own(files)
    else:
        make_own(files)
    text = replacement_input(seen, plan_replacement(seen, [credential("second")]), SecretText("second")).reveal()
    assert files.run(WRITE_SCRIPT, text).exit_code == CHANGED_MEANWHILE
    assert "second" not in str([one.read_bytes() for one in files.folder.rglob("*") if one.is_file()])
    assert write(files, credential("third")) == "", "another look helps"
    assert files.logins[HOST] == "ana:third"


@pytest.mark.parametrize("lines", [0, 1, 5, 7, 9])
def test_input_that_was_cut_changes_nothing(files: ContainerFiles, lines: int) -> None:
    make_own(files)
    seen = look(files)
    text = replacement_input(seen, plan_replacement(seen, [credential("first")]), SecretText("t")).reveal()
    assert files.run(WRITE_SCRIPT, "".join(text.splitlines(keepends=True)[:lines])).exit_code != 0
    assert json.loads(files.config_file.read_text()) == OWN


def test_a_text_that_looks_like_the_mark(files: ContainerFiles) -> None:
    make_own(files, '{"a": "-----",\n"b": 1\n}')
    write(files, credential("first"))
    assert files.config["a"] == "-----"


@pytest.mark.parametrize("output", [b"", b"run\n", b"elsewhere\n\n\n", b"\xff\n\n\n", b"run\n\n"])
def test_what_the_script_does_not_print_is_refused(output: bytes) -> None:
    with pytest.raises(Invalid):
        parse_seen(output)


def test_nothing_of_it_is_shown() -> None:
    seen = parse_seen(b"run\n\ntoken-value\n{}")
    assert "token-value" not in repr(seen)
    text = replacement_input(seen, plan_replacement(seen, [credential("canary")]), SecretText("canary"))
    assert "canary" not in f"{text!r}{text}"
