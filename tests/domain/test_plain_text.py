"""Nothing of a stranger's text steers a terminal or a page."""

import pytest

from berth.domain.plain_text import clean, clean_line

HOSTILE = [
    ("\x1b]0;owned\x07title", "title"),
    ("\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\", "link"),
    ("\x1b[2J\x1b[1;31mred\x1b[0m", "red"),
    ("\x9b31mC1", "C1"),
    ("\x1bP1$r\x1b\\dcs", "dcs"),
    ("\x1bcreset", "reset"),
    ("over\rwritten", "over\nwritten"),
    ("back\x08space\x00\x7f", "backspace"),
    ("\u202egnp.exe", "gnp.exe"),
    ("arabic\u061cmark", "arabicmark"),
    ("hidden\U000e0041\U000e007ftags\ufff9note\ufffb", "hiddentagsnote"),
    ("zero\u200bwidth", "zerowidth"),
    ("unfinished\x1b[", "unfinished"),
    ("tab\tnewline\nä", "tab\tnewline\nä"),
]


@pytest.mark.parametrize("text, expected", HOSTILE, ids=[repr(text) for text, _ in HOSTILE])
def test_nothing_that_steers_a_terminal_survives(text: str, expected: str) -> None:
    assert clean(text) == expected


def test_one_line() -> None:
    assert clean_line(" a\r\nb\t\x1b[1mc\n") == "a b c"
