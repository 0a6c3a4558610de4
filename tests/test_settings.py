import dataclasses
from pathlib import Path

import pytest

from berth.domain.identity import UnknownIdentity
from berth.domain.problem import Invalid
from berth.domain.s3_address import S3Address
from berth.listen_address import TCPAddress, UnixAddress
from berth.settings import TABLE, Settings, load, to_markdown


def test_the_table_and_the_class_are_the_same() -> None:
    assert [setting.field for setting in TABLE] == [field.name for field in dataclasses.fields(Settings)]
    assert [setting.name for setting in TABLE if not setting.sentence.endswith(".")] == []


def test_the_committed_document_is_current() -> None:
    path = Path(__file__).parents[1] / "docs" / "settings.md"
    assert path.read_text() == to_markdown(), "run: python -m berth.settings > docs/settings.md"


def test_nothing_given_is_the_defaults() -> None:
    settings = load({}, None)
    assert settings.listen == (TCPAddress("127.0.0.1", 8080),)
    assert settings.data_dir == Path("berth-data")
    assert settings.max_codespaces_per_user == 10
    assert settings.private_addresses == ()
    assert settings.database_url is None


def test_a_variable_beats_the_file_and_the_file_the_default() -> None:
    text = 'retention_default_min = 3\nmax_codespaces_per_user = 4\nPRIVATE_ADDRESSES = ["10.0.0.0/8", "r:5000"]\n'
    settings = load({"BERTH_RETENTION_DEFAULT_MIN": "5", "BERTH_PRIVATE_ADDRESSES": "", "PATH": "/bin"}, text)
    assert (settings.retention_default_min, settings.max_codespaces_per_user, settings.private_addresses) == (5, 4, ())


@pytest.mark.parametrize(
    "text, expected",
    [
        ("0.0.0.0:80", (TCPAddress("0.0.0.0", 80),)),
        ("[::1]:443, unix:/run/berth.sock", (TCPAddress("::1", 443), UnixAddress(Path("/run/berth.sock")))),
        ("localhost:0", (TCPAddress("localhost", 0),)),
        ("http://127.0.0.2:80,http://[::1]:81", (TCPAddress("127.0.0.2", 80, True), TCPAddress("::1", 81, True))),
        ("http://localhost:80,0.0.0.0:443", (TCPAddress("localhost", 80, True), TCPAddress("0.0.0.0", 443))),
    ],
    ids=["IPv4", "IPv6 and a socket", "any port", "plain", "plain beside another"],
)
def test_listen_addresses(text: str, expected: tuple[TCPAddress | UnixAddress, ...]) -> None:
    assert load({"BERTH_LISTEN": text}, None).listen == expected


@pytest.mark.parametrize(
    "text, expected",
    [
        ("", None),
        ("/srv/blobs", Path("/srv/blobs")),
        ("~/blobs", Path.home() / "blobs"),
        ("s3://bucket/p?region=eu-west-1", S3Address(bucket="bucket", prefix="p", region="eu-west-1")),
    ],
    ids=["not set", "a folder", "a folder at home", "S3"],
)
def test_where_blobs_lie(text: str, expected: Path | S3Address | None) -> None:
    assert load({"BERTH_BLOBS": text}, None).blobs == expected


REFUSED = [
    ("LISTEN", "::1:80"),
    ("LISTEN", "8080"),
    ("LISTEN", "host:70000"),
    ("LISTEN", "unix:relative"),
    ("LISTEN", ","),
    ("LISTEN", "http://0.0.0.0:80"),
    ("LISTEN", "http://berth.example.com:80"),
    ("LISTEN", "http://127.0.0.1:80/"),
    ("LISTEN", "https://127.0.0.1:443"),
    ("WORKERS", "0"),
    ("WORKERS", "two"),
    ("EXTERNAL_URL", "berth.example.com"),
    ("DATABASE_URL", "mysql://x"),
    ("ENGINE", "podman"),
    ("BLOBS", "gs://bucket"),
    ("BLOBS", "s3://bucket?acl=public"),
    ("PRIVATE_ADDRESSES", "10.0.0.1/8"),
    ("TOKEN_REALMS", "no-pair"),
    ("TRUSTED_PROXIES", "proxy.example.com"),
    ("TRUSTED_PROXIES", "0.0.0.0/0"),
    ("IDLE_TIMEOUT_DEFAULT_MIN", "4"),
    ("TLS_CERT", "cert.pem"),
    ("OIDC_ISSUER", "http://id.example.com"),
    ("OIDC_UNKNOWN", "create_user,everybody"),
    ("DEV_CONTAINER_ALLOWED", "capability:SYS_PTRACE,everything"),
    ("DEV_CONTAINER_ALLOWED", "mount:/"),
    ("DEV_CONTAINER_ALLOWED", "mount:/srv,mount:/srv/a"),
]


@pytest.mark.parametrize("name, value", REFUSED, ids=[f"{name}={value}" for name, value in REFUSED])
def test_a_wrong_value_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(Invalid, match=f"BERTH_{name}"):
        load({f"BERTH_{name}": value}, None)


def test_all_problems_come_at_once_with_the_nearest_names() -> None:
    with pytest.raises(Invalid) as caught:
        load({"BERTH_WORKER": "1", "BERTH_WORKERS": "x"}, "blob = 1\nengine = true\nmystery_of_the_sea = 1\n")
    text = str(caught.value)
    for part in ("Did you mean BERTH_WORKERS?", "BERTH_WORKERS 'x'", "Did you mean BLOBS?", "engine in", "mystery"):
        assert part in text


