"""Hashes of uploads under way: whose they are, and how many."""

import hashlib

from berth.adapters.running_hash import RunningHashes, answers, resume
from berth.domain.image_reference import Digest, DigestAlgorithm


def test_a_hash_is_of_so_many_bytes_with_this_mark() -> None:
    hashes, running = RunningHashes(), hashlib.sha256(b"abc")
    hashes.keep("upload", running, 3, "mark")
    known = hashes.take("upload")
    assert resume(known, 3, "mark") is running
    assert resume(known, 2, "mark") is None
    assert resume(known, 3, "another") is None
    assert resume(None, 3, "mark") is None


def test_a_hash_is_taken_once() -> None:
    hashes = RunningHashes()
    hashes.keep("upload", hashlib.sha256(b"abc"), 3, "mark")
    assert hashes.take("another") is None
    assert hashes.take("upload") is not None
    assert hashes.take("upload") is None


def test_nothing_needs_no_knowledge() -> None:
    fresh = resume(None, 0, "")
    assert fresh is not None
    assert answers(fresh, Digest.of(b"")) is True


def test_only_so_many_are_kept() -> None:
    hashes = RunningHashes(capacity=2)
    for name in ("one", "two", "one", "three"):
        hashes.keep(name, hashlib.sha256(), 1, "")
    assert hashes.take("two") is None, "left longest"
    assert hashes.take("one") is not None
    assert hashes.take("three") is not None


def test_what_is_not_known_is_not_kept() -> None:
    hashes = RunningHashes()
    hashes.keep("upload", None, 3, "")
    assert hashes.take("upload") is None


def test_sha256_cannot_answer_for_sha512() -> None:
    running = hashlib.sha256(b"abc")
    assert answers(running, Digest.of(b"abc")) is True
    assert answers(running, Digest.of(b"abd")) is False
    assert answers(running, Digest.of(b"abc", DigestAlgorithm.SHA512)) is None
    assert answers(None, Digest.of(b"abc")) is None
