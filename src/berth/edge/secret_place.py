"""Whose secrets a path is about, in REST and in the console: both name organizations, owners and repositories alike."""

from berth.domain.secret import SecretLevel
from berth.edge.asked import Asked
from berth.services.secret_access import SecretPlace


def place_of(asked: Asked, level: SecretLevel) -> SecretPlace:
    match level:
        case SecretLevel.USER:
            return SecretPlace(level=level)
        case SecretLevel.ORGANIZATION:
            return SecretPlace(level=level, owner=asked.path("org"))
        case SecretLevel.REPOSITORY:
            return SecretPlace(level=level, owner=asked.path("owner"), repository=asked.path("repo"))
