"""What was learnt last of a login that is stored: that its registry takes it, refuses it, or that this is not known.

1. It is about the very values that were read for it. Whoever stores another one, or one more or fewer, has another login, and
   nothing is known of that: it is *untried*, which is neither refused nor unknown.
2. What a person's own try came to is kept, whatever it was. A launch only adds what it learnt of the login itself: an image
   that is missing or not for this login, or a registry that was not reached, says nothing of it.
3. That an image was given shows only then that the login is taken when the login was looked at (`login_exchange.py`, policy 3);
   a launch asks for nothing more to find that out.
4. For AWS's keys the swap is the login: a token that is at hand still says nothing of the keys.
5. Kept are the outcome, the finding's code and the time: not who it was, nor which image, nor a word of the registry's.
"""

from dataclasses import dataclass
from datetime import datetime

from berth.domain.doctor import CheckID, place_of
from berth.domain.ecr_answer import EcrFailure
from berth.domain.ecr_finding import explain_failure
from berth.domain.finding import Finding
from berth.domain.login_exchange import LoginProof
from berth.domain.registry_credential import CredentialKind, RegistryCredential, UnswappedKeys
from berth.domain.registry_login import LoginOutcome, LoginVerdict, reject


@dataclass(frozen=True, slots=True)
class Learnt:
    """An outcome and why: the finding's code, empty where there is none."""

    outcome: LoginOutcome
    code: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LastCheck:
    """`learnt` is None for what is untried (policy 1)."""

    learnt: Learnt | None = None
    at: datetime | None = None

    @property
    def word(self) -> str:
        """Stable."""
        return "untried" if self.learnt is None else self.learnt.outcome.value


UNTRIED = LastCheck()


def learn_from_try(verdict: LoginVerdict) -> Learnt:
    """What somebody's own try came to (policy 2)."""
    return Learnt(verdict.outcome, "" if verdict.finding is None else verdict.finding.code)


def learn_from_pull(credential: RegistryCredential, answer: LoginProof | Finding | None) -> Learnt | None:
    """What the answer to a launch that asked with this credential shows of it (policy 2 to 4); None: nothing."""
    if credential.kind is CredentialKind.ECR:
        return None
    if isinstance(answer, Finding):
        return Learnt(LoginOutcome.REFUSED, answer.code) if place_of(answer) is CheckID.LOGIN else None
    return Learnt(LoginOutcome.ACCEPTED) if answer is LoginProof.CHECKED else None


def learn_from_swap(keys: UnswappedKeys, failure: EcrFailure | None) -> Learnt | None:
    """What AWS said of the keys (policy 4); None: it was not about them."""
    if failure is None:
        return Learnt(LoginOutcome.ACCEPTED)
    learnt = learn_from_try(reject(keys.host, explain_failure(failure, keys), keys.kind))
    return learnt if learnt.outcome is LoginOutcome.REFUSED else None
