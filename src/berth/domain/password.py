"""Passwords of people who sign in to the web console, and the invitations by which they are set.

1. 12 to 256 characters, whatever they are; not the account's own name. Source: NIST SP 800-63B, section 5.1.1.2: length
   counts, rules of composition do not help.
2. Only a hash that is slow and wants memory is kept (`adapters/password_argon2.py`).
3. A password is set by an invitation: a link with a value that works once, for INVITATION_LIFE. A newer one, and setting
   the password, end the older. The same way a site administrator lets somebody set a new one.
4. Its holder changes it with the old one, which is guessed no oftener than at signing in. His other sessions end.
"""

from datetime import timedelta

from berth.domain.problem import Invalid
from berth.domain.secret_text import SecretText

MIN_LENGTH = 12
MAX_LENGTH = 256
INVITATION_LIFE = timedelta(hours=72)


def check_password(password: SecretText, login: str) -> None:
    """Raises Invalid for what policy 1 refuses."""
    value = password.reveal()
    if not MIN_LENGTH <= len(value) <= MAX_LENGTH:
        raise Invalid(
            f"A password has {MIN_LENGTH} to {MAX_LENGTH} characters.", field="password", code="password.length"
        )
    if value.strip().lower() == login.lower() or not value.strip():
        raise Invalid("This password would be guessed at once.", field="password", code="password.guessable")
