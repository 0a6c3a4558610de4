"""Other registries in memory: which images there are, and which password opens them. Never raises, like the port says."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from berth.domain.finding import Finding, Fixer
from berth.domain.image_reference import Digest, ImageReference
from berth.domain.login_exchange import LoginProof
from berth.domain.registry_credential import Anonymous, RegistryCredential
from berth.domain.secret_text import SecretText
from berth.services.ports import FetchedFeature, ImageRefused, ResolvedImage

SEEN = {"status": "401"}  # the evidence of every refusal
DIGEST = Digest.of(b"the image")


@dataclass
class FakeRegistryClient:
    """`passwords` maps `host/path` to the password that opens it; None: anybody may have it."""

    passwords: dict[str, str | None] = field(default_factory=dict)
    public: set[str] = field(default_factory=set)  # given to anonymous callers; a bad password is refused all the same
    scheme: str = "basic"  # bearer; or empty: it asks for no login
    digest: Digest = DIGEST
    proof: LoginProof = LoginProof.CHECKED  # what a login is worth that is not refused; `passwords` has hosts, too
    refusal: str = ""  # the code of every refusal; empty: as the credential deserves
    findings: dict[str, Finding] = field(default_factory=dict)  # by code: how a refusal is told; else in two words
    tokens: int = 0
    on_ask: Callable[[RegistryCredential | Anonymous], Awaitable[None]] | None = None
    asked: list[tuple[str, RegistryCredential | Anonymous]] = field(default_factory=list)
    features: dict[str, bytes] = field(default_factory=dict)  # `host/path` → the archive of the Feature there

    async def resolve(
        self, image: ImageReference, credential: RegistryCredential | Anonymous, architecture: str
    ) -> ResolvedImage | ImageRefused:
        name = f"{image.host}/{image.path}"
        self.asked.append((name, credential))
        if self.on_ask is not None:
            await self.on_ask(credential)
        wanted = self.passwords.get(name, "no password opens it")
        shown = credential.password.reveal() if isinstance(credential, RegistryCredential) else None
        if wanted is None or wanted == shown or (shown is None and name in self.public):
            self.tokens += 1
            return ResolvedImage(
                image=image if image.digest else image.pinned(self.digest),
                media_type="m",
                size_bytes=1,
                pull_token=SecretText(f"token-{self.tokens}") if self.scheme == "bearer" else None,
                password_shown=self.scheme == "basic",
                login_proof=self._proof(shown),
            )
        return self._refuse(shown)

    async def fetch_feature(
        self, feature: ImageReference, credential: RegistryCredential | Anonymous
    ) -> FetchedFeature | ImageRefused:
        name = f"{feature.host}/{feature.path}"
        self.asked.append((name, credential))
        wanted = self.passwords.get(name, "no password opens it")
        shown = credential.password.reveal() if isinstance(credential, RegistryCredential) else None
        if wanted not in {None, shown}:
            return self._refuse(shown)
        archive = self.features[name]
        return FetchedFeature(
            feature=feature.pinned(Digest.of(archive)), archive=archive, login_proof=self._proof(shown)
        )

    def _proof(self, shown: str | None) -> LoginProof | None:
        """Basic is looked at at each request; its tokens say nothing of whose they are."""
        proofs = {"basic": LoginProof.CHECKED, "": LoginProof.NOT_ASKED}
        return None if shown is None else proofs.get(self.scheme)

    def _refuse(self, shown: str | None) -> ImageRefused:
        code = self.refusal or ("image.credential_missing" if shown is None else "image.unauthorized")
        told = Finding(code=code, sentence="No.", fixer=Fixer.DEVELOPER, next_step="Do.", evidence=SEEN)
        return ImageRefused(self.findings.get(code, told))

    async def check_login(self, credential: RegistryCredential) -> LoginProof | Finding:
        self.asked.append((credential.host, credential))
        if self.on_ask is not None:
            await self.on_ask(credential)
        shown = credential.password.reveal()
        if self.refusal or self.passwords.get(credential.host) not in {None, shown}:
            return self._refuse(shown).finding
        return self.proof
