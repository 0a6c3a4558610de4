"""Where a codespace's docker config lies, and the two scripts that read and replace it.

    /run/codespaces/docker/config.json   the file that docker reads, on a tmpfs: registry credentials are on no disk (L7)
    /run/codespaces/fresh/token          the codespace's token of now: shells and git read it (C8)
    /run/codespaces/fresh/entries        which logins in the file are ours: fingerprints, see docker_config.py
    ~/.docker                            a link to the first one's folder; where that is a folder already, a link in it
    ~/.docker-own.json                   what of the file is the user's own: the tmpfs is gone when the container stops

Both scripts run as the codespace's user, in folders that are his: a link that he plants leads to nothing that he could not
write himself, so nothing is decided by it. Forging `entries` changes which of his own logins are kept. Values travel on
standard input and output. They need a POSIX shell and cat, chmod, head, ln, mv, readlink, rm, stat: busybox is enough.

Decided: a file that was there before the first installation is taken over: its content moves into the merged file and
is kept beside, a link takes its place. One that cannot be understood is left where it is.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum

from berth.domain.docker_config import (
    MAX_CONFIG_BYTES,
    NO_ENTRIES,
    Entries,
    MergedConfig,
    format_entries,
    merge_docker_config,
    parse_entries,
)
from berth.domain.problem import Invalid
from berth.domain.registry_credential import RegistryCredential
from berth.domain.secret_text import SecretText

CHANGED_MEANWHILE = 6  # the exit code of WRITE_SCRIPT that asks for another look
FRESH_FILE = "/run/codespaces/fresh/token"


class Place(StrEnum):
    """Where the config is that a client in the codespace would read now."""

    RUN = "run"  # ours, on the tmpfs
    OWN = "own"  # a file of the user's or the image's in ~/.docker
    SAVED = "saved"  # nowhere: the container was stopped; this is what was kept of it
    NONE = "none"
    ODD = "odd"  # what is there is no file


class Part(StrEnum):
    """What WRITE_SCRIPT is to replace, beside the token."""

    CONFIG = "config"
    OWN = "own"
    LINK = "link"


_LOCATE = r"""
home=${HOME:-}
[ -n "$home" ] && [ -d "$home" ] && [ -w "$home" ] || home=
file=$run/docker/config.json
linked() {
  [ "$(readlink "$home/.docker")" = "$run/docker" ] || [ "$(readlink "$home/.docker/config.json")" = "$file" ]
}
locate() {
  shown=$home/.docker/config.json
  if [ -n "$home" ] && ! linked && [ -e "$shown" ]; then
    if [ -f "$shown" ] && [ -r "$shown" ]; then place=own; else place=odd shown=; fi
  elif [ -f "$file" ] && [ -r "$file" ]; then place=run shown=$file
  elif [ -e "$file" ] || [ -L "$file" ]; then place=odd shown=
  elif [ -n "$home" ] && [ -f "$home/.docker-own.json" ]; then place=saved shown=$home/.docker-own.json
  else place=none shown=
  fi
}
"""

# Called as: sh -c READ_SCRIPT berth /run/codespaces. Prints the place, the entries, the token, and then the file.
READ_SCRIPT = (
    "exec 2>/dev/null\nrun=$1\n"
    + _LOCATE
    + rf"""
line() {{
  text=
  if [ -f "$1" ]; then IFS= read -r text < "$1"; fi
  printf '%s\n' "$text"
}}
locate
printf '%s\n' "$place"
line "$run/fresh/entries"
line "$run/fresh/token"
[ -z "$shown" ] || head -c {MAX_CONFIG_BYTES + 1} "$shown"
exit 0
"""
)

# Called as: sh -c WRITE_SCRIPT berth /run/codespaces < replacement_input(...).
# Exit codes: 5 cut input, 6 the file is not any more what was read, other ones: it could not be written.
WRITE_SCRIPT = (
    "set -eu\numask 077\nrun=$1 line=\n"
    + _LOCATE
    + r"""
take() {
  rm -f "$1"
  while IFS= read -r line && [ "$line" != "$mark" ]; do printf '%s\n' "$line"; done > "$1"
  [ "$line" = "$mark" ] || { echo "the input ended too early" >&2; exit 5; }
}
only() { echo "$1: the registry credentials are in $run/docker only"; }
wants() { case " $parts " in *" $1 "*) return 0 ;; *) return 1 ;; esac; }

IFS= read -r mark
IFS= read -r seen
IFS= read -r parts
IFS= read -r token
IFS= read -r entries
fresh=$run/fresh
take "$fresh/.seen"
take "$run/docker/.config.json.new"
take "$fresh/.own"

same=yes
locate
[ "$place" = "$seen" ] || same=no
if wants own && [ -n "$shown" ]; then
  [ "$(cat "$shown")" = "$(cat "$fresh/.seen")" ] || same=no
fi
rm -f "$fresh/.seen"
if [ $same = no ]; then rm -f "$fresh/.own" "$run/docker/.config.json.new"; exit 6; fi

if [ -n "$token" ]; then
  rm -f "$fresh/.token.new"
  printf '%s\n' "$token" > "$fresh/.token.new"
  mv -f "$fresh/.token.new" "$fresh/token"
