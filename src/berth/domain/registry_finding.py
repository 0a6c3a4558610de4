"""What a person is told when another registry does not give an image: one table of codes, for launches and the doctor.

1. A code has one text here, which is right for any registry. Where more is known of a provider, its own row says it better
   (`provider_failure.py`), and may name a narrower cause with a code of its own.
2. Evidence is what was seen: phase, status, the registry's error code, host, level, prefix. Never a secret, and never a
   text of the registry's.
"""

from collections.abc import Mapping

from berth.domain.exchange_message import ExchangeRequest, RateLimit
from berth.domain.exchange_session import ExchangeFailure
from berth.domain.failure_row import ANY_REFUSAL, Sight, Text
from berth.domain.finding import Finding, Fixer
from berth.domain.image_reference import ImageReference
from berth.domain.problem import Invalid, UpstreamFailed
from berth.domain.provider_failure import find_row
from berth.domain.registry_credential import Anonymous, RegistryCredential
from berth.domain.registry_host import api_host, parse_web_address
from berth.domain.registry_provider import PROVIDERS, Provider, least_parts

# code → (sentence, who can mend it, next step). Without a Fixer: whoever keeps the credential.
TEXTS: Mapping[str, Text] = {
    "credential.other_host": (
        "The credential {credential} is not for {host}; nothing was sent.",
        Fixer.SITE_ADMIN,
        "This is a fault in Berth; report it.",
    ),
    "image.unauthorized": (
        "{host} rejected the credential {credential}.",
        None,
        "Make a new password or token at {host}, check the user name, and store both: `berth registry add {host} --replace`.",
    ),
    "image.credential_missing": (
        "{host} does not show {image} to anonymous callers, and there is no credential for {host}.",
        Fixer.DEVELOPER,
        "Set three secrets for {host}: `berth registry add {host}`. If the image is public, check its name.",
    ),
    "image.token_expired": (
        "{host} does not take the token of {credential} any more: it has expired, or AWS has ended it.",
        None,
        "Set a new token, or AWS keys in its place, which are swapped for a new token. If it is keys: look at them in IAM.",
    ),
    "image.denied": (
        "{host} accepts the credential {credential}, but does not let it pull {image}; or the image does not exist.",
        None,
        "Let that account or token read {image} at {host}, and check the image's name.",
    ),
    "image.not_found": (
        "{host} has no {image}.{tags}",
        Fixer.DEVELOPER,
        "Check the image's name and tag; the tag may have been deleted.",
    ),
    "image.name_incomplete": (
        "{image} is no whole name at {host}: there a path has {parts} parts at least.",
        Fixer.DEVELOPER,
        "Mend the image's name; the registry's own pages show it whole.",
    ),
    "image.digest_mismatch": (
        "{host} answered with another image than the one whose digest was asked for.",
        Fixer.REGISTRY,
        "Do not use this image; tell the keeper of {host}.",
    ),
    "image.unproven": (
        "{host} names a content for {image} that it does not serve itself, so the right to the image is not proven.",
        Fixer.REGISTRY,
        "Push the image to {host} again, all of it; if you did not make it, do not use it.",
    ),
    "image.platform_missing": (
        "{image} at {host} is not made for this server's engine. {reason}",
        Fixer.DEVELOPER,
        "Build and push the image for the engine's platform too.",
    ),
    "image.unsupported": (
        "{image} at {host} is not an image that today's engines can run. {reason}",
        Fixer.DEVELOPER,
        "Push the image again with a current tool.",
    ),
    "feature.unsupported": (
        "{image} at {host} is no Feature that can be installed. {reason}",
        Fixer.DEVELOPER,
        "Check its name; publish it with devcontainer features publish.",
    ),
    "feature.too_large": (
        "{image} at {host} is too large. {reason}",
        Fixer.DEVELOPER,
        "Have install.sh fetch what is large, or put it into the image.",
    ),
    "registry.rate_limited": (
        "{host} limits how often it may be asked, and the limit is reached{limit}.",
        Fixer.DEVELOPER,
        "Wait{wait}; on a public registry a credential raises the limit: `berth registry add {host}`.",
    ),
    "registry.token_refused": (
        "{host} does not take the token that its own token service gave for the credential {credential}.",
        Fixer.REGISTRY,
        "Tell the keeper of {host}: the token service's key, or one of the two clocks, is wrong.",
    ),
    "registry.not_a_registry": (
        "{host} does not answer as a container registry. {reason}",
        Fixer.DEVELOPER,
        "Check the host in the image's name and in the secret …_CONTAINER_REGISTRY_SERVER.",
    ),
    "registry.realm_elsewhere": (
        "{host} wants the password sent to another host{elsewhere}; nothing was sent. {reason}",
        Fixer.SITE_ADMIN,
        "If that host is its real token service, the administrator can add the pair to BERTH_TOKEN_REALMS.",
    ),
    "registry.server_error": (
        "{host} failed with status {status}. {reason}",
        Fixer.REGISTRY,
        "Try again later; if it stays, tell the keeper of {host}.",
    ),
}

