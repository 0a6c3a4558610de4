"""AWS's registries (ECR): which hosts are one, and where the keys for it are swapped (C5).

1. A normal host is ECR's if it equals a public name or matches the private pattern as a whole. What begins or ends like
   one is not one: keys never go there, and no token is asked for on its behalf.
2. The address that swaps is made from the table and the region, never from text of the host besides.
3. A region is not held against a list: AWS makes new ones. One that does not exist has no address.

Source: amazon-ecr-credential-helper `ecr-login/api/client.go`; botocore's `partitions.json` and endpoint rules of `ecr`
and `ecr-public`, against which the tests hold this table.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Service = Literal["ecr", "ecr-public"]

_PUBLIC_HOSTS = frozenset({"public.ecr.aws", "ecr-public.aws.com"})
_PUBLIC_REGION = "us-east-1"  # the only one that swaps for the public registry
_PRIVATE = re.compile(r"([0-9]{12})\.dkr([.-])ecr(-fips)?\.([a-z]{2,8}(?:-[a-z0-9]{1,16}){1,4})\.([a-z0-9.-]+)")

# How an image's host ends → the suffix of the addresses that swap. In front of a dual-stack suffix stands `dkr-ecr`.
_SUFFIXES: Mapping[str, str] = {
    "amazonaws.com": "amazonaws.com",
    "amazonaws.com.cn": "amazonaws.com.cn",
    "amazonaws.eu": "amazonaws.eu",
    "c2s.ic.gov": "c2s.ic.gov",
    "sc2s.sgov.gov": "sc2s.sgov.gov",
    "cloud.adc-e.uk": "cloud.adc-e.uk",
    "csp.hci.ic.gov": "csp.hci.ic.gov",
}
_DUAL_STACK_SUFFIXES: Mapping[str, str] = {
    "on.aws": "api.aws",
    "on.amazonwebservices.com.cn": "api.amazonwebservices.com.cn",
}
_SHORT_FIPS = frozenset({"amazonaws.com", "api.aws"})  # there the address has no `api.` in front


@dataclass(frozen=True, slots=True, kw_only=True)
class EcrRegistry:
    """One registry of AWS. `api_host` swaps keys for its tokens; a token opens all of the region."""

    service: Service
    region: str
    api_host: str
    account: str = ""  # 12 digits; empty for the public registry


def find_ecr_registry(host: str) -> EcrRegistry | None:
    """What the normal host is of ECR; None if it is any other host (policy 1)."""
    if host in _PUBLIC_HOSTS:
        return EcrRegistry(
            service="ecr-public", region=_PUBLIC_REGION, api_host=f"api.ecr-public.{_PUBLIC_REGION}.amazonaws.com"
        )
    match = _PRIVATE.fullmatch(host)
    if match is None:
        return None
    account, separator, fips, region, ending = match.groups(default="")
    suffixes = _SUFFIXES if separator == "." else _DUAL_STACK_SUFFIXES
    if ending not in suffixes:
        return None
    suffix = suffixes[ending]
    short = suffix in _SHORT_FIPS if fips else suffix == "api.aws"
    api_host = f"{'' if short else 'api.'}ecr{fips}.{region}.{suffix}"
    return EcrRegistry(service="ecr", region=region, api_host=api_host, account=account)
