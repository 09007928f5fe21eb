"""The configured values as the engine of Python sessions gets them."""

from __future__ import annotations

from pathlib import Path

from teleclaude.config import Config
from teleclaude.process import CgroupRoot
from teleclaude.service.python.settings import settings_of

CONFIG = Config.model_validate({"python": {"max_memory_bytes": 1 << 30, "max_processes": 50, "warm": 2}})


def test_caps_without_a_control_group_are_those_of_each_process() -> None:
    settings = settings_of(CONFIG)
    assert (settings.memory_bytes, settings.cgroups, settings.warm) == (1 << 30, None, 2)


def test_caps_of_a_control_group_are_those_of_all_processes() -> None:
    settings = settings_of(CONFIG, CgroupRoot(Path("/delegated")))
    assert settings.cgroups == CgroupRoot(Path("/delegated"), pids_max=50, memory_max_bytes=1 << 30)
    assert settings.memory_bytes == 1 << 30
