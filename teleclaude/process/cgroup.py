"""Control groups, version 2, where one is delegated to this process: the one net no descendant slips through.

Source: the kernel's admin-guide/cgroup-v2, for ``cgroup.kill`` 5.14 or newer. Elsewhere ``claim`` answers None and
executions are followed by process group and descent alone.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import structlog

log = structlog.get_logger(__name__)

LEAF = "daemon"
"""The group of the daemon itself beside those of its executions."""

_PREFIX = "execution-"
_CONTROL = "cgroup.subtree_control"


def parse_own_path(text: str) -> str | None:
    """Our path in the version 2 hierarchy, from ``/proc/self/cgroup``."""
    for line in text.splitlines():
        if line.startswith("0::"):
            return line[3:]
    return None


def parse_mount(text: str) -> tuple[str, str] | None:
    """Root and mount point of the version 2 hierarchy, from ``/proc/self/mountinfo`` (proc(5))."""
    for line in text.splitlines():
        before, _, after = line.partition(" - ")
        fields = before.split()
        if after.startswith("cgroup2 ") and len(fields) >= 5:
            return _unescape(fields[3]), _unescape(fields[4])
    return None


def own_directory(cgroup: str, mountinfo: str) -> Path | None:
    """The directory of our own group; None when no version 2 hierarchy shows it."""
    path, mount = parse_own_path(cgroup), parse_mount(mountinfo)
    if path is None or mount is None:
        return None
    root, point = Path(mount[0]), Path(mount[1])
    if not Path(path).is_relative_to(root):
        return None
    return point / Path(path).relative_to(root)


def find_own(proc: Path = Path("/proc/self")) -> Path | None:
    """The directory of our own group; None where there is none, or it cannot be told."""
    try:
        return own_directory((proc / "cgroup").read_text(), (proc / "mountinfo").read_text())
    except OSError:
        return None


def find_delegated(proc: Path = Path("/proc/self")) -> CgroupRoot | None:
    """Our own group when it is ours to divide: writable, and marked as delegated (``user.delegate``) or ours alone.

    A user's service manager marks nothing, so there a group in which we are alone has to do. For root it does not: root
    can write everywhere, but a group that the manager has not delegated is that manager's alone. Who is in a leaf was
    started by the daemon that divides the group above it.
    """
    directory = find_own(proc)
    if directory is None or directory.name == LEAF or not _is_ours(directory):
        return None
    return CgroupRoot(directory)


@cache
def claim() -> CgroupRoot | None:
    """The group that is delegated to this process, which moves to a leaf of it; found and done once, at the first call.

    To be called before there are children: a group that holds processes passes no controller on, and they would stay.
    """
    root = find_delegated()
    if root is not None:
        try:
            root.settle()
        except OSError as error:
            log.warning("cgroup_not_divided", directory=str(root.directory), error=str(error))
    return root


@dataclass(frozen=True, slots=True)
class CapsHit:
    """What the kernel did to keep a group's caps: processes killed for memory, and starts of processes refused."""

    memory_kills: int = 0
    refused_starts: int = 0


NO_CAPS_HIT = CapsHit()


