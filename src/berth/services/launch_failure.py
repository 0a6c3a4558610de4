"""How a launch says no."""

from berth.domain.finding import Finding, Fixer


class LaunchFailed(Exception):
    """The launch ended with this finding: an answer, not a fault."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.code)
        self.finding = finding


class HookFailed(LaunchFailed):
    """A lifecycle command that Berth runs failed."""

    def __init__(self, hook: str, exit_code: int) -> None:
        self.hook = hook
        self.exit_code = exit_code
        super().__init__(
            Finding(
                code="devcontainer.hook_failed",
                sentence=f"{hook} ended with exit code {exit_code}.",
                fixer=Fixer.DEVELOPER,
                next_step="Read its output above, mend the command in devcontainer.json, push that, and rebuild the codespace.",
                evidence={"hook": hook, "exit_code": str(exit_code)},
            )
        )
