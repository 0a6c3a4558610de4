"""The creation log: what is masked out of it however it comes, and that it stays within bounds."""

import asyncio
import json
from pathlib import Path

import pytest
from tests.codespace_world import CodespaceWorld, make_codespace_world

from berth.adapters.store.database import Store
from berth.domain.finding import Finding, Fixer
from berth.domain.secret_text import SecretText
from berth.services.creation_log import CreationLog, OutputLines
from berth.services.ports import PullProgress

MASK = SecretText.MASK


pytestmark = pytest.mark.parametrize(
    "database_url", ["sqlite"], indirect=True
)  # nothing here asks the database anything new


@pytest.fixture
async def codespaces(store: Store, tmp_path: Path) -> CodespaceWorld:
    return await make_codespace_world(store, tmp_path)


@pytest.fixture
async def log(codespaces: CodespaceWorld) -> CreationLog:
    codespace = await codespaces.get(await codespaces.create())
    return CreationLog(codespaces.store, codespaces.secrets.clock, codespace.id)


async def lines(world: CodespaceWorld, kind: str = "output") -> list[str]:
    view, *_ = (await world.service.list_own(world.secrets.subject("olga"), None, limit=1, offset=0))[0]
    return [entry.text for entry in await world.log(view.codespace.name) if entry.kind == kind]


async def test_a_server_that_is_late_writes_nothing_of_what_is_gone(codespaces: CodespaceWorld) -> None:
    name, other = await codespaces.create(), await codespaces.create()
    late, kept = [
        CreationLog(codespaces.store, codespaces.secrets.clock, (await codespaces.get(one)).id) for one in (name, other)
    ]
    await codespaces.service.delete(codespaces.secrets.subject("olga"), name)
    await codespaces.run(await codespaces.claim(name))
    assert await codespaces.find(name) is None
    await late.phase("Available")
    await kept.phase("Available")
    assert [entry.text for entry in await codespaces.log(other)][-1:] == ["Available"], "the positive control"


@pytest.mark.parametrize(
    ("secrets", "text", "shown"),
    [
        (["hunter22"], "it is hunter22!", f"it is {MASK}!"),
        (["hunter22"], "hunter22hunter22", MASK * 2),
        (["abcd1234", "1234wxyz"], "<abcd1234wxyz>", f"<{MASK}>"),
        (["abcd", "abcdefgh"], "abcdefgh abcd", f"{MASK} {MASK}"),
        (["abab"], "ababab", MASK),
        (["-----BEGIN\nfirst line\nsecond line\n"], "second line, first line", f"{MASK}, {MASK}"),
        (["first\r\nother"], "other", MASK),
        (["  padded  "], "padded", MASK),
        (["abc", "", "\n", " x "], "abc x", "abc x"),
    ],
    ids=[
        "one",
        "twice in a row",
        "two that overlap",
        "one within another",
        "one that overlaps itself",
        "each line of several",
        "lines that end with a carriage return",
        "without the white space around it",
        "shorter than four characters: shown, or every word would be masked",
    ],
)
async def test_masking(log: CreationLog, secrets: list[str], text: str, shown: str) -> None:
    log.mask(map(SecretText, secrets))
    assert log.clean(text) == shown


async def test_a_secret_cut_in_two_by_a_read_is_masked(codespaces: CodespaceWorld, log: CreationLog) -> None:
    log.mask([SecretText("hunter22-hunter22")])
    output = OutputLines(log)
    for chunk in (b"a hunter22", b"-hunt", b"er22 b\nnext", b" line\nthe last: hunter22-", b"hunter22"):
        await output.feed(chunk)
    await output.end()
    await output.end()  # nothing is left to be said twice
    await log.flush()
    assert await lines(codespaces) == [f"a {MASK} b", "next line", f"the last: {MASK}"]


async def test_a_multi_line_secret_is_masked_line_by_line(codespaces: CodespaceWorld, log: CreationLog) -> None:
    log.mask([SecretText("one-half\nother-half")])
    output = OutputLines(log)
    await output.feed(b"KEY=one-half\nother-half\n")
    await output.end()
    await log.flush()
    assert await lines(codespaces) == [f"KEY={MASK}", MASK]


async def test_a_line_too_long_to_be_kept_is_not_shown_in_parts(codespaces: CodespaceWorld, log: CreationLog) -> None:
    """Wherever it were cut, a secret could be cut as well: its halves would not be recognised."""
    secret = "s3cret-" * 6000
    log.mask([SecretText(secret)])
    output = OutputLines(log)
    text = (secret * 12).encode()
    for start in range(0, len(text), 50_000):
        await output.feed(text[start : start + 50_000])
    await output.feed(b"\nfine\n")
    await output.feed(text)
    await output.end()
    await log.flush()
    said = "(a line of more than 16 KiB is not shown)"
    assert await lines(codespaces) == [said, "fine", said]


async def test_a_long_line_is_masked_before_it_is_cut(codespaces: CodespaceWorld, log: CreationLog) -> None:
    log.mask([SecretText("hunter22")])
    await log.output("x" * 3995 + "hunter22")
    await log.flush()
    assert await lines(codespaces) == ["x" * 3995 + MASK[:5]]


async def test_more_than_5000_lines_are_not_kept(codespaces: CodespaceWorld, log: CreationLog) -> None:
    await log.output("\n".join(f"line {number}" for number in range(6000)))
    await log.phase("next")
    kept = await lines(codespaces)
    assert len(kept) == 5000
    assert kept[-2:] == ["line 4998", "(more than 5000 lines; the rest is not kept)"]
    assert await lines(codespaces, "phase") == ["next"]


async def test_progress_comes_at_most_twice_a_second_and_at_the_end(
    codespaces: CodespaceWorld, log: CreationLog
) -> None:
    for done in (0, 1, 2, 3):
        await log.progress(PullProgress(layers_total=3, layers_done=done, bytes_total=9, bytes_done=done))
    assert [json.loads(text)["layers_done"] for text in await lines(codespaces, "progress")] == [0, 3]


async def test_lines_are_written_in_time_although_nothing_is_full(codespaces: CodespaceWorld, log: CreationLog) -> None:
    await log.output("first")
    assert await lines(codespaces) == []
    await asyncio.sleep(0.35)
    await log.output("second")
    assert await lines(codespaces) == ["first", "second"]


async def test_a_finding_is_masked_in_every_part(codespaces: CodespaceWorld, log: CreationLog) -> None:
    log.mask([SecretText("hunter22")])
    dirty = Finding(
        code="x.y",
        sentence="It said hunter22.",
        fixer=Fixer.DEVELOPER,
        next_step="Not hunter22.",
        evidence={"reason": "hunter22"},
    )
    clean = await log.finding(dirty)
    assert (clean.sentence, clean.next_step, clean.evidence) == (
        f"It said {MASK}.",
        f"Not {MASK}.",
        {"reason": MASK},
    )
    assert "hunter22" not in "".join(await lines(codespaces, "finding"))
