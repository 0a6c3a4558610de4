"""What a try, a launch and a swap say of a stored login, and what they do not (policy 2 to 5)."""

from dataclasses import replace

import pytest
from tests.domain.test_registry_login import ACCEPTED, PLAIN, REFUSED, UNKNOWN, finding

from berth.domain.ecr_answer import EcrFailure
from berth.domain.ecr_host import find_ecr_registry
from berth.domain.ecr_key import AwsKeys
from berth.domain.finding import Finding
from berth.domain.last_check import (
    UNTRIED,
    LastCheck,
    Learnt,
    learn_from_pull,
    learn_from_swap,
    learn_from_try,
)
from berth.domain.login_exchange import LoginProof
from berth.domain.registry_credential import CredentialKind, CredentialSource, UnswappedKeys
from berth.domain.registry_login import LoginOutcome, LoginVerdict
from berth.domain.secret import SecretLevel
from berth.domain.secret_text import SecretText

ECR = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"


@pytest.mark.parametrize("outcome", [ACCEPTED, REFUSED, UNKNOWN])
def test_of_a_try_all_is_kept(outcome: LoginOutcome) -> None:
    bad = finding("registry.timeout")
    verdict = LoginVerdict(host="r.test", outcome=ACCEPTED, sentence="")
    assert learn_from_try(verdict) == Learnt(ACCEPTED)
    told = learn_from_try(replace(verdict, outcome=outcome, finding=bad))
    assert told == Learnt(outcome, "registry.timeout")
    assert LastCheck(learnt=told).word == outcome
    assert UNTRIED.word == "untried"


@pytest.mark.parametrize(
    ("seen", "learnt"),
    [
        (LoginProof.CHECKED, Learnt(ACCEPTED)),
        (LoginProof.NOT_ASKED, None),
        (LoginProof.NOT_CHECKED, None),
        (None, None),
        (finding("image.unauthorized"), Learnt(REFUSED, "image.unauthorized")),
        (finding("image.token_expired"), Learnt(REFUSED, "image.token_expired")),
        (finding("image.denied"), None),
        (finding("image.scope_missing"), None),
        (finding("image.not_found"), None),
        (finding("registry.timeout"), None),
        (finding("registry.rate_limited"), None),
        (finding("registry.login_blocked"), None),
        (finding("registry.realm_elsewhere"), None),
        (finding("a.code_of_tomorrow"), None),
    ],
    ids=lambda value: value.code if isinstance(value, Finding) else str(value),
)
def test_of_a_launch_only_what_is_about_the_login(seen: LoginProof | Finding | None, learnt: Learnt | None) -> None:
    assert learn_from_pull(PLAIN, seen) == learnt
    assert learn_from_pull(replace(PLAIN, kind=CredentialKind.ECR_READY), seen) == learnt
    assert learn_from_pull(replace(PLAIN, kind=CredentialKind.ECR), seen) is None, "that is a token, and not the keys"


@pytest.mark.parametrize(
    ("failure", "learnt"),
    [
        (None, Learnt(ACCEPTED)),
        (EcrFailure(code="ecr.key_unknown", status=400), Learnt(REFUSED, "ecr.key_unknown")),
        (EcrFailure(code="ecr.unreachable"), None),
        (EcrFailure(code="ecr.throttled", status=400), None),
        (EcrFailure(code="ecr.clock_skew", status=400, skew_s=1200), None),
    ],
)
def test_of_a_swap_only_what_is_about_the_keys(failure: EcrFailure | None, learnt: Learnt | None) -> None:
    registry = find_ecr_registry(ECR)
    assert registry is not None
    keys = AwsKeys(key_id="AKIAIOSFODNN7EXAMPLE", secret=SecretText("c4nary"), session_token=None)
    source = CredentialSource(SecretLevel.USER, "AWS")
    assert learn_from_swap(UnswappedKeys(host=ECR, keys=keys, registry=registry, source=source), failure) == learnt
