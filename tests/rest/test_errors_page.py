"""What an error's documentation_url leads to, and where the console's trails do."""

import re
from pathlib import Path

import pytest

from berth.rest.errors_page import DOCUMENTS, make_errors_page, read_documents

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize(("path", "least"), [("/docs/errors", 200), ("/docs/access-rules", 50)])
def test_every_code_is_an_anchor(path: str, least: int) -> None:
    codes = re.findall(r"^\| `([^`]+)` \|", (DOCS / DOCUMENTS[path]).read_text(), re.MULTILINE)
    page = read_documents()[path]
    assert len(codes) > least
    assert [code for code in codes if f'<tr id="{code}">' not in page] == []
    assert "`" not in page
    assert "**" not in page


def test_headings_paragraphs_tables_and_nothing_else() -> None:
    page = make_errors_page(
        '# Codes <1>\n\nA `b <i>`\nand **c**.\n\n| x | y |\n|---|---|\n| `a.b` | "<z>" |\n\n## End\n'
    )
    assert "<title>Codes &lt;1&gt;</title>" in page
    assert page.partition("<body>\n")[2].partition("\n</body>")[0].splitlines() == [
        "<h1>Codes &lt;1&gt;</h1>",
        "<p>A <code>b &lt;i&gt;</code> and <strong>c</strong>.</p>",
        "<table><tr><th>x</th><th>y</th></tr>",
        '<tr id="a.b"><td><code>a.b</code></td><td>&quot;&lt;z&gt;&quot;</td></tr>',
        "</table>",
        "<h2>End</h2>",
    ]
