import pytest

from berth.domain.sign_in import account_key, address_key


def test_1_an_account_counts_however_it_is_written() -> None:
    assert account_key(" Octo ") == account_key("octo") != account_key("eve")
    assert "octo" not in account_key("octo")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("2001:db8::1", "2001:db8::2:3:4:5", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
    ],
)
def test_1_an_address_counts_with_its_neighbours(one: str, other: str, same: bool) -> None:
    assert (address_key(one) == address_key(other)) == same


@pytest.mark.parametrize("text", ["", "/run/berth.sock", "testclient"])
def test_what_is_no_address_is_not_counted(text: str) -> None:
    assert address_key(text) is None
