"""AWS's API for tokens of its registries, asked on a user's behalf."""

from typing import Protocol

from berth.domain.ecr_answer import EcrFailure
from berth.domain.ecr_host import EcrRegistry
from berth.domain.ecr_key import AwsKeys, EcrToken


class EcrAPI(Protocol):
    """Swaps keys for tokens (C5), within C9."""

    async def authorize(self, registry: EcrRegistry, keys: AwsKeys) -> EcrToken | EcrFailure:
        """One request, signed with exactly these keys; never with an identity of the server's. Bounded. Never raises."""
        ...
