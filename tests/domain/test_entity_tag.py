"""ETag, If-None-Match and If-Range of content whose name is its digest."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth.domain.entity_tag import format_etag, matches_etag, may_send_part
from berth.domain.image_reference import Digest

DIGEST = Digest.of(b"x")
OURS, OTHER = f'"{DIGEST}"', f'"{Digest.of(b"y")}"'


def test_the_tag_is_the_digest_in_quotes() -> None:
    assert format_etag(DIGEST) == OURS


@pytest.mark.parametrize(
    "header",
    [
        pytest.param(OURS, id="the tag"),
        pytest.param(f"W/{OURS}", id="RFC 9110 weak tags match as well"),
        pytest.param(f"{OTHER}, {OURS}", id="in a list"),
        pytest.param(f"{OTHER} ,W/{OURS},", id="in a list with an empty element"),
        pytest.param(f'"a,b",{OURS}', id="behind a tag with a comma"),
        pytest.param(f" {OURS}\t", id="white space around it"),
        pytest.param("*", id="anything"),
        pytest.param(str(DIGEST), id="without quotes"),
    ],
)
def test_the_client_has_it(header: str) -> None:
    assert matches_etag(header, DIGEST)


@pytest.mark.parametrize(
    "header",
    [
        pytest.param(None, id="no header"),
        pytest.param("", id="an empty header"),
        pytest.param(OTHER, id="another tag"),
        pytest.param(f"{OTHER}, {OTHER}", id="other tags"),
        pytest.param(OURS.upper(), id="another case"),
        pytest.param(OURS[:-1], id="without its end"),
        pytest.param(f"w/{OURS}", id="RFC 9110 the sign of a weak tag has a case"),
        pytest.param(f"{OTHER} {OURS}", id="a list without commas"),
        pytest.param(f"{DIGEST}, {OTHER}", id="a list with a tag without quotes"),
        pytest.param(f'"a,{DIGEST},b"', id="inside another tag"),
        pytest.param(f"{OURS}, *", id="anything in a list"),
        pytest.param(OURS + ',"' * 30_001, id="a list without end"),
        pytest.param(OURS + ", " * 30_000 + "x", id="commas without end"),
    ],
)
def test_the_client_is_sent_it(header: str | None) -> None:
    assert not matches_etag(header, DIGEST)


@pytest.mark.parametrize(
    "header,may",
    [
        pytest.param(None, True, id="no header"),
        pytest.param(OURS, True, id="the tag"),
        pytest.param(OTHER, False, id="another tag"),
        pytest.param(f"W/{OURS}", False, id="RFC 9110 a weak tag is not enough for a part"),
        pytest.param("Tue, 15 Nov 1994 12:45:26 GMT", False, id="a date"),
        pytest.param("", False, id="an empty header"),
    ],
)
def test_a_part_is_sent_only_of_what_the_client_has(header: str | None, may: bool) -> None:
    assert may_send_part(header, DIGEST) is may


@given(st.text(alphabet=[*'W/", *x', "\x80"]), st.sampled_from([OURS, OTHER]))
def test_any_header_is_read(noise: str, tag: str) -> None:
    assert matches_etag(f"{noise}{tag}", DIGEST) in {True, False}
    assert not matches_etag(noise, DIGEST) or noise.strip() == "*"
