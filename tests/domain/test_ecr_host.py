"""C4, C5: which hosts are AWS's, and where keys for them are swapped. botocore's own rules are the reference."""

import itertools
import os
from unittest import mock

import pytest
from botocore.config import Config
from botocore.session import Session

from berth.domain.ecr_host import EcrRegistry, find_ecr_registry
from berth.domain.registry_host import normalise_registry_host

ACCOUNT = "123456789012"
OTHERS = {
    "us-gov-west-1": "amazonaws.com",
    "cn-north-1": "amazonaws.com.cn",
    "eusc-de-east-1": "amazonaws.eu",
    "us-iso-east-1": "c2s.ic.gov",
    "us-isob-east-1": "sc2s.sgov.gov",
    "eu-isoe-west-1": "cloud.adc-e.uk",
    "us-isof-south-1": "csp.hci.ic.gov",
    "zz-new-9": "amazonaws.com",
}


@pytest.fixture(scope="module")
def session() -> Session:
    return Session()


def address_of(session: Session, service: str, region: str, *, fips: bool = False, dual_stack: bool = False) -> str:
    """Where botocore would ask; nothing is sent."""
    client = session.create_client(
        service,
        region,
        aws_access_key_id="A",
        aws_secret_access_key="B",
        config=Config(use_fips_endpoint=fips, use_dualstack_endpoint=dual_stack),
    )
    return str(client.meta.endpoint_url).removeprefix("https://")


HOSTS = [
    *((f"{ACCOUNT}.dkr.ecr.{region}.{ending}", region, False, False) for region, ending in OTHERS.items()),
    (f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com", "us-east-1", False, False),
    (f"{ACCOUNT}.dkr.ecr-fips.us-east-1.amazonaws.com", "us-east-1", True, False),
    (f"{ACCOUNT}.dkr.ecr-fips.us-gov-west-1.amazonaws.com", "us-gov-west-1", True, False),
    (f"{ACCOUNT}.dkr-ecr.eu-west-1.on.aws", "eu-west-1", False, True),
    (f"{ACCOUNT}.dkr-ecr.us-gov-west-1.on.aws", "us-gov-west-1", False, True),
    (f"{ACCOUNT}.dkr-ecr-fips.us-west-2.on.aws", "us-west-2", True, True),
]


@pytest.mark.parametrize("host, region, fips, dual_stack", HOSTS, ids=[row[0] for row in HOSTS])
def test_c5_every_private_registry_is_swapped_where_aws_says(
    session: Session, host: str, region: str, fips: bool, dual_stack: bool
) -> None:
    api_host = address_of(session, "ecr", region, fips=fips, dual_stack=dual_stack)
    expected = EcrRegistry(service="ecr", region=region, api_host=api_host, account=ACCOUNT)
    assert find_ecr_registry(host) == expected


def test_c5_chinas_dual_stack_registry() -> None:
    """botocore 1.43 has no such rule for ECR's `api.`-less name; the suffix is the partition's."""
    found = find_ecr_registry(f"{ACCOUNT}.dkr-ecr.cn-north-1.on.amazonwebservices.com.cn")
    assert found is not None
    assert found.api_host.endswith(".cn-north-1.api.amazonwebservices.com.cn")


@pytest.mark.parametrize("host", ["public.ecr.aws", "ecr-public.aws.com"])
def test_c5_the_public_registry_is_swapped_in_one_region(session: Session, host: str) -> None:
    api_host = address_of(session, "ecr-public", "us-east-1")
    assert find_ecr_registry(host) == EcrRegistry(service="ecr-public", region="us-east-1", api_host=api_host)


GOOD = f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com"


@pytest.mark.parametrize(
    "host",
    [
        f"{GOOD}.evil.example",
        f"{GOOD}.fake.example.com",
        f"evil-{GOOD}",
        f"evil.{GOOD}",
        f"{GOOD}:8443",
        f"{GOOD}\n",
        GOOD.upper(),
        GOOD.replace("1234", "١٢٣٤"),
        GOOD.replace(".dkr.", "-dkr."),
        GOOD.replace(".dkr.", "xdkrx"),
        GOOD.replace(".dkr.ecr", ".dkr-ecr"),
        GOOD.replace("amazonaws", "amazonawsx"),
        GOOD.replace("amazonaws.com", "amazonawsxcom"),
        GOOD.replace("us-east-1", "us-east-1.evil"),
        GOOD.replace("us-east-1", "us-east-1.amazonaws.com.evil"),
        GOOD.replace("us-east-1", "us"),
        GOOD.replace("us-east-1", "-us-east-1"),
        GOOD.removeprefix("1"),
        f"1{GOOD}",
        f"{ACCOUNT}.dkr.ecr.cn-north-1.on.aws.com.cn",
        f"{ACCOUNT}.dkr.ecr.us-west-2.on.aws",
        f"{ACCOUNT}.dkr-ecr.us-west-2.on.aws.evil.example",
        f"{ACCOUNT}.dkr.ecr.us-west-2",
        "public.ecr.aws.fake.example.com",
        "evil-public.ecr.aws",
        "public-ecr.aws",
        "public.ecr.aws:8443",
        "api.ecr.us-east-1.amazonaws.com",
        "amazonaws.com",
        "ghcr.io",
        "",
    ],
)
def test_c4_what_only_looks_like_one_is_none(host: str) -> None:
    assert find_ecr_registry(host) is None


def test_what_people_type_is_made_normal_first() -> None:
    for typed in (f"https://{GOOD}/", GOOD.upper(), f" {GOOD}:443\n", f"{GOOD}/team/app"):
        assert find_ecr_registry(normalise_registry_host(typed).host) is not None


def test_the_address_holds_nothing_of_the_host_but_its_region() -> None:
    regions = ["a" * 8 + "-" + "b" * 16, "us-east-1"]
    for region, separator in itertools.product(regions, (".", "-")):
        ending = "amazonaws.com" if separator == "." else "on.aws"
        found = find_ecr_registry(f"999999999999.dkr{separator}ecr.{region}.{ending}")
        assert found is not None
        assert found.api_host in {f"api.ecr.{region}.amazonaws.com", f"ecr.{region}.api.aws"}


def test_botocore_is_a_reference_only_while_nothing_redirects_it(session: Session) -> None:
    """The control of this module: with the variable that we ignore, botocore asks elsewhere."""
    with mock.patch.dict(os.environ, {"AWS_ENDPOINT_URL": "https://sink.example"}):
        assert address_of(Session(), "ecr", "us-east-1") == "sink.example"
    assert address_of(session, "ecr", "us-east-1") != "sink.example"
