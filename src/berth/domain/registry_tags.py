"""The tags of a repository in another registry, and which of them somebody may have meant.

Source: OCI distribution-spec v1.1, "Content discovery". One page of the list is read; the next is named by a link that leads
wherever the registry says.
"""

import difflib
import re

from berth.domain.exchange_message import json_object

MAX_TAGS_BYTES = 256 * 1024
MAX_NAMED = 5

_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_MAX_TAGS = 1000


def read_tags(body: bytes) -> tuple[str, ...]:
    """Those of an answer that are tags."""
    tags = json_object(body).get("tags")
    found = tags[:_MAX_TAGS] if isinstance(tags, list) else []
    return tuple(tag for tag in found if isinstance(tag, str) and _TAG.fullmatch(tag))


def near_tags(wanted: str, tags: tuple[str, ...]) -> tuple[str, ...]:
    """A few, the most similar first; where none is similar, the last of the list."""
    near = difflib.get_close_matches(wanted.lower(), [tag.lower() for tag in tags], n=MAX_NAMED, cutoff=0.5)
    by_lower = {tag.lower(): tag for tag in reversed(tags)}
    return tuple(by_lower[tag] for tag in dict.fromkeys(near)) or tags[-MAX_NAMED:]
