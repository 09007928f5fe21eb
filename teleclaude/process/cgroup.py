"""Control groups, version 2, where one is delegated to this process: the one net no descendant slips through.

Source: the kernel's admin-guide/cgroup-v2, for ``cgroup.kill`` 5.14 or newer. Elsewhere ``find_delegated`` answers None
and executions are followed by process group and descent alone.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import structlog

log = structlog.get_logger(__name__)

LEAF = "daemon"
"""The group of the daemon itself beside those of its executions."""


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


def find_delegated(proc: Path = Path("/proc/self")) -> CgroupRoot | None:
    """Our own group when it is ours to divide: writable, and for root marked as delegated (``user.delegate``).

    Root can write everywhere, but a group that a service manager has not delegated is that manager's alone.
    """
    try:
        directory = own_directory((proc / "cgroup").read_text(), (proc / "mountinfo").read_text())
    except OSError:
        return None
    if directory is None:
        return None
    # Who has moved to the leaf already divides the group above it.
    candidates = (directory.parent, directory) if directory.name == LEAF else (directory,)
    return next((CgroupRoot(candidate) for candidate in candidates if _is_ours(candidate)), None)


@dataclass(frozen=True, slots=True)
class CgroupRoot:
    """Where the groups of executions are made. Caps are set where the controller is enabled here: see ``enable``."""

    directory: Path
    pids_max: int | None = None
    memory_max_bytes: int | None = None

    def with_caps(self, *, pids_max: int | None, memory_max_bytes: int | None) -> CgroupRoot:
        """The same with these caps; what cannot be enforced is said in the log."""
        for controller, cap in (("pids", pids_max), ("memory", memory_max_bytes)):
            try:
                if cap is not None:
                    self.enable(controller)
            except OSError as error:
                log.warning("caps_not_enforced", controller=controller, detail=str(error))
        return CgroupRoot(self.directory, pids_max, memory_max_bytes)

    def enable(self, *controllers: str) -> None:
        """Let the groups made here have ``controllers``, such as ``memory``.

        A group that holds processes passes none on, so this process moves to a leaf of its own first. Raises
        ``OSError`` where the controller is not available, or others share our group.
        """
        control = self.directory / "cgroup.subtree_control"
        missing = set(controllers).difference(control.read_text().split())
        if not missing:
            return
        leaf = self.directory / LEAF
        leaf.mkdir(exist_ok=True)
        (leaf / "cgroup.procs").write_text("0")
        control.write_text(" ".join(f"+{name}" for name in sorted(missing)))

    def create(self, name: str) -> Cgroup | None:
        """A new, empty group; None when the system refuses one (then descent alone is followed)."""
        group = Cgroup(self.directory / f"execution-{name}")
        try:
            group.directory.mkdir()
            for cap, value in (("pids.max", self.pids_max), ("memory.max", self.memory_max_bytes)):
                if value is not None and (group.directory / cap).exists():
                    (group.directory / cap).write_text(str(value))
        except OSError as error:
            log.warning("cgroup_not_created", group=name, error=str(error))
            group.remove()
            return None
        return group


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

    def kill(self) -> None:
        """SIGKILL to everything in it at once, also to what is just being forked."""
        with suppress(OSError):
            (self.directory / "cgroup.kill").write_text("1")

    def remove(self) -> None:
        """Remove the empty group; one that still holds something stays."""
        for directory in (*reversed(list(self._below())), self.directory):
            with suppress(OSError):
                directory.rmdir()

    def _below(self) -> Iterable[Path]:
        return sorted(path for path in self.directory.glob("**/") if path != self.directory)


def _is_ours(directory: Path) -> bool:
    if not os.access(directory, os.W_OK) or not os.access(directory / "cgroup.procs", os.W_OK):
        return False
    return os.geteuid() != 0 or _is_marked(directory)


def _is_marked(directory: Path) -> bool:
    for attribute in ("user.delegate", "trusted.delegate"):
        with suppress(OSError):
            if os.getxattr(directory, attribute) == b"1":
                return True
    return False


def _unescape(field: str) -> str:
    """Space, tab, newline and backslash stand as octal in mountinfo."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), field)
