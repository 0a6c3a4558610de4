"""A whole number that somebody sent as text: in a path, a query, a header, a form."""

_MOST_DIGITS = 18  # of 63 bits, which a database holds


def parse_whole_number(text: str) -> int | None:
    """None for all but ASCII digits (`int` also takes signs, blanks, `_` and other digits), and for too many of them."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS else None
