"""The doctor: what is wrong with an image."""

import msgspec

from berth.client.codespace import Finding
from berth.client.connection import Connection, decode, repository_path

_TIMEOUT_S = 40.0  # the server's own bound is 30 s


class Check(msgspec.Struct, kw_only=True):
    """`state` is passed, warning, failed or skipped; `because` names the check that failed before."""

    id: str
    state: str
    sentence: str
    because: str | None = None


class CredentialSource(msgspec.Struct, kw_only=True):
    """`level` None: the codespace's own token."""

    level: str | None = None
    prefix: str | None = None


class Diagnosis(msgspec.Struct, kw_only=True):
    """`finding` says what is wrong; None if nothing is."""

    image: str
    healthy: bool
    provider: str = ""
    digest: str | None = None
    finding: Finding | None = None
    credential: CredentialSource | None = None
    with_credential: str | None = None
    without_credential: str | None = None
    checks: list[Check] = []


class DoctorCalls(Connection):
    """What the client asks of the doctor."""

    def examine_image(self, full_name: str, image: str, user: str | None = None) -> Diagnosis:
        """For the caller's codespaces, or for those of `user`."""
        path = f"{repository_path(full_name)}/codespaces/doctor"
        body = {"image": image} if user is None else {"image": image, "user": user}
        return decode(self.request("POST", path, body, timeout_s=_TIMEOUT_S).content, Diagnosis)
