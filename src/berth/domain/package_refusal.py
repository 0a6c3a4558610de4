"""Why the built-in registry refused a launch its image: the finding, made of our own decision (DESIGN section 5).

1. The rule is named only to a user whose own role lets him read the package: for everybody else, what is hidden and what
   is missing give one finding (A13).
2. It is the decision about the token that was used: the codespace's own (A7), or one that a triple holds (C6).
3. What that token may pull was refused for another reason, such as a missing tag: the finding stays as it is.
"""

from dataclasses import dataclass, replace

from berth.domain.access import Decision, Effect, Reason, Subject
from berth.domain.access_token import TokenKind
from berth.domain.finding import Finding, Fixer
from berth.domain.package import PackageName, is_closed
from berth.domain.package_access import PackageAction, PackageFacts, account_role, decide_package
from berth.domain.package_role import PackageRole
from berth.domain.registry_credential import CredentialKind, RegistryCredential


@dataclass(frozen=True, slots=True, kw_only=True)
class PullRefusal:
    """What is known of one refused pull. The facts are None for a name that no package has."""

    seen: Finding  # what the exchange said
    host: str
    name: PackageName
    credential: RegistryCredential
    subject: Subject | None  # whom the credential's token proves; None: nobody any more
    facts: PackageFacts | None  # about the subject
    user_facts: PackageFacts | None  # about the user who launches
    repository_name: str  # owner/name: what is launched


def explain_pull_refusal(refusal: PullRefusal) -> Finding:
    """The finding to show (policy 1 to 3)."""
    by_codespace = refusal.credential.kind is CredentialKind.CODESPACE
    if refusal.subject is None:
        return _token_void(refusal) if by_codespace else _credential_void(refusal)
    if refusal.facts is None or refusal.user_facts is None:
        return _hidden(refusal)
    decision = decide_package(refusal.subject, refusal.facts, PackageAction.PULL)
    if decision:
        return refusal.seen
    if account_role(refusal.user_facts)[0] < PackageRole.READ:
        return _hidden(refusal)
    return (
        _codespace_denied(refusal, refusal.facts, decision) if by_codespace else _credential_denied(refusal, decision)
    )


def no_package_name(seen: Finding, host: str, path: str) -> Finding:
    """The image's name cannot be a package's."""
    return Finding(
        code="package.name",
        sentence=f"{path} is no name of a package: at {host} an image is named {host}/owner/name.",
        fixer=Fixer.DEVELOPER,
        next_step="Mend 'image' in devcontainer.json: lower-case owner and name, joined by '/'.",
        evidence=seen.evidence,
    )


def _hidden(refusal: PullRefusal) -> Finding:
    return Finding(
        code="package.not_found",
        sentence=f"There is no package {refusal.name} at {refusal.host}, or you may not read it.",
        fixer=Fixer.DEVELOPER,
        next_step=(
            "Check the image's name, and that it was pushed; if both are right, ask an administrator of the package for "
            "read access."
        ),
        evidence=refusal.seen.evidence,
    )


def _token_void(refusal: PullRefusal) -> Finding:
    return Finding(
        code="codespace.token_void",
        sentence="The codespace's own token became void while its image was asked for.",
        fixer=Fixer.DEVELOPER,
        next_step="Start the codespace again, unless it was stopped or deleted meanwhile.",
        evidence=refusal.seen.evidence,
    )


def _codespace_denied(refusal: PullRefusal, facts: PackageFacts, decision: Decision) -> Finding:
    who = "A prebuild" if _is_prebuild(refusal) else "A codespace"
    return Finding(
        code="package.codespace_denied",
        sentence=f"{who} of {refusal.repository_name} may not pull {refusal.name}. {_sentences(decision)}",
        fixer=Fixer.PACKAGE_ADMIN,
        next_step=_way_in(refusal, facts),
        evidence={**refusal.seen.evidence, "rule": _rules(decision)},
    )


def _is_prebuild(refusal: PullRefusal) -> bool:
    """A prebuild pulls as a job of its repository: by the workflows' list, not by the codespaces'."""
    return refusal.subject is not None and refusal.subject.token_kind is TokenKind.WORKFLOW


def _way_in(refusal: PullRefusal, facts: PackageFacts) -> str:
    """What helps: the command, unless the list would not take the repository (A3) or there is none any more."""
    name, repository, source = refusal.name, refusal.repository_name, facts.source
    if source is None:
        return f"Get read access to {repository}, and start the codespace again."
    closed = is_closed(facts.visibility, owner_is_organization=facts.owner_is_organization)
    if closed and source.owner_id != facts.owner_id:
        return (
            f"{name} is opened to {name.owner}'s own repositories only: push the image under {repository}'s owner, or have "
            f"{name} made public."
        )
    keeper = f"an owner of {name.owner}" if facts.owner_is_organization else name.owner
    if _is_prebuild(refusal):
        return (
            f"Have an administrator of the package, such as {keeper}, give the repository's workflows the role read, and run "
            f"the prebuild again: berth package grant {name} --workflows {repository} --role read"
        )
    return (
        f"Have an administrator of the package, such as {keeper}, put the repository on its Codespaces access list, and start "
        f"the codespace again: berth package grant {name} --codespaces {repository}"
    )


def _credential_void(refusal: PullRefusal) -> Finding:
    """A triple that names this server holds no token of ours, or one that has ended."""
    instead = "Or delete the three secrets, so that the codespace's own token is used."
    return replace(refusal.seen, next_step=f"{refusal.seen.next_step} {instead}")


def _credential_denied(refusal: PullRefusal, decision: Decision) -> Finding:
    source = refusal.credential.source
    return Finding(
        code="package.credential_denied",
        sentence=f"The credential {source} may not pull {refusal.name}. {_sentences(decision)}",
        fixer=source.fixer,
        next_step="Delete the three secrets, so that the codespace's own token is used; or give their token this right.",
        evidence={**refusal.seen.evidence, "rule": _rules(decision)},
    )


def _causes(decision: Decision) -> tuple[Reason, ...]:
    """What stands against it. The trail's last reason is the outcome, which says something only where nothing else does."""
    against = tuple(reason for reason in decision.trail if reason.effect is Effect.DENY)
    return against[:-1] or decision.trail


def _sentences(decision: Decision) -> str:
    return " ".join(reason.text for reason in _causes(decision))


def _rules(decision: Decision) -> str:
    return " ".join(reason.rule for reason in _causes(decision))
