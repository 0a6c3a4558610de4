"""The documents that the server shows itself, as HTML: docs/errors.md, which an error's `documentation_url` leads to, and
docs/access-rules.md. Each row of a table has its first word (a code, a rule) as the anchor.
"""

import re
from collections.abc import Iterator
from html import escape
from itertools import groupby
from pathlib import Path

PATH = "/docs/errors"
DOCUMENTS = {PATH: "errors.md", "/docs/access-rules": "access-rules.md"}
_STYLE = (
    "body{font:16px/1.5 sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse}td,th{border:1px solid #bbb;padding:.3rem .6rem;text-align:left;vertical-align:top}"
    "tr:target{background:#fff3c4}"
)
# Nothing is loaded and nothing runs.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
}


def read_documents() -> dict[str, str]:
    """The pages by their paths, of the documents that came with the program: in a wheel they are beside the code."""
    return {path: make_errors_page(_read(name)) for path, name in DOCUMENTS.items()}


def _read(name: str) -> str:
    packaged = Path(__file__).parents[1] / "docs" / name
    return (packaged if packaged.exists() else Path(__file__).parents[3] / "docs" / name).read_text()


def make_errors_page(markdown: str) -> str:
    """The whole page. Of Markdown it knows what that document uses: headings, paragraphs, tables, code and strong words."""
    blocks = groupby(markdown.splitlines(), key=_kind_of)
    body = "\n".join(line for kind, lines in blocks for line in _block(kind, list(lines)))
    title = escape(markdown.partition("\n")[0].lstrip("# "))
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f"<style>{_STYLE}</style></head><body>\n{body}\n</body></html>\n"
    )


def _kind_of(line: str) -> str:
    if not line.strip():
        return "gap"
    return "heading" if line.startswith("#") else "table" if line.startswith("|") else "text"


def _block(kind: str, lines: list[str]) -> Iterator[str]:
    match kind:
        case "heading":
            for line in lines:
                level = len(line) - len(line.lstrip("#"))
                yield f"<h{level}>{_inline(line.lstrip('# '))}</h{level}>"
        case "table":
            yield from _table(lines)
        case "text":
            yield f"<p>{_inline(' '.join(lines))}</p>"
        case _:
            return


def _table(lines: list[str]) -> Iterator[str]:
    head, _, *rows = ([cell.strip() for cell in line.strip().strip("|").split("|")] for line in lines)
    yield f"<table><tr>{''.join(f'<th>{_inline(cell)}</th>' for cell in head)}</tr>"
    for row in rows:
        cells = "".join(f"<td>{_inline(cell)}</td>" for cell in row)
        yield f'<tr id="{escape(row[0].strip("`"))}">{cells}</tr>'
    yield "</table>"


def _inline(text: str) -> str:
    """Escaped first: what stands in the document cannot become a tag."""
    coded = re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))
    return re.sub(r"\*\*([^*]+)\*\*", r"<strong>\1</strong>", coded)
