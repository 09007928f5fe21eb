from __future__ import annotations

import os
from pathlib import Path

import pytest

from teleclaude.process.cgroup import (
    LEAF,
    CapsHit,
    Cgroup,
    CgroupRoot,
    find_delegated,
    own_directory,
    parse_mount,
    parse_own_path,
)

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
    (tmp_path / "cgroup.subtree_control").write_text("pids\n")
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


@pytest.fixture
def hierarchy(tmp_path: Path) -> Path:
    """Files as a process in the group ``unit`` finds them, which holds that process alone."""
    unit = tmp_path / "fs/unit"
    unit.mkdir(parents=True)
    (unit / "cgroup.procs").write_text(f"{os.getpid()}\n")
    (tmp_path / "cgroup").write_text("0::/unit\n")
    (tmp_path / "mountinfo").write_text(f"32 30 0:28 / {tmp_path / 'fs'} rw shared:5 - cgroup2 cgroup2 rw\n")
    return unit


def test_a_users_group_without_a_mark_is_divided_by_who_is_alone_in_it(
    tmp_path: Path, hierarchy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert find_delegated(tmp_path) == CgroupRoot(hierarchy)
    (hierarchy / "cgroup.procs").write_text(f"1\n{os.getpid()}\n")
    assert find_delegated(tmp_path) is None


def test_the_group_above_a_leaf_is_that_daemons_who_made_the_leaf(tmp_path: Path, hierarchy: Path) -> None:
    """Such as one from whose terminal another one is started."""
    os.setxattr(hierarchy, "user.delegate", b"1")
    leaf = hierarchy / LEAF
    leaf.mkdir()
    (leaf / "cgroup.procs").write_text(f"{os.getpid()}\n")
    (hierarchy / "cgroup.procs").write_text("")
    (tmp_path / "cgroup").write_text(f"0::/unit/{LEAF}\n")
    assert find_delegated(tmp_path) is None


def test_root_divides_no_group_without_a_mark(tmp_path: Path, hierarchy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert find_delegated(tmp_path) is None
    os.setxattr(hierarchy, "user.delegate", b"1")
    assert find_delegated(tmp_path) == CgroupRoot(hierarchy)


def test_a_memory_cap_is_not_evaded_by_swap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mkdir = Path.mkdir

    def with_memory_controller(path: Path) -> None:
        mkdir(path)
        for name in ("memory.max", "memory.swap.max"):
            (path / name).write_text("max")

    monkeypatch.setattr(Path, "mkdir", with_memory_controller)
    (tmp_path / "cgroup.subtree_control").write_text("memory pids\n")
    group = CgroupRoot(tmp_path, memory_max_bytes=1 << 30).create("e1")
    assert group is not None
    assert (group.directory / "memory.max").read_text() == str(1 << 30)
    assert (group.directory / "memory.swap.max").read_text() == "0"


def test_controllers_that_were_taken_back_are_asked_for_again(tmp_path: Path) -> None:
    control = tmp_path / "cgroup.subtree_control"
    control.write_text("pids\n")
    root = CgroupRoot(tmp_path).with_caps(pids_max=100, memory_max_bytes=None)
    control.write_text("\n")
    (tmp_path / LEAF).mkdir()
    assert root.create("e1") is not None
    assert control.read_text() == "+pids"


def test_what_caps_brought_about(tmp_path: Path) -> None:
    group = Cgroup(tmp_path)
    assert group.caps_hit() == CapsHit()
    (tmp_path / "memory.events").write_text("low 0\nhigh 0\nmax 17\noom 2\noom_kill 3\noom_group_kill 0\n")
    (tmp_path / "pids.events").write_text("max 5\n")
    assert group.caps_hit() == CapsHit(memory_kills=3, refused_starts=5)


def test_a_kill_for_the_whole_computers_memory_is_no_caps_doing(tmp_path: Path) -> None:
    (tmp_path / "memory.events").write_text("low 0\nhigh 0\nmax 0\noom 0\noom_kill 1\n")
    assert Cgroup(tmp_path).caps_hit() == CapsHit()


def test_controllers_are_taken_back(tmp_path: Path) -> None:
    control = tmp_path / "cgroup.subtree_control"
    control.write_text("memory pids\n")
    CgroupRoot(tmp_path).disable_all()
    assert control.read_text() == "-memory -pids"
