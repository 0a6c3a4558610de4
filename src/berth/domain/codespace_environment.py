"""What a codespace finds inside: its environment, on a tmpfs, written anew at each start (L7, S7).

    /run/codespaces/env               `export NAME='value'` lines, for the codespace's user only
    /run/codespaces/docker, fresh     folders of the user's: what is renewed while it runs (docker_config_files.py)
    /etc/profile.d/zz-codespaces.sh   reads the first; holds no value itself
    git's system configuration        user.name and user.email, where nobody has set them

Values travel on the standard input of one script, never in an argument or the container's configuration. The script
needs a POSIX shell and chmod, chown, mkdir, mv, rm: busybox is enough. It runs as root in directories that belong to root,
so that no link which the user made before can lead it astray.

The variables are those of the last start, but for GITHUB_TOKEN: the file that is renewed comes last (C8).
"""

import re
import shlex
from collections.abc import Mapping

from berth.domain.docker_config_files import FRESH_FILE
from berth.domain.secret_text import SecretText

ENVIRONMENT_FILE = "/run/codespaces/env"
_RENEWED = "GITHUB_TOKEN"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# bash forbids setting these, and ends when it is called `sh`. Source: bash manual, "Bash Variables".
_READ_ONLY = frozenset({"BASHOPTS", "BASH_VERSINFO", "EUID", "PPID", "SHELLOPTS", "UID"})
_SPECIAL = re.compile(r'[\\"$`]')  # inside double quotes
_CONTAINER_VARIABLE = re.compile(r"\$\{containerEnv:([A-Za-z_][A-Za-z0-9_]*)(?::([^{}]*))?\}")

# Called as: sh -c INSTALL_SCRIPT berth USER < installation_input(...). Exit codes: 3 no tmpfs, 4 no such user, 5 cut input.
INSTALL_SCRIPT = r"""set -eu
umask 077
run=/run/codespaces
kind=
while read -r _ where type _; do
  case $where in
    "$run") kind=$type ;;
    "$run"/*) echo "the image has a volume at $where, which would keep secrets on disk" >&2; exit 3 ;;
  esac
done < /proc/mounts
[ "$kind" = tmpfs ] || { echo "$run is not a tmpfs" >&2; exit 3; }

wanted=${1%%:*} uid= gid=
while IFS=: read -r name _ id group _ || [ -n "$name" ]; do
  if [ "$name" = "$wanted" ] || [ "$id" = "$wanted" ]; then uid=$id gid=$group; break; fi
done < /etc/passwd || true
if [ -z "$uid" ]; then
  case "$wanted" in '' | *[!0-9]*) echo "there is no user '$wanted' in /etc/passwd" >&2; exit 4 ;; esac
  uid=$wanted gid=0
fi

IFS= read -r mark
while IFS= read -r line && [ "$line" != "$mark" ]; do printf '%s\n' "$line"; done > "$run/.env.new"
[ "$line" = "$mark" ] || { echo "the input ended too early" >&2; exit 5; }
chmod 0400 "$run/.env.new"
mkdir -p "$run/docker" "$run/fresh"
chmod 0700 "$run/docker" "$run/fresh"
chown "$uid:$gid" "$run/.env.new" "$run/docker" "$run/fresh"
mv -f "$run/.env.new" "$run/env"

if [ -d /etc/profile.d ] || { mkdir -p /etc/profile.d && chmod 0755 /etc/profile.d; }; then
  rm -f /etc/profile.d/zz-codespaces.sh
  echo "[ ! -r $run/env ] || . $run/env" > /etc/profile.d/zz-codespaces.sh
  chmod 0644 /etc/profile.d/zz-codespaces.sh
fi
"""
# Behind it. Git makes no commit for nobody. This is its weakest setting: the image's, the user's and the checkout's own all win.
AUTHOR_SCRIPT = r"""
if [ -n "${GIT_COMMITTER_NAME:-}" ] && command -v git > /dev/null 2>&1; then
  umask 022
  git config --system --get user.name > /dev/null 2>&1 ||
    git config --system user.name "$GIT_COMMITTER_NAME" > /dev/null 2>&1 || true
  git config --system --get user.email > /dev/null 2>&1 ||
    git config --system user.email "$GIT_COMMITTER_EMAIL" > /dev/null 2>&1 || true
fi
"""
INSTALL_SCRIPT += AUTHOR_SCRIPT


def installation_input(
    environment: Mapping[str, str | SecretText], remote_env: Mapping[str, str | None] | None = None
) -> SecretText:
    """What INSTALL_SCRIPT reads: a mark, the environment file, the mark.

    `remote_env` is the dev container's: it comes first, so that it can replace nothing of `environment`.
    Raises ValueError for what no variable can be: the caller's names and values are checked before they are stored.
    """
    content = environment_file(environment, remote_env or {})
    mark = "----"
    while mark in content:
        mark += "-"
    return SecretText(f"{mark}\n{content}{mark}\n")


def environment_file(environment: Mapping[str, str | SecretText], remote_env: Mapping[str, str | None]) -> str:
    """A file for a POSIX shell to read. Values are quoted; only `${containerEnv:X}` in `remote_env` is expanded."""
    lines = []
    for name, value in remote_env.items():
        if _is_settable(name, value or ""):
            lines.append(f"unset {name}\n" if value is None else f"export {name}={_expandable(value)}\n")
    for name, given in environment.items():
        text = given.reveal() if isinstance(given, SecretText) else given
        if _is_settable(name, text):
            lines.append(f"export {name}={shlex.quote(text)}\n")
    if _RENEWED in environment:
        lines.append(f"[ ! -r {FRESH_FILE} ] || IFS= read -r {_RENEWED} < {FRESH_FILE} || :\n")
    return "".join(lines)


def _is_settable(name: str, value: str) -> bool:
    if not _NAME.fullmatch(name) or "\0" in value:
        raise ValueError("a variable's name has letters, digits and underscores, and its value holds no NUL")
    return name not in _READ_ONLY


def _expandable(value: str) -> str:
    parts = []
    end = 0
    for match in _CONTAINER_VARIABLE.finditer(value):
        default = _SPECIAL.sub(r"\\\g<0>", match[2] or "")
        parts += [_quoted(value[end : match.start()]), f'"${{{match[1]}-{default}}}"']
        end = match.end()
    return "".join([*parts, _quoted(value[end:])])


def _quoted(text: str) -> str:
    return shlex.quote(text) if text else ""
