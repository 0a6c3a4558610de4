"""AWS's token API in memory: what it answers, and who asked."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from berth.adapters.entropy_system import SystemEntropy
from berth.domain.ecr_answer import EcrFailure
from berth.domain.ecr_host import EcrRegistry
from berth.domain.ecr_key import AwsKeys, EcrToken
from berth.domain.secret_text import SecretText
from berth.services.ports import Clock, EcrAPI
from berth.services.registry_credential_swap import Asked, RegistryCredentialSwap, Replaced

KEY_ID = "AKIAIOSFODNN7EXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
ECR_HOST = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"


@dataclass
class FakeEcrAPI:
    """Makes `token-1`, `token-2` …, or fails as it is told; `gate` holds the answers back."""

    now: Callable[[], datetime] = lambda: datetime(2026, 1, 1, tzinfo=UTC)
    life: timedelta = timedelta(hours=12)
    failures: list[EcrFailure] = field(default_factory=list)  # the next ones, first to last
    always: EcrFailure | None = None
    gate: asyncio.Event | None = None
    asked: list[tuple[EcrRegistry, AwsKeys]] = field(default_factory=list)

    async def authorize(self, registry: EcrRegistry, keys: AwsKeys) -> EcrToken | EcrFailure:
        self.asked.append((registry, keys))
        number = len(self.asked)
        if self.gate is not None:
            await self.gate.wait()
        if self.failures:
            return self.failures.pop(0)
        if self.always is not None:
            return self.always
        return EcrToken(password=SecretText(f"token-{number}"), expires_at=self.now() + self.life)


def make_swaps(
    ecr: EcrAPI, clock: Clock, replaced: Replaced | None = None, asked: Asked | None = None
) -> RegistryCredentialSwap:
    """Swaps that wait for nothing before they try again."""
    return RegistryCredentialSwap(
        ecr=ecr, clock=clock, entropy=SystemEntropy(), delays_s=(0, 0), replaced=replaced, asked=asked
    )
