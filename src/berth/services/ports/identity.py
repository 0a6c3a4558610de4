"""Somebody else who proves who people are."""

from typing import Protocol

from berth.domain.identity import Answer, Claims, Flow


class IdentityProvider(Protocol):
    """The administrator's OpenID Connect provider. Both calls ask it over the network, and may be repeated.

    Both raise UpstreamFailed when it does not answer, or not as it should.
    """

    @property
    def issuer(self) -> str: ...

    @property
    def host(self) -> str:
        """By which people know it."""
        ...

    async def begin(self, flow: Flow, redirect_uri: str) -> str:
        """The address to send the browser to. To link an identity one has to sign in there anew."""
        ...

    async def finish(self, flow: Flow, answer: Answer, redirect_uri: str) -> Claims:
        """Whom the answer proves. Raises Unauthenticated for one that is not taken (domain/identity.py, policies 4 and 5)."""
        ...
