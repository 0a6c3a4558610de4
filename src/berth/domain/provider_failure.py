"""How the failures of each provider look, and what helps there: a table (REGISTRY_CREDENTIALS C2 of the references).

1. The first row of the provider that fits what was seen counts; if none does, the text for any registry is right.
2. A row fits by what the exchange made of the answer (`seen`), and narrower by phase, status, the registry's error code,
   a text in its message, the user name. Messages change: a row with one stands before a row that says the same wider.
3. A row changes what a person is told, and nothing else.

What AWS says when it makes no token is in `ecr_finding.py` (B3); the rows here are about its registries.
"""

from berth.domain.failure_row import Row, Sight
from berth.domain.provider_failure_cloud import ACR, DIGITALOCEAN, DOCKER_HUB, ECR, GHCR, GOOGLE
from berth.domain.provider_failure_hosted import GITEA, GITLAB, HARBOR, JFROG, QUAY

ROWS: tuple[Row, ...] = (
    *DOCKER_HUB,
    *GHCR,
    *ACR,
    *GOOGLE,
    *ECR,
    *DIGITALOCEAN,
    *GITLAB,
    *QUAY,
    *HARBOR,
    *JFROG,
    *GITEA,
)


def find_row(sight: Sight) -> Row | None:
    """The row that counts (policy 1)."""
    return next((row for row in ROWS if row.fits(sight)), None)
