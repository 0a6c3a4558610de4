"""C8: entries of ours and of the user's in one docker config. Policy numbers are those of the module."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth.domain.docker_config import (
    MAX_CONFIG_BYTES,
    NO_ENTRIES,
    Entries,
    MergedConfig,
    format_entries,
    merge_docker_config,
    parse_entries,
)
from berth.domain.problem import Invalid
from berth.domain.registry_credential import CredentialSource, RegistryCredential
from berth.domain.secret import SecretLevel
from berth.domain.secret_text import SecretText

CANARY = "c4nary-p4ssword"
HOST = "ghcr.io"
MINE = {"auth": base64.b64encode(b"me:mine").decode()}
HUB = {"https://index.docker.io/v1/", "docker.io", "index.docker.io"}


def credential(host: str = HOST, password: str = CANARY, aliases: tuple[str, ...] = ()) -> RegistryCredential:
    source = CredentialSource(SecretLevel.USER, "ACME")
    return RegistryCredential(host=host, user="aña", password=SecretText(password), source=source, aliases=aliases)


def entry(password: str = CANARY) -> dict[str, str]:
    return {"auth": base64.b64encode(f"aña:{password}".encode()).decode()}


def merge(config: Any, *credentials: RegistryCredential, entries: Entries = NO_ENTRIES) -> MergedConfig:
    content = None if config is None else json.dumps(config).encode()
    return merge_docker_config(content, entries, credentials)


def read(merged: MergedConfig) -> Any:
    return json.loads(merged.text.reveal())


@pytest.mark.parametrize(
    ("host", "aliases", "keys"),
    [
        pytest.param(HOST, (), {HOST}, id="A3 a bare lower-case host"),
        pytest.param("reg.corp:5000", (), {"reg.corp:5000"}, id="A3 the port is kept"),
        pytest.param(HOST, ("ghcr.io:443",), {HOST, "ghcr.io:443"}, id="A3 a typed 443 gives both keys"),
        pytest.param("docker.io", (), HUB, id="A3 three keys for Hub"),
    ],
)
def test_a3_the_keys_of_a_host(host: str, aliases: tuple[str, ...], keys: set[str]) -> None:
    assert read(merge(None, credential(host, aliases=aliases))) == {"auths": dict.fromkeys(keys, entry())}


@pytest.mark.parametrize("content", [None, b"", b" \n", b"{}", b'{"auths": {}}'])
def test_nothing_and_nothing_is_no_login(content: bytes | None) -> None:
    merged = merge_docker_config(content, NO_ENTRIES, [])
    assert (read(merged), merged.own.reveal(), dict(merged.entries), merged.notes) == ({"auths": {}}, "", {}, ())


def test_it_is_a_secret() -> None:
    merged = merge({"auths": {"quay.io": MINE}}, credential())
    assert MINE["auth"] not in repr(merged) + str(merged)
    assert entry()["auth"] not in repr(merged) + str(merged)
    assert CANARY not in format_entries(merged.entries)


MALFORMED = {
    "no JSON": b"{",
    "a list": b"[]",
    "auths is a list": b'{"auths": []}',
    "auths is null": b'{"auths": null}',
    "a name twice": b'{"auths": {}, "auths": {}}',
    "not UTF-8": b'{"a": "\xff"}',
    "NaN": b'{"a": NaN}',
    "nested deeper than any config": b'{"a":' + b"[" * 100 + b"]" * 100 + b"}",
    "too large": b"{}" + b" " * MAX_CONFIG_BYTES,
    "too large and cut": b'{"a": "' + b"x" * MAX_CONFIG_BYTES,
}


@pytest.mark.parametrize("content", MALFORMED.values(), ids=MALFORMED.keys())
def test_policy_1_what_cannot_be_understood_is_left_alone(content: bytes) -> None:
    with pytest.raises(Invalid):
        merge_docker_config(content, NO_ENTRIES, [credential()])


def test_policy_1_the_largest_that_is_read() -> None:
    assert merge_docker_config(b"{}".ljust(MAX_CONFIG_BYTES), NO_ENTRIES, []).text.reveal()


def test_policy_2_and_3_ours_are_replaced_and_his_stay() -> None:
    first = merge({"auths": {"quay.io": MINE}}, credential(password="old"), credential("gone.example"))
    assert read(first)["auths"] == {"quay.io": MINE, HOST: entry("old"), "gone.example": entry()}
    second = merge(read(first), credential(password="new"), entries=first.entries)
    assert read(second)["auths"] == {"quay.io": MINE, HOST: entry("new")}
    third = merge(read(second), entries=second.entries)
    assert read(third) == {"auths": {"quay.io": MINE}}


def test_policy_2_what_he_wrote_over_is_his() -> None:
    first = merge(None, credential())
    login = {**read(first), "auths": {HOST: MINE}}
    second = merge(login, credential(password="new"), entries=first.entries)
    assert read(second)["auths"] == {HOST: MINE}
    assert second.notes == ("Your docker config has a login of your own for ghcr.io, which was kept.",)
    assert read(merge(read(second), entries=second.entries))["auths"] == {HOST: MINE}, "nor does it go with the secret"


def test_policy_2_the_same_value_under_another_key_is_his() -> None:
    first = merge(None, credential())
    copied = {"auths": {**read(first)["auths"], "copy.example": entry()}}
    assert read(merge(copied, entries=first.entries))["auths"] == {"copy.example": entry()}


def test_a_writer_that_died_before_or_after_the_file_leaves_entries_that_are_known() -> None:
    first = merge(None, credential(password="old"))
    second = merge(read(first), credential(password="new"), entries=first.entries)
    for left in (first, second):  # `entries` is written first: the file may be either
        assert read(merge(read(left), entries=second.entries)) == {"auths": {}}


def test_policy_4_one_key_of_the_hub_is_enough_to_be_his() -> None:
    merged = merge({"auths": {"https://index.docker.io/v1/": MINE}}, credential("docker.io"))
    assert read(merged)["auths"] == {"https://index.docker.io/v1/": MINE}
    assert dict(merged.entries) == {}


def test_policy_4_a_program_of_his_wins_too() -> None:
    merged = merge({"credHelpers": {HOST: "pass"}}, credential(), credential("quay.io"))
    assert read(merged) == {"credHelpers": {HOST: "pass"}, "auths": {"quay.io": entry()}}
    assert len(merged.notes) == 1


def test_a_creds_store_hides_the_logins_and_that_is_said() -> None:
    merged = merge({"credsStore": "desktop"}, credential())
    assert "credsStore" in merged.notes[0]
    assert merge({"credsStore": "desktop"}).notes == ()
    assert merge({"credsStore": "", "credHelpers": 7}, credential()).notes == ()


def test_policy_5_every_other_key_stays() -> None:
    others = {"HttpHeaders": {"X": "1"}, "proxies": {"default": {"httpProxy": "p"}}, "from": ["the", {"future": 1.5}]}
    merged = merge(others, credential())
    assert read(merged) == {**others, "auths": {HOST: entry()}}
    assert json.loads(merged.own.reveal()) == others
    assert json.loads(merge({**others, "auths": {"q": MINE}}).own.reveal()) == {**others, "auths": {"q": MINE}}


def test_his_part_holds_nothing_of_ours() -> None:
    first = merge({"auths": {"quay.io": MINE}}, credential())
    kept = merge(read(first), entries=first.entries).own.reveal()
    assert json.loads(kept) == {"auths": {"quay.io": MINE}}
    assert merge(read(merge(None, credential())), entries=first.entries).own.reveal() == ""


KEYS = st.sampled_from(["a.example", "b.example", "c.example"])


@given(own=st.dictionaries(KEYS, st.text(max_size=5)), rounds=st.lists(st.sets(KEYS), max_size=4))
def test_whatever_came_and_went_his_part_stays(own: dict[str, str], rounds: list[set[str]]) -> None:
    config: Any = {"auths": {key: {"auth": value} for key, value in own.items()}}
    entries = NO_ENTRIES
    for number, hosts in enumerate([*rounds, set()]):
        merged = merge(config, *(credential(host, f"p{number}") for host in sorted(hosts)), entries=entries)
        config, entries = read(merged), merged.entries
        assert config["auths"].keys() == own.keys() | hosts
    assert config == {"auths": {key: {"auth": value} for key, value in own.items()}}


@pytest.mark.parametrize(
    "text", ["", "x", "[]", '{"a": "b"}', "\ud800", json.dumps({str(n): [] for n in range(1001)})], ids=repr
)
def test_entries_that_are_none_make_nothing_ours(text: str) -> None:
    assert dict(parse_entries(text)) == {}


def test_entries_and_back() -> None:
    entries = merge(None, credential(), credential("docker.io")).entries
    line = format_entries(entries)
    assert "\n" not in line
    assert parse_entries(line) == entries


@pytest.mark.parametrize("key", [HOST, f"{HOST}:443"])
def test_c8_policy_5_what_could_not_be_renewed_stays(key: str) -> None:
    before = merge({"auths": {"own.test": MINE}}, credential(aliases=(f"{HOST}:443",)), credential("gone.test"))
    kept = merge_docker_config(before.text.reveal().encode(), before.entries, [credential("new.test")], {HOST})
    auths = read(kept)["auths"]
    assert auths[key] == entry()
    assert auths.keys() == {HOST, f"{HOST}:443", "own.test", "new.test"}, "and nothing of the others"
    assert HOST not in kept.own.reveal(), "it is still ours"
    later = merge_docker_config(kept.text.reveal().encode(), kept.entries, [])
    assert read(later)["auths"].keys() == {"own.test"}, "a deleted secret takes it away"


def test_c8_policy_5_an_entry_of_the_user_does_not_become_ours() -> None:
    kept = merge_docker_config(json.dumps({"auths": {HOST: MINE}}).encode(), NO_ENTRIES, [], {HOST})
    assert (read(kept)["auths"], kept.entries) == ({HOST: MINE}, {})
