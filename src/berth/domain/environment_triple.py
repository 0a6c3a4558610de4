"""Triples of a process's own environment: where there is no server, they take the place of stored secrets.

1. Names are compared in upper case, as those of secrets are (S1). No name is reserved: who runs the process chose them.
2. An empty variable is an unset one: a workflow that a fork's pull request starts has empty ones where secrets were meant.
3. A variable that is of no triple is not looked at.
"""

from collections.abc import Mapping

from berth.domain.problem import Invalid
from berth.domain.registry_credential import RegistryCredentials
from berth.domain.registry_triple import assemble
from berth.domain.secret import LevelledSecret, OwnLevel
from berth.domain.secret_text import SecretText

_PART_OF_NAME = "CONTAINER_REGISTRY_"


def assemble_environment(environ: Mapping[str, str]) -> RegistryCredentials:
    """The credentials that the environment gives, by the rules of a launch. Raises Invalid for what is no text."""
    return assemble(
        LevelledSecret(level=OwnLevel.ENVIRONMENT, name=name.upper(), value=SecretText(_text(name, value)))
        for name, value in sorted(environ.items())
        if value and _PART_OF_NAME in name.upper()
    )


def _text(name: str, value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:  # Python stands bytes that are no UTF-8 by lone surrogates
        raise Invalid(f"The variable {name} is not UTF-8.", code="environment.not_utf8") from None
    return value
