"""docs/registries.md: its policies are JSON that AWS takes, its hosts are in the table, its codes exist."""

import json
import re
from pathlib import Path

import pytest

from berth.domain.ecr_host import find_ecr_registry

PAGE = (Path(__file__).parents[1] / "docs" / "registries.md").read_text()
ERRORS = (Path(__file__).parents[1] / "docs" / "errors.md").read_text()


def test_the_policies_allow_what_a_pull_needs_and_no_more() -> None:
    policies = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)]
    actions = [
        {
            action
            for one in policy["Statement"]
            for action in ([one["Action"]] if isinstance(one["Action"], str) else one["Action"])
        }
        for policy in policies
    ]
    pull = {"ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:BatchCheckLayerAvailability"}
    assert actions == [
        {"ecr:GetAuthorizationToken", *pull},
        {"ecr-public:GetAuthorizationToken", "sts:GetServiceBearerToken"},
    ]
    for policy in policies:
        assert policy["Version"] == "2012-10-17"
        assert all(one["Effect"] == "Allow" for one in policy["Statement"])


ROWS = re.findall(r"^\| .* \| (`(?:ACCOUNT|public).*?) \| (.*) \|$", PAGE, re.MULTILINE)
HOSTS = [host for cell, _ in ROWS for host in re.findall(r"`([^`]+)`", cell)]


@pytest.mark.parametrize("host", HOSTS)
def test_every_host_of_the_page_is_in_the_table(host: str) -> None:
    assert find_ecr_registry(host.replace("ACCOUNT", "123456789012").replace("REGION", "eu-west-1")) is not None


def test_where_the_keys_are_swapped() -> None:
    assert len(HOSTS) == 9
    checked = 0
    for cell, places in ROWS:
        hosts, wanted = re.findall(r"`([^`]+)`", cell), re.findall(r"`([^`]*(?:REGION|us-east-1)[^`]*)`", places)
        for host, api_host in zip(hosts, wanted, strict=False):
            found = find_ecr_registry(host.replace("ACCOUNT", "123456789012").replace("REGION", "eu-west-1"))
            assert found is not None
            assert found.api_host == api_host.replace("REGION", "eu-west-1")
            checked += 1
    assert checked == 5


def test_its_codes_are_in_errors() -> None:
    codes = re.findall(r"`((?:ecr|image|credential)\.[a-z_]+)`", PAGE)
    assert codes
    for code in codes:
        assert f"| `{code}` |" in ERRORS
