"""docs/registries.md, "Common servers": what stands there is what the tables of providers and failures say."""

import re
from pathlib import Path

import pytest

from berth.domain.doctor import PLACES
from berth.domain.provider_failure import ROWS
from berth.domain.registry_challenge import TOKEN_REALMS
from berth.domain.registry_provider import PROVIDERS, Provider

PAGE = (Path(__file__).parents[1] / "docs" / "registries.md").read_text()
SECTIONS = {
    section.partition("\n")[0]: section
    for section in PAGE.partition("## Common servers")[2].partition("\n## ")[0].split("\n### ")[1:]
}
ERRORS = (Path(__file__).parents[1] / "docs" / "errors.md").read_text()


@pytest.mark.parametrize("provider", Provider)
def test_every_provider_has_its_section(provider: Provider) -> None:
    facts = PROVIDERS[provider]
    section = SECTIONS[facts.title]
    rows = re.findall(r"^\| `([^`]+)` \| (.+) \| (.+) \|$", section, re.MULTILINE)
    assert rows == [(facts.server, login.user, login.password) for login in facts.logins]
    assert f"Least permission: {facts.permission}." in " ".join(section.split())


@pytest.mark.parametrize("provider", Provider)
def test_every_failure_of_a_provider_stands_in_its_section(provider: Provider) -> None:
    told = set(re.findall(r"^\| `([a-z_]+\.[a-z_]+)` \| [^|]+ \|$", SECTIONS[PROVIDERS[provider].title], re.MULTILINE))
    everywhere = {"image.credential_missing", "image.not_found"}
    assert {row.code for row in ROWS if row.provider is provider} - everywhere <= told
    assert told, provider
    for code in told:
        assert code in PLACES or code.startswith("credential_form."), code
        assert f"| `{code}` |" in ERRORS, code


def test_the_token_services_are_those_of_the_table() -> None:
    intro = PAGE.partition("## Common servers")[0]
    assert dict(re.findall(r"^\| `([a-z0-9.-]+)` \| `([a-z0-9.-]+)` \|$", intro, re.MULTILINE)) == dict(TOKEN_REALMS)
