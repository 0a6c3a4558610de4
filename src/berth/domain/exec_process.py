"""A command's process in the container: how it says which one it is, and how it is ended when its caller is gone.

An engine starts a command as the leader of a process group and of a session of its own, and can end none. So the shell that
reads the environment says its process id before it becomes the command, and a second command of root's ends the group.
In a terminal what stands in front is a group of its own, so that is ended too; what was put in the background goes on, if
its shell lets it, as it does when a connection of ssh's breaks.

Source: runc, nsenter (setsid for each exec); proc(5), /proc/PID/stat: fields pgrp, session, tpgid.
"""

import re
from collections.abc import Sequence

from berth.domain.codespace_environment import ENVIRONMENT_FILE

_RUN_SCRIPT = f'echo $$; [ ! -r {ENVIRONMENT_FILE} ] || . {ENVIRONMENT_FILE}; exec "$@"'
_FIRST_LINE = re.compile(rb"([1-9][0-9]{0,9})\r?\n")
_MAX_FIRST_LINE = 32
MAX_OUTPUT_BYTES = 1024 * 1024  # of a command that is run to its end; what comes after it is not kept

# Called as: sh -c KILL_SCRIPT berth PID, as root. HUP first, as a terminal that is gone does it; KILL two seconds later.
KILL_SCRIPT = r"""pid=$1
read -r line 2>/dev/null < "/proc/$pid/stat" || exit 0
set -- ${line##*) }
[ "$4" = "$pid" ] || exit 0
groups=-$pid
case $6 in -* | 0 | 1 | "$pid") ;; *) groups="$groups -$6" ;; esac
kill -HUP $groups 2>/dev/null
kill -CONT $groups 2>/dev/null
left=20
while [ $left -gt 0 ] && kill -0 $groups 2>/dev/null; do
  left=$((left - 1))
  sleep 0.1 2>/dev/null || { sleep 1; left=$((left - 9)); }
done
kill -KILL $groups 2>/dev/null
exit 0
"""

# Called as: sh -c SHELL_SCRIPT berth ARGUMENT... : the shell that /etc/passwd has for this user, with these arguments.
SHELL_SCRIPT = r"""me=$(id -u 2>/dev/null) shell=
while IFS=: read -r _ _ id _ _ _ program || [ -n "$id" ]; do
  if [ "$id" = "$me" ]; then shell=$program; break; fi
done 2>/dev/null < /etc/passwd
case $shell in */nologin | */false | '') shell=/bin/bash ;; esac
[ -x "$shell" ] || shell=/bin/sh
export SHELL="$shell"
exec "$shell" "$@"
"""


def announced(command: Sequence[str]) -> tuple[str, ...]:
    """The command with the codespace's environment, after a first line of output that is its process id.

    The environment file is read if this user may read it.
    """
    return ("/bin/sh", "-c", _RUN_SCRIPT, "berth", *command)


class FirstLine:
    """Takes the first line of standard output away from the rest. `is_over`: no more is waited for."""

    def __init__(self) -> None:
        self._held = b""
        self.process_id: int | None = None
        self.is_over = False

    def take(self, output: bytes) -> bytes:
        """The next piece; what of all that came is the command's own, and was not handed out before."""
        self._held += output
        if not self.is_over and b"\n" not in self._held and len(self._held) < _MAX_FIRST_LINE:
            return b""
        return self.end()

    def end(self) -> bytes:
        """No more comes. What says no process id is handed out as it came: a shell that could not be started says why."""
        own, self._held = self._held, b""
        found = None if self.is_over else parse_first_line(own)
        self.is_over = True
        if found is not None:
            self.process_id, own = found
        return own


def parse_first_line(output: bytes) -> tuple[int, bytes] | None:
    """The process id and what came after it; None for what no shell of ours says. 1 is no id: it would mean everybody."""
    found = _FIRST_LINE.match(output)
    if found is None or found[1] == b"1":
        return None
    return int(found[1]), output[found.end() :]


def kill_command(process_id: int) -> tuple[str, ...]:
    """What ends it; nothing happens if it has ended."""
    return ("/bin/sh", "-c", KILL_SCRIPT, "berth", str(process_id))


def login_shell() -> tuple[str, ...]:
    """The user's own shell, as at a login."""
    return ("/bin/sh", "-c", SHELL_SCRIPT, "berth", "-l")


def in_shell(line: str) -> tuple[str, ...]:
    """A line for the user's own shell, as ssh hands it over."""
    return ("/bin/sh", "-c", SHELL_SCRIPT, "berth", "-c", line)
