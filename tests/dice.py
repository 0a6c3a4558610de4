"""What tests throw dice with. `make test` throws the same ones each time: it fails for what was changed, and fails again.

`make slow`, `make chaos` and `make fuzz` set BERTH_TEST_DICE, and look where nobody has looked before.
"""

import os
import random

from hypothesis import settings

THROWN = bool(os.environ.get("BERTH_TEST_DICE"))


def seed_from(variable: str) -> int:
    """What the environment says, to see a failure again; else as above."""
    return int(os.environ.get(variable, "0")) or (random.SystemRandom().randrange(1, 1_000_000) if THROWN else 1)


def load_hypothesis_profile() -> None:
    """Its examples are those of the test's own text, or thrown."""
    settings.register_profile("berth", derandomize=not THROWN)
    settings.load_profile("berth")
