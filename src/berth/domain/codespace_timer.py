"""When a codespace that nobody uses stops. Pure; the loop looks again when the time has come (services/codespace_timer.py).

Policy:
1. A codespace is used while a command of its user runs in it, and at each heartbeat. Its own processes do not count.
2. What runs stops when it was last used longer ago than its own timeout, or than the longest that the server allows.
"""

from datetime import datetime, timedelta

from berth.domain.codespace import Codespace


def idle_minutes(codespace: Codespace, *, most: int) -> int:
    """After how long without use it stops (policy 2)."""
    return min(codespace.idle_timeout_minutes, most)


def idle_at(codespace: Codespace, *, most: int) -> datetime:
    """When it stops unless somebody uses it until then."""
    return codespace.last_used_at + timedelta(minutes=idle_minutes(codespace, most=most))
