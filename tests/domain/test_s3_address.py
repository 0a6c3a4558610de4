"""s3:// addresses: what they mean, and what is refused by name."""

import pytest

from berth.domain.problem import Invalid
from berth.domain.s3_address import S3Address, parse_s3_address

GOOD = {
    "a bucket alone": ("s3://bucket", S3Address(bucket="bucket")),
    "a slash at the end": ("s3://bucket/", S3Address(bucket="bucket")),
    "a prefix": ("s3://my.bucket-1/berth/blobs/", S3Address(bucket="my.bucket-1", prefix="berth/blobs")),
    "a region": ("s3://bucket?region=eu-central-1", S3Address(bucket="bucket", region="eu-central-1")),
    "an endpoint makes it path style": (
        "s3://bucket/p?endpoint=http://minio:9000/",
        S3Address(bucket="bucket", prefix="p", endpoint="http://minio:9000", path_style=True),
    ),
    "an endpoint with escapes": (
        "s3://bucket?endpoint=https%3A%2F%2Fs3.example.com&path_style=false",
        S3Address(bucket="bucket", endpoint="https://s3.example.com"),
    ),
    "no redirects": ("s3://bucket?redirect=false", S3Address(bucket="bucket", redirect=False)),
}


@pytest.mark.parametrize("text, expected", GOOD.values(), ids=GOOD)
def test_good_addresses(text: str, expected: S3Address) -> None:
    assert parse_s3_address(text) == expected


REFUSED = {
    "another scheme": ("https://bucket", "s3://bucket/prefix"),
    "no bucket": ("s3://", "bucket's name"),
    "a short bucket": ("s3://ab", "bucket's name"),
    "upper case": ("s3://Bucket", "bucket's name"),
    "two dots": ("s3://bu..cket", "bucket's name"),
    "a credential": ("s3://AKIA:canary@bucket", "no place for a credential"),
    "a prefix that climbs": ("s3://bucket/../canary", "prefix"),
    "an empty part": ("s3://bucket/a//canary", "prefix"),
    "a slash first": ("s3://bucket//canary", "prefix"),
    "a control character": ("s3://bucket/canary\n", "prefix"),
    "a long prefix": (f"s3://bucket/canary{'x' * 512}", "prefix"),
    "an unknown parameter": ("s3://bucket?secret_key=canary", "and no other"),
    "a parameter in upper case": ("s3://bucket?REGION=canary", "and no other"),
    "a parameter twice": ("s3://bucket?region=a&region=canary", "region is given twice"),
    "no pairs": ("s3://bucket?canary", "name=value"),
    "not UTF-8": ("s3://bucket?region=%ffcanary", "name=value"),
    "a region that is none": ("s3://bucket?region=Canary canary", "region"),
    "an empty region": ("s3://bucket?region=", "region"),
    "an endpoint without a scheme": ("s3://bucket?endpoint=canary:9000", "endpoint is"),
    "an endpoint with a user": ("s3://bucket?endpoint=https://canary:canary@host", "endpoint is"),
    "an endpoint with a path": ("s3://bucket?endpoint=https://host/canary", "no path"),
    "not a boolean": ("s3://bucket?path_style=canary", "path_style is true or false"),
    "redirect is no boolean": ("s3://bucket?redirect=1", "redirect is true or false"),
}


@pytest.mark.parametrize("text, named", REFUSED.values(), ids=REFUSED)
def test_refused_addresses(text: str, named: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse_s3_address(text)
    assert named in caught.value.message
    assert "canary" not in caught.value.message
    assert (caught.value.field, caught.value.code) == ("BLOBS", "settings")


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("s3://layers", None),
        ("s3://layers?endpoint=http://minio.corp:9000", "http://minio.corp:9000"),
        ("s3://layers?endpoint=https://s3.corp&path_style=false", "https://layers.s3.corp"),
        ("s3://layers?endpoint=http://minio.corp:9000&redirect=false", None),
    ],
)
def test_where_clients_are_sent(text: str, origin: str | None) -> None:
    assert parse_s3_address(text).own_origin == origin