@dataclass(frozen=True, slots=True)
class CgroupRoot:
    """Where the groups of executions are made. Caps are set where the controller is enabled here: see ``enable``."""

    directory: Path
    pids_max: int | None = None
    memory_max_bytes: int | None = None

    def with_caps(self, *, pids_max: int | None, memory_max_bytes: int | None) -> CgroupRoot:
        """The same with those of these caps that can be enforced; the log says which cannot."""
        pids = pids_max is not None and _said(self.enable, "pids")
        memory = memory_max_bytes is not None and _said(self.enable, "memory")
        return CgroupRoot(self.directory, pids_max if pids else None, memory_max_bytes if memory else None)

    def enable(self, *controllers: str) -> None:
        """Let the groups made here have ``controllers``, such as ``memory``.

        A group that holds processes passes none on, so this process moves to a leaf of its own first. Raises
        ``OSError`` where the controller is not available, or others share our group.
        """
        if self._missing(controllers):
            self.settle()
            self._pass_on(*controllers)

    def settle(self) -> None:
        """Move this process to the leaf. Raises ``OSError``."""
        leaf = self.directory / LEAF
        leaf.mkdir(exist_ok=True)
        (leaf / "cgroup.procs").write_text("0")

    def disable_all(self) -> None:
        """Undo ``enable``: a process can be put here again. Raises ``OSError``."""
        control = self.directory / _CONTROL
        control.write_text(" ".join(f"-{name}" for name in control.read_text().split()))

    def left(self) -> list[Cgroup]:
        """The groups that are here now; before the first ``create`` they are those of a daemon that died."""
        return [Cgroup(path) for path in sorted(self.directory.glob(f"{_PREFIX}*/"))]

    def create(self, name: str) -> Cgroup | None:
        """A new, empty group; None when the system refuses one (then descent alone is followed)."""
        group = Cgroup(self.directory / f"{_PREFIX}{name}")
        # Looked at each time: a manager that has not delegated the group may take its controllers back.
        caps = list(self._caps())
        try:
            group.directory.mkdir()
            for cap, value in caps:
                if (group.directory / cap).exists():
                    (group.directory / cap).write_text(str(value))
        except OSError as error:
            log.warning("cgroup_not_created", group=name, error=str(error))
            group.remove()
            return None
        return group

    def _missing(self, controllers: Iterable[str]) -> set[str]:
        return set(controllers).difference((self.directory / _CONTROL).read_text().split())

    def _pass_on(self, *controllers: str) -> None:
        missing = self._missing(controllers)
        if missing:
            (self.directory / _CONTROL).write_text(" ".join(f"+{name}" for name in sorted(missing)))

    def _caps(self) -> Iterable[tuple[str, int]]:
        if self.pids_max is not None and _said(self._pass_on, "pids"):
            yield "pids.max", self.pids_max
        if self.memory_max_bytes is not None and _said(self._pass_on, "memory"):
            yield "memory.max", self.memory_max_bytes
            # Without this one the rest would go to swap, and the cap would slow a program down instead.
            yield "memory.swap.max", 0


@dataclass(frozen=True, slots=True)
class Cgroup:
    """One execution's group. Everything started in it stays in it, whatever session or parent it takes."""

    directory: Path

    @property
    def entrance(self) -> Path:
        """Who writes 0 here is in it."""
        return self.directory / "cgroup.procs"

    def pids(self) -> list[int]:
        """Everything in it and below it, zombies included."""
        found: list[int] = []
        for directory in (self.directory, *self._below()):
            with suppress(OSError):
                found += map(int, (directory / "cgroup.procs").read_text().split())
        return found

    def caps_hit(self) -> CapsHit:
        """What its caps brought about so far. A kill on behalf of the whole computer's memory is none of theirs."""
        memory = self._events("memory.events")
        kills = memory.get("oom_kill", 0) if memory.get("oom") else 0
        return CapsHit(kills, self._events("pids.events").get("max", 0))

    def kill(self) -> None:
        """SIGKILL to everything in it at once, also to what is just being forked."""
        with suppress(OSError):
            (self.directory / "cgroup.kill").write_text("1")

    def remove(self) -> None:
        """Remove the empty group; one that still holds something stays."""
        for directory in (*reversed(list(self._below())), self.directory):
            with suppress(OSError):
                directory.rmdir()

    def _events(self, name: str) -> dict[str, int]:
        try:
            words = (self.directory / name).read_text().split()
        except OSError:
            return {}
        return dict(zip(words[::2], map(int, words[1::2]), strict=False))

    def _below(self) -> Iterable[Path]:
        return sorted(path for path in self.directory.glob("**/") if path != self.directory)


def _said(enable: Callable[[str], None], controller: str) -> bool:
    """Whether ``controller`` can be had; the log says when it cannot."""
    try:
        enable(controller)
    except OSError as error:
        log.warning("caps_not_enforced", controller=controller, detail=str(error))
        return False
    return True


def _is_ours(directory: Path) -> bool:
    if not os.access(directory, os.W_OK) or not os.access(directory / "cgroup.procs", os.W_OK):
        return False
    return _is_marked(directory) or (os.geteuid() != 0 and _is_deserted(directory))


def _is_deserted(directory: Path) -> bool:
    """Whether nobody but this process is in it; groups below it may hold others."""
    with suppress(OSError):
        return {str(os.getpid())}.issuperset((directory / "cgroup.procs").read_text().split())
    return False


def _is_marked(directory: Path) -> bool:
    for attribute in ("user.delegate", "trusted.delegate"):
        with suppress(OSError):
            if os.getxattr(directory, attribute) == b"1":
                return True
    return False


def _unescape(field: str) -> str:
    """Space, tab, newline and backslash stand as octal in mountinfo."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), field)
