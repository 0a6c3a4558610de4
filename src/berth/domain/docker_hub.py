"""Docker Hub's names: one registry, many spellings. Imports nothing, so that a credential helper can have it."""

DOCKER_HUB = "docker.io"
DOCKER_HUB_API = "registry-1.docker.io"
DOCKER_HUB_ALIASES = frozenset(
    {DOCKER_HUB, "index.docker.io", DOCKER_HUB_API, "hub.docker.com", "registry.hub.docker.com"}
)
DOCKER_HUB_KEYS = ("https://index.docker.io/v1/", DOCKER_HUB, "index.docker.io")  # what clients ask for; docker's first
