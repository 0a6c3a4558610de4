import pytest

from berth.domain.client_address import UNIX, TrustedProxies, find_client, is_this_machine, parse_trusted_proxies
from berth.domain.problem import Invalid

VISITOR, OTHER = "203.0.113.7", "198.51.100.9"
LOCAL, FAR, INNER = "127.0.0.1", "10.1.0.2", "10.1.0.3"
BOTH = f"{LOCAL},{FAR}"


def find(trusted: str, peer: str | None, *said: str) -> str | None:
    return find_client(peer, said, parse_trusted_proxies(each for each in trusted.split(",") if each))


@pytest.mark.parametrize("peer", [VISITOR, FAR, LOCAL, "::1", "testclient", UNIX, None])
@pytest.mark.parametrize("trusted", ["", "10.2.0.0/24", "2001:db8::/32"])
@pytest.mark.parametrize("said", [(), (OTHER,), (LOCAL,), ("rubbish",), (OTHER, LOCAL)])
def test_1_who_is_not_trusted_is_not_believed(trusted: str, peer: str | None, said: tuple[str, ...]) -> None:
    assert find(trusted, peer, *said) == (None if peer == UNIX else peer)


@pytest.mark.parametrize(
    ("trusted", "peer"),
    [
        (LOCAL, LOCAL),
        ("127.0.0.0/8", "127.0.0.9"),
        (FAR, FAR),
        ("10.1.0.0/24", FAR),
        ("10.1.0.0/24", f"::ffff:{FAR}"),  # 5: what listens on [::] hears IPv4 so
        (f"{OTHER},::1", "::1"),
        ("fe80::/64", "fe80::1%eth0"),
        ("2001:db8::/64", "2001:db8::1:2"),
        (UNIX, UNIX),
    ],
)
def test_1_who_is_trusted_is(trusted: str, peer: str) -> None:
    assert find(trusted, peer, VISITOR) == VISITOR
    assert find(trusted, peer) == (None if peer == UNIX else peer)  # it says nothing


@pytest.mark.parametrize(
    ("said", "client"),
    [
        ((f"{OTHER}, {VISITOR}",), VISITOR),
        ((OTHER, VISITOR), VISITOR),  # several headers are one list
        ((f"{LOCAL}, {VISITOR}",), VISITOR),
        ((f"{FAR}, {LOCAL}, {VISITOR}",), VISITOR),
        ((f"{'1.1.1.1, ' * 2000}{VISITOR}",), VISITOR),
        ((f"rubbish, {VISITOR}",), VISITOR),
        ((f"{OTHER}, {VISITOR}, {FAR}",), VISITOR),  # through another trusted proxy
        ((f"{OTHER}, {VISITOR}", f"{FAR}"), VISITOR),
        ((f"{VISITOR}, {FAR},  ,",), VISITOR),
        ((f"{VISITOR}, {INNER}",), INNER),  # that one is not trusted
    ],
)
def test_1_attack_what_stands_left_of_the_last_stranger_counts_for_nothing(said: tuple[str, ...], client: str) -> None:
    assert find(BOTH, LOCAL, *said) == client


def test_2_a_proxy_can_be_the_client_itself() -> None:
    assert find(BOTH, LOCAL, FAR) == FAR
    assert find(f"{BOTH},{INNER}", LOCAL, f"{INNER}, {FAR}") == INNER
    assert find(BOTH, LOCAL, LOCAL) == LOCAL


@pytest.mark.parametrize(
    "hop",
    [
        "unknown", "_hidden", "berth.example.com", "localhost", "", " ", ",", "203.0.113.7:", "203.0.113.7:x", "203.0.113.7:123456",
        "203.0.113.7:1:2", "[2001:db8::1", "2001:db8::1]", "[2001:db8::1]x", "[]", "[]:1", "203.0.113", "0x7f.1", "203.0.113.07",
        "203.0.113.7/32", "203.0.113.7 evil", "for=203.0.113.7", '"203.0.113.7"', "\x1b[31m", "\u0661.1.1.1", "127.0.0.1%x",
    ],
)  # fmt: skip
def test_3_what_is_no_address_is_nobodys(hop: str) -> None:
    assert find(LOCAL, LOCAL, f"{OTHER}, {hop}" if hop.strip(" ,") else hop) is None
    assert find(BOTH, LOCAL, f"{hop}, {FAR}") == (None if hop.strip(" ,") else FAR)


@pytest.mark.parametrize(
    ("hop", "client"),
    [
        ("203.0.113.7:51234", "203.0.113.7"),
        ("2001:db8::1", "2001:db8::1"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("[::ffff:203.0.113.7]:443", "203.0.113.7"),
        ("fe80::1%eth0\x1b[31m", "fe80::1"),
    ],
)
def test_5_how_proxies_write_an_address(hop: str, client: str) -> None:
    assert find(LOCAL, LOCAL, f"{OTHER}, {hop}") == client


@pytest.mark.parametrize("loopback", ["127.0.0.1", "127.8.9.1", "::1", "[::1]:80", "::ffff:127.0.0.1"])
@pytest.mark.parametrize(
    ("trusted", "peer", "between", "is_here"),
    [
        (LOCAL, LOCAL, "", True),
        ("::1", "::1", "", True),
        (UNIX, UNIX, "", True),
        (BOTH, LOCAL, f", {LOCAL}", True),
        (FAR, FAR, "", False),
        (BOTH, FAR, "", False),
        (BOTH, LOCAL, f", {FAR}", False),
        (BOTH, FAR, f", {LOCAL}", False),
        (f"{UNIX},{FAR}", UNIX, f", {FAR}", False),
    ],
)
def test_4_another_machines_loopback_is_not_ours(
    loopback: str, trusted: str, peer: str, between: str, is_here: bool
) -> None:
    found = find(trusted, peer, f"{loopback}{between}")
    assert (found is not None and is_this_machine(found)) == is_here
    if not is_here:
        assert found is None


def test_4_a_proxys_own_loopback_does_not_hide_the_client() -> None:
    """Two programs on the machine of a proxy, one after the other."""
    assert find(BOTH, FAR, f"{OTHER}, {VISITOR}, {LOCAL}") == VISITOR


def test_what_the_setting_says() -> None:
    assert not TrustedProxies()
    assert parse_trusted_proxies([]) == TrustedProxies()
    assert parse_trusted_proxies(["unix"])
    assert [str(each) for each in parse_trusted_proxies(["10.1.0.2", "2001:db8::/32"]).networks] == [
        "10.1.0.2/32",
        "2001:db8::/32",
    ]


@pytest.mark.parametrize(
    "entry", ["*", "proxy", "10.1.0.2/24", "0.0.0.0/0", "::/0", "10.1.0.2:80", "unix:/run/x", "Unix"]
)
def test_what_the_setting_refuses(entry: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse_trusted_proxies(["127.0.0.1", entry])
    assert entry in caught.value.message
    assert caught.value.code == "settings.trusted_proxies"
