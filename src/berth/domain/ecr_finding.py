"""Why there is no token of ECR, for the person who waits for the image (REGISTRY_CREDENTIALS B3).

The cause, who can mend it and what to do. Evidence is AWS's code, and the principal and action that it named; never a key
or a text of AWS's.
"""

from collections.abc import Mapping

from berth.domain.ecr_answer import EcrFailure
from berth.domain.ecr_key import AwsKeys
from berth.domain.finding import Finding, Fixer
from berth.domain.registry_credential import CredentialSource, RegistryCredential, UnswappedKeys

# code → (sentence, who can mend it, next step). Without a Fixer: whoever keeps the triple.
TEXTS: Mapping[str, tuple[str, Fixer | None, str]] = {
    "ecr.key_unknown": (
        "AWS does not know the access key of {source}.{hint}",
        None,
        "Look in the AWS console (IAM) whether the key exists and is active, then set USER and PASSWORD again.",
    ),
    "ecr.secret_wrong": (
        "AWS knows the access key of {source}, but its secret is another one.",
        None,
        "Set PASSWORD again, all of its 40 characters. AWS does not show it a second time; if it is lost, make a new key.",
    ),
    "ecr.clock_skew": (
        "This server's clock is off{skew}, so AWS takes no signature of it. The keys of {source} are not the cause.",
        Fixer.SITE_ADMIN,
        "Set the clock of the machine that Berth runs on, best by NTP.",
    ),
    "ecr.access_denied": (
        "AWS does not let {principal} do {action}, which the keys of {source} need.",
        None,
        "Allow {action} on the resource * in that identity's IAM policy; docs/registries.md has a policy that is enough.",
    ),
    "ecr.keys_expired": (
        "The temporary AWS keys of {source} have expired.",
        None,
        "Set USER, PASSWORD and SESSION_TOKEN of new ones, or use keys of an IAM user (AKIA…), which do not expire.",
    ),
    "ecr.key_malformed": (
        "AWS cannot read the access key of {source}.",
        None,
        "Set USER to the access key id and PASSWORD to its secret, without quotes or anything else.",
    ),
    "ecr.not_opted_in": (
        "The AWS account of the keys of {source} has not switched on {region}.",
        None,
        "Enable the region {region} in that AWS account, or use a registry of another region.",
    ),
    "ecr.region_unknown": (
        "There is no {api_host}: AWS has no region {region}, or this server's DNS does not know it.",
        None,
        "Check the region in SERVER, {host}; if it is right, check this server's DNS.",
    ),
    "ecr.throttled": (
        "AWS limits how often it may be asked for tokens, and the limit is reached. The keys of {source} are not the cause.",
        Fixer.DEVELOPER,
        "Try again in a minute.",
    ),
    "ecr.server_error": (
        "AWS failed to make a token{status}. The keys of {source} are not the cause.",
        Fixer.REGISTRY,
        "Try again; if it stays, look at the AWS health dashboard for {region}.",
    ),
    "ecr.unreachable": (
        "AWS was not asked for a token: {reason}",
        Fixer.SITE_ADMIN,
        "Check that this server can reach https://{api_host}.",
    ),
    "ecr.refused": (
        "AWS made no token for the keys of {source}: {error_code}.",
        None,
        "Look the code up in the API reference of Amazon ECR; the keys may be restricted.",
    ),
    "ecr.bad_answer": (
        "{api_host} answered with what is no answer of AWS's. {reason}",
        Fixer.SITE_ADMIN,
        "Check what stands between this server and AWS: a proxy, or the setting ECR_ENDPOINT.",
    ),
}


def explain_failure(failure: EcrFailure, keys: UnswappedKeys) -> Finding:
    """The finding for these keys."""
    registry, source = keys.registry, keys.source
    sentence, fixer, step = TEXTS[failure.code]
    words = {
        "source": str(source),
        "host": keys.host,
        "region": registry.region,
        "api_host": registry.api_host,
        "hint": _hint(keys.keys, registry.region),
        "skew": _skew(failure.skew_s),
        "principal": failure.principal or "the owner of the key",
        "action": failure.action or f"{registry.service}:GetAuthorizationToken",
        "status": f" (status {failure.status})" if failure.status else "",
        "error_code": failure.error_code,
        "reason": failure.reason,
    }
    seen = {
        "phase": "swap",
        "status": str(failure.status) if failure.status else "",
        "error_code": failure.error_code,
        "principal": failure.principal,
        "action": failure.action,
        "clock_ahead_s": str(failure.skew_s) if failure.skew_s else "",
    }
    return Finding(
        code=failure.code,
        sentence=sentence.format_map(words).strip(),
        fixer=fixer or source.fixer,
        next_step=step.format_map(words),
        evidence={"host": keys.host, **source.evidence, **{name: value for name, value in seen.items() if value}},
    )


def explain_expired(credential: RegistryCredential) -> Finding:
    """The finding for a ready token that is too old."""
    source: CredentialSource = credential.source
    at = f"{credential.expires_at:%Y-%m-%d %H:%M} UTC" if credential.expires_at else "an unknown time"
    return Finding(
        code="ecr.token_expired",
        sentence=f"The token of {source} for {credential.host} expired at {at}: one lives for 12 hours.",
        fixer=source.fixer,
        next_step="Set USER and PASSWORD to an access key's id and secret, which Berth swaps for a new token by itself.",
        evidence={"host": credential.host, **source.evidence, "expired_at": at},
    )


def _hint(keys: AwsKeys, region: str) -> str:
    """What else this answer means, for such keys and in such a place."""
    if keys.session_token is not None:
        return " Or the session token is not the one that came with it, or is not valid in this region."
    if region.startswith(("cn-", "us-gov-", "us-iso", "eu-isoe-", "eusc-")):
        return f" Keys for {region} are made in that partition; those of other AWS accounts do not exist there."
    return ""


def _skew(seconds: int) -> str:
    if not seconds:
        return ""
    minutes = max(abs(seconds) // 60, 1)
    return f" by about {minutes} min ({'ahead' if seconds > 0 else 'behind'})"