@pytest.mark.parametrize("name, value", [("WORKERS", "2")])
def test_a_setting_that_nothing_uses_yet_is_refused(name: str, value: str) -> None:
    with pytest.raises(Invalid, match="has no use for"):
        load({f"BERTH_{name}": value}, None)
    load({"BERTH_WORKERS": "1"}, None)


def test_the_clients_own_variables_are_no_settings() -> None:
    load({"BERTH_HOST": "x", "BERTH_TOKEN": "x", "BERTH_CONFIG": "x"}, None)


def test_a_secret_setting_shows_neither_in_errors_nor_in_the_settings() -> None:
    with pytest.raises(Invalid) as caught:
        load({"BERTH_DATABASE_URL": "mysql://berth:canary@db/x"}, None)
    assert "canary" not in str(caught.value)
    assert "canary" not in repr(load({"BERTH_DATABASE_URL": "postgresql://berth:canary@db/x"}, None))


@pytest.mark.parametrize("address", ["s3://AKIA:canary@bucket", "s3://bucket?secret=canary", "gs://canary@bucket"])
def test_an_address_with_a_misplaced_password_is_not_repeated(address: str) -> None:
    with pytest.raises(Invalid, match="BERTH_BLOBS") as caught:
        load({"BERTH_BLOBS": address}, None)
    assert "canary" not in str(caught.value)


def test_a_broken_file_is_one_of_the_problems() -> None:
    with pytest.raises(Invalid, match="not TOML"):
        load({}, "workers = ")


def test_machines_are_tables_in_the_file_or_json_in_the_variable() -> None:
    text = (
        '[[machines]]\nname = "small"\ncpus = 2\nmemory_gb = 4\n[[machines]]\nname = "big"\ncpus = 8\nmemory_gb = 32\n'
    )
    assert [machine.name for machine in load({}, text).machines.offered] == ["small", "big"]
    variable = '[{"name": "only", "cpus": 1, "memory_gb": 0.5}]'
    assert [machine.name for machine in load({"BERTH_MACHINES": variable}, text).machines.offered] == ["only"]
    with pytest.raises(Invalid, match="the cpus of small are a whole number"):
        load({}, '[[machines]]\nname = "small"\ncpus = "2"\nmemory_gb = 4\n')
    with pytest.raises(Invalid, match="memory_gb of small"):
        load({}, '[[machines]]\nname = "small"\ncpus = 2\nmemory_gb = 2026-01-01\n')
    with pytest.raises(Invalid, match="neither a text"):
        load({}, "[machines]\nsmall = 1\n")


def test_a_default_image_must_be_one() -> None:
    assert load({"BERTH_DEFAULT_IMAGE": "debian:12"}, None).default_image == "debian:12"
    with pytest.raises(Invalid, match="DEFAULT_IMAGE"):
        load({"BERTH_DEFAULT_IMAGE": "Not An Image"}, None)


def test_the_usual_time_is_not_longer_than_the_longest() -> None:
    with pytest.raises(Invalid, match="RETENTION_DEFAULT_MIN is more than"):
        load({"BERTH_RETENTION_MAX_MIN": "20"}, None)
    with pytest.raises(Invalid, match="IDLE_TIMEOUT_DEFAULT_MIN is more than"):
        load({"BERTH_IDLE_TIMEOUT_MAX_MIN": "20"}, None)
    settings = load({"BERTH_IDLE_TIMEOUT_MAX_MIN": "20", "BERTH_IDLE_TIMEOUT_DEFAULT_MIN": "20"}, None)
    assert (settings.idle_timeout_default_min, settings.idle_timeout_max_min) == (20, 20)


def test_a_provider_has_an_issuer_and_a_client() -> None:
    issuer = {"BERTH_OIDC_ISSUER": "https://id.example.com/realms/staff/"}
    with pytest.raises(Invalid, match="belong together"):
        load(issuer, None)
    settings = load({**issuer, "BERTH_OIDC_CLIENT_ID": "berth", "BERTH_OIDC_UNKNOWN": "create_user"}, None)
    assert settings.oidc_issuer == "https://id.example.com/realms/staff/"  # to the letter: the slash counts
    assert settings.oidc_unknown == {UnknownIdentity.CREATE_USER}
    assert load({}, None).oidc_unknown == frozenset()


def test_what_codespaces_may_have_of_their_host_is_kept_in_its_one_form() -> None:
    assert load({}, None).dev_container_allowed == frozenset()
    variable = load({"BERTH_DEV_CONTAINER_ALLOWED": "privileged, capability:cap_sys_ptrace,mount:/srv/a/"}, None)
    file = load({}, 'dev_container_allowed = ["mount:/srv/a", "capability:SYS_PTRACE", "privileged"]')
    assert variable.dev_container_allowed == file.dev_container_allowed
    assert set(map(str, file.dev_container_allowed)) == {"privileged", "capability:SYS_PTRACE", "mount:/srv/a"}
    with pytest.raises(Invalid, match=r"Did you mean capability:SYS_PTRACE\?"):
        load({"BERTH_DEV_CONTAINER_ALLOWED": "SYS_PTRACE"}, None)
