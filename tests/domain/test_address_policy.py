"""C9: which addresses may be called, with the traps of table A6."""

from ipaddress import ip_address

import pytest

from berth.domain.address_policy import PrivateAddresses, is_address_allowed, parse_private_addresses
from berth.domain.problem import Invalid
from berth.domain.registry_host import parse_web_address

PUBLIC = ["140.82.112.33", "8.8.8.8", "2606:50c0:8000::153", "::ffff:8.8.8.8"]
FORBIDDEN = [
    pytest.param("127.0.0.1", id="loopback"),
    pytest.param("127.255.255.254", id="the rest of loopback"),
    pytest.param("0.0.0.0", id="unspecified, which reaches this machine"),
    pytest.param("10.0.0.5", id="private"),
    pytest.param("172.16.0.1", id="private 172"),
    pytest.param("192.168.1.1", id="private 192"),
    pytest.param("169.254.169.254", id="cloud metadata"),
    pytest.param("100.64.0.1", id="CGNAT, which is neither private nor global"),
    pytest.param("192.88.99.1", id="a 6to4 relay"),
    pytest.param("198.18.0.1", id="benchmarks"),
    pytest.param("224.0.0.1", id="multicast, which is global to ipaddress"),
    pytest.param("240.0.0.1", id="reserved"),
    pytest.param("255.255.255.255", id="broadcast"),
    pytest.param("::1", id="IPv6 loopback"),
    pytest.param("::", id="IPv6 unspecified"),
    pytest.param("::7f00:1", id="IPv4-compatible"),
    pytest.param("::ffff:127.0.0.1", id="IPv4-mapped loopback"),
    pytest.param("::ffff:169.254.169.254", id="IPv4-mapped metadata"),
    pytest.param("fd00:ec2::254", id="IPv6 cloud metadata"),
    pytest.param("fe80::1", id="IPv6 link-local"),
    pytest.param("fe80::1%eth0", id="IPv6 link-local with a zone"),
    pytest.param("fec0::1", id="IPv6 site-local"),
    pytest.param("64:ff9b::a9fe:a9fe", id="NAT64, which is global to ipaddress"),
    pytest.param("64:ff9b:1::a9fe:a9fe", id="local NAT64"),
    pytest.param("2002:7f00:1::", id="6to4"),
    pytest.param("2001:0:7f00:1::", id="Teredo"),
    pytest.param("2001:db8::1", id="documentation"),
    pytest.param("3fff::1", id="new documentation"),
    pytest.param("ff02::1", id="IPv6 multicast"),
]
NOTHING = PrivateAddresses()


@pytest.mark.parametrize("address", PUBLIC)
def test_c9_a_public_address_is_allowed(address: str) -> None:
    assert is_address_allowed(ip_address(address), 443, "ghcr.io", NOTHING)


@pytest.mark.parametrize("address", FORBIDDEN)
def test_c9_it_is_forbidden(address: str) -> None:
    assert not is_address_allowed(ip_address(address), 443, "ghcr.io", NOTHING)


@pytest.mark.parametrize(
    "entry,address,port,host,allowed",
    [
        pytest.param("reg.corp:5000", "10.0.0.5", 5000, "reg.corp", True, id="exactly the listed host and port"),
        pytest.param("REG.corp:5000", "10.0.0.5", 5000, "reg.corp", True, id="a host has no case"),
        pytest.param("reg.corp:5000", "10.0.0.5", 5001, "reg.corp", False, id="another port"),
        pytest.param("reg.corp:5000", "10.0.0.5", 5000, "x.reg.corp", False, id="a sub-domain"),
        pytest.param("10.0.0.5:5000", "10.0.0.5", 5000, "10.0.0.5", True, id="a listed address and port"),
        pytest.param("10.0.0.5:5000", "10.0.0.5", 5000, "evil.example", False, id="a foreign name for that address"),
        pytest.param("[::1]:5000", "::1", 5000, "[::1]", True, id="a listed IPv6 address and port"),
        pytest.param("10.0.0.0/8", "10.9.9.9", 1, "x", True, id="a listed network"),
        pytest.param("10.0.0.0/8", "11.0.0.1", 1, "x", True, id="a public address beside it"),
        pytest.param("10.0.0.0/8", "192.168.0.1", 1, "x", False, id="another private network"),
        pytest.param("10.0.0.5", "10.0.0.5", 1, "x", True, id="a listed address"),
        pytest.param("10.0.0.0/8", "::ffff:10.0.0.1", 1, "x", True, id="a mapped address of a listed network"),
        pytest.param("fd00::/8", "fd00::1", 1, "x", True, id="a listed IPv6 network"),
        pytest.param("fd00::/8", "10.0.0.1", 1, "x", False, id="IPv4 is in no IPv6 network"),
    ],
)
def test_c9_the_administrator_allows(entry: str, address: str, port: int, host: str, allowed: bool) -> None:
    allow_list = parse_private_addresses([entry])
    assert is_address_allowed(ip_address(address), port, host, allow_list) is allowed


@pytest.mark.parametrize("entry", ["", "reg.corp", "10.0.0.1/8", "reg.corp:x", "http://reg:5000", "*.corp:5000"])
def test_a_wrong_entry_is_named(entry: str) -> None:
    with pytest.raises(Invalid, match="neither host:port nor a network") as refusal:
        parse_private_addresses([entry])
    assert f"'{entry}'" in refusal.value.message


def test_c9_an_endpoint_that_is_ours_lets_nothing_else_through() -> None:
    listed = parse_private_addresses(["10.0.0.0/8"])
    ours = listed.including([parse_web_address("http://127.0.0.1:8080"), parse_web_address("https://s3.corp")])
    allowed = [
        (address, port, host)
        for address, port, host in (
            ("10.1.2.3", 1, "x"),
            ("127.0.0.1", 8080, "127.0.0.1"),
            ("192.168.0.1", 443, "s3.corp"),
            ("127.0.0.1", 8081, "127.0.0.1"),
            ("127.0.0.1", 8080, "evil.example"),
            ("192.168.0.1", 80, "s3.corp"),
            ("192.168.0.1", 443, "x.s3.corp"),
        )
        if is_address_allowed(ip_address(address), port, host, ours)
    ]
    assert allowed == [
        ("10.1.2.3", 1, "x"), ("127.0.0.1", 8080, "127.0.0.1"), ("192.168.0.1", 443, "s3.corp"),
    ]  # fmt: skip
    assert not is_address_allowed(ip_address("127.0.0.1"), 8080, "127.0.0.1", listed), "the control"
