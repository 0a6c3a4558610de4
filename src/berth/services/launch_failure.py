"""How a launch says no."""

from berth.domain.finding import Finding


class LaunchFailed(Exception):
    """The launch ended with this finding: an answer, not a fault."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.code)
        self.finding = finding
