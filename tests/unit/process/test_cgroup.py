from __future__ import annotations

from pathlib import Path

import pytest

from teleclaude.process.cgroup import Cgroup, CgroupRoot, find_delegated, own_directory, parse_mount, parse_own_path

V1 = "9:name=systemd:/a\n8:pids:/b\n"
V2 = V1 + "0::/user.slice/teleclaude.service\n"
MOUNTS = (
    "30 20 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - tmpfs tmpfs rw,mode=755\n"
    "31 30 0:27 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n"
)
MOUNT_V2 = "32 30 0:28 / /sys/fs/my\\040cgroup rw,nosuid,nodev shared:5 shared:6 - cgroup2 cgroup2 rw,nsdelegate\n"


def test_our_own_group_is_the_line_of_version_2() -> None:
    assert parse_own_path(V2) == "/user.slice/teleclaude.service"
    assert parse_own_path(V1) is None
    assert parse_own_path("") is None


def test_the_mount_is_found_among_those_of_version_1() -> None:
    assert parse_mount(MOUNTS + MOUNT_V2) == ("/", "/sys/fs/my cgroup")
    assert parse_mount(MOUNTS) is None


def test_directory_of_a_group() -> None:
    assert own_directory(V2, MOUNTS + MOUNT_V2) == Path("/sys/fs/my cgroup/user.slice/teleclaude.service")
    below = MOUNT_V2.replace("0:28 / ", "0:28 /user.slice ")
    assert own_directory(V2, below) == Path("/sys/fs/my cgroup/teleclaude.service")
    assert own_directory(V2, below.replace("/user.slice", "/system.slice")) is None
    assert own_directory(V1, MOUNT_V2) is None


def test_without_version_2_nothing_is_delegated(tmp_path: Path) -> None:
    (tmp_path / "cgroup").write_text(V1)
    (tmp_path / "mountinfo").write_text(MOUNTS)
    assert find_delegated(tmp_path) is None
    assert find_delegated(tmp_path / "absent") is None


def test_a_group_that_is_not_there_or_not_ours_is_not_delegated(tmp_path: Path) -> None:
    (tmp_path / "cgroup").write_text(V2)
    (tmp_path / "mountinfo").write_text(MOUNTS + MOUNT_V2)
    assert find_delegated(tmp_path) is None


def test_a_group_is_made_with_caps_where_there_are_controllers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mkdir = Path.mkdir

    def with_pids_controller(path: Path) -> None:
        mkdir(path)
        (path / "pids.max").write_text("max")

    monkeypatch.setattr(Path, "mkdir", with_pids_controller)
    group = CgroupRoot(tmp_path, pids_max=100, memory_max_bytes=1 << 30).create("e1")
    assert group is not None
    assert (group.directory / "pids.max").read_text() == "100"
    assert not (group.directory / "memory.max").exists()


def test_what_cannot_be_made_is_done_without(tmp_path: Path) -> None:
    assert CgroupRoot(tmp_path / "absent").create("e1") is None


def test_a_group_counts_those_below_it_and_goes_with_them(tmp_path: Path) -> None:
    group = CgroupRoot(tmp_path).create("e1")
    assert group is not None
    inner = group.directory / "inner"
    inner.mkdir()
    (group.directory / "cgroup.procs").write_text("10\n11\n")
    (inner / "cgroup.procs").write_text("12\n")
    assert sorted(group.pids()) == [10, 11, 12]
    for file in group.directory.rglob("cgroup.procs"):
        file.unlink()
    group.remove()
    assert list(tmp_path.iterdir()) == []
    assert group.pids() == []
    Cgroup(tmp_path / "gone").kill()