# Failures of the connection: the sentence and mostly the remedy come from guarded_http.
CONNECTION: Mapping[str, tuple[Fixer, str]] = {
    "registry.name_unknown": (
        Fixer.DEVELOPER,
        "Check the spelling of {host}; if it is right, check this server's DNS.",
    ),
    "registry.address_forbidden": (
        Fixer.SITE_ADMIN,
        (
            "If it is meant, the administrator can add {address} (or its network) to BERTH_PRIVATE_ADDRESSES and start the "
            "server again."
        ),
    ),
    "registry.plain_http": (
        Fixer.SITE_ADMIN,
        "The administrator can add {host} to BERTH_INSECURE_REGISTRIES and start the server again.",
    ),
    "registry.timeout": (Fixer.REGISTRY, "Try again; if it stays, check that this server can reach {host}."),
    "registry.name_timeout": (Fixer.SITE_ADMIN, "Check this server's DNS; try again."),
    "registry.connect_timeout": (
        Fixer.SITE_ADMIN,
        "Check that this server can reach {host}: a firewall in between may drop what it sends.",
    ),
    "registry.unreachable": (Fixer.REGISTRY, "Check the port, and that this server can reach {host}."),
    "registry.tls": (
        Fixer.REGISTRY,
        (
            "{host} needs a valid certificate, or the administrator of this server names its CA in BERTH_CA_FILE. A registry "
            "without TLS is asked only if BERTH_INSECURE_REGISTRIES names it."
        ),
    ),
    "registry.bad_answer": (Fixer.REGISTRY, "Check the host and its port; try again."),
    "registry.answer_too_big": (Fixer.REGISTRY, "Check that {host} is a container registry."),
}


def explain_failure(
    failure: ExchangeFailure,
    credential: RegistryCredential | Anonymous,
    image: ImageReference | None = None,
    *,
    kind: str = "",
) -> Finding:
    """The finding for what the registry answered (policy 1 and 2). Without an image only a login was tried.

    `kind` stands before its name, where it is another thing than an image.
    """
    host = image.host if image is not None else _host(credential)
    parts = least_parts(host, failure.provider)
    code, (sentence, fixer, step) = _text(failure, credential, image, parts)
    words = {
        "host": host,
        "image": "images" if image is None else f"{kind}{image.path}:{image.reference}",
        "path": "" if image is None else image.path,
        "status": str(failure.status),
        "reason": failure.reason,
        "credential": "none" if isinstance(credential, Anonymous) else str(credential.source),
        "elsewhere": f", {failure.other_host}" if failure.other_host else "",
        "permission": PROVIDERS[failure.provider].permission,
        "tags": _tags(failure.tags),
        "limit": _limit(failure.limit),
        "wait": _wait(failure.limit),
        "parts": str(parts),
    }
    return Finding(
        code=code,
        sentence=sentence.format_map(words).strip(),
        fixer=fixer or (credential.source.fixer if isinstance(credential, RegistryCredential) else Fixer.DEVELOPER),
        next_step=step.format_map(words),
        evidence=_evidence(host, credential) | _seen(failure),
    )


def explain_connection(
    problem: UpstreamFailed, host: str, credential: RegistryCredential | Anonymous, asked: ExchangeRequest
) -> Finding:
    """The finding for a request that got no answer."""
    evidence = _evidence(host, credential) | {"phase": asked.phase}
    try:
        address = parse_web_address(asked.url)
        asked_host, where = address.host, f"{address.name}:{address.port}"
    except Invalid:
        asked_host = where = ""
    if asked_host != api_host(host):
        evidence["other_host"] = asked_host
    fixer, step = CONNECTION[problem.code]
    step = step.format(host=asked_host, address=where)
    return Finding(code=problem.code, sentence=problem.message, fixer=fixer, next_step=step, evidence=evidence)


def _host(credential: RegistryCredential | Anonymous) -> str:
    return credential.host if isinstance(credential, RegistryCredential) else ""


def _text(
    failure: ExchangeFailure, credential: RegistryCredential | Anonymous, image: ImageReference | None, parts: int
) -> tuple[str, Text]:
    """The code and its text (policy 1)."""
    if image is not None and image.path.count("/") + 1 < parts and failure.code in ANY_REFUSAL:
        return "image.name_incomplete", TEXTS["image.name_incomplete"]
    known = credential if isinstance(credential, RegistryCredential) else None
    row = find_row(
        Sight(
            provider=failure.provider,
            code=failure.code,
            phase=failure.phase,
            status=failure.status,
            error_code=failure.error_code,
            said=failure.said,
            user="" if known is None else known.user,
            password=None if known is None else known.password,
        )
    )
    return (failure.code, TEXTS[failure.code]) if row is None else (row.code, row.text)


def _evidence(host: str, credential: RegistryCredential | Anonymous) -> dict[str, str]:
    if isinstance(credential, Anonymous):
        return {"host": host, "credential": "none"}
    return {"host": host, **credential.source.evidence}


def _seen(failure: ExchangeFailure) -> dict[str, str]:
    limit = failure.limit or RateLimit()
    seen = {
        "error_code": failure.error_code,
        "other_host": failure.other_host,
        "provider": "" if failure.provider is Provider.PLAIN else failure.provider.value,
        "token_is_for_this_pull": {None: "", True: "yes", False: "no"}[failure.granted],
        "tags": " ".join(failure.tags),
        "retry_after_s": "" if limit.retry_after_s is None else str(limit.retry_after_s),
    }
    always = {"phase": failure.phase, "status": str(failure.status)}
    return always | {name: value for name, value in seen.items() if value}


def _tags(tags: tuple[str, ...]) -> str:
    return f" There are, for example, the tags {', '.join(tags)}." if tags else ""


def _limit(limit: RateLimit | None) -> str:
    if limit is None or limit.limit is None:
        return ""
    window = f" in {_duration(limit.window_s)}" if limit.window_s else ""
    return f" ({limit.limit}{window})"


def _wait(limit: RateLimit | None) -> str:
    """How long; where only the window is known, that is the most."""
    if limit is None:
        return ""
    if limit.retry_at:
        return f" until {limit.retry_at}"
    if limit.retry_after_s:
        return f" {_duration(limit.retry_after_s)}"
    return f" for at most {_duration(limit.window_s)}" if limit.window_s else ""


def _duration(seconds: int) -> str:
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{-(-seconds // size)} {unit}"
    return f"{seconds} s"
