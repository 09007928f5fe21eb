"""A repository's state as one bundle: branch, index and working tree, untracked files that are not ignored included.

The working tree and the index become two commits above the branch's own, seen by nobody: ``index`` holds what is
staged, ``tree`` above it what is in the files. The target takes the branch, then the files, then the index.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from teleclaude.errors import ConflictError, InvalidError
from teleclaude.tasks import run_bounded

OPERATION = "handoff.git"
GIT_SECONDS = 60.0
MAX_COMMITS = 200
_REF = "refs/teleclaude/handoff/"
_QUIET = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_OPTIONAL_LOCKS": "0",
    "LC_ALL": "C",
    "GIT_AUTHOR_NAME": "teleclaude",
    "GIT_AUTHOR_EMAIL": "teleclaude@localhost",
    "GIT_COMMITTER_NAME": "teleclaude",
    "GIT_COMMITTER_EMAIL": "teleclaude@localhost",
}
_LEFT_OUT = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE")
_PLAIN = ("-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "gc.auto=0")


@dataclass(frozen=True, slots=True)
class Packed:
    """``branch`` is None for a detached head, ``commit`` the branch's own newest commit."""

    branch: str | None
    commit: str


class Repository:
    """The one that ``directory`` is in."""

    def __init__(self, directory: str) -> None:
        self._directory = directory

    async def commits(self) -> list[str]:
        """What it has, by the tips of its branches. Raises ``InvalidError`` for what is no repository with commits."""
        await self._root()
        listed = await self._run("for-each-ref", "--format=%(objectname)", f"--count={MAX_COMMITS}", "refs/heads")
        return sorted(set(listed.split()))

    async def pack(self, handoff: str, file: Path, known: Sequence[str]) -> Packed:
        """Write the bundle to ``file``; ``known`` are commits that the other side has.

        Raises ``InvalidError`` for a repository without a commit, ``ConflictError`` for one amid a merge.
        """
        root = await self._root()
        commit = (await self._run("rev-parse", "--verify", "-q", "HEAD^{commit}", wrong="has no commit yet")).strip()
        branch = (await self._run("symbolic-ref", "-q", "--short", "HEAD", check=False)).strip() or None
        staged = await self._run("write-tree", wrong="is amid a merge; finish or abort it first")
        index = await self._commit(staged.strip(), commit)
        tree = await self._commit(await self._files(file.with_name("index")), index)
        shared = [sha for sha in known if await self._has(sha)]
        ref = _REF + handoff
        await self._run("update-ref", ref, tree)
        try:
            await self._run("bundle", "create", "-q", str(file), ref, *(f"^{sha}" for sha in shared), cwd=root)
        finally:
            await self._run("update-ref", "-d", ref)
        return Packed(branch, commit)

    async def require_clean(self) -> None:
        """Raises ``ConflictError`` when there are changes, or files that nobody tracks, which would be lost."""
        root = await self._root()
        changes = await self._run("status", "--porcelain", "--untracked-files=normal", cwd=root)
        if changes:
            first = changes.splitlines()[0][3:]
            raise ConflictError(
                f"the repository {root} has changes there ({first} for one); commit or stash them first",
                operation=OPERATION,
            )

    async def fetch(self, handoff: str, bundle: Path, packed: Packed) -> None:
        """Take in the bundle's objects, and see whether its branch can follow the one here.

        Raises ``ConflictError`` when that one has commits the bundle's does not have.
        """
        await self.require_clean()
        if packed.branch is not None:
            # Words such as @{-1} would mean another branch here than the one that is looked at.
            await self._run(
                "check-ref-format", f"refs/heads/{packed.branch}", wrong="cannot have a branch of that name"
            )
        ref = _REF + handoff
        await self._run(
            "fetch",
            "-q",
            "--no-recurse-submodules",
            "--no-tags",
            "--no-write-fetch-head",
            str(bundle),
            f"+{ref}:{ref}",
            wrong="lacks what the bundle builds on",
        )
        if packed.branch is None:
            return
        here = (await self._run("rev-parse", "--verify", "-q", f"refs/heads/{packed.branch}", check=False)).strip()
        if here and not await self._contains(packed.commit, here):
            raise ConflictError(
                f"branch {packed.branch} has diverged there: it has commits that are not here; merge them first",
                operation=OPERATION,
            )

    async def apply(self, handoff: str, packed: Packed, scratch: Path) -> None:
        """Make branch, files and index what they were; nothing happens where they are. ``scratch`` is a file's name.

        Raises ``ConflictError`` when that is not possible any more.
        """
        ref, root = _REF + handoff, await self._root()
        if await self._is_applied(ref, packed, scratch):
            return
        await self.require_clean()
        to = ("-B", packed.branch, packed.commit) if packed.branch is not None else ("--detach", packed.commit)
        await self._run("checkout", "-q", "--no-overwrite-ignore", *to, cwd=root, wrong="cannot take the branch")
        await self._run("read-tree", "-m", "-u", "HEAD", ref, cwd=root, wrong="cannot take the files")
        await self._run("read-tree", f"{ref}^", cwd=root)
        await self._run("update-index", "-q", "--refresh", cwd=root, check=False)

    async def _is_applied(self, ref: str, packed: Packed, scratch: Path) -> bool:
        """Whether an earlier try got to its end."""
        head = (await self._run("rev-parse", "--verify", "-q", "HEAD", check=False)).strip()
        branch = (await self._run("symbolic-ref", "-q", "--short", "HEAD", check=False)).strip() or None
        if (branch, head) != (packed.branch, packed.commit):
            return False
        wanted = (await self._run("rev-parse", f"{ref}^{{tree}}", f"{ref}^^{{tree}}", check=False)).split()
        index = (await self._run("write-tree", check=False)).strip()
        return wanted == [await self._files(scratch), index]

    async def forget(self, handoff: str) -> None:
        await self._run("update-ref", "-d", _REF + handoff, check=False)

    async def _files(self, scratch: Path) -> str:
        """The tree of what is in the working tree, untracked files that are not ignored included."""
        found = Path((await self._run("rev-parse", "--git-path", "index")).rstrip("\n"))
        index = found if found.is_absolute() else Path(self._directory, found)
        # A copy of the index, so that unchanged files are not read again.
        if index.exists():
            await asyncio.to_thread(shutil.copyfile, index, scratch)
        try:
            files = {"GIT_INDEX_FILE": str(scratch)}
            await self._run("add", "-A", "--", ":/", env=files)
            return (await self._run("write-tree", env=files)).strip()
        finally:
            await asyncio.to_thread(scratch.unlink, missing_ok=True)

    async def _root(self) -> str:
        return (await self._run("rev-parse", "--show-toplevel", wrong="is in no git repository")).rstrip("\n")

    async def _commit(self, tree: str, parent: str) -> str:
        return (await self._run("commit-tree", tree, "-p", parent, "-m", "teleclaude handoff")).strip()

    async def _has(self, sha: str) -> bool:
        return bool(await self._run("rev-parse", "--verify", "-q", f"{sha}^{{commit}}", check=False))

    async def _contains(self, commit: str, ancestor: str) -> bool:
        base = await self._run("merge-base", commit, ancestor, check=False)
        return base.strip() == ancestor

    async def _run(
        self,
        *words: str,
        env: dict[str, str] | None = None,
        cwd: str | None = None,
        check: bool = True,
        wrong: str = "",
    ) -> str:
        """What git says on its standard output. Raises ``ConflictError`` and ``InvalidError``."""
        full = {name: value for name, value in os.environ.items() if name not in _LEFT_OUT} | _QUIET | (env or {})
        done = await run_bounded(
            ["git", *_PLAIN, *words],
            operation=OPERATION,
            timeout=GIT_SECONDS,
            env=full,
            cwd=cwd or self._directory,
            max_output=8 << 20,
        )
        if check and done.returncode != 0:
            said = done.stderr.decode(errors="replace").strip().splitlines()
            detail = f"{self._directory} {wrong}" if wrong else f"git {words[0]} failed in {self._directory}"
            kind = InvalidError if "no git repository" in wrong or "no commit" in wrong else ConflictError
            raise kind(f"{detail}{': ' + said[-1][:300] if said else ''}", operation=OPERATION)
        return done.stdout.decode(errors="surrogateescape") if done.returncode == 0 else ""
