"""What is in a repository comes along: branch, index and files, and nothing of the target's is lost."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from teleclaude.errors import ConflictError
from teleclaude.service.handoff.git import Repository
from tests.integration.handoff.pair import HERE, THERE, Pair, git
from tests.support.fleet import refused

MOVE = {"computer": THERE, "git": "bundle"}


@pytest.fixture
def here(both: Pair) -> Path:
    """A repository on both computers, with one commit on each."""
    here, there = both.folders[HERE], both.folders[THERE]
    git(here, "init", "-q", "-b", "main")
    (here / "kept").write_text("kept\n")
    (here / "changed").write_text("before\n")
    (here / "removed").write_text("x\n")
    (here / ".gitignore").write_text("*.log\n")
    git(here, "add", ".")
    git(here, "commit", "-q", "-m", "first")
    git(there, "clone", "-q", str(here), ".")
    return here


@pytest.fixture
def there(both: Pair, here: Path) -> Path:
    return both.folders[THERE]


def state(folder: Path) -> list[str]:
    """Branch, commit, index and files."""
    return [
        git(folder, *words.split())
        for words in ("symbolic-ref --short HEAD", "rev-parse HEAD", "write-tree", "status --porcelain", "diff")
    ]


async def test_changes_of_every_kind_come_along(both: Pair, here: Path, there: Path) -> None:
    git(here, "checkout", "-q", "-b", "feature")
    (here / "new").write_text("committed\n")
    git(here, "add", "new")
    git(here, "commit", "-q", "-m", "second")
    (here / "staged").write_text("staged\n")
    (here / "changed").write_text("staged\n")
    git(here, "add", "staged", "changed")
    (here / "changed").write_text("not staged\n")
    (here / "removed").unlink()
    (here / "with space ü").write_text("untracked\n")
    (here / "sub").mkdir()
    (here / "sub/deep").write_text("untracked\n")
    (here / "noise.log").write_text("ignored\n")
    before = state(here)
    await both.start(["cat"])
    await both.move(git="bundle")
    assert state(there) == before
    assert state(here) == before
    assert (there / "changed").read_text() == "not staged\n"
    assert (there / "sub/deep").read_text() == "untracked\n"
    assert not (there / "removed").exists()
    assert not (there / "noise.log").exists()
    for folder in (here, there):
        assert git(folder, "for-each-ref", "refs/teleclaude") == ""


async def test_a_clean_repository_comes_along_and_back(both: Pair, here: Path, there: Path) -> None:
    (here / "kept").write_text("more\n")
    git(here, "commit", "-q", "-a", "-m", "second")
    await both.start(["cat"])
    await both.move(git="bundle")
    assert state(there) == state(here)
    (there / "kept").write_text("still more\n")
    git(there, "commit", "-q", "-a", "-m", "third")
    (there / "untracked").write_text("new\n")
    await both.back(git="bundle")
    assert state(here) == state(there)
    assert (here / "kept").read_text() == "still more\n"


async def test_a_dirty_target_is_refused(both: Pair, here: Path, there: Path) -> None:
    (there / "precious").write_text("only here\n")
    await both.start(["cat"])
    assert await refused(both.here, "POST", "/sessions/work/handoff", MOVE) == (409, "conflict")
    assert (there / "precious").read_text() == "only here\n"
    assert (await both.here.get("/sessions/work"))["state"] == "running"
    git(there, "add", "precious")
    assert await refused(both.here, "POST", "/sessions/work/handoff", MOVE) == (409, "conflict")


async def test_a_target_that_has_diverged_is_refused(both: Pair, here: Path, there: Path) -> None:
    (there / "kept").write_text("of the target\n")
    git(there, "commit", "-q", "-a", "-m", "theirs")
    (here / "kept").write_text("of the source\n")
    git(here, "commit", "-q", "-a", "-m", "ours")
    before = state(there)
    await both.start(["cat"])
    assert await refused(both.here, "POST", "/sessions/work/handoff", MOVE) == (409, "conflict")
    assert state(there) == before
    session = await both.here.get("/sessions/work")
    assert (session["state"], session["epoch"]) == ("running", 1)
    # Without git nothing is touched.
    await both.move()
    assert state(there) == before


async def test_a_branch_is_a_branch_and_no_expression(here: Path, there: Path, tmp_path: Path) -> None:
    git(there, "checkout", "-q", "-b", "precious")
    (there / "kept").write_text("only here\n")
    git(there, "commit", "-q", "-a", "-m", "theirs")
    precious = git(there, "rev-parse", "HEAD")
    git(there, "checkout", "-q", "main")
    packed = await Repository(str(here)).pack("H1", tmp_path / "bundle", [])
    with pytest.raises(ConflictError):
        await Repository(str(there)).fetch("H1", tmp_path / "bundle", replace(packed, branch="@{-1}"))
    assert git(there, "rev-parse", "precious") == precious


async def test_what_cannot_be_bundled_says_so(both: Pair, here: Path, there: Path) -> None:
    await both.start(["cat"])
    git(here, "checkout", "-q", "--detach")
    await both.move(git="bundle")
    assert git(there, "rev-parse", "--abbrev-ref", "HEAD") == "HEAD"
    git(there, "checkout", "-q", "main")
    git(there, "checkout", "-q", "-b", "other")
    (there / "kept").write_text("one\n")
    git(there, "commit", "-q", "-a", "-m", "one")
    git(there, "checkout", "-q", "main")
    (there / "kept").write_text("two\n")
    git(there, "commit", "-q", "-a", "-m", "two")
    merge_conflict(there)
    body = {"computer": HERE, "git": "bundle"}
    assert await refused(both.there, "POST", "/sessions/work/handoff", body) == (409, "conflict")


def merge_conflict(folder: Path) -> None:
    with pytest.raises(AssertionError):
        git(folder, "merge", "-q", "other")