fi
if wants config; then
  rm -f "$fresh/.entries.new"
  printf '%s\n' "$entries" > "$fresh/.entries.new"
  mv -f "$fresh/.entries.new" "$fresh/entries"
  mode=600
  [ "$place" != run ] || mode=$(stat -c %a "$file" 2>/dev/null) || mode=600
  chmod "$mode" "$run/docker/.config.json.new"
  mv -f "$run/docker/.config.json.new" "$file"
fi
if wants own && [ -n "$home" ]; then
  kept=$home/.docker-own.json
  if [ -s "$fresh/.own" ]; then
    { rm -f "$kept.new" && cat "$fresh/.own" > "$kept.new" && mv -f "$kept.new" "$kept"; } ||
      echo "what you log in to yourself cannot be kept in $kept and will be gone when the codespace stops"
  else
    rm -f "$kept"
  fi
fi
rm -f "$fresh/.own" "$run/docker/.config.json.new"

if ! wants link; then :
elif [ -z "$home" ]; then only "the user has no home directory"
elif linked; then :
elif [ ! -e "$home/.docker" ] && [ ! -L "$home/.docker" ]; then
  ln -s "$run/docker" "$home/.docker" || only "~/.docker cannot be made"
elif [ ! -d "$home/.docker" ]; then only "~/.docker is no folder and was kept"
else
  new=$home/.docker/.config.json.new
  { rm -f "$new" && ln -s "$file" "$new" && mv -f "$new" "$home/.docker/config.json"; } ||
    only "~/.docker cannot be written to"
fi
"""
)


_NORMAL = (Part.CONFIG, Part.OWN, Part.LINK)
# What can still be done where the user's file cannot be understood: it is left alone.
_BESIDE_MALFORMED = {
    Place.OWN: (Part.CONFIG,),
    Place.SAVED: (Part.CONFIG, Part.LINK),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenConfig:
    """What READ_SCRIPT found. The content is the user's, and may be anything."""

    place: Place
    entries: Entries
    token: SecretText | None
    content: bytes


def parse_seen(output: bytes) -> SeenConfig:
    """Raises Invalid for what READ_SCRIPT does not print: there is no shell, or no such tool."""
    lines = output.split(b"\n", 3)
    try:
        place = Place(lines[0].decode("ascii", "replace"))
        entries, token, content = lines[1:]
    except ValueError:
        raise Invalid("The docker config of the codespace could not be read.") from None
    text = token.decode("ascii", "replace")
    return SeenConfig(
        place=place,
        entries=parse_entries(entries.decode(errors="replace")),
        token=SecretText(text) if text else None,
        content=content,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Replacement:
    """What is to take the place of what was seen."""

    merged: MergedConfig
    parts: tuple[Part, ...]
    notes: tuple[str, ...]


def plan_replacement(
    seen: SeenConfig, credentials: Iterable[RegistryCredential], not_renewed: Collection[str] = ()
) -> Replacement:
    """The file with these logins and the user's own; beside the user's file where that cannot be understood."""
    wanted = tuple(credentials)
    try:
        merged = _merge(seen, wanted, not_renewed)
    except Invalid as refusal:
        parts = _BESIDE_MALFORMED.get(seen.place, ())
        where = " They are in /run/codespaces/docker only." if parts else ""
        note = f"Your docker config was left alone, without the registry credentials of now: {refusal.message}{where}"
        return Replacement(merged=merge_docker_config(None, NO_ENTRIES, wanted), parts=parts, notes=(note,))
    return Replacement(merged=merged, parts=_NORMAL, notes=merged.notes)


def _merge(seen: SeenConfig, wanted: Iterable[RegistryCredential], not_renewed: Collection[str]) -> MergedConfig:
    if seen.place is Place.ODD:
        raise Invalid("It is no file that can be read.")
    return merge_docker_config(seen.content, seen.entries, wanted, not_renewed)


def plan_saving(seen: SeenConfig) -> Replacement | None:
    """What keeps the user's own part when the container stops; None: there is nothing that could be kept."""
    if seen.place is not Place.RUN:
        return None
    try:
        merged = merge_docker_config(seen.content, seen.entries, ())
    except Invalid:
        return None
    return Replacement(merged=merged, parts=(Part.OWN,), notes=())


def replacement_input(seen: SeenConfig, replacement: Replacement, token: SecretText | None) -> SecretText:
    """What WRITE_SCRIPT reads: a mark, four lines, and three texts that each end with the mark."""
    merged = replacement.merged
    old = seen.content.decode(errors="replace")
    texts = [old, merged.text.reveal(), merged.own.reveal()]
    mark = "----"
    while any(mark in text for text in texts):
        mark += "-"
    lines = [mark, seen.place.value, " ".join(replacement.parts), "" if token is None else token.reveal()]
    head = "".join(f"{line}\n" for line in [*lines, format_entries(merged.entries)])
    body = "".join(f"{text}{'' if not text or text.endswith(chr(10)) else chr(10)}{mark}\n" for text in texts)
    return SecretText(head + body)
